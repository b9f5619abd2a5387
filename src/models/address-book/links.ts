// Two things that belong together: contacts, members of lists, types of accounts. Adding and removing is one statement of our own each,
// which says by itself what is missing: asked one by one, the ends could change between the questions.
import type { Attributes } from 'sequelize';
import { execute, select } from '../../infra/sequelize';
import { Account } from '../accounts/account';
import { confinedTo, type Viewer } from '../visibility';
import { AccountAccountType, AccountType } from './account-type';
import { Contact } from './contact';
import { AccountContactsList, ContactsList, ContactsListContact } from './contacts-list';

type EndModel = typeof Account | typeof AccountType | typeof ContactsList;
interface End {
  model: EndModel;
  /** What the table of links calls it. */
  column: string;
}

const account = (column = 'account_id'): End => ({ model: Account, column });
const list: End = { model: ContactsList, column: 'contacts_list_id' };

/** `one` is what a path names first. */
const LINKS = {
  contact: { through: Contact, one: account(), other: account('contact_id') },
  account_type: { through: AccountAccountType, one: account(), other: { model: AccountType, column: 'account_type_id' } },
  list_of_account: { through: AccountContactsList, one: account(), other: list },
  contact_of_list: { through: ContactsListContact, one: list, other: account('contact_id') },
} as const;
export type LinkKind = keyof typeof LINKS;

/** Which rows a viewer confined to the domain `$3` may see; `$3` null: all of them. Types belong to no Space. */
const VISIBLE = new Map<EndModel, string>([
  [Account, '$3::text IS NULL OR domain = $3'],
  [AccountType, 'true'],
  [ContactsList, '$3::text IS NULL OR space_id = (SELECT id FROM spaces WHERE domain = $3)'],
]);

const find = ({ model }: End, id: string): string => `SELECT id FROM ${model.tableName} WHERE id = ${id} AND (${VISIBLE.get(model)})`;
/** An account that is just moving to another Space is looked at again once it is there: it may be out of the viewer's sight then. */
const findToLink = (end: End, id: string): string => `${find(end, id)}${end.model === Account ? ' FOR KEY SHARE' : ''}`;

/** Of several things that are wrong, the first in this order: the first end is missing, the link is there, the second end is missing. */
export type LinkOutcome = 'added' | 'one_missing' | 'already' | 'other_missing';

/** Links two rows, both of which the viewer must see. */
export async function addLink(viewer: Viewer, kind: LinkKind, oneId: number, otherId: number): Promise<LinkOutcome> {
  const { through, one, other } = LINKS[kind];
  const [found] = await select<{ outcome: LinkOutcome }>(
    `WITH one AS (${findToLink(one, '$1::integer')}), other AS (${findToLink(other, '$2::integer')}),
          there AS (SELECT 1 FROM ${through.tableName} WHERE ${one.column} = $1 AND ${other.column} = $2),
          added AS (INSERT INTO ${through.tableName} (${one.column}, ${other.column}, created_at, updated_at)
                    SELECT one.id, other.id, now(), now() FROM one, other ON CONFLICT DO NOTHING RETURNING 1)
     SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM one) THEN 'one_missing' WHEN EXISTS (SELECT 1 FROM there) THEN 'already'
                 WHEN NOT EXISTS (SELECT 1 FROM other) THEN 'other_missing' WHEN EXISTS (SELECT 1 FROM added) THEN 'added'
                 ELSE 'already' END AS outcome, $3::text AS domain`,
    [oneId, otherId, confinedTo(viewer)],
  );
  return found?.outcome ?? 'one_missing';
}

/**
 * Takes a link away. The viewer must see the first end alone: who manages it may also remove a link to what lies in another Space.
 *
 * @returns `absent`: the first end is there, the link is not
 */
export async function removeLink(
  viewer: Viewer,
  kind: LinkKind,
  oneId: number,
  otherId: number,
): Promise<'removed' | 'one_missing' | 'absent'> {
  const { through, one, other } = LINKS[kind];
  const [found] = await select<{ there: boolean; removed: boolean }>(
    `WITH one AS (${find(one, '$1::integer')}),
          removed AS (DELETE FROM ${through.tableName} l USING one WHERE l.${one.column} = one.id AND l.${other.column} = $2 RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM one) AS there, EXISTS (SELECT 1 FROM removed) AS removed, $3::text AS domain`,
    [oneId, otherId, confinedTo(viewer)],
  );
  if (!found?.there) return 'one_missing';
  return found.removed ? 'removed' : 'absent';
}

/** Links that show one account to another; `$1` is the account, `$2` the domain of its Space. */
const ACROSS = [
  {
    table: 'contacts',
    key: ['account_id', 'contact_id'],
    where: `(l.account_id = $1 OR l.contact_id = $1)
       AND EXISTS (SELECT 1 FROM accounts a WHERE a.id IN (l.account_id, l.contact_id) AND a.id <> $1 AND a.domain <> $2)`,
  },
  ...(['account_contacts_list', 'contacts_list_contact'] as const).map((table) => {
    const column = table === 'account_contacts_list' ? 'account_id' : 'contact_id';
    return {
      table,
      key: [column, 'contacts_list_id'],
      where: `l.${column} = $1
       AND l.contacts_list_id NOT IN (SELECT i.id FROM contacts_lists i JOIN spaces s ON s.id = i.space_id WHERE s.domain = $2)`,
    };
  }),
];

/**
 * Takes away what links an account that has moved to another Space with what is not there: contacts in both directions, lists that it was given
 * and lists that it is on. Inside the transaction that moved it, after its row was changed, so that nobody links it to the old Space meanwhile.
 * Statements of our own: links are removed by where their other end lies. Rows are locked by their keys, so that two accounts that move at once
 * do not wait for each other.
 */
export async function removeLinksAcrossSpaces({ id, domain }: Pick<Attributes<Account>, 'id' | 'domain'>): Promise<void> {
  for (const { table, key, where } of ACROSS) {
    const columns = key.join(', ');
    await execute(
      `WITH gone AS (SELECT l.${key.join(', l.')} FROM ${table} l WHERE ${where} ORDER BY ${columns} FOR UPDATE)
       DELETE FROM ${table} WHERE (${columns}) IN (SELECT ${columns} FROM gone)`,
      [id, domain],
    );
  }
}
