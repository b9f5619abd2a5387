// npm run attack [-- --seconds 120] [--only <text>]: floods and bombs against a system that is booted for it. For each attack the CPU that its
// costliest request takes, how long others wait meanwhile, and memory. Ends with 1 where a bound is broken. Nothing but 127.0.0.1 is asked.
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import Table from 'cli-table3';
import { generate } from 'selfsigned';
import { attacks, type Attack, type Shot, type Target } from './attacks';
import { Web } from './checkout';
import { interruption, runCommand } from './command';
import { preciseCpuMs, residentMb } from './cpu-time';
import { fill, USER } from './http-rows';
import { say, Servers } from './servers';

const MAX_CPU_MS = 50;
const MAX_WAIT_MS = 500;
/** While an attack lasts, what is not collected yet included. */
/** Of what is kept afterwards; at the worst moment there is as much more as the collector has not looked at yet. */
const MAX_GROWTH_MB = 400;
const DEFAULT_SECONDS = 120;
const REPEATS = 3;
const CLIENTS = 4;
const SHOT_TIMEOUT_MS = 20_000;
const CARDS = 40;
const CARD_CHARACTERS = 500_000;
const CHECKOUT = path.join(__dirname, '..', '..');

/** @returns the status, or what happened instead of an answer */
function shoot(agent: Agent, port: number, { method = 'GET', path: target, headers = {}, body }: Shot): Promise<string> {
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  const type = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) };
  return new Promise((resolve) => {
    const asked = request({ agent, host: '127.0.0.1', port, method, path: target, headers: { ...type, ...headers } }, (response) => {
      response.resume();
      response.once('end', () => resolve(String(response.statusCode)));
      response.once('error', () => resolve('cut'));
    });
    asked.setTimeout(SHOT_TIMEOUT_MS, () => asked.destroy(new Error('no answer')));
    asked.once('error', (error: NodeJS.ErrnoException) => resolve(error.message === 'no answer' ? 'no answer' : 'refused'));
    asked.end(payload);
  });
}

interface Figures {
  cpuMs: number;
  /** Which request that was. */
  costliest: string;
  waitMs: number;
  beforeMb: number;
  peakMb: number;
  afterMb: number;
  statuses: Map<string, number>;
}

class Range {
  readonly #agent = new Agent({ keepAlive: true });

  constructor(
    readonly target: Target,
    readonly webs: Record<'http1' | 'http2', Web>,
    /** Of the prober: the longest that it waited, in milliseconds. */
    readonly worst: Int32Array,
  ) {}

  /** The longest that others waited since this was asked before. */
  async #waited(): Promise<number> {
    // What is being waited for is counted when it comes.
    await sleep(100);
    return Atomics.exchange(this.worst, 0, 0);
  }

  async #once(attack: Attack, statuses: Map<string, number>): Promise<void> {
    const seen = attack.run ? await attack.run(this.target) : [];
    for (const shot of attack.shots?.() ?? []) seen.push(await shoot(this.#agent, this.target.port, shot));
    for (const status of seen) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }

  /** The CPU of the costliest request: each one alone, the least of some tries, since collecting garbage and compiling are not its own. */
  async #worstCpu(attack: Attack, pid: number): Promise<Pick<Figures, 'cpuMs' | 'costliest'>> {
    const shots = attack.shots?.() ?? [];
    const works = attack.run
      ? [() => attack.run?.(this.target)]
      : shots.map((_, index) => () => {
          const shot = attack.shots?.()[index];
          return shot && shoot(this.#agent, this.target.port, shot);
        });
    let [worst, which] = [0, 0];
    for (const [index, work] of works.entries()) {
      let least = Infinity;
      for (let repeat = 0; repeat < (attack.run ? 1 : REPEATS); repeat += 1) {
        const before = preciseCpuMs(pid);
        await work();
        least = Math.min(least, preciseCpuMs(pid) - before);
      }
      if (least > worst) [worst, which] = [least, index];
    }
    const { method = 'GET', path: asked = '' } = shots[which] ?? {};
    return { cpuMs: worst, costliest: `${which + 1}. ${method} ${asked.slice(0, 30)}` };
  }

  async measure(attack: Attack, seconds: number): Promise<Figures> {
    const pid = this.webs[attack.web ?? 'http1'].process.pid ?? 0;
    const statuses = new Map<string, number>();
    const beforeMb = residentMb(pid);
    let peakMb = beforeMb;
    const sampling = setInterval(() => (peakMb = Math.max(peakMb, residentMb(pid))), 100);
    // Code that has never run is compiled first, which is nobody's attack.
    await this.#once(attack, statuses);
    const costs = await this.#worstCpu(attack, pid);
    await this.#waited();
    const end = performance.now() + seconds * 1000;
    const client = async (): Promise<void> => {
      do await this.#once(attack, statuses);
      while (performance.now() < end);
    };
    await Promise.all(Array.from({ length: attack.clients ?? CLIENTS }, client));
    const waitMs = await this.#waited();
    clearInterval(sampling);
    await sleep(500);
    return { ...costs, waitMs, beforeMb, peakMb, afterMb: residentMb(pid), statuses };
  }
}

