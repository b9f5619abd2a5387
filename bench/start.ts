// What a start of `web` costs: the CPU time of the process until it listens, and the same of another built checkout, in turn.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../src/start/ports';
import { cpuTimeMs } from './cpu-time';
import { median } from './median';

const RUNS = 15;
const START_TIMEOUT_MS = 30_000;
/** Between two runs: an earlier process is gone from the processor by then. */
const PAUSE_MS = 100;

interface Start {
  cpuMs: number;
  wallMs: number;
}

/** Takes connections and never answers, in place of PostgreSQL and Redis: `web` listens without waiting for either, and nothing is left behind. */
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

/** Starts `web` of a checkout, reads its CPU time when it says that it listens, and ends it. */
async function startOnce(checkout: string, silentPort: number): Promise<Start> {
  const started = performance.now();
  const child = spawn(process.execPath, [path.join(checkout, 'dist', 'src', 'web.js')], {
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
  const listens = new Promise<Start>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('web listens')) resolve({ cpuMs: cpuTimeMs(child.pid ?? 0) ?? Number.NaN, wallMs: performance.now() - started });
    });
    void ended.then(() => reject(new Error(`web of ${checkout} ended before it listened: ${output}`)));
    setTimeout(() => reject(new Error(`web of ${checkout} does not listen: ${output}`)), START_TIMEOUT_MS).unref();
  });
  try {
    return await listens;
  } finally {
    child.kill('SIGKILL');
    await ended;
    await sleep(PAUSE_MS);
  }
}

function describe(name: string, starts: readonly Start[]): string {
  const cpu = starts.map(({ cpuMs }) => cpuMs);
  const range = `${Math.min(...cpu)} to ${Math.max(...cpu)}`;
  return `start of web, ${name}: ${median(cpu)} ms of CPU until it listens (${range}), ${Math.round(median(starts.map(({ wallMs }) => wallMs)))} ms by the clock; median of ${starts.length}`;
}

/**
 * Measures starts of this checkout's `web`, in turn with those of another one where it is named.
 *
 * @param against folder of another built checkout
 * @returns lines to print; the ratio new ÷ old is the last
 */
export async function benchStart(against?: string): Promise<string[]> {
  if (!existsSync('/proc/self/stat')) return ['start of web: not measured, there is no /proc on this machine'];
  const here = path.join(__dirname, '..', '..');
  const ours: Start[] = [];
  const theirs: Start[] = [];
  const silent = await openSilentServer();
  try {
    // One of each first, so that files are in the page cache.
    await startOnce(here, silent.port);
    if (against !== undefined) await startOnce(against, silent.port);
    for (let run = 0; run < RUNS; run += 1) {
      ours.push(await startOnce(here, silent.port));
      if (against !== undefined) theirs.push(await startOnce(against, silent.port));
    }
  } finally {
    silent.close();
  }
  if (against === undefined) return [describe('this checkout', ours)];
  const ratio = median(ours.map(({ cpuMs }) => cpuMs)) / median(theirs.map(({ cpuMs }) => cpuMs));
  return [describe('this checkout', ours), describe(against, theirs), `start of web, CPU time new ÷ old: ${ratio.toFixed(2)}`];
}
