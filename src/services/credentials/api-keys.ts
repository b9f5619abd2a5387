// The key that a person has in an app: one an account, made, found many with one query. Keys of machines are named-keys.ts.
import { settings } from '../../../config';
import { Batcher } from '../../infra/batcher';
import { inLongTransaction } from '../../infra/database';
import { parseIpAddress } from '../../infra/ip-address';
import { ApiKey } from '../../models';
import type { KeyUse } from '../../models/credentials/api-key';
import { findIdentitiesByApiKey, type Identity, type KeyIdentity, type ShownKey, type Viewed } from '../../models/credentials/identity';
import { KeyUses, UNUSED_MARGIN_MS } from './key-uses';
import { hashApiKey, newApiKey } from './secrets';

const uses = new KeyUses<KeyUse>(
  (batch) => ApiKey.addUses(batch),
  (earlier, later) => ({ ...later, uses: earlier.uses + later.uses }),
);

/** Writes the uses that this process saw. What cannot be written now is kept for the next time; nothing is thrown. */
export const flushApiKeyUses = (): Promise<void> => uses.flush();

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
  uses.count({ id: found.key_id, uses: 1, last_used_at: new Date() });
  return found;
}

/** One that was imported, or typed into the command line of a release before, may have the address in another spelling. */
const worksFrom = ({ ip: bound }: KeyIdentity, ip: string): boolean => bound === null || bound === ip || parseIpAddress(bound) === ip;

function isExpired({ key_id, last_used_at }: KeyIdentity): boolean {
  const lifetimeMs = settings.APP_API_KEY_EXPIRATION_MINUTES * 60_000;
  if (lifetimeMs === 0) return false;
  const last = Math.max(last_used_at.getTime(), uses.of(key_id)?.last_used_at.getTime() ?? 0);
  return last + lifetimeMs + UNUSED_MARGIN_MS < Date.now();
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
