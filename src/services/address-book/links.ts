// Two things that belong together: contacts, members of lists, types of accounts. Adding and removing is one statement each.
import { select } from '../../infra/sequelize';

interface End {
  table: 'accounts' | 'account_types' | 'contacts_lists';
  column: string;
}
interface Link {
  table: string;
  /** What the path names first. */
  one: End;
  other: End;
}

const account = (column = 'account_id'): End => ({ table: 'accounts', column });
const list: End = { table: 'contacts_lists', column: 'contacts_list_id' };

const LINKS = {
  contact: { table: 'contacts', one: account(), other: account('contact_id') },
  account_type: { table: 'account_account_type', one: account(), other: { table: 'account_types', column: 'account_type_id' } },
  list_of_account: { table: 'account_contacts_list', one: account(), other: list },
  contact_of_list: { table: 'contacts_list_contact', one: list, other: account('contact_id') },
} as const satisfies Record<string, Link>;
export type LinkKind = keyof typeof LINKS;

/** Rows of a table that a caller confined to the domain `$3` may see; null: all of them. Types belong to no Space. */
const VISIBLE = {
  accounts: '$3::text IS NULL OR domain = $3',
  account_types: 'true',
  contacts_lists: '$3::text IS NULL OR space_id = (SELECT id FROM spaces WHERE domain = $3)',
} as const;

const find = ({ table }: End, id: string): string => `SELECT id FROM ${table} WHERE id = ${id} AND (${VISIBLE[table]})`;

/** In the order in which they are told (api.md 4, «Contacts»). */
export type LinkOutcome = 'added' | 'one_missing' | 'already' | 'other_missing';

/** @param scope domain to which the caller is confined; null: none */
export async function addLink(kind: LinkKind, oneId: number, otherId: number, scope: string | null): Promise<LinkOutcome> {
  const { table, one, other } = LINKS[kind];
  const [found] = await select<{ outcome: LinkOutcome }>(
    `WITH one AS (${find(one, '$1::integer')}), other AS (${find(other, '$2::integer')}),
          there AS (SELECT 1 FROM ${table} WHERE ${one.column} = $1 AND ${other.column} = $2),
          added AS (INSERT INTO ${table} (${one.column}, ${other.column}, created_at, updated_at)
                    SELECT one.id, other.id, now(), now() FROM one, other ON CONFLICT DO NOTHING RETURNING 1)
     SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM one) THEN 'one_missing' WHEN EXISTS (SELECT 1 FROM there) THEN 'already'
                 WHEN NOT EXISTS (SELECT 1 FROM other) THEN 'other_missing' WHEN EXISTS (SELECT 1 FROM added) THEN 'added'
                 ELSE 'already' END AS outcome, $3::text AS scope`,
    [oneId, otherId, scope],
  );
  return found?.outcome ?? 'one_missing';
}

/** What was named second may lie outside the scope: a link to it can still be removed by whoever manages the first. */
export async function removeLink(
  kind: LinkKind,
  oneId: number,
  otherId: number,
  scope: string | null,
): Promise<'removed' | 'one_missing' | 'absent'> {
  const { table, one, other } = LINKS[kind];
  const [found] = await select<{ there: boolean; removed: boolean }>(
    `WITH one AS (${find(one, '$1::integer')}),
          removed AS (DELETE FROM ${table} l USING one WHERE l.${one.column} = one.id AND l.${other.column} = $2 RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM one) AS there, EXISTS (SELECT 1 FROM removed) AS removed, $3::text AS scope`,
    [oneId, otherId, scope],
  );
  if (!found?.there) return 'one_missing';
  return found.removed ? 'removed' : 'absent';
}
