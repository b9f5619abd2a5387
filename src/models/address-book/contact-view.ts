// Contacts as people see them: an account's own and those of the lists it was given, each once, whatever their Space. Statements of our own:
// with all that hangs on a contact each answer is one statement, whatever the number of contacts.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import { type Account, type AccountName, sipAddressBinds, sipAddressSql } from '../accounts/account';
import { RELATED, type RelatedData } from '../accounts/account-view';
import { type Pages, pagesById } from '../pages';

/** What others may know of an account. */
export type ContactView = RelatedData &
  Pick<Attributes<Account>, 'id' | 'username' | 'domain' | 'activated' | 'dtmf_protocol' | 'display_name'>;

const CONTACT_VIEW = `SELECT a.id, a.username, a.domain, a.activated, a.dtmf_protocol, a.display_name, ${RELATED} FROM accounts a`;

/** Ids of the contacts of the account `$1`: its own, and those of its lists. */
const ALL_CONTACTS = `
  SELECT contact_id FROM contacts WHERE account_id = $1
  UNION SELECT c.contact_id FROM account_contacts_list l JOIN contacts_list_contact c ON c.contacts_list_id = l.contacts_list_id
         WHERE l.account_id = $1`;

/**
 * The contacts among those ids that come next; bound are the account, the id before them and how many. A contact that was deleted is none, though its
 * row may be there for a while.
 */
const nextOf = (ids: string): string =>
  `${CONTACT_VIEW} WHERE a.id IN (
     SELECT c.contact_id FROM (${ids}) c JOIN accounts o ON o.id = c.contact_id WHERE c.contact_id > $2 ORDER BY c.contact_id LIMIT $3) ORDER BY a.id`;

/** All contacts of an account, by id: its own and those of its lists. */
export const contactPages = (accountId: number): Pages<ContactView> =>
  pagesById((after, limit) => select<ContactView>(nextOf(ALL_CONTACTS), [accountId, after, limit]));

/** One of them by its SIP address, the domain in lower case. @returns null where the account has no such contact */
export async function findContact(accountId: number, address: AccountName): Promise<ContactView | null> {
  const [view] = await select<ContactView>(`${CONTACT_VIEW} WHERE a.id IN (${ALL_CONTACTS}) AND ${sipAddressSql('$2', '$3', '$4')}`, [
    accountId,
    ...sipAddressBinds(address),
  ]);
  return view ?? null;
}

/** The contacts that an admin gave the account itself, by id; those of its lists are not among them. */
export const ownContactPages = (accountId: number): Pages<ContactView> =>
  pagesById((after, limit) =>
    select<ContactView>(nextOf('SELECT contact_id FROM contacts WHERE account_id = $1'), [accountId, after, limit]),
  );

/** One of them by its id. @returns null where the account has no such contact of its own */
export async function findOwnContact(accountId: number, contactId: number): Promise<ContactView | null> {
  const [view] = await select<ContactView>(`${CONTACT_VIEW} JOIN contacts k ON k.contact_id = a.id WHERE k.account_id = $1 AND a.id = $2`, [
    accountId,
    contactId,
  ]);
  return view ?? null;
}
