// The text of /metrics, of `web` and of workers: what this process has counted, and what PostgreSQL and Redis say when somebody asks.
import {
  certificateExpires,
  partitionsAhead,
  poolConnections,
  poolWaiting,
  queueJobs,
  queueOldest,
  queueWorkers,
  redisEviction,
  redisMemory as redisMemoryBytes,
  redisMemoryLimit,
  registry,
  serverUp,
  taskAge,
  uncounted,
  workerCountKnown,
} from '../../infra/metrics';
import { poolUse } from '../../infra/database';
import { sharedFor } from '../../infra/shared';
import { withTimeout } from '../../infra/timeout';
import { StatisticsDirtyBucket } from '../../models';
import { monthsAhead } from '../../models/operations/partition-months';
import { reportQueues, type QueueReport } from '../../queues/report';
import { certificateEnds } from './certificates';
import { measureKeys } from './keys';
import { readinessNow } from './readiness';
import { taskAges } from './recurring';
import { redisMemory } from './redis-memory';

/** However many ask, the servers behind are asked once in this time. */
const SHARED_MS = 1000;
const PART_TIMEOUT_MS = 2000;
const MAX_MARKS = 10_000;

interface Resettable {
  reset: () => void;
}

/**
 * Takes one part of the figures. Without them there are none: those of the last time would be wrong by now.
 *
 * @param gauges that the part sets
 */
async function part<T>(gauges: Resettable[], ask: () => Promise<T>, set: (found: T) => void): Promise<void> {
  const found = await withTimeout(ask(), PART_TIMEOUT_MS, 'metrics').catch(() => undefined);
  for (const gauge of gauges) gauge.reset();
  if (found !== undefined) set(found);
}

function setQueues(reports: QueueReport[]): void {
  workerCountKnown.set(reports.every(({ workers }) => workers !== null) ? 1 : 0);
  for (const { queue, workers, oldest_waiting_seconds: oldest, ...states } of reports) {
    for (const [state, count] of Object.entries(states)) queueJobs.set({ queue, state }, count);
    queueOldest.set({ queue }, oldest ?? 0);
    if (workers !== null) queueWorkers.set({ queue }, workers);
  }
}

function measurePools(): void {
  for (const { pool, used, idle, limit, waiting } of poolUse()) {
    for (const [state, count] of Object.entries({ used, idle, limit })) poolConnections.set({ pool, state }, count);
    poolWaiting.set({ pool }, waiting);
  }
}

/**
 * The metrics of this process in Prometheus' text format, shared by all who ask within a second. A server that does not answer holds nobody up for longer than
 * two seconds: what it would have told is missing then, and `flexiapi_server_up` says so. Never throws.
 */
export const metricsNow = sharedFor(SHARED_MS, async (): Promise<string> => {
  await Promise.all([
    part([], readinessNow, ({ postgresql, redis }) => {
      serverUp.set({ server: 'postgresql' }, postgresql.status === 'ok' ? 1 : 0);
      serverUp.set({ server: 'redis' }, redis.status === 'ok' ? 1 : 0);
    }),
    part([queueJobs, queueOldest, queueWorkers, workerCountKnown], reportQueues, setQueues),
    part([taskAge], taskAges, (ages) => {
      for (const { task, seconds } of ages) taskAge.set({ task }, seconds);
    }),
    measureKeys(PART_TIMEOUT_MS),
    part(
      [uncounted],
      () => StatisticsDirtyBucket.waiting(MAX_MARKS),
      (marks) => uncounted.set(marks),
    ),
    part([partitionsAhead], monthsAhead, (tables) => {
      for (const { table, ahead } of tables) partitionsAhead.set({ table }, ahead);
    }),
    part([redisMemoryBytes, redisMemoryLimit, redisEviction], redisMemory, (memory) => {
      if (!memory) return;
      redisMemoryBytes.set(memory.used);
      redisMemoryLimit.set(memory.limit);
      if (memory.policy !== undefined) redisEviction.set({ policy: memory.policy }, 1);
    }),
    part([certificateExpires], certificateEnds, (ends) => {
      for (const { use, seconds } of ends) certificateExpires.set({ use }, seconds);
    }),
  ]);
  measurePools();
  return registry.metrics();
});

/** The content type of that text. */
export const METRICS_TYPE = registry.contentType;
