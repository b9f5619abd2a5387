// Keeping the schedules of recurring jobs in Redis as the table of queues has them, whatever happens to them there.
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { settings } from '../config';
import { log, reasonOf } from '../src/infra/log';
import { jobOptions, queuePrefix, queues, QUEUE_NAMES, SCHEDULES_VERSION, type Envelope, type QueueName } from '../src/queues/contracts';
import { producerConnection, queueOf } from '../src/queues/producer';
import { whenReady } from '../src/infra/redis';
import { withTimeout } from '../src/infra/timeout';

/** FLUSHALL breaks no connection, and the dashboard can remove a job: looked after at least this often. */
const CHECK_INTERVAL_MS = 20_000;
/** Redis may be silent. */
const CHECK_TIMEOUT_MS = 5000;
/** After a check that failed. */
const RETRY_DELAY_MS = 1000;
/** Names of all queues that any release has had: a queue that the table no longer has is found by it. */
const queueNamesKey = (): string => `{${settings.QUEUE_PREFIX}:queues}`;

const versionOf = (data: unknown): number => (data as Envelope | undefined)?.schedules ?? 0;

/** Writes what is missing or different in one queue and removes what is of an older release. @returns the ids that were written */
async function restore(queue: Queue<Envelope>, schedules: (typeof queues)[QueueName]['schedules']): Promise<string[]> {
  const stored = new Map((await queue.getJobSchedulers()).map((scheduler) => [scheduler.key, scheduler]));
  const written: string[] = [];
  for (const { id, every, payload } of schedules) {
    const found = stored.get(id);
    stored.delete(id);
    const data: Envelope = { payload, schedules: SCHEDULES_VERSION };
    if (versionOf(found?.template?.data) > SCHEDULES_VERSION) continue;
    const same = found?.every === every && JSON.stringify(found.template?.data) === JSON.stringify(data);
    // A schedule goes on when a worker takes the job that it made last: it stands still without that job, or where it was ended untaken.
    const last = same ? await queue.getJob(`repeat:${id}:${String(found.next)}`) : undefined;
    if (last && last.finishedOn === undefined) continue;
    await queue.upsertJobScheduler(id, { every }, { name: id, data, opts: jobOptions(queue.name as QueueName) });
    written.push(id);
  }
  for (const [key, { template }] of stored) {
    // A newer release's: during a deploy its workers and ours would write and remove it in turn.
    if (versionOf(template?.data) <= SCHEDULES_VERSION) await queue.removeJobScheduler(key);
  }
  return written;
}

async function restoreAll(): Promise<string[]> {
  const connection = producerConnection() as Redis;
  await whenReady(connection);
  const written = [];
  for (const name of QUEUE_NAMES) {
    for (const id of await restore(queueOf(name), queues[name].schedules)) written.push(`${name}/${id}`);
  }
  const known = await connection.smembers(queueNamesKey());
  if (QUEUE_NAMES.some((name) => !known.includes(name))) await connection.sadd(queueNamesKey(), ...QUEUE_NAMES);
  for (const name of known) {
    if (QUEUE_NAMES.includes(name as QueueName)) continue;
    const former = new Queue<Envelope>(name, { connection, prefix: queuePrefix(name as QueueName), skipMetasUpdate: true });
    former.on('error', () => undefined);
    await restore(former, []);
    await former.close();
  }
  return written;
}

/**
 * Writes the schedules of all queues, served or not, and goes on doing so: at once when Redis is there again, perhaps empty, and by a timer.
 *
 * @returns ends it
 */
export function keepSchedules(): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let first = true;
  const check = async (): Promise<void> => {
    running = true;
    let delay = CHECK_INTERVAL_MS;
    try {
      const written = await withTimeout(restoreAll(), CHECK_TIMEOUT_MS, 'schedules');
      if (written.length > 0 && !first) log.warn({ schedules: written }, 'schedules of recurring jobs were missing, and are there again');
      first = false;
    } catch (error) {
      delay = RETRY_DELAY_MS;
      log.debug({ reason: reasonOf(error) }, 'job schedulers are not stored yet');
    }
    running = false;
    if (!stopped) timer = setTimeout(begin, delay);
  };
  const begin = (): void => {
    clearTimeout(timer);
    if (!stopped && !running) void check();
  };
  producerConnection().on('ready', begin);
  begin();
  return () => {
    stopped = true;
    clearTimeout(timer);
    producerConnection().off('ready', begin);
  };
}
