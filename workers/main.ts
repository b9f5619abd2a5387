// The process `worker`: does the jobs of the queues it serves (WORKER_QUEUES), and keeps their schedules.
import { UnrecoverableError, Worker } from 'bullmq';
import { settings } from '../config';
import { closeDatabase } from '../src/infra/database';
import { log, reasonOf } from '../src/infra/log';
import { jobOptions, queuePrefix, queues, type Envelope, type QueueName } from '../src/queues/contracts';
import { closeQueues, queueOf } from '../src/queues/producer';
import { closeRedis, connectRedis } from '../src/infra/redis';
import { dieOnUncaught, onShutdown } from '../src/infra/shutdown';
import { closeProviders } from './providers';
import { run } from './run';

dieOnUncaught();

/** Between two attempts to reach Redis. */
const RETRY_DELAY_MS = 1000;

const connection = connectRedis('worker');
const served = settings.WORKER_QUEUES as QueueName[];

const workers = served.map((name) => {
  const { sends, concurrency = sends ? settings.WORKER_CONCURRENCY : 1 } = queues[name];
  const worker = new Worker<Envelope>(name, (job, token) => run(name, job, token), {
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

if (served.includes('maintenance') && !served.includes('chores'))
  log.warn('WORKER_QUEUES names maintenance without chores, which was a part of it: some worker must serve chores, too');

// Said last: whoever reads it may send a signal at once.
log.info({ queues: served }, 'worker runs');
process.send?.('ready');
