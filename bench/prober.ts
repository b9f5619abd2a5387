// Another client meanwhile, in a thread of its own so that the attacking does not slow it: asks for something small, again and again, and writes
// the longest that it had to wait, in milliseconds, into memory that both see.
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';

const INTERVAL_MS = 20;
const { port, worst } = workerData as { port: number; worst: Int32Array };
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ping(): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ agent, host: '127.0.0.1', port, path: '/api/ping' }, (response) => response.resume().once('end', resolve));
    asked.once('error', reject);
    asked.end();
  });
}

async function probe(): Promise<void> {
  for (;;) {
    const started = performance.now();
    await ping().catch(() => undefined);
    const waitedMs = Math.round(performance.now() - started);
    if (waitedMs > Atomics.load(worst, 0)) Atomics.store(worst, 0, waitedMs);
    await sleep(INTERVAL_MS);
  }
}

void probe();
