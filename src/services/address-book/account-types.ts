// Types of accounts: one vocabulary for the installation, not for a Space.
import { execute, select } from '../../infra/sequelize';
import { uniqueField } from './unique-field';

export interface AccountTypeRow {
  id: number;
  key: string;
}

/** The row that a write gives; null where it gives none. */
const unique = async (write: () => Promise<AccountTypeRow[]>): Promise<AccountTypeRow | null> =>
  (await uniqueField('account_types_key_key', 'key', write))[0] ?? null;

export async function findAccountTypes(): Promise<AccountTypeRow[]> {
  return select<AccountTypeRow>('SELECT id, key FROM account_types ORDER BY id');
}

export async function findAccountType(id: number): Promise<AccountTypeRow | null> {
  return (await select<AccountTypeRow>('SELECT id, key FROM account_types WHERE id = $1', [id]))[0] ?? null;
}

/** @throws {ApiError} 422 for a key that is taken */
export async function createAccountType(key: string): Promise<AccountTypeRow> {
  const row = await unique(() =>
    select<AccountTypeRow>('INSERT INTO account_types (key, created_at, updated_at) VALUES ($1, now(), now()) RETURNING id, key', [key]),
  );
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return row;
}

/** @throws {ApiError} 422 for a key that another type has */
export async function updateAccountType(id: number, key: string): Promise<AccountTypeRow | null> {
  return unique(() =>
    select<AccountTypeRow>('UPDATE account_types SET key = $2, updated_at = now() WHERE id = $1 RETURNING id, key', [id, key]),
  );
}

/** Deletes a type and takes it from all accounts. @returns whether there was one */
export async function deleteAccountType(id: number): Promise<boolean> {
  return (await execute('DELETE FROM account_types WHERE id = $1', [id])) === 1;
}
