// What operators do to a queue: put failed jobs back, pause, resume, clean. Who may, and the trail of it: services/operations/queue-actions.ts.
import type * as Scripts from 'bullmq/dist/esm/scripts';
import type { RedisConnection } from '../infra/redis';
import { requireWritable, whenReady } from '../infra/redis';
import { gateOf } from '../infra/redis-gate';
import { withTimeout } from '../infra/timeout';
import { QUEUE_NAMES, queuePrefix, type QueueName } from './contracts';
import { ASK_TIMEOUT_MS, isMeant, readJobs, retryRefusalOf, type JobFilter, type RetryRefusal, type StoredJob } from './jobs';
import { producerConnection, queueClock, queueOf } from './producer';

/** Jobs that are put back, or removed, at one blow; others have their turn between. */
const CHUNK_JOBS = 100;
/** A command has only begun to connect when it asks. */
const CONNECT_TIMEOUT_MS = 1500;
/** A request may still look up the result of a job that ended just now. */
const KEPT_SECONDS = 10;

/** Called now and then with how many jobs were dealt with, of how many; the latter is 0 where nobody knows. */
export type Progress = (done: number, all: number) => void;

/** Why a job that was meant is a failed one still: `not_failed`: somebody else has put it back or removed it meanwhile. */
export type NotRetried = RetryRefusal | 'not_failed';

/** What came of putting jobs back. */
export interface RetryReport {
  /** Failed jobs that were meant. */
  matched: number;
  /** Of these; without `dry_run` they wait for a worker again. */
  retried: number;
  refused: Record<NotRetried, number>;
  /** false: there was no time for all of them. */
  complete: boolean;
}

export const emptyRetryReport = (): RetryReport => ({
  matched: 0,
  retried: 0,
  refused: { deadline_over: 0, may_have_arrived: 0, nobody_waits: 0, not_failed: 0 },
  complete: true,
});

/** What came of removing jobs. */
export interface CleanReport {
  removed: number;
  complete: boolean;
}

/** Makes sure that Redis takes a write, for each queue, so that BullMQ, which waits as long as it takes, is asked only then. @throws {Error} where it does not */
export async function requireQueues(): Promise<void> {
  const [connection, keys] = [producerConnection(), QUEUE_NAMES.map(queuePrefix)];
  if (connection.status !== 'ready') await withTimeout(whenReady(connection), CONNECT_TIMEOUT_MS, 'connecting to Redis');
  await gateOf(connection).ask(keys[0] ?? '', () => requireWritable(connection, keys));
}

/** Only one of the two builds has types. */
const { reprocessJob } = require('bullmq/dist/cjs/scripts') as typeof Scripts;

/** BullMQ's own script, behind a look whether the job is the failed one that was judged: it may have been put back, done, and have failed otherwise. */
const RETRY_JUDGED = `
if redis.call('HGET', KEYS[1], 'finishedOn') ~= ARGV[7] or (redis.call('HGET', KEYS[1], 'ats') or '0') ~= ARGV[8] then return -3 end
${reprocessJob.content}`;

type Retrying = RedisConnection & { flexiapiRetryJudged: (...given: string[]) => Promise<number> };
const prepared = new WeakSet<RedisConnection>();

function retrying(): Retrying {
  const connection = producerConnection();
  if (!prepared.has(connection)) {
    connection.defineCommand('flexiapiRetryJudged', { numberOfKeys: reprocessJob.keys, lua: RETRY_JUDGED });
    prepared.add(connection);
  }
  return connection as Retrying;
}

/** Puts a job back, unless anything happened to it since it was read. @returns whether it waits for a worker again */
async function retryJudged(name: QueueName, job: StoredJob): Promise<boolean> {
  const queue = queueOf(name);
  const places = ['events', 'failed', 'wait', 'meta', 'active', 'marker', 'prioritized', 'pc'];
  const keys = [job.id, ...places].map((place) => queue.toKey(place));
  const given = [job.id, 'LPUSH', 'failedReason', 'failed', '0', '0', String(job.finishedOn), String(job.attempts)];
  return (await retrying().flexiapiRetryJudged(...keys, ...given)) === 1;
}

/**
 * Puts one job back.
 *
 * @param evenLate also where its deadline is over: it fails again, and nothing is sent; and where nobody waits for it
 * @returns why not; undefined where it was put back
 * @throws {Error} where Redis does not answer within 2 s
 */
