// Whether the servers behind us answer: for /health/ready, /metrics, and nothing else.
import type { Redis } from 'ioredis';
import { database, select } from '../../infra/sequelize';
import { isMigrated } from '../../migrations';
import { producerConnection } from '../../queues/producer';

export interface Check {
  status: 'ok' | 'failed';
  reason?: string;
}
export interface Readiness {
  status: 'ok' | 'failed';
  postgresql: Check;
  redis: Check;
  warnings: string[];
}

const LIMIT = 2000;
let migrated = false;

async function bounded(check: () => Promise<unknown>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LIMIT} ms`)), LIMIT);
  });
  try {
    await Promise.race([check(), late]);
    return { status: 'ok' };
  } catch (error) {
    // Codes only: a message may carry an address with a password.
    const { code } = error as { code?: string; parent?: { code?: string } };
    const parent = (error as { parent?: { code?: string } }).parent?.code;
    return {
      status: 'failed',
      reason: code ?? parent ?? (error instanceof Error ? error.message.replace(/\/\/[^@\s]*@/g, '//') : 'unknown'),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function checkSchema(): Promise<void> {
  await select('SELECT 1 AS one');
  migrated ||= await isMigrated(database);
  if (!migrated) throw new Error('the schema is not up to date: run bin/flexiapi db:migrate');
}

/** A Redis that evicts loses jobs (pitfalls B2.18). */
async function evictionWarning(): Promise<string[]> {
  try {
    const [, policy] = (await (producerConnection() as Redis).config('GET', 'maxmemory-policy')) as [string, string];
    return policy === undefined || policy === 'noeviction'
      ? []
      : [`Redis evicts keys (maxmemory-policy ${policy}): jobs can be lost; set noeviction`];
  } catch {
    return []; // Managed servers forbid CONFIG.
  }
}

export async function checkReadiness(): Promise<Readiness> {
  const [postgresql, redis] = await Promise.all([bounded(checkSchema), bounded(() => producerConnection().ping())]);
  const status = postgresql.status === 'ok' && redis.status === 'ok' ? 'ok' : 'failed';
  return { status, postgresql, redis, warnings: redis.status === 'ok' ? await evictionWarning() : [] };
}