/** Cards that a list of is tens of megabytes. */
async function fillCards({ db }: Web): Promise<void> {
  await db.query(
    `INSERT INTO vcards_storage (account_id, uuid, vcard, created_at, updated_at)
     SELECT a.id, 'big-' || n, repeat('x', $2::integer), now(), now() FROM accounts a, generate_series(1, $3::integer) n WHERE a.username = $1`,
    [USER, CARD_CHARACTERS, CARDS],
  );
}

async function boot(servers: Servers): Promise<Range> {
  const { private: tlsKey, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048, algorithm: 'sha256' });
  const [certFile, keyFile] = ['cert.pem', 'key.pem'].map((file) => path.join(servers.directory, file)) as [string, string];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, tlsKey);
  const settings = { ACCOUNT_BLACKLISTED_USERNAMES: '.*admin.*,(a+)+$', TRUST_PROXY: 'loopback' };
  const http1 = await Web.start(servers, 'http1', CHECKOUT, settings);
  const http2 = await Web.start(servers, 'http2', CHECKOUT, { ...settings, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile });
  await fill(http1);
  await fillCards(http1);
  const worst = new Int32Array(new SharedArrayBuffer(4));
  const prober = new Worker(path.join(__dirname, 'prober.js'), { workerData: { port: http1.port, worst } });
  servers.atEnd(() => prober.terminate());
  return new Range({ port: http1.port, securePort: http2.port }, { http1, http2 }, worst);
}

async function attackAll(servers: Servers, seconds: number, wanted: string): Promise<number> {
  const range = await boot(servers);
  const chosen = attacks.filter(({ name }) => name.includes(wanted));
  const names = ['attack', 'CPU ms of one request', 'others wait ms', 'MB before', 'at most', 'after', 'costliest', 'answers'];
  const table = new Table({ head: names, style: { head: [], border: [] } });
  const broken: string[] = [];
  for (const each of chosen) {
    say(`Attacking: ${each.name} …`);
    const { cpuMs, costliest, waitMs, beforeMb, peakMb, afterMb, statuses } = await range.measure(each, seconds / chosen.length);
    const answers = [...statuses].map(([status, count]) => `${status} × ${count}`).join(', ');
    table.push([
      each.name,
      ...[each.run ? NaN : cpuMs, waitMs, beforeMb, peakMb, afterMb].map((value) => (Number.isNaN(value) ? '–' : value.toFixed(0))),
      each.run ? '' : costliest,
      answers,
    ]);
    if (!each.run && cpuMs > MAX_CPU_MS) broken.push(`${each.name}: a request costs more than ${MAX_CPU_MS} ms of CPU`);
    if (waitMs > MAX_WAIT_MS) broken.push(`${each.name}: others wait longer than ${MAX_WAIT_MS} ms`);
    if (afterMb - beforeMb > MAX_GROWTH_MB) broken.push(`${each.name}: keeps more than ${MAX_GROWTH_MB} MB of memory`);
    if ([...statuses.keys()].some((status) => status === '500' || status === 'no answer'))
      broken.push(`${each.name}: not answered, or with 500`);
  }
  process.stdout.write(`${[table.toString(), ...broken].join('\n')}\n`);
  return broken.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, only: { type: 'string' } } });
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
  if (!(seconds > 0)) throw new TypeError('--seconds takes a number');
  const interrupted = interruption();
  const servers = await Servers.open();
  try {
    return await Promise.race([attackAll(servers, seconds, values.only ?? ''), interrupted]);
  } finally {
    await servers.close();
  }
}

runCommand(main);
