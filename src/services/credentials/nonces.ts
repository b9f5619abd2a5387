// DIGEST nonces (RFC 7616 5.4): signed, so that a forged or old one needs no look-up; a row only once one was used with success.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { appSecret } from './secrets';

/** Minutes that a nonce lives; also the default of `nonces:clear-expired`. */
export const NONCE_LIFE = 60;
const TIME_BYTES = 6;
const RANDOM_BYTES = 12;
const SIGNATURE_BYTES = 16;
/** Above any count that a client may send: a nonce with it accepts none any more. */
const DESTROYED = 2147483647;

function sign(head: Buffer, accountId: number): Buffer {
  return createHmac('sha256', appSecret('nonce')).update(head).update(String(accountId)).digest().subarray(0, SIGNATURE_BYTES);
}

/** A fresh nonce for an account: its time, a random part, and a signature over both and the account. */
export function newNonce(accountId: number, now = Date.now()): string {
  const head = Buffer.alloc(TIME_BYTES + RANDOM_BYTES);
  head.writeUIntBE(now, 0, TIME_BYTES);
  randomBytes(RANDOM_BYTES).copy(head, TIME_BYTES);
  return Buffer.concat([head, sign(head, accountId)]).toString('base64url');
}

/** When a nonce was made; null where it is not ours or another account's. */
export function nonceTime(nonce: string, accountId: number): Date | null {
  const bytes = Buffer.from(nonce, 'base64url');
  // One nonce has one text: otherwise a replay under another spelling would find no row.
  if (bytes.length !== TIME_BYTES + RANDOM_BYTES + SIGNATURE_BYTES || bytes.toString('base64url') !== nonce) return null;
  const head = bytes.subarray(0, TIME_BYTES + RANDOM_BYTES);
  if (!timingSafeEqual(sign(head, accountId), bytes.subarray(TIME_BYTES + RANDOM_BYTES))) return null;
  return new Date(head.readUIntBE(0, TIME_BYTES));
}

/** SQL of the moment before which nonces were cleared away; null where they never were. */
export const CLEARED_BEFORE = '(SELECT max(cleared_before) FROM nonce_clearings)';

/**
 * Moves the highest count seen of a nonce forward, in one statement: of two requests with one count, in any processes, one wins.
 * The loser's nonce is destroyed.
 */
export async function acceptCount(accountId: number, nonce: string, nc: number): Promise<boolean> {
  const moved = await select(
    `INSERT INTO nonces (account_id, nonce, nc, created_at, updated_at) VALUES ($1, $2, $3, now(), now())
     ON CONFLICT (nonce) DO UPDATE SET nc = excluded.nc, updated_at = now() WHERE nonces.nc < excluded.nc RETURNING id`,
    [accountId, nonce, nc],
  );
  if (moved.length === 1) return true;
  await execute('UPDATE nonces SET nc = $2 WHERE nonce = $1', [nonce, DESTROYED]);
  return false;
}

/**
 * Makes nonces older than `minutes` invalid, used or not, and deletes what is known of them. @returns how many had been used
 *
 * The moment is kept: a signed nonce whose row is gone would be as good as new.
 */
export async function clearNonces(minutes: number): Promise<number> {
  return inTransaction(async () => {
    if (minutes < NONCE_LIFE) {
      await execute('DELETE FROM nonce_clearings');
      await execute('INSERT INTO nonce_clearings (cleared_before) VALUES (now() - make_interval(mins => $1))', [minutes]);
    }
    return execute('DELETE FROM nonces WHERE created_at < now() - make_interval(mins => $1)', [minutes]);
  });
}
