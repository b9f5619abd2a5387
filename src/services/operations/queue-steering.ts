// Looking at queues and steering them, for the API and the command line alike. Every change leaves a row (queue-actions.ts) and a line of the log.
import { ReplyError } from 'ioredis';
import { ApiError, fieldError, notFound, unavailable, unprocessable } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import type { ActionEnd } from '../../models/operations/queue-action';
import { QUEUE_NAMES, type QueueName } from '../../queues/contracts';
import { listJobs, type JobFilter, type JobPage, type JobPosition } from '../../queues/jobs';
import { reportQueues, type QueueReport as Report } from '../../queues/report';
import {
  type CleanReport,
  cleanQueue,
  emptyRetryReport,
  pausedQueues,
  pauseQueue,
  type Progress,
  requireQueues,
  resumeQueue,
  retryFailedJobs,
  type RetryReport,
} from '../../queues/steering';
import { type Actor, beginAction, type Intent, recordRefusal } from './queue-actions';

export { JOB_STATES, type JobState, type JobView } from '../../queues/jobs';
export type { CleanReport, Progress, RetryReport } from '../../queues/steering';
export { QUEUE_NAMES };

/** What a request has for it; whatever is left is for the next one. */
const REQUEST_MS = 2000;
/** What the command line has: none waits for it but the person who has called it. */
const PATIENT_MS = 10 * 60_000;

/** Who waits for it. */
export interface Steerer extends Actor {
  /** Shows how far it is. */
  progress?: Progress;
  /** Where its line goes, in place of the process's log. */
  lines?: Record<'info' | 'warn', (line: object, message: string) => void>;
}

const timeOf = ({ source, progress }: Steerer): { milliseconds: number; progress?: Progress } => ({
  milliseconds: source === 'cli' ? PATIENT_MS : REQUEST_MS,
  ...(progress && { progress }),
});

/** 503 of a Redis that does not answer. */
export const queuesAway = (cause: unknown): ApiError => unavailable('server.queue', {}, { cause, headers: { 'retry-after': '5' } });

/** What Redis is asked. @throws {ApiError} 503 where it does not answer */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    await requireQueues();
    return await work();
  } catch (error) {
    throw error instanceof ApiError ? error : queuesAway(error);
  }
}

/** @throws {ApiError} 404 */
export function requireQueue(given: string): QueueName {
  const queue = QUEUE_NAMES.find((known) => known === given);
  if (queue === undefined) throw notFound('queue.not_found', { queue: given.slice(0, 64) });
  return queue;
}

/** The state of a queue. */
export interface QueueReport extends Report {
  /** Whether workers take none of its jobs until somebody resumes it. */
  paused: boolean;
}

/** The state of every queue. @throws {ApiError} 503 where Redis does not answer */
export const readQueues = (): Promise<QueueReport[]> =>
  asked(async () => {
    const [reports, paused] = await Promise.all([reportQueues(), pausedQueues()]);
    return reports.map((report) => ({ ...report, paused: paused.has(report.queue) }));
  });

const POSITION = /^(active|waiting|prioritized|delayed|failed|completed) (-|-?[\d.e+]+) (.+)$/s;

const encodePosition = ({ state, score, id }: JobPosition): string => Buffer.from(`${state} ${score ?? '-'} ${id}`).toString('base64url');

/** @returns null where it is none that encodePosition() gives */
function decodePosition(cursor: string): JobPosition | null {
  const [, state, score, id] = POSITION.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (state === undefined || id === undefined || (score !== '-' && !Number.isFinite(Number(score)))) return null;
  const isList = state === 'active' || state === 'waiting';
  if (isList !== (score === '-')) return null;
  return { state: state as JobPosition['state'], score: isList ? null : Number(score), id };
}

/**
 * Some jobs of a queue.
 *
 * @param cursor as the page before has it in `next_cursor`
 * @throws {ApiError} 404 of a queue that is not there, 422 of a cursor that no page has given, 503 where Redis does not answer
 */
export async function listQueueJobs(
  queueName: string,
  filter: JobFilter,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): Promise<Pick<JobPage, 'jobs'> & { next_cursor: string | null }> {
  const queue = requireQueue(queueName);
  const after = cursor === undefined ? undefined : decodePosition(cursor);
  if (after === null) throw unprocessable(fieldError('cursor', 'field.cursor'));
  const { jobs, next } = await asked(() => listJobs(queue, filter, { after, limit, milliseconds: REQUEST_MS }));
  return { jobs, next_cursor: next && encodePosition(next) };
}

