// Contacts as people see them: an account's own and those of the lists it was given, each once, whatever their Space.
import { select } from '../../infra/sequelize';
import { RELATED, type RelatedData } from '../../models/accounts/account-view';

export interface ContactView extends RelatedData {
  id: number;
  username: string;
  domain: string;
  activated: boolean;
  dtmf_protocol: string | null;
  display_name: string | null;
}

const CONTACT_VIEW = `SELECT a.id, a.username, a.domain, a.activated, a.dtmf_protocol, a.display_name, ${RELATED} FROM accounts a`;

/** Ids of the contacts of the account `$1`: its own, and those of its lists. */
const ALL_CONTACTS = `
  SELECT contact_id FROM contacts WHERE account_id = $1
  UNION SELECT c.contact_id FROM account_contacts_list l JOIN contacts_list_contact c ON c.contacts_list_id = l.contacts_list_id
         WHERE l.account_id = $1`;

/** All contacts of an account, by id, in one statement whatever their number. */
export async function findContacts(accountId: number): Promise<ContactView[]> {
  return select<ContactView>(`${CONTACT_VIEW} WHERE a.id IN (${ALL_CONTACTS}) ORDER BY a.id`, [accountId]);
}

export async function findContact(accountId: number, username: string, domain: string): Promise<ContactView | null> {
  const [view] = await select<ContactView>(`${CONTACT_VIEW} WHERE a.username = $2 AND a.domain = $3 AND a.id IN (${ALL_CONTACTS})`, [
    accountId,
    username,
    domain,
  ]);
  return view ?? null;
}

/** What an admin gave the account itself. */
export async function findOwnContacts(accountId: number): Promise<ContactView[]> {
  return select<ContactView>(`${CONTACT_VIEW} JOIN contacts k ON k.contact_id = a.id WHERE k.account_id = $1 ORDER BY a.id`, [accountId]);
}

export async function findOwnContact(accountId: number, contactId: number): Promise<ContactView | null> {
  const [view] = await select<ContactView>(`${CONTACT_VIEW} JOIN contacts k ON k.contact_id = a.id WHERE k.account_id = $1 AND a.id = $2`, [
    accountId,
    contactId,
  ]);
  return view ?? null;
}
