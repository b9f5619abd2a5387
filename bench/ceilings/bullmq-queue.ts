// The queue of the ceiling with BullMQ.
import type { QueueOptions } from 'bullmq';

export const QUEUE = 'ceiling';

/** Both of its processes use the same, and no key of the program that is measured. */
export function queueOptions(): QueueOptions {
  const { hostname, port, username, password } = new URL(process.env['REDIS_URL'] ?? '');
  return {
    prefix: `${process.env['QUEUE_PREFIX']}_ceiling`,
    connection: { host: hostname, port: Number(port), username, password, maxRetriesPerRequest: null },
  };
}
