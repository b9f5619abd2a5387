// npm run faults [-- --minutes 10] [--only <text>]: each server is frozen, killed, emptied, failed over and slowed down under load, each process
// killed and frozen. Prints for each fault how requests fared and how soon all was whole again; ends with 1 where a promise was broken. Nothing
// but 127.0.0.1 is asked, and no process is signalled but those started here.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import pg from 'pg';
import { startOutsideWorld } from '../test/helpers/outside';
import { interruption, runCommand } from './command';
import { fillDatabase, Load, MAX_ANSWER_MS, SETTINGS } from './fault-load';
import { FaultSystem } from './fault-system';
import { say } from './servers';

const MAX_SECONDS_TO_WHOLE = 10;
/** A schedule that is gone without a word from Redis is put back by a timer, and runs after its own period. */
const MAX_SECONDS_TO_FIGURES_UNANNOUNCED = 75;
const WHOLE_TIMEOUT_MS = 90_000;
const FIGURES_TIMEOUT_MS = 120_000;
const CALM_MS = 3000;
const DEFAULT_MINUTES = 10;

interface Fault {
  name: string;
  /** Where Redis is found by a Sentinel. */
  sentinel?: true;
  begin: (system: FaultSystem, load: Load) => unknown;
  /** Where a fault ends by itself (a fail-over) this is left out: from its beginning on all must become whole. */
  end?: (system: FaultSystem, load: Load) => unknown;
  /** Nothing tells the program that it happened. */
  unannounced?: true;
}

const SLOW_MS = 400;
const VERY_SLOW_MS = 2500;

const faults: readonly Fault[] = [
  { name: 'Redis frozen', begin: ({ redis }) => redis[0].freeze(), end: ({ redis }) => redis[0].thaw() },
  { name: 'Redis killed, back without data', begin: ({ redis }) => redis[0].kill(), end: ({ redis }) => redis[0].start() },
  { name: 'Redis emptied (FLUSHALL)', begin: ({ redis }) => redis[0].ask((server) => server.flushall()), unannounced: true },
  { name: 'Redis failed over behind its address', begin: (system) => system.failOverRedis() },
  { name: `Redis slow (${SLOW_MS} ms)`, begin: (s) => (s.redisRelay.delayMs = SLOW_MS), end: (s) => (s.redisRelay.delayMs = 0) },
  { name: `Redis slow (${VERY_SLOW_MS} ms)`, begin: (s) => (s.redisRelay.delayMs = VERY_SLOW_MS), end: (s) => (s.redisRelay.delayMs = 0) },
  { name: 'PostgreSQL frozen', begin: ({ database }) => database.freeze(), end: ({ database }) => database.thaw() },
  { name: 'PostgreSQL killed', begin: ({ database }) => database.kill(), end: ({ database }) => database.start(database.port) },
  {
    name: 'PostgreSQL failed over to another port',
    begin: ({ database }) => database.kill(),
    end: async ({ database, databaseRelay }) => {
      await database.start();
      databaseRelay.leadTo(database.port);
    },
  },
  { name: `PostgreSQL slow (${SLOW_MS} ms)`, begin: (s) => (s.databaseRelay.delayMs = SLOW_MS), end: (s) => (s.databaseRelay.delayMs = 0) },
  { name: 'a web frozen', begin: ({ webs }) => webs[0]?.freeze(), end: ({ webs }) => webs[0]?.thaw() },
  { name: 'a web killed', begin: ({ webs }) => webs[0]?.kill(), end: ({ webs }) => webs[0]?.start() },
  { name: 'a worker frozen', begin: ({ workers }) => workers[0]?.freeze(), end: ({ workers }) => workers[0]?.thaw() },
  { name: 'a worker killed', begin: ({ workers }) => workers[0]?.kill(), end: ({ workers }) => workers[0]?.start() },
  { name: 'APNs silent', begin: (_, { world }) => (world.apns.mode = 'hang'), end: (_, { world }) => (world.apns.mode = 'accept') },
  { name: 'Sentinel: master frozen', sentinel: true, begin: ({ redis }) => redis[0].freeze(), end: (system) => promoted(system) },
  { name: 'Sentinel: master killed', sentinel: true, begin: ({ redis }) => redis[0].kill(), end: (system) => promoted(system) },
];

/** Waits until the Sentinel's other server is the master; the old one comes back only after that, as its replica. */
async function promoted({ redis, sentinel }: FaultSystem): Promise<void> {
  const [old, next] = redis;
  const port = async (): Promise<number> => {
    const address = (await sentinel?.ask((server) => server.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'accounts'))) as [string, string];
    return Number(address[1]);
  };
  const end = Date.now() + WHOLE_TIMEOUT_MS;
  while ((await port()) !== next.port) {
    if (Date.now() > end) throw new Error('the Sentinel promotes nobody');
    await sleep(50);
  }
  redis.reverse();
  old.thaw();
}

interface Row {
  name: string;
  book: ReturnType<Load['turnPage']>;
  wholeSeconds: number;
  figuresSeconds: number;
  stillFailing: string | undefined;
}

async function secondsUntil(isTrue: () => Promise<boolean>, timeoutMs: number): Promise<number> {
  const started = performance.now();
  for (;;) {
    const asked = performance.now();
    if (await isTrue()) return (asked - started) / 1000;
    if (performance.now() - started > timeoutMs) return Infinity;
    await sleep(100);
  }
}

