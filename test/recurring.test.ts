// Recurring jobs: their schedules come back whatever happens to Redis, and none of them waits for long work.
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import type { Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../src/start/redis';
import { openQueue } from './helpers/jobs';
import { eventually, startSystem, type System } from './helpers/system';
import { startOutsideWorld } from './helpers/outside';
import { testServers } from './setup/servers';

const SCHEDULES = [
  'api-keys/clear-expired',
  'statistics/aggregate',
  'maintenance/sweep',
  'chores/clean',
  'chores/leftovers',
  'chores/partitions',
];
const QUEUES = ['push', 'api-keys', 'statistics', 'maintenance', 'chores'] as const;

const open: Queue[] = [];
afterAll(() => Promise.all(open.map((queue) => queue.close())));
function queueOf(system: System, name: string): Queue {
  const queue = openQueue(system, name);
  queue.on('error', () => undefined);
  open.push(queue);
  return queue;
}

const isToCome = (job: Job | undefined): boolean => job !== undefined && job.finishedOn === undefined;
/** Schedules that are stored, each with the job that comes next; one that has ended is followed by none. */
async function stored(queues: Queue[]): Promise<string[]> {
  const found = [];
  for (const queue of queues)
    for (const { key, next } of await queue.getJobSchedulers())
      if (isToCome(await queue.getJob(`repeat:${key}:${String(next)}`))) found.push(`${queue.name}/${key}`);
  return found;
}
const areRight = (found: string[]): boolean => [...found].sort().join() === [...SCHEDULES].sort().join();

test('schedules come back after FLUSHALL, after a restart without data, and after the board took one away; work goes on', async () => {
  const world = await startOutsideWorld();
  const directory = mkdtempSync(path.join(testServers().directory, 'redis-'));
  // It keeps nothing: stopped and started it is empty.
  const start = (): ReturnType<typeof startRedis> => startRedis(directory, () => undefined, false);
  let redis = await start();
  const system = await startSystem({ environment: { ...world.environment, REDIS_URL: redis.url } });
  let serial = 0;
  const push = async (): Promise<number> =>
    (
      await system.api('/account_creation_tokens/send-by-push', {
        method: 'POST',
        body: { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: `device-${(serial += 1)}` },
      })
    ).status;
  const queues = QUEUES.map((name) => queueOf(system, name));
  const restored = (seconds: number): Promise<unknown> => eventually(() => stored(queues).catch(() => []), areRight, seconds);
  const swept = async (since: number): Promise<void> => {
    await eventually(
      async () => (await queueOf(system, 'maintenance').getJobs(['completed'])).filter(({ finishedOn = 0 }) => finishedOn > since).length,
      (count) => count > 0,
      30,
    );
  };
  await restored(15);
  await eventually(push, (status) => status === 200, 30);

  const control = new Redis(redis.url);
  await control.flushall();
  let since = Date.now();
  // Who waits for jobs and for results notices nothing.
  await eventually(push, (status) => status === 200, 10);
  await restored(60);
  await swept(since);

  const chores = queues.find(({ name }) => name === 'chores');
  await chores?.removeJobScheduler('clean');
  const keys = `{${system.environment['QUEUE_PREFIX']}:chores}:chores`;
  await control.del(`${keys}:delayed`, ...(await control.keys(`${keys}:repeat:partitions:*`)));
  await restored(60);
  control.disconnect();

  await redis.stop();
  redis = await start();
  since = Date.now();
  // At once: the timer has looked a moment ago, and will not before twenty seconds are over.
  await restored(8);
  await swept(since);
  await eventually(push, (status) => status === 200, 10);
  await system.stop();
  await Promise.all(open.splice(0).map((queue) => queue.close()));
  await redis.stop();
  await world.close();
}, 180_000);

test('a schedule goes on whose job was ended without being taken, as one that stalled is', async () => {
  const system = await startSystem({ webs: 0 });
  const queues = QUEUES.map((name) => queueOf(system, name));
  const chores = queueOf(system, 'chores');
  const due = await eventually(
    async () => (await chores.getDelayed()).find(({ name }) => name === 'clean'),
    (job) => job !== undefined,
    30,
  );
  await system.workers[0]?.end();
  const keys = `{${system.environment['QUEUE_PREFIX']}:chores}:chores`;
  const control = new Redis(system.environment['REDIS_URL'] ?? '');
  const [id, now] = [due?.id ?? '', Date.now()];
  await control.multi().zrem(`${keys}:delayed`, id).zadd(`${keys}:failed`, now, id).hset(`${keys}:${id}`, 'finishedOn', now).exec();
  control.disconnect();
  expect(await stored(queues)).not.toContain('chores/clean');
  await system.startWorker();
  await eventually(() => stored(queues), areRight, 15);
  await system.stop();
});

test('what an older release scheduled is removed, what a newer one did stays', async () => {
  const system = await startSystem({ webs: 0, workers: 0 });
  const hour = { every: 3_600_000 };
  const [maintenance, faxes] = [queueOf(system, 'maintenance'), queueOf(system, 'faxes')];
  await maintenance.upsertJobScheduler('clean', hour, { data: { payload: { task: 'clean' } } });
  await maintenance.upsertJobScheduler('tidy', hour, { data: { payload: { task: 'tidy' }, schedules: 1000 } });
  await maintenance.upsertJobScheduler('sweep', hour, { data: { payload: { task: 'sweep' } } });
  // A queue that only the older release had.
  await faxes.upsertJobScheduler('old', hour, { data: { payload: { task: 'old' } } });
  await faxes.upsertJobScheduler('new', hour, { data: { payload: { task: 'new' }, schedules: 1000 } });
  const control = new Redis(system.environment['REDIS_URL'] ?? '');
  await control.sadd(`{${system.environment['QUEUE_PREFIX']}:queues}`, 'faxes');
  await system.startWorker();
  await eventually(
    async () =>
      [...(await maintenance.getJobSchedulers()), ...(await faxes.getJobSchedulers())].map(({ key, every }) => `${key} ${every}`).sort(),
    (found) => found.join() === 'new 3600000,sweep 10000,tidy 3600000',
  );
  control.disconnect();
  await system.stop();
});

test('the sweep, and other chores, do not wait for one that takes long', async () => {
  const system = await startSystem({ webs: 0 });
  const [maintenance, chores] = [queueOf(system, 'maintenance'), queueOf(system, 'chores')];
  // The one that is scheduled for the start is over, else ours would be the same work again.
  await eventually(
    async () => (await chores.getJobs(['completed'])).some(({ name }) => name === 'clean'),
    (isOver) => isOver,
    30,
  );
  const client = await system.db.connect();
  client.on('error', () => undefined);
  // What `clean` deletes from, and nothing that the sweep reads. For each of them it waits three seconds.
  await client.query('BEGIN; LOCK TABLE nonces, recovery_codes, provisioning_tokens, token_deliveries IN ACCESS EXCLUSIVE MODE');
  const long = await chores.add('clean', { payload: { task: 'clean' } });
  await eventually(
    async () => long.getState(),
    (state) => state === 'active',
  );
  const again = await chores.add('clean', { payload: { task: 'clean' } });
  const others = [
    await chores.add('partitions', { payload: { task: 'partitions' } }),
    await maintenance.add('sweep', { payload: { task: 'sweep' } }),
  ];
  await Promise.all(
    others.map((job) =>
      eventually(
        async () => job.getState(),
        (state) => state === 'completed',
      ),
    ),
  );
  // The same work is not begun twice, so that it never fills all places.
  expect((await chores.getJob(again.id ?? ''))?.returnvalue).toEqual({ under_way: 1 });
  expect(await long.getState()).toBe('active');
  await client.query('ROLLBACK');
  client.release();
  // Failed where it had to pass over one of the tables.
  await eventually(
    async () => long.getState(),
    (state) => state === 'completed' || state === 'failed',
    30,
  );
  await Promise.all(open.splice(0).map((queue) => queue.close()));
  await system.stop();
}, 90_000);
