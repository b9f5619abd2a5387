// Types of accounts: no two with one key. Reading and deleting them needs no rule: ask the model.
import { AccountType } from '../../models';
import { uniqueField } from './unique-field';

/** Makes a type. @throws {ApiError} 422 for a key that another type has */
export function createAccountType(key: string): Promise<AccountType> {
  return uniqueField('account_types_key_key', 'key', () => AccountType.create({ key }));
}

/** Changes the key of a type. @returns null where there is no such type @throws {ApiError} 422 for a key that another type has */
export async function updateAccountType(id: number, key: string): Promise<AccountType | null> {
  const [, [changed]] = await uniqueField('account_types_key_key', 'key', () =>
    AccountType.update({ key }, { where: { id }, returning: true }),
  );
  return changed ?? null;
}