async function suffer(fault: Fault, system: FaultSystem, load: Load, holdMs: number): Promise<Row> {
  say(`${new Date().toISOString()} ${fault.name} …`);
  load.turnPage();
  await fault.begin(system, load);
  if (fault.end) {
    await sleep(holdMs);
    await fault.end(system, load);
  }
  let stillFailing: string | undefined;
  const wholeSeconds = await secondsUntil(async () => (stillFailing = await load.firstFailure()) === undefined, WHOLE_TIMEOUT_MS);
  const isCounted = await load.beginFigures();
  const figuresSeconds = await secondsUntil(isCounted, FIGURES_TIMEOUT_MS);
  // What one fault has left must not count for the next.
  if (!Number.isFinite(wholeSeconds + figuresSeconds)) await system.restartParts();
  await sleep(CALM_MS);
  return { name: fault.name, book: load.turnPage(), wholeSeconds, figuresSeconds, stillFailing };
}

const seconds = (value: number): string => (Number.isFinite(value) ? value.toFixed(1) : 'never');
const HEAD = ['fault', 'requests', '503', '> 5 s', 'other ≥ 500', 'cut', 'whole after s', 'figures after s'];

/** One arrangement of servers with its faults. @returns what was broken */
async function runArrangement(
  directory: string,
  chosen: readonly Fault[],
  holdMs: number,
  table: Table.Table,
  interrupted: Promise<never>,
): Promise<string[]> {
  mkdirSync(directory, { recursive: true });
  const world = await startOutsideWorld();
  const withSentinel = chosen.some(({ sentinel }) => sentinel);
  const system = await FaultSystem.start(directory, { ...SETTINGS, ...world.environment }, withSentinel);
  const broken: string[] = [];
  let load: Load | undefined;
  try {
    const filling = new pg.Pool({ connectionString: system.database.url, max: 1 });
    await fillDatabase(filling);
    await filling.end();
    load = Load.open(system, world);
    load.start();
    await sleep(CALM_MS);
    const calm = load.turnPage();
    table.push(['(before)', calm.requests, calm.unavailable, calm.slow.length, calm.wrong.length, calm.cut, '', '']);
    for (const fault of chosen) {
      const { name, book, wholeSeconds, figuresSeconds, stillFailing } = await Promise.race([
        suffer(fault, system, load, holdMs),
        interrupted,
      ]);
      table.push([
        name,
        book.requests,
        book.unavailable,
        book.slow.length,
        book.wrong.length,
        book.cut,
        seconds(wholeSeconds),
        seconds(figuresSeconds),
      ]);
      const figuresLimit = fault.unannounced ? MAX_SECONDS_TO_FIGURES_UNANNOUNCED : MAX_SECONDS_TO_WHOLE;
      if (wholeSeconds > MAX_SECONDS_TO_WHOLE)
        broken.push(`${name}: whole after ${seconds(wholeSeconds)} s (${stillFailing ?? 'at last'})`);
      if (figuresSeconds > figuresLimit) broken.push(`${name}: figures after ${seconds(figuresSeconds)} s`);
      for (const line of book.slow.slice(0, 5)) broken.push(`${name}: slow: ${line}`);
      for (const line of book.wrong.slice(0, 5)) broken.push(`${name}: wrong: ${line}`);
    }
    await load.stop();
    const { lost, twice, usable } = await load.judge();
    const totals = Object.entries(load.totals).map(([what, count]) => `${count} ${what}`);
    table.push([{ colSpan: HEAD.length, content: `acknowledged and sent: ${totals.join(', ')}` }]);
    const verdict = `acknowledged and lost: ${lost.length}; sent twice: ${twice.length}; tokens usable after another answer than 200: ${usable.length}`;
    table.push([{ colSpan: HEAD.length, content: verdict }]);
    for (const line of lost.slice(0, 5)) broken.push(`lost: ${line}`);
    for (const line of twice.slice(0, 5)) broken.push(`twice: ${line}`);
    for (const line of usable.slice(0, 5)) broken.push(`usable: ${line}`);
  } finally {
    await load?.stop();
    await load?.close();
    await system.stop();
    await world.close();
  }
  return broken;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { minutes: { type: 'string' }, only: { type: 'string' }, keep: { type: 'boolean' } } });
  const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
  if (!(minutes > 0)) throw new TypeError('--minutes takes a number');
  const chosen = faults.filter(({ name }) => name.includes(values.only ?? ''));
  if (chosen.length === 0) throw new TypeError('--only names no fault');
  // Half of the time for being broken, half for becoming whole.
  const holdMs = (minutes * 60_000) / 2 / chosen.length;
  const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-faults-'));
  const table = new Table({ head: HEAD, style: { head: [], border: [] } });
  const delays = monitorEventLoopDelay();
  delays.enable();
  const interrupted = interruption();
  const broken: string[] = [];
  try {
    for (const withSentinel of [false, true]) {
      const some = chosen.filter(({ sentinel = false }) => sentinel === withSentinel);
      if (some.length === 0) continue;
      broken.push(...(await runArrangement(path.join(directory, withSentinel ? 'b' : 'a'), some, holdMs, table, interrupted)));
    }
  } finally {
    if (values.keep) say(`Logs: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
  process.stdout.write(`${table.toString()}\n`);
  process.stdout.write(
    `The generator itself was late by ${Math.round(delays.max / 1e6)} ms at most; an answer is late above ${MAX_ANSWER_MS} ms.\n`,
  );
  process.stdout.write(`${broken.length === 0 ? 'Every promise was kept.' : broken.join('\n')}\n`);
  return broken.length === 0 ? 0 : 1;
}

runCommand(main);
