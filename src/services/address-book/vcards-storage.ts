// The vCards that an account keeps with us, by their UID.
import { violatedConstraint } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { ApiError } from '../../infra/errors';
import type { Vcard } from './vcards';

export interface StoredVcard {
  uuid: string;
  vcard: string;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = 'uuid, vcard, created_at, updated_at';

/** All of them, oldest first. */
export async function findVcards(accountId: number): Promise<StoredVcard[]> {
  return select<StoredVcard>(`SELECT ${COLUMNS} FROM vcards_storage WHERE account_id = $1 ORDER BY id`, [accountId]);
}

export async function findVcard(accountId: number, uid: string): Promise<StoredVcard | null> {
  const [row] = await select<StoredVcard>(`SELECT ${COLUMNS} FROM vcards_storage WHERE account_id = $1 AND uuid = $2`, [accountId, uid]);
  return row ?? null;
}

/** @throws {ApiError} 409 where the account has a card with that UID */
export async function createVcard(accountId: number, { uid, text }: Vcard): Promise<StoredVcard> {
  try {
    const [row] = await select<StoredVcard>(
      `INSERT INTO vcards_storage (account_id, uuid, vcard, created_at, updated_at) VALUES ($1, $2, $3, now(), now()) RETURNING ${COLUMNS}`,
      [accountId, uid, text],
    );
    if (row) return row;
  } catch (error) {
    if (violatedConstraint(error) === 'vcards_storage_account_uuid_key') throw new ApiError(409, { key: 'vcard.exists', values: {} });
    throw error;
  }
  throw new Error('INSERT … RETURNING gave no row');
}

export async function replaceVcard(accountId: number, { uid, text }: Vcard): Promise<StoredVcard | null> {
  const [row] = await select<StoredVcard>(
    `UPDATE vcards_storage SET vcard = $3, updated_at = now() WHERE account_id = $1 AND uuid = $2 RETURNING ${COLUMNS}`,
    [accountId, uid, text],
  );
  return row ?? null;
}

/** @returns whether there was one */
export async function deleteVcard(accountId: number, uid: string): Promise<boolean> {
  return (await execute('DELETE FROM vcards_storage WHERE account_id = $1 AND uuid = $2', [accountId, uid])) === 1;
}