function tell({ source, account_id, account, key_id, ip, lines = log }: Steerer, intent: Intent, end: ActionEnd): void {
  const { outcome, affected = null, reason } = end;
  const line = {
    source,
    account_id,
    account,
    key_id,
    ip,
    ...intent,
    outcome,
    affected,
    ...(reason === null || reason === undefined ? {} : { reason }),
  };
  lines[outcome === 'done' || outcome === 'refused' ? 'info' : 'warn'](line, 'an action on the queues');
}

/** What came of a call of Redis that threw: it refused, or nobody knows. */
const endOfError = (error: unknown, affected: number | null): ActionEnd => ({
  outcome: error instanceof ReplyError ? 'failed' : 'unknown',
  affected,
  status: 503,
  reason: reasonOf(error),
});

/**
 * Does something to a queue: written down first, then done, then what came of it.
 *
 * @param countOf how many jobs it has changed so far; null where that is not counted
 * @throws {ApiError} 404, 503 where the database or Redis does not answer
 */
async function steer(
  actor: Steerer,
  intent: Intent & { queue: string },
  work: (queue: QueueName) => Promise<unknown>,
  countOf: () => number | null,
): Promise<void> {
  const refuse = async (end: ActionEnd): Promise<void> => {
    await recordRefusal(actor, intent, end);
    tell(actor, intent, end);
  };
  let queue: QueueName;
  try {
    queue = requireQueue(intent.queue);
  } catch (error) {
    await refuse({ outcome: 'refused', affected: 0, status: 404, reason: reasonOf(error) });
    throw error;
  }
  try {
    await requireQueues();
  } catch (error) {
    await refuse({ outcome: 'failed', affected: 0, status: 503, reason: reasonOf(error) });
    throw queuesAway(error);
  }
  const begun = await beginAction(actor, intent);
  try {
    await work(queue);
  } catch (error) {
    const end = endOfError(error, countOf());
    await begun.end(end);
    tell(actor, intent, end);
    throw queuesAway(error);
  }
  const end: ActionEnd = { outcome: 'done', affected: countOf(), status: 200 };
  await begun.end(end);
  tell(actor, intent, end);
}

/** What retryFailed() takes. */
export interface RetryWish {
  /** A word of `SEND_REASONS`, an outcome, or a part of the text of the failure. */
  reason?: string | undefined;
  /** Failed after it. */
  since?: Date | undefined;
  /** Only tells what would come of it. */
  dry_run?: boolean | undefined;
}

/**
 * Puts failed jobs of a queue back; of one that sends those alone of which it is certain that nobody gets anything twice.
 *
 * @returns how many, and how many were left and why; `complete` is false where there was no time for all
 * @throws {ApiError} as steer()
 */
export async function retryFailed(actor: Steerer, queueName: string, { reason, since, dry_run = false }: RetryWish): Promise<RetryReport> {
  const wish = { ...(reason === undefined ? {} : { reason }), ...(since === undefined ? {} : { since }), ...timeOf(actor) };
  if (dry_run) {
    const queue = requireQueue(queueName);
    return asked(() => retryFailedJobs(queue, { ...wish, dryRun: true }));
  }
  const report = emptyRetryReport();
  const filter = { ...(reason === undefined ? {} : { reason }), ...(since === undefined ? {} : { since: since.toISOString() }) };
  const intent = { action: 'retry-failed', queue: queueName, filter };
  await steer(
    actor,
    intent,
    (queue) => retryFailedJobs(queue, wish, report),
    () => report.retried,
  );
  return report;
}

const uncounted = (): null => null;

/** Stops workers from taking jobs of a queue. @throws {ApiError} as steer() */
export const pause = (actor: Steerer, queueName: string): Promise<void> =>
  steer(actor, { action: 'pause', queue: queueName }, pauseQueue, uncounted);

/** Has workers take jobs of a queue again. @throws {ApiError} as steer() */
export const resume = (actor: Steerer, queueName: string): Promise<void> =>
  steer(actor, { action: 'resume', queue: queueName }, resumeQueue, uncounted);

/** Which jobs clean() removes. */
export interface CleanWish {
  state: 'completed' | 'failed';
  /** Since they were done. */
  older_than_seconds: number;
}

/** Removes jobs that are done. @returns how many; `complete` is false where there was no time for all @throws {ApiError} as steer() */
export async function clean(actor: Steerer, queueName: string, { state, older_than_seconds }: CleanWish): Promise<CleanReport> {
  const report: CleanReport = { removed: 0, complete: true };
  await steer(
    actor,
    { action: 'clean', queue: queueName, filter: { state, older_than_seconds } },
    (queue) => cleanQueue(queue, { state, olderThanSeconds: older_than_seconds, ...timeOf(actor) }, report),
    () => report.removed,
  );
  return report;
}
