// API keys (api.md 2.2): made, found with one query, their use counted in memory and written in batches.
import { settings } from '../../../config';
import { execute } from '../../infra/sequelize';
import { log, reasonOf } from '../../infra/log';
import { findIdentities, type Identity } from './identities';
import { hashApiKey, newApiKey } from './secrets';

interface Found extends Identity {
  key_id: number;
  ip: string | null;
  last_used_at: Date;
}

/** Uses of other processes are written up to a second late: a key is called unused only this much later. */
const MARGIN_MS = 5000;
const FLUSH_EVERY_MS = 1000;

const unwritten = new Map<number, { uses: number; last: Date }>();
let timer: NodeJS.Timeout | undefined;

/**
 * Who a key stands for, or null: unknown, expired, or made for another address. One query, by the index on the hash.
 * Counts as a use of the key.
 *
 * @param ip the caller's address
 * @param host the Host header, whose Space may have expired
 */
export async function findByApiKey(key: string, ip: string, host: string): Promise<Identity | null> {
  const [found] = await findIdentities<Found>({
    host,
    columns: 'k.id AS key_id, k.ip, k.last_used_at',
    from: 'api_keys k JOIN accounts a ON a.id = k.account_id',
    where: 'k.key = $3',
    bind: [hashApiKey(key)],
  });
  if (!found || (found.ip !== null && found.ip !== ip) || isExpired(found)) return null;
  const uses = unwritten.get(found.key_id)?.uses ?? 0;
  unwritten.set(found.key_id, { uses: uses + 1, last: new Date() });
  timer ??= setTimeout(() => void flushUses(), FLUSH_EVERY_MS).unref();
  return found;
}

function isExpired({ key_id, last_used_at }: Found): boolean {
  const life = settings.APP_API_KEY_EXPIRATION_MINUTES * 60_000;
  if (life === 0) return false;
  const last = Math.max(last_used_at.getTime(), unwritten.get(key_id)?.last.getTime() ?? 0);
  return last + life + MARGIN_MS < Date.now();
}

/** Writes the uses that this process saw, in one statement. What cannot be written now is kept for the next time. */
export async function flushUses(): Promise<void> {
  clearTimeout(timer);
  timer = undefined;
  if (unwritten.size === 0) return;
  const batch = [...unwritten.entries()].sort(([a], [b]) => a - b);
  unwritten.clear();
  try {
    await execute(
      `UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.last), requests = k.requests + u.uses
         FROM unnest($1::integer[], $2::integer[], $3::timestamptz[]) AS u (id, uses, last) WHERE k.id = u.id`,
      [batch.map(([id]) => id), batch.map(([, use]) => use.uses), batch.map(([, use]) => use.last)],
    );
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'uses of API keys are not written yet');
    for (const [id, { uses, last }] of batch) {
      const since = unwritten.get(id);
      unwritten.set(id, { uses: uses + (since?.uses ?? 0), last: since?.last ?? last });
    }
    timer ??= setTimeout(() => void flushUses(), FLUSH_EVERY_MS).unref();
  }
}

/** Makes the account's only key; the one before stops working at once. `ip` null: works from anywhere. */
export async function issueApiKey(accountId: number, ip: string | null): Promise<string> {
  const key = newApiKey();
  await execute(
    `INSERT INTO api_keys (account_id, key, ip, last_used_at, created_at, updated_at) VALUES ($1, $2, $3, now(), now(), now())
     ON CONFLICT (account_id) DO UPDATE SET key = excluded.key, ip = excluded.ip, requests = 0, last_used_at = now(), updated_at = now()`,
    [accountId, hashApiKey(key), ip],
  );
  return key;
}

/** Deletes keys unused for `minutes`. @returns how many */
export async function clearExpiredApiKeys(minutes: number): Promise<number> {
  return execute('DELETE FROM api_keys WHERE last_used_at < now() - make_interval(mins => $1, secs => $2)', [minutes, MARGIN_MS / 1000]);
}
