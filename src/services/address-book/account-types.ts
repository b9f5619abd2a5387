// Types of accounts: no two with one key. Reading and deleting them needs no rule: ask the model.
import { onUniqueViolation } from '../../infra/database';
import { fieldError, unprocessable } from '../../infra/errors';
import { AccountType } from '../../models';

const unique = <T>(write: () => Promise<T>): Promise<T> =>
  onUniqueViolation({ account_types_key_key: () => unprocessable(fieldError('key', 'field.taken')) }, write);

/** Makes a type. @throws {ApiError} 422 for a key that another type has */
export function createAccountType(key: string): Promise<AccountType> {
  return unique(() => AccountType.create({ key }));
}

/** Changes the key of a type. @returns null where there is no such type @throws {ApiError} 422 for a key that another type has */
export async function updateAccountType(id: number, key: string): Promise<AccountType | null> {
  const [, [changed]] = await unique(() => AccountType.update({ key }, { where: { id }, returning: true }));
  return changed ?? null;
}
