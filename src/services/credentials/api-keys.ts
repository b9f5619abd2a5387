// API keys: made, found many with one query, their use counted in memory and written in batches.
import { settings } from '../../../config';
import { Batcher } from '../../infra/batcher';
import { inBackground } from '../../infra/context';
import { inLongTransaction, isDatabaseUnavailable } from '../../infra/database';
import { parseIpAddress } from '../../infra/ip-address';
import { log, reasonOf } from '../../infra/log';
import { ApiKey } from '../../models';
import type { KeyUses } from '../../models/credentials/api-key';
import { findIdentitiesByApiKey, type Identity, type KeyIdentity, type ShownKey, type Viewed } from '../../models/credentials/identity';
import { hashApiKey, newApiKey } from './secrets';

/** Uses of other processes are written up to a second late: a key is called unused only this much later. */
const UNUSED_MARGIN_MS = 5000;
const FLUSH_INTERVAL_MS = 1000;

const unwritten = new Map<number, { uses: number; last: Date }>();
let timer: NodeJS.Timeout | undefined;

/** Requests that wait at the same time for the same are looked up once; none has what was read before it came. */
const shownKey = ({ hash, host }: ShownKey): string => `${hash} ${host}`;
const lookUps = new Batcher((shown: ShownKey[]) => findIdentitiesByApiKey(shown, { withView: false }), { keyOf: shownKey });
const lookUpsWithView = new Batcher((shown: ShownKey[]) => findIdentitiesByApiKey(shown, { withView: true }), { keyOf: shownKey });

/**
 * Who a key stands for; counts as a use of the key. Requests that ask at the same time share a statement.
 *
 * @param ip the caller's address, as parseIpAddress() gives it
 * @param host the Host header, whose Space may have expired
 * @param withView whether the account's view is wanted, too: it is of the same moment
 * @returns null where the key is unknown, expired, or made for another address
 */
export async function findByApiKey(
  key: string,
  ip: string,
  host: string,
  { withView = false }: { withView?: boolean | undefined } = {},
): Promise<(Identity & Viewed) | null> {
  const found = await (withView ? lookUpsWithView : lookUps).submit({ hash: hashApiKey(key), host });
  if (!found || !worksFrom(found, ip) || isExpired(found)) return null;
  const uses = unwritten.get(found.key_id)?.uses ?? 0;
  unwritten.set(found.key_id, { uses: uses + 1, last: new Date() });
  flushSoon();
  return found;
}

/** One that was imported, or typed into the command line of a release before, may have the address in another spelling. */
const worksFrom = ({ ip: bound }: KeyIdentity, ip: string): boolean => bound === null || bound === ip || parseIpAddress(bound) === ip;

/** Uses of many requests are written together, in the name of none of them. */
function flushSoon(): void {
  timer ??= inBackground(() => setTimeout(() => void flushUses(), FLUSH_INTERVAL_MS).unref());
}

function isExpired({ key_id, last_used_at }: KeyIdentity): boolean {
  const lifetimeMs = settings.APP_API_KEY_EXPIRATION_MINUTES * 60_000;
  if (lifetimeMs === 0) return false;
  const last = Math.max(last_used_at.getTime(), unwritten.get(key_id)?.last.getTime() ?? 0);
  return last + lifetimeMs + UNUSED_MARGIN_MS < Date.now();
}

/**
 * Writes uses in one statement; where it fails because of a row, in halves, so that one key stops no other.
 *
 * @param batch by id, so that two processes lock the rows in one order
 */
async function writeUses(batch: readonly KeyUses[]): Promise<void> {
  try {
    await ApiKey.addUses(batch);
  } catch (error) {
    if (batch.length > 1 && !isDatabaseUnavailable(error)) {
      const middle = batch.length >> 1;
      await writeUses(batch.slice(0, middle));
      await writeUses(batch.slice(middle));
      return;
    }
    const keys = batch.length === 1 ? { key_id: batch[0]?.id } : { keys: batch.length };
    log.warn({ ...keys, reason: reasonOf(error) }, 'uses of API keys are not written yet');
    for (const { id, uses, last_used_at: last } of batch) {
      const since = unwritten.get(id);
      unwritten.set(id, { uses: uses + (since?.uses ?? 0), last: since?.last ?? last });
    }
    flushSoon();
  }
}

/** Writes the uses that this process saw. What cannot be written now is kept for the next time; nothing is thrown. */
export async function flushUses(): Promise<void> {
  clearTimeout(timer);
  timer = undefined;
  if (unwritten.size === 0) return;
  const batch = [...unwritten.entries()].sort(([a], [b]) => a - b);
  unwritten.clear();
  await writeUses(batch.map(([id, { uses, last }]) => ({ id, uses, last_used_at: last })));
}

/**
 * Makes the account's only key; the one before stops working at once.
 *
 * @param ip the only address from which it works; null: any
 * @returns the key, which is kept nowhere
 */
export async function issueApiKey(accountId: number, ip: string | null): Promise<string> {
  const key = newApiKey();
  await ApiKey.replace({ account_id: accountId, key: hashApiKey(key), ip });
  return key;
}

/** Deletes keys unused for `minutes`. No request waits for it: among ten million keys it takes longer than one may. @returns how many */
export const clearExpiredApiKeys = (minutes: number): Promise<number> =>
  inLongTransaction(() => ApiKey.scope({ method: ['unusedFor', minutes * 60 + UNUSED_MARGIN_MS / 1000] }).destroy());
