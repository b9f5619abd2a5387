// DIGEST nonces (RFC 7616, section 5.4): signed, so that a forged or old one needs no look-up; a row only once one was used with success.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Batcher } from '../../infra/batcher';
import { inTransaction } from '../../infra/database';
import { Nonce, NonceClearing } from '../../models';
import { DESTROYED_COUNT, type NonceCount } from '../../models/credentials/nonce';
import { appSecret } from './secrets';

/** How long a nonce counts; also the default of `nonces:clear-expired`. */
export const NONCE_LIFETIME_MINUTES = 60;
/** The highest count that a client may send (`nc`). */
export const MAX_NONCE_COUNT = DESTROYED_COUNT - 1;
const TIME_BYTES = 6;
const RANDOM_BYTES = 12;
const SIGNATURE_BYTES = 16;

function sign(head: Buffer, accountId: number): Buffer {
  return createHmac('sha256', appSecret('nonce')).update(head).update(String(accountId)).digest().subarray(0, SIGNATURE_BYTES);
}

/**
 * A fresh nonce for an account: its time, a random part, and a signature over both and the account.
 *
 * @param now milliseconds since 1970
 */
export function newNonce(accountId: number, now = Date.now()): string {
  const head = Buffer.alloc(TIME_BYTES + RANDOM_BYTES);
  head.writeUIntBE(now, 0, TIME_BYTES);
  randomBytes(RANDOM_BYTES).copy(head, TIME_BYTES);
  return Buffer.concat([head, sign(head, accountId)]).toString('base64url');
}

/** When a nonce was made; null where it is not one of newNonce() for this account. */
export function nonceTime(nonce: string, accountId: number): Date | null {
  const bytes = Buffer.from(nonce, 'base64url');
  // One nonce has one text: otherwise a replay under another spelling would find no row.
  if (bytes.length !== TIME_BYTES + RANDOM_BYTES + SIGNATURE_BYTES || bytes.toString('base64url') !== nonce) return null;
  const head = bytes.subarray(0, TIME_BYTES + RANDOM_BYTES);
  if (!timingSafeEqual(sign(head, accountId), bytes.subarray(TIME_BYTES + RANDOM_BYTES))) return null;
  return new Date(head.readUIntBE(0, TIME_BYTES));
}

/** Counts of requests that come at once share a statement; those of one nonce go one after another. */
const counts = new Batcher<NonceCount, boolean | null>((batch) => Nonce.moveCounts(batch), {
  keyOf: ({ nonce }) => nonce,
  sameKey: 'queued',
});

/**
 * Moves the highest count seen of a nonce forward. Of two requests with one count, in any processes, one wins. The loser's nonce is destroyed, since one
 * of the two is a replay and nobody knows which.
 *
 * @param nc the count that the client sent, at most MAX_NONCE_COUNT
 * @returns whether it was higher than all before
 */
export async function acceptNonceCount(accountId: number, nonce: string, nc: number): Promise<boolean> {
  const count = { account_id: accountId, nonce, nc };
  const isHigher = await counts.submit(count);
  if (isHigher === null) return Nonce.acceptCount(count);
  if (!isHigher) await Nonce.end(nonce);
  return isHigher;
}

/**
 * Makes nonces older than `minutes` invalid, used or not, and deletes what is known of them.
 *
 * The moment is kept: a signed nonce whose row is gone would be as good as new.
 *
 * @returns how many had been used
 */
export async function clearNonces(minutes: number): Promise<number> {
  return inTransaction(async () => {
    if (minutes < NONCE_LIFETIME_MINUTES) await NonceClearing.record(minutes);
    return Nonce.scope({ method: ['olderThan', minutes] }).destroy();
  });
}
