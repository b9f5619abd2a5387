// Lists of contacts that admins give to accounts. Each belongs to one Space.
import { execute, select } from '../../infra/sequelize';
import { uniqueField } from './unique-field';

export interface ContactsListRow {
  id: number;
  title: string;
  description: string | null;
  contacts_count: number;
  created_at: Date;
  updated_at: Date;
}
export interface ContactsListValues {
  title: string;
  description: string;
}

const COLUMNS = `id, title, description, created_at, updated_at,
  (SELECT count(*)::integer FROM contacts_list_contact c WHERE c.contacts_list_id = contacts_lists.id) AS contacts_count`;
/** `$1`: domain to which the caller is confined; null: all lists. */
const VISIBLE = '($1::text IS NULL OR space_id = (SELECT id FROM spaces WHERE domain = $1))';

const unique = <T>(write: () => Promise<T>): Promise<T> => uniqueField('contacts_lists_space_title_key', 'title', write);

export async function findContactsLists(scope: string | null): Promise<ContactsListRow[]> {
  return select<ContactsListRow>(`SELECT ${COLUMNS} FROM contacts_lists WHERE ${VISIBLE} ORDER BY id`, [scope]);
}

export async function findContactsList(id: number, scope: string | null): Promise<ContactsListRow | null> {
  const [row] = await select<ContactsListRow>(`SELECT ${COLUMNS} FROM contacts_lists WHERE ${VISIBLE} AND id = $2`, [scope, id]);
  return row ?? null;
}

/** @param domain the Space that the list will belong to @throws {ApiError} 422 where the Space has a list of that title */
export async function createContactsList({ title, description }: ContactsListValues, domain: string): Promise<ContactsListRow> {
  const [row] = await unique(() =>
    select<ContactsListRow>(
      `INSERT INTO contacts_lists (title, description, space_id, created_at, updated_at)
       SELECT $1, $2, id, now(), now() FROM spaces WHERE domain = $3 RETURNING ${COLUMNS}`,
      [title, description, domain],
    ),
  );
  if (!row) throw new Error(`there is no Space ${domain}`);
  return row;
}

/** @throws {ApiError} 422 where its Space has another list of that title */
export async function updateContactsList(
  id: number,
  { title, description }: ContactsListValues,
  scope: string | null,
): Promise<ContactsListRow | null> {
  const [row] = await unique(() =>
    select<ContactsListRow>(
      `UPDATE contacts_lists SET title = $3, description = $4, updated_at = now() WHERE ${VISIBLE} AND id = $2 RETURNING ${COLUMNS}`,
      [scope, id, title, description],
    ),
  );
  return row ?? null;
}

/** Deletes a list with its links. @returns whether there was one */
export async function deleteContactsList(id: number, scope: string | null): Promise<boolean> {
  return (await execute(`DELETE FROM contacts_lists WHERE ${VISIBLE} AND id = $2`, [scope, id])) === 1;
}
