// A balancer meanwhile, in a process of its own so that the load does not slow it: asks for /health/ready again and again over TLS, in turn on a connection
// that stays open and on a new one, until it is told to stop. Gives what it has seen as one message. Arguments: port, and a file with the certificate.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 25;

/** One look. */
export interface Look {
  ms: number;
  /** 0: no answer. */
  status: number;
  isNew: boolean;
}

const [, , port = '', caFile = ''] = process.argv;
const ca = readFileSync(caFile, 'utf8');
const open = new Agent({ keepAlive: true, maxSockets: 1, ca });

function ask(isNew: boolean): Promise<number> {
  return new Promise((resolve) => {
    const agent = isNew ? new Agent({ ca }) : open;
    const asked = request({ agent, host: '127.0.0.1', servername: 'localhost', port, path: '/health/ready' }, (response) =>
      response.resume().once('end', () => resolve(response.statusCode ?? 0)),
    );
    asked.once('error', () => resolve(0));
    asked.end();
  });
}

async function poll(): Promise<void> {
  const looks: Look[] = [];
  let isOver = false;
  process.once('message', () => (isOver = true));
  for (let n = 0; !isOver; n += 1) {
    const isNew = n % 2 === 1;
    const started = performance.now();
    const status = await ask(isNew);
    looks.push({ ms: performance.now() - started, status, isNew });
    await sleep(INTERVAL_MS);
  }
  open.destroy();
  process.send?.(looks, () => process.disconnect());
}

void poll();
