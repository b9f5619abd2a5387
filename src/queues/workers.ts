// How many workers serve a queue, as Redis knows them: by the names of their connections.
import { type Queue } from 'bullmq';
import { ReplyError } from 'ioredis';
import { sharedFor } from '../infra/shared';

/** Requests that wait in vain come many at once, and Redis reads all its clients for one answer. */
const SHARED_MS = 1000;

/** @returns null where the user of Redis may not run `CLIENT LIST`, as with managed servers, or its server does not know it @throws {Error} where Redis does not answer */
export async function countWorkers(queue: Queue): Promise<number | null> {
  try {
    return await queue.getWorkersCount();
  } catch (error) {
    if (error instanceof ReplyError) return null;
    throw error;
  }
}

const looks = new WeakMap<Queue, () => Promise<number | null>>();

/** The same, up to a second old. */
export function countWorkersLately(queue: Queue): Promise<number | null> {
  const look = looks.get(queue) ?? sharedFor(SHARED_MS, () => countWorkers(queue));
  looks.set(queue, look);
  return look();
}
