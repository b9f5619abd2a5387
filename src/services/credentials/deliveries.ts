// Answers that a one-time token opens: made in the transaction that uses the token up, and the client's own until they have reached it.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { inTransaction } from '../../infra/database';
import { networkOf } from '../../infra/ip-address';
import { log, reasonOf } from '../../infra/log';
import { lockAccount } from '../../models/accounts/account';
import { type DeliveryKey, type DeliveryKind, TokenDelivery } from '../../models/credentials/token-delivery';
import { requireActiveAccount } from './standing';

/** How often a client that asks again is looked after while its first request may still be answered: that takes milliseconds, or its process is dead. */
const POLL_MS = 100;
const MAX_POLLS = 30;
/** A phone that lost its connection comes back with another address of the same network; what limits count as one client may be wider. */
const SAME_NETWORK_PREFIX = 64;

/** A token that is shown, and who shows it. */
export interface Shown {
  kind: DeliveryKind;
  token: string;
  ip: string;
  /** The request's Host header. */
  host: string;
}

/** An answer to be given once. */
export interface Delivery<T> {
  value: T;
  /** To be told, once, whether the whole answer was given to the client's connection. Never throws. */
  settle: (isDelivered: boolean) => Promise<void>;
}

/** Where the database does not answer now, the client may ask again for the rest of the minute, which does no harm. */
async function settle(key: DeliveryKey, isDelivered: boolean): Promise<void> {
  try {
    await (isDelivered ? TokenDelivery.end(key) : TokenDelivery.lose(key));
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'whether an answer was delivered could not be recorded');
  }
}

/** Makes the answer of a lost delivery again. @returns null where there is none for this client, 'pending' where it may be on its way */
async function makeAgain<T>(
  key: DeliveryKey,
  host: string,
  make: (accountId: number) => Promise<T>,
): Promise<{ value: T } | 'pending' | null> {
  const open = await TokenDelivery.findOpen(key);
  if (!open || open.pending) return open && 'pending';
  return inTransaction(async () => {
    await lockAccount(open.account_id);
    // Of several that ask again, one was faster.
    const still = await TokenDelivery.findOpen(key);
    if (!still || still.pending) return still && 'pending';
    await requireActiveAccount(open.account_id, host);
    const value = await make(open.account_id);
    await TokenDelivery.renew(key);
    return { value };
  });
}

/**
 * Uses a one-time token up and makes the answer that it opens, in one transaction: where that fails the token stays good. An answer that did
 * not reach its client, since the connection was cut or this process died, is made again for the same network within a minute of the first use.
 *
 * @param redeem uses the token up, under its account's lock. @returns the account's id; null where it is unknown or used
 * @param make the answer
 * @returns null where the token opens nothing
 * @throws what `redeem` and `make` throw
 */
export async function deliverOnce<T>(
  { kind, token, ip, host }: Shown,
  redeem: () => Promise<number | null>,
  make: (accountId: number) => Promise<T>,
): Promise<Delivery<T> | null> {
  const key = { kind, token_hash: createHash('sha256').update(token).digest('hex'), network: networkOf(ip, SAME_NETWORK_PREFIX) };
  const delivery = (value: T): Delivery<T> => ({ value, settle: (isDelivered) => settle(key, isDelivered) });
  const first = await inTransaction(async () => {
    const accountId = await redeem();
    if (accountId === null) return null;
    const value = await make(accountId);
    await TokenDelivery.begin(accountId, key);
    return { value };
  });
  if (first) return delivery(first.value);
  for (let polls = 0; polls < MAX_POLLS; polls += 1) {
    const again = await makeAgain(key, host, make);
    if (again === null) return null;
    if (again !== 'pending') return delivery(again.value);
    await sleep(POLL_MS);
  }
  return null;
}
