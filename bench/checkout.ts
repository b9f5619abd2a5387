// A built checkout whose `web` is measured: a database of its own, migrated by its own command line, and its web process.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from '../src/start/ports';
import type { Servers } from './servers';

const run = promisify(execFile);
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

/** Makes a database and migrates it with the checkout's own command line. @returns the environment of a process that uses it */
export async function prepareDatabase(servers: Servers, directory: string): Promise<Record<string, string>> {
  const environment = await servers.createDatabase();
  await run(process.execPath, [path.join(directory, 'bin', 'flexiapi'), 'db:migrate'], { cwd: servers.directory, env: environment });
  return environment;
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** Lets a process end in order, where it has not ended yet. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(killing);
}

export class Web {
  private constructor(
    readonly name: string,
    readonly port: number,
    readonly db: pg.Pool,
    readonly process: ChildProcess,
    readonly directory: string,
    /** Settings of whoever uses the same database and Redis. */
    readonly environment: Record<string, string>,
  ) {}

  /**
   * @param directory a checkout whose `dist` is built
   * @param settings more of them, by their names in the environment
   * @param beside another `web`, whose database and Redis it uses; without it there is a database of its own
   */
  static async start(servers: Servers, name: string, directory: string, settings: Record<string, string> = {}, beside?: Web): Promise<Web> {
    const file = path.join(directory, 'dist', 'src', 'web.js');
    if (!existsSync(file)) throw new Error(`${file} is not there: build that checkout (npm ci)`);
    const environment = beside?.environment ?? (await prepareDatabase(servers, directory));
    const db = new pg.Pool({ connectionString: environment['DATABASE_URL'], max: 1 });
    db.on('error', () => undefined);
    servers.atEnd(() => db.end());
    const port = await freePort();
    const logFile = path.join(servers.directory, `${name}.log`);
    const log = openSync(logFile, 'a');
    const child = spawn(process.execPath, [file], {
      cwd: servers.directory,
      env: { ...environment, ...settings, PORT: String(port) },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const web = new Web(name, port, db, child, directory, environment);
    servers.atEnd(() => web.stop());
    await web.#ready(logFile, settings['TLS_CERT_FILE'] !== undefined);
    return web;
  }

  async #ready(logFile: string, secure: boolean): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      // A certificate of our own is no reason to ask no more: that it listens is enough.
      const answer = secure ? undefined : await fetch(`http://127.0.0.1:${this.port}/api/ping`).catch(() => undefined);
      if (answer?.status === 200 || (secure && readFileSync(logFile, 'utf8').includes('web listens'))) return;
      if (hasEnded(this.process) || Date.now() > end)
        throw new Error(`web (${this.name}) does not start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
      await sleep(50);
    }
  }

  stop(): Promise<void> {
    return stopProcess(this.process);
  }

  get pids(): number[] {
    return [this.process.pid ?? 0];
  }
}
