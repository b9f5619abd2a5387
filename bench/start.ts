// What a start of `web` and of `worker` costs: the CPU time of the process until it is ready, and the same of another built checkout, in turn;
// and the memory of both then and after a thousand requests that each needed a job.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../src/start/ports';
import { cpuTimeMs, residentMb } from './cpu-time';
import { connect } from './connection';
import { ADMIN, authorized, fillBasics } from './growth-rows';
import { openDatabase, startProgram } from './growth-system';
import { median } from './median';
import type { Servers } from './servers';

const RUNS = 15;
const START_TIMEOUT_MS = 30_000;
/** Between two runs: an earlier process is gone from the processor by then. */
const PAUSE_MS = 100;
const REQUESTS = 1000;

const KINDS = {
  web: { file: path.join('dist', 'src', 'web.js'), ready: 'web listens' },
  worker: { file: path.join('dist', 'workers', 'main.js'), ready: 'worker runs' },
} as const;
type Kind = keyof typeof KINDS;

interface Start {
  cpuMs: number;
  wallMs: number;
  mb: number;
}

/** Takes connections and never answers, in place of PostgreSQL and Redis: processes are ready without waiting for either, and nothing is left behind. */
async function openSilentServer(): Promise<{ port: number; close: () => void }> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Starts a process of a checkout, reads its CPU time and memory when it says that it is ready, and ends it. */
async function startOnce(kind: Kind, checkout: string, silentPort: number): Promise<Start> {
  const { file, ready } = KINDS[kind];
  const started = performance.now();
  const child = spawn(process.execPath, [path.join(checkout, file)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      DATABASE_URL: `postgres://127.0.0.1:${silentPort}/none`,
      REDIS_URL: `redis://127.0.0.1:${silentPort}`,
      APP_KEY: '0'.repeat(32),
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
    },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const isReady = new Promise<Start>((resolve, reject) => {
    let output = '';
    const pid = child.pid ?? 0;
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(ready))
        resolve({ cpuMs: cpuTimeMs(pid) ?? Number.NaN, wallMs: performance.now() - started, mb: residentMb(pid) });
    });
    void ended.then(() => reject(new Error(`${kind} of ${checkout} ended before it was ready: ${output}`)));
    setTimeout(() => reject(new Error(`${kind} of ${checkout} is not ready: ${output}`)), START_TIMEOUT_MS).unref();
  });
  try {
    return await isReady;
  } finally {
    child.kill('SIGKILL');
    await ended;
    await sleep(PAUSE_MS);
  }
}

function describe(kind: Kind, name: string, starts: readonly Start[]): string {
  const cpu = starts.map(({ cpuMs }) => cpuMs);
  const range = `${Math.min(...cpu)} to ${Math.max(...cpu)}`;
  const [wall, mb] = [median(starts.map(({ wallMs }) => wallMs)), median(starts.map((start) => start.mb))].map(Math.round);
  return `start of ${kind}, ${name}: ${median(cpu)} ms of CPU until it is ready (${range}), ${wall} ms by the clock, ${mb} MB of memory; median of ${starts.length}`;
}

/** What both have of memory once PostgreSQL and Redis answer them, and after they have done something. */
async function memory(servers: Servers): Promise<string[]> {
  const database = await openDatabase(servers);
  await fillBasics(database.db);
  const [web, worker] = [await startProgram(servers, 'web', database), await startProgram(servers, 'worker', database)];
  const now = (): number[] => [web, worker].map(({ pid }) => Math.round(residentMb(pid)));
  const [webReady, workerReady] = now();
  const connection = await connect(web.port);
  const body = { pn_provider: 'apns', pn_param: 'TEAM.org.linphone.phone', pn_prid: 'ab'.repeat(32), type: 'message' };
  for (let n = 0; n < REQUESTS; n += 1) {
    const headers = authorized(ADMIN);
    // No provider is configured: the worker says so, and nothing leaves the machine.
    const { status } = await connection.exchange({ method: 'POST', path: '/api/push_notification', headers, body });
    if (status !== 503) throw new Error(`a push without a provider is answered ${status}`);
  }
  connection.close();
  const [webThen, workerThen] = now();
  await Promise.all([web.stop(), worker.stop()]);
  return [
    `memory of web: ${webReady} MB when ready, ${webThen} MB after ${REQUESTS} requests, each with a job`,
    `memory of worker: ${workerReady} MB when ready, ${workerThen} MB after those jobs`,
  ];
}

/**
 * Measures starts of this checkout's `web` and `worker`, in turn with those of another one where it is named.
 *
 * @param against folder of another built checkout
 * @returns lines to print
 */
export async function benchStart(servers: Servers, against?: string): Promise<string[]> {
  if (!existsSync('/proc/self/stat')) return ['starts: not measured, there is no /proc on this machine'];
  const here = path.join(__dirname, '..', '..');
  const lines: string[] = [];
  const silent = await openSilentServer();
  try {
    for (const kind of Object.keys(KINDS) as Kind[]) {
      const ours: Start[] = [];
      const theirs: Start[] = [];
      // One of each first, so that files are in the page cache.
      await startOnce(kind, here, silent.port);
      if (against !== undefined) await startOnce(kind, against, silent.port);
      for (let run = 0; run < RUNS; run += 1) {
        ours.push(await startOnce(kind, here, silent.port));
        if (against !== undefined) theirs.push(await startOnce(kind, against, silent.port));
      }
      lines.push(describe(kind, 'this checkout', ours));
      if (against === undefined) continue;
      const ratio = median(ours.map(({ cpuMs }) => cpuMs)) / median(theirs.map(({ cpuMs }) => cpuMs));
      lines.push(describe(kind, against, theirs), `start of ${kind}, CPU time new ÷ old: ${ratio.toFixed(2)}`);
    }
  } finally {
    silent.close();
  }
  return [...lines, ...(await memory(servers))];
}