export async function retryJob(name: QueueName, id: string, { evenLate = false } = {}): Promise<NotRetried | undefined> {
  if (!queueClock().isKnown) await queueClock().measure();
  const [job] = await readJobs(name, [id]);
  if (!job || job.finishedOn === null || job.failedReason === null) return 'not_failed';
  const refusal = retryRefusalOf(name, job);
  if (refusal !== undefined && !(evenLate && refusal !== 'may_have_arrived')) return refusal;
  return (await withTimeout(retryJudged(name, job), ASK_TIMEOUT_MS, 'putting a job back')) ? undefined : 'not_failed';
}

/**
 * Puts failed jobs back that were failed when it began, the oldest first. Of a queue that sends those alone by which nobody gets anything twice: see
 * retryRefusalOf(). Several may do it at once: each job is put back by one of them.
 *
 * @param dryRun only says what would come of it
 * @param milliseconds after which no further jobs are looked at
 * @param report is filled as it goes, so that it tells how far this came where it throws
 * @throws {Error} where Redis does not answer
 */
export async function retryFailedJobs(
  name: QueueName,
  {
    dryRun = false,
    milliseconds,
    progress,
    ...filter
  }: Pick<JobFilter, 'reason' | 'since'> & { dryRun?: boolean; milliseconds: number; progress?: Progress },
  report = emptyRetryReport(),
): Promise<RetryReport> {
  const end = performance.now() + milliseconds;
  if (!queueClock().isKnown) await queueClock().measure();
  const key = queueOf(name).toKey('failed');
  const ids = await withTimeout(producerConnection().zrange(key, '0', '-1'), ASK_TIMEOUT_MS, 'reading a queue');
  for (let done = 0; done < ids.length; done += CHUNK_JOBS) {
    if (performance.now() > end) {
      report.complete = false;
      break;
    }
    const jobs = await readJobs(name, ids.slice(done, done + CHUNK_JOBS));
    const meant = jobs.filter((job) => job.finishedOn !== null && job.failedReason !== null && isMeant(job, filter));
    const may: StoredJob[] = [];
    report.matched += meant.length;
    for (const job of meant) {
      const refusal = retryRefusalOf(name, job);
      if (refusal === undefined) may.push(job);
      else report.refused[refusal] += 1;
    }
    const put = async (job: StoredJob): Promise<void> => {
      if (dryRun || (await retryJudged(name, job))) report.retried += 1;
      else report.refused.not_failed += 1;
    };
    await withTimeout(Promise.all(may.map(put)), ASK_TIMEOUT_MS, 'putting jobs back');
    progress?.(Math.min(done + CHUNK_JOBS, ids.length), ids.length);
  }
  return report;
}

/** Which of the queues are paused. @throws {Error} where Redis does not answer within 2 s */
export async function pausedQueues(): Promise<ReadonlySet<QueueName>> {
  const paused = QUEUE_NAMES.map(async (name) => ((await queueOf(name).isPaused()) ? [name] : []));
  return new Set((await withTimeout(Promise.all(paused), ASK_TIMEOUT_MS, 'reading the queues')).flat());
}

/** Workers take no further job of the queue; what waits goes on waiting. @throws {Error} where Redis does not answer within 2 s */
export const pauseQueue = (name: QueueName): Promise<void> => withTimeout(queueOf(name).pause(), ASK_TIMEOUT_MS, 'pausing a queue');

/** Workers take jobs again. @throws {Error} where Redis does not answer within 2 s */
export const resumeQueue = (name: QueueName): Promise<void> => withTimeout(queueOf(name).resume(), ASK_TIMEOUT_MS, 'resuming a queue');

/**
 * Removes jobs that are done; those of the last ten seconds stay.
 *
 * @param report as of retryFailedJobs()
 * @throws {Error} where Redis does not answer
 */
export async function cleanQueue(
  name: QueueName,
  {
    state,
    olderThanSeconds,
    milliseconds,
    progress,
  }: { state: 'completed' | 'failed'; olderThanSeconds: number; milliseconds: number; progress?: Progress },
  report: CleanReport = { removed: 0, complete: true },
): Promise<CleanReport> {
  const end = performance.now() + milliseconds;
  const began = Date.now();
  for (;;) {
    // The age is meant when it began: it must not run behind jobs that become old enough meanwhile.
    const grace = Math.max(olderThanSeconds, KEPT_SECONDS) * 1000 + (Date.now() - began);
    const removed = await withTimeout(queueOf(name).clean(grace, CHUNK_JOBS, state), ASK_TIMEOUT_MS, 'cleaning a queue');
    report.removed += removed.length;
    progress?.(report.removed, 0);
    if (removed.length < CHUNK_JOBS) return report;
    if (performance.now() > end) {
      report.complete = false;
      return report;
    }
  }
}
