// The process `worker`: does the jobs of the queues it serves (WORKER_QUEUES), and keeps their schedules.
import { UnrecoverableError, Worker, type Job as BullJob } from 'bullmq';
import { settings } from '../config';
import { context } from '../src/infra/context';
import { closeDatabase } from '../src/infra/database';
import { log, reasonOf } from '../src/infra/log';
import { failureText, jobOptions, queuePrefix, queues, type Envelope, type QueueName, type SendResult } from '../src/queues/contracts';
import { closeQueues, queueOf } from '../src/queues/producer';
import { closeRedis, connectRedis } from '../src/infra/redis';
import { dieOnUncaught, onShutdown } from '../src/infra/shutdown';
import { handlers } from './index';
import type { Job } from './job';
import { closeProviders } from './providers';

dieOnUncaught();

/** Between two attempts to reach Redis. */
const RETRY_DELAY_MS = 1000;
/** Outcomes of a completed job; with any other the job is a failed one. */
const GOOD_OUTCOMES = new Set(['sent', 'already_sent', 'limit_reached']);

/** Does one job. What was not sent is a failed job, so that operators see it; the process that waits reads the outcome in its reason. */
async function run(name: QueueName, job: BullJob<Envelope>): Promise<unknown> {
  const { payload, deadline = Infinity, request_id } = job.data;
  const started = performance.now();
  return context.run({ request_id: request_id ?? job.id ?? '' }, async () => {
    const handler = handlers[name] as (job: Job<QueueName>) => Promise<unknown>;
    const result = await handler({ payload, timeLeft: () => deadline - Date.now() });
    const seconds = Math.round(performance.now() - started) / 1000;
    const { outcome, reason } = result as Partial<SendResult<string>>;
    if (outcome === undefined) {
      log.debug({ queue: name, job: job.id, result, seconds }, 'job');
      return result;
    }
    log.info({ queue: name, job: job.id, outcome, reason, seconds }, 'job');
    if (GOOD_OUTCOMES.has(outcome)) return result;
    const failure = new UnrecoverableError(failureText({ outcome, ...(reason === undefined ? {} : { reason }) }));
    // Where in our code it was thrown tells operators nothing.
    failure.stack = failure.message;
    throw failure;
  });
}

const connection = connectRedis('worker');
const served = settings.WORKER_QUEUES as QueueName[];

const workers = served.map((name) => {
  const { sends, concurrency = sends ? settings.WORKER_CONCURRENCY : 1 } = queues[name];
  const worker = new Worker<Envelope>(name, (job) => run(name, job), {
    connection,
    prefix: queuePrefix(name),
    concurrency,
    // A send whose worker died is not done again: nobody knows how far it came, and no message is better than two.
    maxStalledCount: sends ? 0 : 1,
    metrics: { maxDataPoints: 60 * 24 },
  });
  worker.on('error', (error) => log.debug({ queue: name, reason: error.message }, 'worker'));
  worker.on('failed', (job, error) => {
    if (!(error instanceof UnrecoverableError)) log.error({ err: error, queue: name, job: job?.id }, 'a job failed');
  });
  return worker;
});

async function upsertJobSchedulers(): Promise<void> {
  for (const name of served) {
    const { schedules } = queues[name];
    for (const { id, every, payload } of schedules) {
      await queueOf(name).upsertJobScheduler(id, { every }, { name: id, data: { payload }, opts: jobOptions(name) });
    }
  }
}

/** Redis may not answer yet at the start: tries until it does. */
async function upsertJobSchedulersWhenRedisIsReady(): Promise<void> {
  for (;;) {
    try {
      await connection.ping();
      await upsertJobSchedulers();
      return;
    } catch (error) {
      log.debug({ reason: reasonOf(error) }, 'job schedulers are not stored yet');
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
    }
  }
}

void upsertJobSchedulersWhenRedisIsReady();

onShutdown(settings.SHUTDOWN_GRACE_SECONDS, [
  ['workers', () => Promise.all(workers.map((worker) => worker.close()))],
  ['providers', closeProviders],
  ['queues', closeQueues],
  ['redis', () => closeRedis(connection)],
  ['database', closeDatabase],
]);

// Said last: whoever reads it may send a signal at once.
log.info({ queues: served }, 'worker runs');
process.send?.('ready');
