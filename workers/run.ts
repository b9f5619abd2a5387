// How any job is done: by its handler, or not at all where this release does not know what it is.
import { DelayedError, UnrecoverableError, type Job as BullJob } from 'bullmq';
import { context } from '../src/infra/context';
import { log } from '../src/infra/log';
import { failureText, unknownKind, type Envelope, type QueueName, type SendResult } from '../src/queues/contracts';
import { handlers } from './index';
import type { Job } from './job';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
/** Outcomes of a completed job; with any other the job is a failed one. */
const GOOD_OUTCOMES = new Set(['sent', 'already_sent', 'limit_reached']);
/** How long a job that only a newer release can do waits for its worker, where no request does: a deploy is over by then. */
const UNKNOWN_KIND_PATIENCE_MS = 60 * MINUTE_MS;
/** Between two looks at such a job, while a request waits. */
const UNKNOWN_KIND_PAUSE_MS = 200;

/** A job that has failed, for a reason that operators read. Where in our code it was thrown tells them nothing. */
function failed(text: string): UnrecoverableError {
  const failure = new UnrecoverableError(text);
  failure.stack = failure.message;
  return failure;
}

/** Puts a job back that this release does not know, so that a newer worker takes it; until its time is over. @throws always: that is how a job ends */
async function putBack(name: QueueName, job: BullJob<Envelope>, token: string | undefined, kind: string, left: number): Promise<never> {
  const age = Math.max(0, Date.now() - job.timestamp);
  const pause = left === Infinity ? Math.min(Math.max(age, SECOND_MS), MINUTE_MS) : UNKNOWN_KIND_PAUSE_MS;
  if (pause >= left || age > UNKNOWN_KIND_PATIENCE_MS) {
    log.warn({ queue: name, job: job.id, kind }, 'a job failed: no worker knows its kind');
    throw failed(failureText({ outcome: 'failed', reason: `unknown_kind ${kind.slice(0, 60)}` }));
  }
  if (job.attemptsStarted <= 1) log.warn({ queue: name, job: job.id, kind }, 'a job of an unknown kind waits for a newer worker');
  await job.moveToDelayed(Date.now() + pause, token);
  throw new DelayedError();
}

/**
 * Does one job. What was not sent is a failed job, so that operators see it; the process that waits reads the outcome in its reason.
 *
 * @param token by which the worker owns the job
 */
export async function run(name: QueueName, job: BullJob<Envelope>, token: string | undefined): Promise<unknown> {
  const { payload, deadline = Infinity, request_id } = job.data;
  const timeLeft = (): number => deadline - Date.now();
  const unknown = unknownKind(name, payload);
  if (unknown !== undefined) return putBack(name, job, token, unknown, timeLeft());
  const started = performance.now();
  return context.run({ request_id: request_id ?? job.id ?? '' }, async () => {
    const handler = handlers[name] as (job: Job<QueueName>) => Promise<unknown>;
    const result = await handler({ payload, timeLeft });
    const seconds = Math.round(performance.now() - started) / 1000;
    const { outcome, reason } = result as Partial<SendResult<string>>;
    if (outcome === undefined) {
      log.debug({ queue: name, job: job.id, result, seconds }, 'job');
      return result;
    }
    log.info({ queue: name, job: job.id, outcome, reason, seconds }, 'job');
    if (GOOD_OUTCOMES.has(outcome)) return result;
    throw failed(failureText({ outcome, ...(reason === undefined ? {} : { reason }) }));
  });
}
