// Whether the servers behind us answer: for /health/ready, /metrics, and nothing else.
import { settings } from '../../../config';
import { requireWritable } from '../../infra/redis';
import { gateOf } from '../../infra/redis-gate';
import { sharedFor } from '../../infra/shared';
import { withTimeout } from '../../infra/timeout';
import { VERSION } from '../../infra/version';
import { StatisticsFailedBucket } from '../../models';
import { isMigrated } from '../../migrations/state';
import { QUEUE_NAMES, queuePrefix, REQUEST_REPLY_QUEUES } from '../../queues/contracts';
import { producerConnection, queueOf } from '../../queues/producer';
import { countWorkersLately } from '../../queues/workers';
import { keyWarnings } from './keys';
import { overdueTasks } from './recurring';
import { redisMemory } from './redis-memory';

/** Whether one server answers; `reason` where it does not. */
export interface Check {
  status: 'ok' | 'failed';
  reason?: string;
}
/** The answer of /health/ready. */
export interface Readiness {
  status: 'ok' | 'failed';
  version: string;
  postgresql: Check;
  redis: Check;
  warnings: string[];
}

const CHECK_TIMEOUT_MS = 2000;
/** Nobody is ever refused this, so that a balancer never takes a busy server for a dead one: however many ask, the servers behind are asked once. */
const SHARED_MS = 1000;

async function check(server: string, ask: () => Promise<unknown>): Promise<Check> {
  try {
    await withTimeout(ask(), CHECK_TIMEOUT_MS, server);
    return { status: 'ok' };
  } catch (error) {
    // Codes where there is one: a message may carry an address with a password.
    const { code, parent } = error as { code?: string; parent?: { code?: string } };
    return {
      status: 'failed',
      reason: code ?? parent?.code ?? (error instanceof Error ? error.message.replace(/\/\/[^@\s/]*@/g, '//') : 'unknown'),
    };
  }
}

async function checkSchema(): Promise<void> {
  if (!(await isMigrated())) throw new Error('the schema is not up to date: run bin/flexiapi db:migrate');
}

/** Writes where jobs go: a replica, and a Redis that is full, answer PING. */
async function checkRedis(): Promise<void> {
  // The connection itself may be what cannot be had.
  const connection = producerConnection();
  if (gateOf(connection).silentMs > CHECK_TIMEOUT_MS) throw new Error('silent');
  if (connection.status !== 'ready') throw new Error('no connection');
  await requireWritable(connection, QUEUE_NAMES.map(queuePrefix));
}

/** BullMQ needs a Redis that evicts nothing: evicted keys are lost jobs. */
async function evictionWarning(): Promise<string[]> {
  // That it stops answering just now is seen by the next check.
  const { policy } = (await redisMemory().catch(() => null)) ?? {};
  return policy === undefined || policy === 'noeviction'
    ? []
    : [`Redis evicts keys (maxmemory-policy ${policy}): jobs can be lost; set noeviction`];
}

/** Queues that requests wait for, and nobody serves; where the user of Redis may not count workers nobody knows. */
async function unservedWarning(): Promise<string[]> {
  try {
    const asked = REQUEST_REPLY_QUEUES.filter((name) => name !== 'messages' || settings.APP_LINPHONE_DAEMON_UNIX_PATH !== undefined);
    const counts = Promise.all(asked.map(async (name) => [name, await countWorkersLately(queueOf(name))] as const));
    const unserved = (await withTimeout(counts, CHECK_TIMEOUT_MS, 'Redis')).filter(([, workers]) => workers === 0);
    return unserved.map(
      ([name]) => `no worker serves the queue ${name}, which requests wait for: is one running, with ${name} in its WORKER_QUEUES?`,
    );
  } catch {
    return []; // As above.
  }
}

/** Figures that lack something, until somebody mends what is in their way. */
async function uncountedWarning(): Promise<string[]> {
  const hours = await StatisticsFailedBucket.waiting();
  return hours === 0 ? [] : [`hours of statistics that cannot be counted: ${hours}; statistics_failed_buckets has the reasons`];
}

/** Of PostgreSQL's; none where it stops answering just now, which the next check sees. */
const quietly = (warnings: Promise<string[]>): Promise<string[]> => withTimeout(warnings, CHECK_TIMEOUT_MS, 'PostgreSQL').catch(() => []);

/**
 * Asks PostgreSQL and Redis, all at once and for two seconds at most, on connections on which no request waits: a process that is busy is not one that is dead.
 * Never throws: a server that does not answer is a failed check with its reason, an error code where there is one.
 */
async function checkReadiness(): Promise<Readiness> {
  const [postgresql, redis, evicting, unserved, overdue, uncounted, keys] = await Promise.all([
    check('PostgreSQL', checkSchema),
    check('Redis', checkRedis),
    evictionWarning(),
    unservedWarning(),
    quietly(overdueTasks()),
    quietly(uncountedWarning()),
    quietly(keyWarnings()),
  ]);
  const status = postgresql.status === 'ok' && redis.status === 'ok' ? 'ok' : 'failed';
  // Of a server that is not well this is not the trouble.
  const warnings = [
    ...(redis.status === 'ok' ? [...evicting, ...unserved] : []),
    ...(postgresql.status === 'ok' ? [...overdue, ...uncounted, ...keys] : []),
  ];
  return { status, version: VERSION, postgresql, redis, warnings };
}

/** checkReadiness(), shared by all who ask within a second. */
export const readinessNow = sharedFor(SHARED_MS, checkReadiness);
