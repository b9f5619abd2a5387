// How any job is done: by its handler, or not at all where this release does not know what it is.
import { setTimeout as sleep } from 'node:timers/promises';
import { DelayedError, UnrecoverableError, type Job as BullJob } from 'bullmq';
import { context } from '../src/infra/context';
import { log, reasonOf } from '../src/infra/log';
import { jobOutcomes, jobRun, jobWait } from '../src/infra/metrics';
import { failureText, unknownKind, type Envelope, type QueueName, type SendResult } from '../src/queues/contracts';
import { queueClock, queueOf } from '../src/queues/producer';
import { withTimeout } from '../src/infra/timeout';
import { recordTask } from '../src/services/operations/recurring';
import { handlers } from './index';
import type { Job } from './job';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
/** What a column of 32 bits holds. */
const MAX_MS = 2 ** 31 - 1;
/** Outcomes of a completed job; with any other the job is a failed one. */
const GOOD_OUTCOMES = new Set(['sent', 'already_sent', 'limit_reached']);
/** How long a job that only a newer release can do waits for its worker, where no request does: a deploy is over by then. */
const UNKNOWN_KIND_PATIENCE_MS = 60 * MINUTE_MS;
/** Whoever asks gives up after 1.5 s without an answer of Redis; its word needs as long at most. */
const CONFIRMATION_TIMEOUT_MS = 3000;
const MAX_CONFIRMATION_PAUSE_MS = 50;
/** Between two looks at such a job, while a request waits. */
const UNKNOWN_KIND_PAUSE_MS = 200;

/** Jobs whose handler runs. */
let underWay = 0;
/** How many jobs this process is doing. */
export const jobsUnderWay = (): number => underWay;

/** A job that has failed, for a reason that operators read. Where in our code it was thrown tells them nothing. */
function failed(text: string): UnrecoverableError {
  const failure = new UnrecoverableError(text);
  failure.stack = failure.message;
  return failure;
}

/** Puts a job back that this release does not know, so that a newer worker takes it; until its time is over. @throws always: that is how a job ends */
async function putBack(name: QueueName, job: BullJob<Envelope>, token: string | undefined, kind: string, left: number): Promise<never> {
  const age = Math.max(0, Date.now() - job.timestamp);
  const longest = left !== Infinity ? UNKNOWN_KIND_PAUSE_MS : age < MINUTE_MS ? SECOND_MS : MINUTE_MS / 4;
  // At random: in step with a schedule, it could be the same worker that is free each time.
  const pause = longest * (0.5 + Math.random() / 2);
  if (pause >= left || age > UNKNOWN_KIND_PATIENCE_MS) {
    log.warn({ queue: name, job: job.id, kind }, 'a job failed: no worker knows its kind');
    throw failed(failureText({ outcome: 'failed', reason: `unknown_kind ${kind.slice(0, 60)}` }));
  }
  if (job.attemptsStarted <= 1) log.warn({ queue: name, job: job.id, kind }, 'a job of an unknown kind waits for a newer worker');
  await job.moveToDelayed(Date.now() + pause, token);
  throw new DelayedError();
}

/**
 * Waits until the last release's web knows that Redis has the job: else it has answered 503, and the job must not be done. A worker takes a job as soon as
 * Redis has it, so that the word usually comes a millisecond later.
 */
async function isConfirmed(name: QueueName, job: BullJob<Envelope>): Promise<boolean> {
  const end = performance.now() + CONFIRMATION_TIMEOUT_MS;
  for (let pause = 1; performance.now() < end; pause = Math.min(pause * 2, MAX_CONFIRMATION_PAUSE_MS)) {
    await sleep(pause);
    const left = end - performance.now();
    const found = await withTimeout(queueOf(name).getJob(job.id ?? ''), left, 'looking for the confirmation').catch(() => undefined);
    if (found && found.data.unconfirmed !== true) return true;
  }
  return false;
}

/**
 * Does one job. What was not sent is a failed job, so that operators see it; the process that waits reads the outcome in its reason.
 *
 * @param token by which the worker owns the job
 */
export async function run(name: QueueName, job: BullJob<Envelope>, token: string | undefined): Promise<unknown> {
  const { payload, deadline = Infinity, request_id } = job.data;
  if (deadline !== Infinity && !queueClock().isKnown) await queueClock().measure();
  const timeLeft = (): number => deadline - queueClock().latest();
  const unknown = unknownKind(name, payload);
  if (unknown !== undefined) {
    jobOutcomes.inc({ queue: name, kind: 'unknown', outcome: 'put_back' });
    return putBack(name, job, token, unknown, timeLeft());
  }
  const started = performance.now();
  const queuedMs = Math.min(MAX_MS, Math.max(0, Date.now() - (job.timestamp + job.delay)));
  if (job.data.unconfirmed === true && !(await isConfirmed(name, job))) throw failed('expired: nobody waits for it any more');
  underWay += 1;
  const labels = { queue: name, kind: 'kind' in payload ? payload.kind : payload.task };
  jobWait.observe(labels, queuedMs / 1000);
  let ended = 'error';
  const doing = context.run({ request_id: request_id ?? job.id ?? '' }, async () => {
    const handler = handlers[name] as (job: Job<QueueName>) => Promise<unknown>;
    const result = await handler({ payload, timeLeft, queuedMs, requestId: request_id ?? null });
    const seconds = Math.round(performance.now() - started) / 1000;
    const { outcome, reason, reason_word } = result as Partial<SendResult<string>>;
    ended = outcome ?? 'done';
    if (outcome === undefined) {
      // The work is done, whether or not it can be told.
      await recordTask(payload).catch((error: unknown) =>
        log.warn({ reason: reasonOf(error), queue: name }, 'a done task could not be recorded'),
      );
      log.debug({ queue: name, job: job.id, result, seconds }, 'job');
      return result;
    }
    log.info({ queue: name, job: job.id, outcome, reason_word, reason, seconds }, 'job');
    if (GOOD_OUTCOMES.has(outcome)) return result;
    throw failed(
      failureText({ outcome, ...(reason_word === undefined ? {} : { reason_word }), ...(reason === undefined ? {} : { reason }) }),
    );
  });
  return doing.finally(() => {
    underWay -= 1;
    jobRun.observe(labels, (performance.now() - started) / 1000);
    jobOutcomes.inc({ ...labels, outcome: ended });
  });
}
