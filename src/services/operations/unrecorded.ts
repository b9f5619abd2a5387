// Sends whose end could not be written into the ledger, as all processes together know them: the database was away then, so that Redis counts them.
import type { Redis } from 'ioredis';
import { settings } from '../../../config';
import { sendsUnrecorded } from '../../infra/metrics';
import { withTimeout } from '../../infra/timeout';
import { producerConnection } from '../../queues/producer';

/** As long as the rule for Prometheus looks back. */
const WINDOW_SECONDS = 15 * 60;
const TIMEOUT_MS = 1000;

const key = (): string => `{${settings.QUEUE_PREFIX}:alerts}:unrecorded`;
let told = 0;

/** Adds what this process has counted since it was last asked. What Redis does not take is added the next time. */
export async function tellUnrecorded(): Promise<void> {
  const { values } = await sendsUnrecorded.get();
  const counted = values[0]?.value ?? 0;
  if (counted === told) return;
  const redis = producerConnection() as Redis;
  await withTimeout(redis.incrby(key(), counted - told), TIMEOUT_MS, 'Redis');
  told = counted;
  await withTimeout(redis.expire(key(), WINDOW_SECONDS), TIMEOUT_MS, 'Redis');
}

/** How many there were, until a quarter of an hour has gone by without one. @throws {Error} where Redis does not answer within a second */
export async function unrecordedSends(): Promise<number> {
  return Number((await withTimeout((producerConnection() as Redis).get(key()), TIMEOUT_MS, 'Redis')) ?? 0);
}
