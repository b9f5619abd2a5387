// Lists of contacts that admins give to accounts: a Space has no two of one title.
import { onUniqueViolation } from '../../infra/database';
import { fieldError, unprocessable } from '../../infra/errors';
import { ContactsList } from '../../models';
import type { ContactsListView } from '../../models/address-book/contacts-list';
import type { Viewer } from '../../models/visibility';

/** What a person may set of a list. */
export interface ContactsListValues {
  title: string;
  description: string;
}

const unique = <T>(write: () => Promise<T>): Promise<T> =>
  onUniqueViolation({ contacts_lists_space_title_key: () => unprocessable(fieldError('title', 'field.taken')) }, write);

/** Makes a list in the Space of `domain`. @throws {ApiError} 422 where the Space has a list of that title */
export function createContactsList(domain: string, values: ContactsListValues): Promise<ContactsList> {
  return unique(() => ContactsList.createIn(domain, values));
}

/**
 * Changes title and description.
 *
 * @returns null where the viewer sees no such list
 * @throws {ApiError} 422 where its Space has another list of that title
 */
export function updateContactsList(viewer: Viewer, id: number, values: ContactsListValues): Promise<ContactsListView | null> {
  return unique(() => ContactsList.change(viewer, id, values));
}
