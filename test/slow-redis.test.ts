// A Redis that is slow, and machines whose clocks differ: a 503 means that nothing was sent, and nothing will be.
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { openQueue } from './helpers/jobs';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { Relay } from './helpers/relay';
import { eventually, startSystem, type Answer, type System } from './helpers/system';
import { testServers } from './setup/servers';

let world: OutsideWorld;
beforeAll(async () => {
  world = await startOutsideWorld();
});
afterAll(() => world.close());
beforeEach(() => world.fcm.reset());

let serial = 0;
const ask = (system: System): Promise<Answer> =>
  system.api('/account_creation_tokens/send-by-push', {
    method: 'POST',
    body: { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: `slow-device-${(serial += 1)}` },
  });
/** The first loads the provider's library, for which a busy machine takes longer than a push may. */
const warmUp = (system: System): Promise<unknown> =>
  eventually(
    () => ask(system),
    ({ status }) => status === 200,
    30,
  );

test('where Redis answers too late, the answer is 503 within 2 s and nothing is sent; slower than usual is no harm', async () => {
  const { redisUrl } = testServers();
  const relay = await Relay.start(redisUrl);
  const system = await startSystem({ webs: 0, environment: world.environment });
  await system.startWeb({ REDIS_URL: relay.through(redisUrl) });
  await warmUp(system);
  const queue = openQueue(system, 'push');

  relay.delayMs = 300;
  expect((await ask(system)).status).toBe(200);
  world.fcm.reset();
  const { length } = await queue.getJobs();
  relay.delayMs = 1800;
  const started = performance.now();
  const { status, json } = await ask(system);
  expect([status, json['message']]).toEqual([503, 'The queues do not answer. Try again in a moment.']);
  expect(performance.now() - started).toBeLessThan(2000);
  relay.delayMs = 0;
  await warmUp(system);
  // No worker has had the other one: it was never added.
  expect(world.fcm.received).toHaveLength(1);
  expect(await queue.getJobs()).toHaveLength(length + 1);
  await queue.close();
  await system.stop();
  await relay.stop();
}, 60_000);

test.each([
  ['soon', 1700, 200],
  ['too late', 6000, 503],
] as const)(
  'where Redis falls silent once it has the job, what came of it decides: told %s',
  async (_when, delayMs, expected) => {
    const { redisUrl } = testServers();
    let isArmed = false;
    const relay = await Relay.start(redisUrl, () => ({
      asked: (chunk) => {
        // The job itself, after Redis has shown that it answers.
        if (isArmed && chunk.includes('slow-device')) relay.delayMs = delayMs;
      },
    }));
    const system = await startSystem({ webs: 0, environment: world.environment });
    await system.startWeb({ REDIS_URL: relay.through(redisUrl) });
    await warmUp(system);
    world.fcm.reset();
    isArmed = true;
    const { status } = await ask(system);
    expect(status).toBe(expected);
    expect(world.fcm.received).toHaveLength(1);
    const [push] = world.fcm.received as { body: { message: { android: { data: Record<string, string> } } } }[];
    const { token } = JSON.parse(push?.body.message.android.data['custom-payload'] ?? '') as { token: string };
    isArmed = false;
    relay.delayMs = 0;
    const used = await system.api('/accounts/with-account-creation-token', {
      method: 'POST',
      body: { username: `slow.${delayMs}`, password: 'password', algorithm: 'MD5', account_creation_token: token },
    });
    expect(used.status).toBe(expected === 200 ? 200 : 422);
    await system.stop();
    await relay.stop();
  },
  60_000,
);

test('a job of the release before is begun when its web has said so, and not at all where it does not', async () => {
  const system = await startSystem({ webs: 0, environment: world.environment });
  const queue = openQueue(system, 'push');
  const add = async (prid: string): Promise<{ id: string; confirm: () => Promise<void> }> => {
    const payload = { kind: 'notification', type: 'message', call_id: null, provider: 'fcm', param: 'linphone-test', prid };
    const job = await queue.add('notification', { payload, deadline: Date.now() + 30_000, unconfirmed: true }, { removeOnComplete: false });
    return { id: job.id ?? '', confirm: () => job.updateData({ payload, deadline: Date.now() + 30_000 }) };
  };
  const ended = async (id: string): Promise<string | undefined> => {
    const job = await eventually(
      () => queue.getJob(id),
      (found) => found?.finishedOn !== undefined,
      30,
    );
    return job?.failedReason;
  };
  const told = await add('told');
  const untold = await add('untold');
  await eventually(
    () => queue.getJobCounts('active'),
    ({ active }) => active === 2,
  );
  expect(world.fcm.received).toEqual([]);
  await told.confirm();
  expect(await ended(told.id)).toBeUndefined();
  expect(await ended(untold.id)).toBe('expired: nobody waits for it any more');
  expect(world.fcm.received.map(({ body }) => (body as { message: { token: string } }).message.token)).toEqual(['told']);
  await queue.close();
  await system.stop();
}, 60_000);

test('where Redis is too slow for limits it is not too slow for jobs', async () => {
  const { redisUrl } = testServers();
  const relay = await Relay.start(redisUrl);
  const system = await startSystem({ webs: 0, environment: world.environment });
  await system.startWeb({ REDIS_URL: relay.through(redisUrl), RATE_LIMIT_PER_MINUTE: '1000' });
  await warmUp(system);
  world.fcm.reset();
  // Limits wait for 200 ms, and then nobody is to ask for the sake of a limit.
  relay.delayMs = 300;
  relay.delayAskedMs = 300;
  for (let n = 1; n <= 3; n += 1) {
    expect((await ask(system)).status).toBe(200);
    expect(world.fcm.received).toHaveLength(n);
  }
  relay.delayMs = 0;
  relay.delayAskedMs = 0;
  await system.stop();
  await relay.stop();
}, 60_000);

test.each([3600, -3600])(
  'a worker whose clock is %i ms off sends what is in time, and nothing else',
  async (shift) => {
    const file = path.join(mkdtempSync(path.join(testServers().directory, 'clock-')), 'clock.cjs');
    writeFileSync(file, `const now = Date.now; Date.now = () => now() + ${shift};`);
    const system = await startSystem({ workers: 0, environment: world.environment });
    await system.startWorker({ NODE_OPTIONS: `--require ${file}` });
    await warmUp(system);
    expect((await ask(system)).status).toBe(200);
    world.fcm.reset();
    const redis = new Redis(system.environment['REDIS_URL'] ?? '');
    const [seconds] = await redis.time();
    const queue = new Queue('push', { connection: redis, prefix: `{${system.environment['QUEUE_PREFIX']}:push}` });
    const payload = { kind: 'notification', type: 'message', call_id: null, provider: 'fcm', param: 'linphone-test', prid: 'late' };
    const { id = '' } = await queue.add('late', { payload, deadline: Number(seconds) * 1000 - 100 });
    const done = await eventually(
      () => queue.getJob(id),
      (job) => job?.finishedOn !== undefined,
    );
    expect(done?.failedReason).toBe('expired: nobody waits for it any more');
    expect(world.fcm.received).toEqual([]);
    await queue.close();
    redis.disconnect();
    await system.stop();
  },
  60_000,
);
