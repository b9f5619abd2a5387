// Whether the servers behind us answer: for /health/ready, /metrics, and nothing else.
import type { Redis } from 'ioredis';
import { requireWritable } from '../../infra/redis';
import { gateOf } from '../../infra/redis-gate';
import { withTimeout } from '../../infra/timeout';
import { VERSION } from '../../infra/version';
import { StatisticsFailedBucket } from '../../models';
import { isMigrated } from '../../migrations/state';
import { QUEUE_NAMES, queuePrefix } from '../../queues/contracts';
import { producerConnection } from '../../queues/producer';
import { keyWarnings } from './keys';
import { overdueTasks } from './recurring';

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
  try {
    const info = await withTimeout((producerConnection() as Redis).info('memory'), CHECK_TIMEOUT_MS, 'Redis');
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    return policy === undefined || policy === 'noeviction'
      ? []
      : [`Redis evicts keys (maxmemory-policy ${policy}): jobs can be lost; set noeviction`];
  } catch {
    return []; // Its user may not run INFO, or it stops answering just now is seen by the next check.
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
export async function checkReadiness(): Promise<Readiness> {
  const [postgresql, redis, evicting, overdue, uncounted, keys] = await Promise.all([
    check('PostgreSQL', checkSchema),
    check('Redis', checkRedis),
    evictionWarning(),
    quietly(overdueTasks()),
    quietly(uncountedWarning()),
    quietly(keyWarnings()),
  ]);
  const status = postgresql.status === 'ok' && redis.status === 'ok' ? 'ok' : 'failed';
  // Of a server that is not well this is not the trouble.
  const warnings = [...(redis.status === 'ok' ? evicting : []), ...(postgresql.status === 'ok' ? [...overdue, ...uncounted, ...keys] : [])];
  return { status, version: VERSION, postgresql, redis, warnings };
}
