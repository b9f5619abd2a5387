// Databases and processes whose growth is measured: several `web`, and a `worker`, on one database of a server that is there.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { freePort } from '../src/start/ports';
import { prepareDatabase, stopProcess } from './checkout';
import { startChild } from './child';
import { preciseCpuMs } from './cpu-time';
import type { Servers } from './servers';

/** This file is dist/bench/growth-system.js. */
const CHECKOUT = path.join(__dirname, '..', '..');
const FILES = { web: 'dist/src/web.js', worker: 'dist/workers/main.js' } as const;

/** A process of this checkout. */
export interface Program {
  pid: number;
  port: number;
  stop: () => Promise<void>;
}

/** A migrated database of its own, with the environment of its processes and a connection that knows no time limits. */
export interface Database {
  environment: Record<string, string>;
  db: pg.Pool;
}

/** Makes a database that is dropped at the end. */
export async function openDatabase(servers: Servers): Promise<Database> {
  const environment = await prepareDatabase(servers, CHECKOUT);
  const db = new pg.Pool({ connectionString: environment['DATABASE_URL'], max: 1 });
  db.on('error', () => undefined);
  servers.atEnd(() => db.end());
  return { environment, db };
}

/**
 * Starts a process; it is ended with the servers, or before.
 *
 * @param settings more of them, by their names in the environment
 * @returns once it says that it is ready
 * @throws {Error} with the end of its log where it does not
 */
export async function startProgram(
  servers: Servers,
  kind: keyof typeof FILES,
  { environment }: Pick<Database, 'environment'>,
  settings: Record<string, string> = {},
): Promise<Program> {
  const port = await freePort();
  const given = { ...environment, ...settings, PORT: String(port) };
  const { process: child } = await startChild(`${kind}-${port}`, path.join(CHECKOUT, FILES[kind]), given, servers.directory);
  const stop = (): Promise<void> => stopProcess(child);
  servers.atEnd(stop);
  return { pid: child.pid ?? 0, port, stop };
}

/** What some work has cost. */
export interface Cost {
  /** CPU milliseconds of the processes that were named; 0 where there is no /proc. */
  programsMs: number;
  /** CPU milliseconds of PostgreSQL's processes that serve this database; 0 where they run on another machine. */
  postgresMs: number;
}

const isPostgres = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('postgres');
  } catch {
    return false;
  }
};

/** CPU time of each of a database's server processes so far, by process. */
async function backendTimes(db: pg.Pool): Promise<Map<number, number>> {
  const { rows } = await db.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  );
  return new Map(rows.filter(({ pid }) => isPostgres(pid)).map(({ pid }) => [pid, preciseCpuMs(pid)]));
}

/** Does work and counts what it cost; of PostgreSQL's processes those that are still there at the end. */
export async function costOf<T>(db: pg.Pool, pids: readonly number[], work: () => Promise<T>): Promise<Cost & { result: T }> {
  const used = (): number => pids.reduce((sum, pid) => sum + preciseCpuMs(pid), 0);
  const backendsBefore = await backendTimes(db);
  const before = used();
  const result = await work();
  const programsMs = used() - before;
  let postgresMs = 0;
  for (const [pid, time] of await backendTimes(db)) postgresMs += time - (backendsBefore.get(pid) ?? 0);
  return { result, programsMs, postgresMs };
}

/** What a database takes on disk, in bytes. */
export async function diskOf(db: pg.Pool): Promise<number> {
  const { rows } = await db.query<{ bytes: string }>('SELECT pg_database_size(current_database())::text AS bytes');
  return Number(rows[0]?.bytes);
}
