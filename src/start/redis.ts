// A private Redis for `npm start` and `npm test`: the machine's redis-server or valkey-server, installed where that is possible.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './ports';
import { StartError, type EmbeddedServer } from './postgres';

const SERVERS = ['redis-server', 'valkey-server'];
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 1000;
const DISCONNECT_TIMEOUT_MS = 100;
const POLL_INTERVAL_MS = 50;

const isInstalled = (command: string): boolean => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** Package managers that can install it, and the commands for each. */
const MANAGERS: { manager: string; commands: string[][] }[] = [
  {
    manager: 'apt-get',
    commands: [
      ['apt-get', 'update', '-q'],
      ['apt-get', 'install', '-y', '-q', '--no-install-recommends', 'redis-server'],
    ],
  },
  { manager: 'apk', commands: [['apk', 'add', 'redis']] },
  { manager: 'dnf', commands: [['dnf', 'install', '-y', 'valkey']] },
  { manager: 'brew', commands: [['brew', 'install', 'redis']] },
];

const THREE_WAYS =
  'There is no redis-server on this machine. Three ways out: install redis-server (or valkey-server); or set REDIS_URL to a Redis of yours; or run «docker compose up».';

function install(say: (line: string) => void): void {
  const root = process.getuid?.() === 0;
  const sudo = !root && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
  const found = MANAGERS.find(({ manager }) => (manager === 'brew' || root || sudo) && isInstalled(manager));
  if (!found) return;
  say(`There is no redis-server on this machine: installing one with ${found.manager} …`);
  // A package's own service must not start: it would take port 6379.
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  for (const command of found.commands) {
    const [program = '', ...parameters] = sudo && found.manager !== 'brew' ? ['sudo', '-n', ...command] : command;
    spawnSync(program, parameters, { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  }
}

function findServer(say: (line: string) => void): string {
  let server = SERVERS.find(isInstalled);
  if (server === undefined) {
    install(say);
    server = SERVERS.find(isInstalled);
  }
  if (server === undefined) throw new StartError(THREE_WAYS);
  return server;
}

async function answers(port: number, password: string): Promise<boolean> {
  const client = new Redis({
    host: '127.0.0.1',
    port,
    password,
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

/**
 * Starts Redis on `directory`, or takes over the one that a killed start left behind.
 *
 * @param directory holds `redis/` (the data), its password, port and log
 * @param say prints a line; called where a package is installed
 * @param durable false: nothing is kept on disk, for tests
 * @throws {StartError} with the three ways out where there is none
 */
export async function startRedis(directory: string, say: (line: string) => void, durable = true): Promise<EmbeddedServer> {
  mkdirSync(directory, { recursive: true });
  const data = path.join(directory, 'redis');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const portFile = path.join(directory, 'redis-port');
  const before = existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : 0;
  const password = readPassword(directory);
  const urlOf = (port: number): string => `redis://:${password}@127.0.0.1:${port}`;
  if (before > 0 && (await answers(before, password))) return { url: urlOf(before), stop: () => stopServer(before, password) };

  const server = findServer(say);
  const port = await freePort(before);
  const logFile = path.join(directory, 'redis.log');
  const log = openSync(logFile, 'a', 0o600);
  const persistence = durable ? ['appendonly yes', 'appendfsync everysec'] : ['appendonly no', 'save ""'];
  const child = spawn(server, ['-'], { cwd: data, detached: true, stdio: ['pipe', log, log] });
  closeSync(log);
  let exited = false;
  child.once('exit', () => (exited = true));
  child.once('error', () => (exited = true));
  // Through standard input: the password would show in the list of processes.
  child.stdin?.end(
    [
      `bind 127.0.0.1`,
      `port ${port}`,
      `dir "${data}"`,
      `requirepass ${password}`,
      'maxmemory-policy noeviction',
      'daemonize no',
      ...persistence,
    ].join('\n') + '\n',
  );
  child.unref();
  const end = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(port, password))) {
    if (exited || Date.now() > end) throw new StartError(`Redis does not start: see ${logFile}, or set REDIS_URL.`);
    await sleep(POLL_INTERVAL_MS);
  }
  writeFileSync(portFile, String(port));
  return { url: urlOf(port), stop: () => stopServer(port, password) };
}

function readPassword(directory: string): string {
  const file = path.join(directory, 'redis-password');
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}

async function stopServer(port: number, password: string): Promise<void> {
  const client = new Redis({ host: '127.0.0.1', port, password, retryStrategy: () => null, disconnectTimeout: DISCONNECT_TIMEOUT_MS });
  client.on('error', () => undefined);
  // SHUTDOWN answers by ending the connection; it writes what is to be kept first.
  await client.call('SHUTDOWN').catch(() => undefined);
  client.disconnect();
  const end = Date.now() + STOP_TIMEOUT_MS;
  while ((await answers(port, password)) && Date.now() < end) await sleep(POLL_INTERVAL_MS);
}
