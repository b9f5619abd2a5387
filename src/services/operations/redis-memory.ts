// What Redis says of its memory: how much, and what it does once there is no more.
import type { Redis } from 'ioredis';
import { sharedFor } from '../../infra/shared';
import { withTimeout } from '../../infra/timeout';
import { producerConnection } from '../../queues/producer';

/** Whoever looks at metrics, readiness and alerts in the same moment costs one command. */
const SHARED_MS = 1000;
const TIMEOUT_MS = 2000;
/** Lines of INFO. */
const USED = /^used_memory:(\d+)/m;
const LIMIT = /^maxmemory:(\d+)/m;
const POLICY = /^maxmemory_policy:(\S+)/m;

/** Bytes; `limit` 0: none. `policy`: which keys are evicted, undefined where Redis does not say so. */
export interface RedisMemory {
  used: number;
  limit: number;
  policy: string | undefined;
}

/** @returns null where its user may not run INFO. @throws {Error} where Redis does not answer within 2 s */
export const redisMemory = sharedFor(SHARED_MS, async (): Promise<RedisMemory | null> => {
  let info: string;
  try {
    info = await withTimeout((producerConnection() as Redis).info('memory'), TIMEOUT_MS, 'Redis');
  } catch (error) {
    if ((error as Error).name === 'ReplyError') return null;
    throw error;
  }
  return { used: Number(USED.exec(info)?.[1] ?? 0), limit: Number(LIMIT.exec(info)?.[1] ?? 0), policy: POLICY.exec(info)?.[1] };
});
