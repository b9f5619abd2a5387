// The process `worker`: does the jobs of the queues it serves (WORKER_QUEUES), and keeps their schedules.
import { setTimeout as sleep } from 'node:timers/promises';
import { UnrecoverableError, Worker } from 'bullmq';
import { settings, settingsWarnings } from '../config';
import { closeDatabase } from '../src/infra/database';
import { log, reasonOf } from '../src/infra/log';
import { queuePrefix, queues, type Envelope, type QueueName } from '../src/queues/contracts';
import { closeQueues } from '../src/queues/producer';
import { closeRedis, connectRedis } from '../src/infra/redis';
import { dieOnUncaught, onShutdown } from '../src/infra/shutdown';
import { notifyReady } from '../src/infra/service-manager';
import { withTimeout } from '../src/infra/timeout';
import { startTracing, stopTracing, tracing } from '../src/infra/tracing';
import { flushLedger } from '../src/services/messaging/ledger';
import { watchAlerts } from '../src/services/operations/alerts';
import { closeProviders } from './providers';
import { beginProviderMetrics } from './providers/observed';
import { jobsUnderWay, run } from './run';
import { tellTraces } from './providers/traceparent';
import { keepSchedules } from './schedules';
import { watchable } from './watch';

dieOnUncaught();

/** After an error of Redis. BullMQ's own is 15 s, which is long after a Cluster's node was lost. */
const RETRY_DELAY_MS = 1000;
/**
 * Of work that bears being done twice. A worker that asked just before Redis fell silent may have been given a job without hearing of it, and the
 * schedule whose job it is stands still until somebody finds it without its lock: with BullMQ's own 30 s each, for up to a minute.
 */
const REPEATABLE = { lockDuration: 4000, stalledInterval: 2000, maxStalledCount: 10 };
/** Nobody knows how far a send came whose worker died, and no message is better than two. */
const SENT_ONCE = { maxStalledCount: 0 };
/** At the end: between two looks whether anything is left to do, and how long Redis may take to answer then. */
const LOOK_INTERVAL_MS = 200;
const LAST_WORD_MS = 1000;

const connection = connectRedis('worker');
const served = settings.WORKER_QUEUES as QueueName[];
const workers: Worker[] = [];

function serve(name: QueueName): Worker {
  const { sends, concurrency = sends ? settings.WORKER_CONCURRENCY : 1 } = queues[name];
  const telemetry = tracing()?.telemetry;
  const worker = new Worker<Envelope>(name, (job, token) => run(name, job, token), {
    ...(telemetry ? { telemetry } : {}),
    connection,
    prefix: queuePrefix(name),
    concurrency,
    ...(sends ? SENT_ONCE : REPEATABLE),
    // Seconds. It asks again so often, and so notices soon that nobody serves its socket any more.
    drainDelay: 2,
    runRetryDelay: RETRY_DELAY_MS,
    metrics: { maxDataPoints: 60 * 24 },
  });
  worker.on('error', (error) => log.debug({ queue: name, reason: error.message }, 'worker'));
  worker.on('failed', (job, error) => {
    if (!(error instanceof UnrecoverableError)) log.error({ err: error, queue: name, job: job?.id }, 'a job failed');
  });
  return worker;
}

/** Resolves once no handler runs and Redis takes no results either, so that there is nothing left to wait for. */
async function nothingCanBeDone(): Promise<void> {
  for (;;) {
    await sleep(LOOK_INTERVAL_MS, undefined, { ref: false });
    if (jobsUnderWay() > 0) continue;
    const answered = await withTimeout(connection.ping(), LAST_WORD_MS, 'Redis').catch(() => undefined);
    // A handler may have ended meanwhile, and its result be on its way.
    if (answered === undefined && jobsUnderWay() === 0) return;
  }
}

/** BullMQ's close() waits for Redis without limit: to say farewell, and for what its loops have asked. */
async function closeWorkers(): Promise<void> {
  await Promise.race([Promise.all(workers.map((worker) => worker.close())), nothingCanBeDone()]);
}

let stopSchedules = (): void => undefined;
let stopAlerts = (): Promise<void> => Promise.resolve();
let stopWatch = (): Promise<void> => Promise.resolve();

async function start(): Promise<void> {
  // Before any job is taken: a port that cannot be had ends the process.
  stopWatch = (await watchable()) ?? stopWatch;
  await startTracing('flexiapi-worker');
  tellTraces();
  beginProviderMetrics();
  workers.push(...served.map(serve));
  stopSchedules = keepSchedules();
  stopAlerts = watchAlerts(!served.includes('maintenance'));
  for (const warning of settingsWarnings) log.warn(warning);
  // Said last: whoever reads it may send a signal at once.
  log.info({ queues: served, ...(settings.WORKER_PORT === undefined ? {} : { port: settings.WORKER_PORT }) }, 'worker runs');
  process.send?.('ready');
  void notifyReady();
}

onShutdown(settings.SHUTDOWN_GRACE_SECONDS, [
  ['schedules', () => Promise.resolve(stopSchedules())],
  ['alerts', () => stopAlerts()],
  ['workers', closeWorkers],
  ['ledger', flushLedger],
  ['providers', closeProviders],
  // What is left to do is seen until it is done.
  ['metrics', () => stopWatch()],
  ['queues', closeQueues],
  ['redis', () => closeRedis(connection)],
  ['database', closeDatabase],
  ['traces', stopTracing],
]);

start().catch((error: unknown) => {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exit(1);
});
