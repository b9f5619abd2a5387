// `npm start`: servers of its own where none are named, then everything else (supervise.ts). Reads the environment, not yet the
// settings: those take the addresses of the servers that are started here.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DATA_DIRECTORY, environment, SERVERS_FILE } from '../../config/environment';
import { loadSettings } from '../../config/load';
import { SettingsError } from '../../config/settings';
import { StartError, startPostgres, type EmbeddedServer } from './postgres';
import { startRedis } from './redis';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const PID_FILE = path.join(DATA_DIRECTORY, 'start.pid');

/** One `npm start` a folder: a second would take over, and then stop, the servers of the first. */
function claimFolder(): void {
  if (existsSync(PID_FILE)) {
    const pid = Number(readFileSync(PID_FILE, 'utf8'));
    if (pid !== process.pid && isOurs(pid)) throw new StartError(`npm start already runs in this folder (process ${pid}).`);
  }
  writeFileSync(PID_FILE, String(process.pid));
}

/** After a restart of the machine another program may have the process id: where the system shows command lines, that one tells. */
function isOurs(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const commandLine = `/proc/${pid}/cmdline`;
  return !existsSync(commandLine) || readFileSync(commandLine, 'utf8').includes(path.join('start', 'main.js'));
}

/** The APP_KEY of this folder, made once. */
function storedAppKey(): string {
  const file = path.join(DATA_DIRECTORY, 'app-key');
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}

async function startServers(): Promise<{ found: Record<string, string>; servers: EmbeddedServer[] }> {
  const found: Record<string, string> = {};
  const servers: EmbeddedServer[] = [];
  if (environment['APP_KEY'] === undefined) found['APP_KEY'] = storedAppKey();
  try {
    if (environment['DATABASE_URL'] === undefined) {
      say(existsSync(path.join(DATA_DIRECTORY, 'postgres')) ? 'Starting PostgreSQL …' : 'Setting up PostgreSQL under .data/ …');
      const postgres = await startPostgres(DATA_DIRECTORY);
      servers.push(postgres);
      found['DATABASE_URL'] = postgres.url;
    }
    if (environment['REDIS_URL'] === undefined) {
      say('Starting Redis …');
      const redis = await startRedis(DATA_DIRECTORY, say);
      servers.push(redis);
      found['REDIS_URL'] = redis.url;
    }
  } catch (error) {
    await Promise.allSettled(servers.map((server) => server.stop()));
    throw error;
  }
  return { found, servers };
}

async function main(): Promise<void> {
  // A wrong setting is said before anything is started.
  const { APP_URL } = loadSettings(environment, ['web', 'worker']).settings;
  mkdirSync(DATA_DIRECTORY, { recursive: true });
  claimFolder();
  const { found, servers } = await startServers().catch((error: unknown) => {
    rmSync(PID_FILE, { force: true });
    throw error;
  });
  // Its environment may be its own: the command line is told where web is, as well.
  writeFileSync(SERVERS_FILE, JSON.stringify({ ...found, APP_URL }), { mode: 0o600 });
  const stopServers = async (): Promise<void> => {
    // Redis first, PostgreSQL last: the reverse of who needs whom.
    for (const server of servers.toReversed()) await server.stop();
    rmSync(SERVERS_FILE, { force: true });
    rmSync(PID_FILE, { force: true });
  };
  try {
    const { supervise } = await import('./supervise.js');
    await supervise(say);
  } finally {
    await stopServers();
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const expected = error instanceof StartError || error instanceof SettingsError;
    process.stderr.write(`${expected ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
