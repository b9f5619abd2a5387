// Asking a worker through Redis while many other jobs wait there, against none: a push to a provider that is not configured, so that what is
// measured is the way there and back.
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADMIN, authorized, fillBasics } from './growth-rows';
import { connect, type Request } from './connection';
import { openDatabase, startProgram, type Database } from './growth-system';
import { figure, markdownTable } from './growth-table';
import { preciseCpuMs } from './cpu-time';
import { median } from './median';
import { say, type Servers } from './servers';

const WAITING = 100_000;
const CHUNK = 2500;
const ASKS = 400;
const LOOKS = 8;
/** /metrics asks Redis once a second at most. */
const LOOK_PAUSE_MS = 1100;
const REMOVALS = 100;

const ASK: Request = {
  method: 'POST',
  path: '/api/push_notification',
  headers: authorized(ADMIN),
  body: { pn_provider: 'apns', pn_param: 'TEAM.org.linphone.phone', pn_prid: 'ab'.repeat(32), type: 'message' },
};

function openQueue({ environment }: Pick<Database, 'environment'>, name: string): Queue {
  return new Queue(name, {
    connection: { url: environment['REDIS_URL'] ?? '' },
    prefix: `{${environment['QUEUE_PREFIX']}:${name}}`,
  });
}

/** Adds jobs whose time is over; each is an envelope as `web` writes it. */
async function addJobs(queue: Queue, payload: object): Promise<void> {
  const job = { name: 'bench', data: { payload, deadline: 1 } };
  for (let added = 0; added < WAITING; added += CHUNK) await queue.addBulk(Array.from({ length: CHUNK }, () => job));
}

/** Milliseconds of each of some requests, one after another. @throws {Error} where an answer has another status */
async function time(port: number, request: Request, status: number, count: number, pauseMs = 0): Promise<number[]> {
  const connection = await connect(port);
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) {
    if (pauseMs > 0) await sleep(pauseMs);
    const sent = performance.now();
    const reply = await connection.exchange(request);
    if (reply.status !== status) throw new Error(`${request.path}: ${reply.status} ${reply.body()}`);
    times.push(performance.now() - sent);
  }
  connection.close();
  return times;
}

/** Adds jobs and takes each back, as whoever waited for it does where no worker took it. */
async function removals(queue: Queue): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < REMOVALS; n += 1) {
    const started = performance.now();
    const job = await queue.add('bench', { payload: { kind: 'send', id: 1 }, deadline: 1 });
    await job.remove();
    times.push(performance.now() - started);
  }
  return times;
}

/** Redis' memory, and its CPU time where it runs on this machine. */
async function redisState(redis: Redis): Promise<{ bytes: number; cpuMs: number }> {
  const info = await redis.info();
  const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1] ?? 0);
  return { bytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0), cpuMs: preciseCpuMs(pid) };
}

/** @returns lines to print */
export async function growQueue(servers: Servers): Promise<string[]> {
  const database = await openDatabase(servers);
  await fillBasics(database.db);
  const web = await startProgram(servers, 'web', database);
  const worker = await startProgram(servers, 'worker', database, { WORKER_QUEUES: 'push' });
  const redis = new Redis(database.environment['REDIS_URL'] ?? '', { retryStrategy: () => null });
  const queue = openQueue(database, 'email');
  const pushes = openQueue(database, 'push');
  servers.atEnd(() => Promise.all([queue.close(), pushes.close(), Promise.resolve(redis.disconnect())]));
  const measured: Record<string, number>[] = [];
  const programs = (): number => preciseCpuMs(web.pid) + preciseCpuMs(worker.pid);
  const withCosts = async <T>(work: () => Promise<T>): Promise<[T, { programsMs: number; redisMs: number }]> => {
    const [cpu, state] = [programs(), await redisState(redis)];
    const result = await work();
    return [result, { programsMs: programs() - cpu, redisMs: (await redisState(redis)).cpuMs - state.cpuMs }];
  };
  const measure = async (): Promise<void> => {
    say('Measuring …');
    const [asks, ofAsk] = await withCosts(() => time(web.port, ASK, 503, ASKS));
    const [looks, ofLook] = await withCosts(() =>
      time(web.port, { method: 'GET', path: '/metrics', headers: {} }, 200, LOOKS, LOOK_PAUSE_MS),
    );
    const [taken, ofTaken] = await withCosts(() => removals(queue));
    const warm = asks.slice(ASKS / 4).toSorted((one, other) => other - one);
    measured.push({
      'a push asked for, ms': median(warm),
      'one of a hundred takes longer than, ms': warm[Math.floor(warm.length / 100)] ?? 0,
      'CPU of `web` and `worker` for it, ms': ofAsk.programsMs / ASKS,
      'CPU of Redis for it, ms': ofAsk.redisMs / ASKS,
      '`/metrics`, ms': median(looks),
      'CPU of Redis meanwhile, ms': ofLook.redisMs / LOOKS,
      'a job added and taken back, CPU of Redis, ms': ofTaken.redisMs / taken.length,
    });
  };
  await measure();
  say(`Adding ${WAITING.toLocaleString('en-US')} jobs …`);
  const empty = await redisState(redis);
  await addJobs(queue, { kind: 'send', id: 1 });
  const full = await redisState(redis);
  await measure();
  say('Dropping what is over …');
  // In the queue itself: what waits there was left by requests that wait no more.
  await worker.stop();
  await addJobs(pushes, { kind: 'notification', provider: 'apns', param: null, prid: null, type: 'message', call_id: null });
  const next = await startProgram(servers, 'worker', database, { WORKER_QUEUES: 'push' });
  const [started, cpu] = [performance.now(), preciseCpuMs(next.pid)];
  while ((await pushes.getWaitingCount()) > 0) await sleep(100);
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = (preciseCpuMs(next.pid) - cpu) / 1000;
  const [none = {}, many = {}] = measured;
  const rows = Object.keys(none).map((name) => [name, figure(none[name] ?? 0), figure(many[name] ?? 0)]);
  return [
    ...markdownTable(['jobs of another queue that wait', 'none', WAITING.toLocaleString('en-US')], rows),
    '',
    `A waiting job takes ${figure((full.bytes - empty.bytes) / WAITING / 1000)} kB of Redis' memory.`,
    `${WAITING.toLocaleString('en-US')} jobs of the queue itself whose time is over: one worker drops ${figure(WAITING / seconds)} a second, ${figure(WAITING / cpuSeconds)} per CPU second of its own.`,
  ];
}
