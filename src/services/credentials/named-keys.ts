// Keys of machines: any number an account, each with a name, scopes, addresses and an end. Using one is here; making and changing them is key-changes.ts.
import { isIP } from 'node:net';
import { Batcher } from '../../infra/batcher';
import { ApiError } from '../../infra/errors';
import { NamedApiKey } from '../../models';
import {
  findIdentitiesByNamedKey,
  type Identity,
  type NamedKeyIdentity,
  type ShownNamedKey,
  type Viewed,
} from '../../models/credentials/identity';
import type { KeyRefusal, NamedKeyUses } from '../../models/credentials/named-api-key';
import { keysRefused } from '../../infra/metrics';
import { KeyUses, UNUSED_MARGIN_MS } from './key-uses';
import { hashApiKey, isWholeNamedKey } from './secrets';

const later = (one: Date | null, other: Date | null): Date | null => other ?? one;

const uses = new KeyUses<NamedKeyUses>(
  (batch) => NamedApiKey.addUses(batch),
  (before, since) => ({
    id: since.id,
    uses: before.uses + since.uses,
    last_used_at: later(before.last_used_at, since.last_used_at),
    last_used_ip: since.last_used_at ? since.last_used_ip : before.last_used_ip,
    refusals: before.refusals + since.refusals,
    last_refused_at: later(before.last_refused_at, since.last_refused_at),
    last_refused_reason: since.last_refused_at ? since.last_refused_reason : before.last_refused_reason,
  }),
);

/** Writes the uses and refusals that this process saw. What cannot be written now is kept for the next time; nothing is thrown. */
export const flushNamedKeyUses = (): Promise<void> => uses.flush();

/** Requests that wait at the same time for the same are looked up once, as of a person's key. */
const shownKey = ({ hash, ip, host }: ShownNamedKey): string => `${hash} ${ip} ${host}`;
const lookUps = new Batcher((shown: ShownNamedKey[]) => findIdentitiesByNamedKey(shown, { withView: false }), { keyOf: shownKey });
const lookUpsWithView = new Batcher((shown: ShownNamedKey[]) => findIdentitiesByNamedKey(shown, { withView: true }), { keyOf: shownKey });

export type { KeyRefusal };

/** A named key, as refusals count it. */
type NamedKey = Pick<NamedKeyIdentity, 'key_id' | 'key_name'>;

/** Why a key is refused by what it is, whatever it is used for. */
type OwnRefusal = Exclude<KeyRefusal, 'account' | 'scope'>;

/** A known key that is refused: 401, which says why. Whoever shows it guesses nothing, so that it counts for itself and not for its address. */
export class KnownKeyRefused extends ApiError {
  constructor(
    readonly key_id: number,
    refusal: OwnRefusal,
  ) {
    super(401, { key: `auth.key_${refusal}`, values: {} });
  }
}

function refusalOf({ is_rotated, is_expired, is_admitted, ...key }: NamedKeyIdentity): OwnRefusal | undefined {
  if (is_rotated) return 'rotated';
  if (is_expired || isUnusedTooLong(key)) return 'expired';
  return is_admitted ? undefined : 'address';
}

function isUnusedTooLong({
  key_id,
  expires_after_last_used_minutes: minutes,
  last_used_at,
}: Pick<NamedKeyIdentity, 'key_id' | 'expires_after_last_used_minutes' | 'last_used_at'>): boolean {
  if (minutes === null) return false;
  const last = Math.max(last_used_at.getTime(), uses.of(key_id)?.last_used_at?.getTime() ?? 0);
  return last + minutes * 60_000 + UNUSED_MARGIN_MS < Date.now();
}

const NO_USE = { uses: 0, last_used_at: null, last_used_ip: null };
const NO_REFUSAL = { refusals: 0, last_refused_at: null, last_refused_reason: null };

/** A series for each name would grow for as long as the process lives: of those that were refused longest ago none is kept beyond this. */
const MAX_NAMES_COUNTED = 1000;
const namesCounted = new Set<string>();

function countByName(name: string): void {
  keysRefused.inc({ name });
  // Again, so that it is the newest.
  namesCounted.delete(name);
  namesCounted.add(name);
  if (namesCounted.size <= MAX_NAMES_COUNTED) return;
  const [oldest = ''] = namesCounted;
  namesCounted.delete(oldest);
  keysRefused.remove({ name: oldest });
}

/** Counts a refusal of a known key, which its operator sees. */
export function countKeyRefusal({ key_id: id, key_name: name }: NamedKey, reason: KeyRefusal): void {
  countByName(name);
  uses.count({ id, ...NO_USE, refusals: 1, last_refused_at: new Date(), last_refused_reason: reason });
}

/**
 * Who a named key stands for; counts as a use of the key, or as a refusal. Requests that ask at the same time share a statement.
 *
 * @param ip the caller's address, as parseIpAddress() gives it
 * @param host the Host header, whose Space may have expired
 * @param withView whether the account's view is wanted, too: it is of the same moment
 * @returns null where there is no such key
 * @throws {KnownKeyRefused} where it has ended, or may not be used from there
 */
export async function findByNamedKey(
  key: string,
  ip: string,
  host: string,
  { withView = false }: { withView?: boolean | undefined } = {},
): Promise<(Identity & Viewed & NamedKey) | null> {
  if (!isWholeNamedKey(key)) return null;
  const shown = { hash: hashApiKey(key), ip: isIP(ip) === 0 ? null : ip, host };
  const found = await (withView ? lookUpsWithView : lookUps).submit(shown);
  if (!found) return null;
  const refusal = refusalOf(found);
  if (refusal) {
    countKeyRefusal(found, refusal);
    throw new KnownKeyRefused(found.key_id, refusal);
  }
  uses.count({ id: found.key_id, uses: 1, last_used_at: new Date(), last_used_ip: shown.ip, ...NO_REFUSAL });
  return found;
}
