// A Redis that is silent, or that is another than before: what no test with a stopped one shows.
import { setTimeout as sleep } from 'node:timers/promises';
import { closeRedis, connectRedis } from '../src/infra/redis';
import { killServers, replicates, serve, type Server } from './helpers/redis';
import { Relay } from './helpers/relay';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, request, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
const systems: System[] = [];
beforeAll(async () => {
  world = await startOutsideWorld();
});
afterAll(async () => {
  killServers();
  await Promise.all(systems.flatMap(({ webs, workers }) => [...webs, ...workers].map((process) => process.end('SIGKILL'))));
  await world.close();
});

let serial = 0;
const push = (own: System): Promise<Answer> =>
  own.api('/account_creation_tokens/send-by-push', {
    method: 'POST',
    body: { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: `device-${(serial += 1)}` },
  });

/** Waits until pushes are sent. @returns how many seconds that took */
async function whole(own: System, seconds: number): Promise<number> {
  const started = performance.now();
  await eventually(
    () => push(own),
    ({ status }) => status === 200,
    seconds,
  );
  return (performance.now() - started) / 1000;
}

async function start(redisUrl: string, { workers = 1, environment = {} } = {}): Promise<System> {
  const own = await startSystem({
    workers,
    environment: { ...world.environment, REDIS_URL: redisUrl, RATE_LIMIT_PER_MINUTE: '600', ...environment },
  });
  systems.push(own);
  return own;
}

function expectNothingSentTwice(): void {
  const devices = world.fcm.received.map(({ body }) => (body as { message: { token: string } }).message.token);
  expect(devices).toEqual([...new Set(devices)]);
}

/** One line for the outage and one for its end, in each process. */
async function expectTwoLines(own: System): Promise<void> {
  for (const { output } of [...own.webs, ...own.workers]) {
    const lines = (): string[] =>
      output()
        .split('\n')
        .filter((line) => /Redis (does not answer|answers again)/.test(line))
        .map((line) => (JSON.parse(line) as { msg: string }).msg);
    await eventually(
      async () => lines(),
      (found) => found.includes('Redis answers again'),
      20,
    );
    expect(lines()).toEqual(['Redis does not answer', 'Redis answers again']);
  }
}

/** @returns milliseconds that it took */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

test('a frozen Redis: memory counts after 250 ms, once; jobs are refused within 2 s; all comes back', async () => {
  const redis = await serve([]);
  const own = await start(`redis://127.0.0.1:${redis.port}`);
  const { key } = await own.account('frozen', { admin: true });
  await whole(own, 30);
  await own.api('/accounts/me', { key });
  const me = (): Promise<Answer> => own.api('/accounts/me', { key });
  try {
    const before = await timed(me);
    redis.freeze();
    // Many at once: none of them pays longer than one.
    const first = await Promise.all(Array.from({ length: 20 }, () => timed(async () => expect((await me()).status).toBe(200))));
    expect(Math.max(...first)).toBeLessThan(20 * before + 250 + 500);
    const others: [string, () => Promise<Answer>, number][] = [
      ['ping', () => own.api('/ping'), 200],
      ['me', me, 200],
      [
        'digest',
        () =>
          own.api('/accounts/me', {
            headers: {
              from: 'sip:frozen@sip.example.org',
              authorization: 'Digest username="frozen", realm="x", nonce="x", uri="/", response="x"',
            },
          }),
        401,
      ],
      ['dashboard', () => request(`${own.url}/queues/api/queues`, { headers: { 'x-api-key': key } }), 503],
      ['push', () => push(own), 503],
    ];
    for (const [what, ask, status] of others) {
      let answer: Answer | undefined;
      const took = await timed(async () => (answer = await ask()));
      expect([what, answer?.status]).toEqual([what, status]);
      // Nobody pays the 250 ms again; a slow Redis still takes jobs, so these try for as long as one may.
      expect([what, took < (what === 'push' ? 2000 : 200)]).toEqual([what, true]);
    }
    expect((await me()).headers.get('x-ratelimit-remaining')).toMatch(/^5\d\d$/);
    expect(await request(`${own.url}/health/ready`)).toMatchObject({ status: 503, json: { redis: { status: 'failed' } } });
    // Longer than a silent connection is kept: the next one is silent, too.
    const end = performance.now() + 8000;
    while (performance.now() < end) {
      expect(await timed(me)).toBeLessThan(400);
      expect(await timed(() => push(own))).toBeLessThan(2000);
      await sleep(100);
    }
    // It is silent for longer than adding a job may take.
    expect(await timed(() => push(own))).toBeLessThan(400);
  } finally {
    redis.thaw();
  }
  expect(await whole(own, 10)).toBeLessThan(10);
  await expectTwoLines(own);
  expectNothingSentTwice();
  await own.stop();
  redis.client.disconnect();
});

test('a web and a worker that were frozen for longer than a socket may be silent work again, and results come at once', async () => {
  const redis = await serve([]);
  const own = await start(`redis://127.0.0.1:${redis.port}`);
  await whole(own, 30);
  for (const { child } of [...own.webs, ...own.workers]) {
    try {
      child.kill('SIGSTOP');
      await sleep(14_000);
    } finally {
      child.kill('SIGCONT');
    }
    expect(await whole(own, 10)).toBeLessThan(10);
    // A result that is only looked up at the end of its time comes late, and a token is not usable then.
    await eventually(
      () => timed(() => push(own)),
      (took) => took < 1000,
      10,
    );
  }
  await own.stop();
  redis.client.disconnect();
}, 120_000);

test('a recurring job that Redis gave out and whose worker never heard of it is done by another soon', async () => {
  const redis = await serve([]);
  let isArmed = false;
  const relay = await Relay.start(redis.port, () => ({
    asked: (chunk) => {
      if (isArmed && chunk.includes(':statistics:active')) relay.delayMs = 60_000;
    },
  }));
  const own = await start(`redis://127.0.0.1:${relay.port}`);
  const done = async (): Promise<number> => {
    const [row] = await own.rows<{ at: Date }>("SELECT done_at AS at FROM task_runs WHERE task = 'aggregate'");
    return row ? row.at.getTime() : 0;
  };
  await eventually(done, (at) => at > 0, 30);
  // The worker asks for the next job, and from then on nothing comes back.
  await eventually(
    async () => {
      isArmed = true;
      await eventually(
        () => Promise.resolve(relay.delayMs),
        (delay) => delay > 0,
        30,
      );
      await sleep(200);
      const locks = await redis.client.keys('*:statistics:*:lock');
      isArmed = false;
      relay.delayMs = 0;
      relay.cut();
      return locks.length;
    },
    (locks) => locks === 1,
    60,
  );
  const [before, again] = [await done(), performance.now()];
  await eventually(done, (at) => at > before, 60);
  expect(performance.now() - again).toBeLessThan(10_000);
  await own.stop();
  await relay.stop();
  redis.client.disconnect();
}, 120_000);

test.each(['SIGSTOP', 'SIGKILL'] as const)('stopping web and worker while Redis is gone (%s) takes no grace', async (signal) => {
  const redis = await serve([]);
  const own = await start(`redis://127.0.0.1:${redis.port}`, { environment: { SHUTDOWN_GRACE_SECONDS: '25' } });
  await whole(own, 30);
  try {
    redis.signal(signal);
    await eventually(
      () => push(own),
      ({ status }) => status === 503,
    );
    for (const process of [...own.webs, ...own.workers]) {
      let code: number | null = null;
      expect(await timed(async () => (code = await process.end()))).toBeLessThan(10_000);
      expect([code, process.output().includes('work unfinished')]).toEqual([0, false]);
    }
  } finally {
    redis.thaw();
  }
  await own.stop();
  redis.client.disconnect();
});

test('a fail-over behind one address: connections that are with the old master are made anew', async () => {
  const old = await serve([]);
  const next = await serve([`replicaof 127.0.0.1 ${old.port}`]);
  await replicates(next);
  const relay = await Relay.start(old.port);
  const own = await start(`redis://127.0.0.1:${relay.port}`);
  await whole(own, 30);
  await next.client.replicaof('NO', 'ONE');
  relay.leadTo(next.port);
  await old.client.replicaof('127.0.0.1', String(next.port));
  expect(await whole(own, 10)).toBeLessThan(10);
  expect((await request(`${own.url}/health/ready`)).status).toBe(200);
  await expectTwoLines(own);
  // Nobody has stayed behind, those who only read neither: they would hear of results late, and of none once that replica is gone.
  await eventually(
    () => old.client.client('LIST', 'TYPE', 'NORMAL') as Promise<string>,
    (list) => list.trim().split('\n').length === 1,
    10,
  );
  expectNothingSentTwice();
  await own.stop();
  await relay.stop();
  for (const { client } of [old, next]) client.disconnect();
});

test('a replica behind the address: readiness says so, whatever it answers to PING', async () => {
  const master = await serve([]);
  const replica = await serve([`replicaof 127.0.0.1 ${master.port}`]);
  await replicates(replica);
  const own = await start(`redis://127.0.0.1:${replica.port}`, { workers: 0 });
  expect(await request(`${own.url}/health/ready`)).toMatchObject({ status: 503, json: { redis: { status: 'failed' } } });
  await replica.client.replicaof('NO', 'ONE');
  await eventually(
    () => request(`${own.url}/health/ready`),
    ({ status }) => status === 200,
    10,
  );
  await own.stop();
  for (const { client } of [master, replica]) client.disconnect();
});

test('a Redis that takes nothing more: readiness says so, though it answers to PING', async () => {
  const full = await serve([]);
  const own = await start(`redis://127.0.0.1:${full.port}`, { workers: 0 });
  const ready = (status: number): Promise<unknown> =>
    eventually(
      () => request(`${own.url}/health/ready`),
      (answer) => answer.status === status,
      5,
    );
  await ready(200);
  await full.client.config('SET', 'maxmemory', '1');
  expect(await ready(503)).toMatchObject({ json: { redis: { status: 'failed', reason: expect.stringMatching(/^OOM /) as string } } });
  await full.client.config('SET', 'maxmemory', '0');
  await ready(200);
  await own.stop();
  full.client.disconnect();
});

test('a connection to a replica is none until it is promoted, but for a guest', async () => {
  const master = await serve([]);
  const replica = await serve([`replicaof 127.0.0.1 ${master.port}`]);
  await replicates(replica);
  const url = `redis://127.0.0.1:${replica.port}`;
  const [guest, ...others] = (['guest', 'producer', 'worker'] as const).map((role) => connectRedis(role, url));
  let ready = 0;
  let closed = 0;
  for (const connection of others) connection.on('ready', () => (ready += 1)).on('close', () => (closed += 1));
  const until = (isRight: () => boolean): Promise<boolean> => eventually(() => Promise.resolve(isRight()), Boolean, 10);
  await until(() => guest?.status === 'ready' && closed >= 6);
  expect(ready).toBe(0);
  await replica.client.replicaof('NO', 'ONE');
  await until(() => others.every(({ status }) => status === 'ready'));
  expect(guest?.status).toBe('ready');
  for (const connection of [guest, ...others]) if (connection) await closeRedis(connection);
  for (const { client } of [master, replica]) client.disconnect();
});

/** Freezes the master, waits for the replica's promotion, and expects everything to work within ten seconds of that. */
async function expectTakenOver(own: System, master: Server, replica: Server): Promise<void> {
  await whole(own, 30);
  try {
    master.freeze();
    await eventually(
      () => replica.client.role(),
      ([role]) => role === 'master',
      60,
    );
    const seconds = await whole(own, 20);
    if (seconds >= 10) throw new Error(`whole after ${seconds} s: ${own.workers[0]?.output()} ${own.webs[0]?.output()}`);
    await eventually(
      () => request(`${own.url}/health/ready`),
      ({ status }) => status === 200,
      10,
    );
    // Listeners too: a result that is only looked up at the end of its time comes late.
    await eventually(
      () => timed(() => push(own)),
      (took) => took < 1000,
      10,
    );
  } finally {
    master.thaw();
  }
  expectNothingSentTwice();
}

test('Sentinels promote another, since the master hangs', async () => {
  const master = await serve([]);
  const replica = await serve([`replicaof 127.0.0.1 ${master.port}`]);
  await replicates(replica);
  const sentinel = await serve(
    [
      `sentinel monitor accounts 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds accounts 2000',
      'sentinel failover-timeout accounts 10000',
    ],
    ['--sentinel'],
  );
  await eventually(
    async () => (await sentinel.client.call('SENTINEL', 'replicas', 'accounts')) as unknown[],
    (replicas) => replicas.length === 1,
    30,
  );
  const own = await start(`redis+sentinel://127.0.0.1:${sentinel.port}/accounts`);
  await expectTakenOver(own, master, replica);
  await own.stop();
  for (const { client } of [master, replica, sentinel]) client.disconnect();
}, 120_000);

test('a Cluster promotes another, since a master hangs', async () => {
  const lines = ['cluster-enabled yes', 'cluster-node-timeout 2000', 'cluster-replica-validity-factor 0'];
  const masters = [await serve(lines), await serve(lines), await serve(lines)] as const;
  const replica = await serve(lines);
  const [first] = masters;
  for (const [index, { client }] of masters.entries()) {
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    await client.call('CLUSTER', 'ADDSLOTSRANGE', Math.ceil((16384 / 3) * index), Math.ceil((16384 / 3) * (index + 1)) - 1);
  }
  const nodes = [...masters, replica];
  const joined = async (): Promise<boolean> => {
    const seen = await Promise.all(nodes.map(async ({ client }) => String(await client.call('CLUSTER', 'NODES'))));
    // Known to all, and linked with all: who is still shaking hands may be forgotten again.
    const areLinked = seen.every((text) => text.match(/ connected/g)?.length === nodes.length && !text.includes('handshake'));
    return areLinked && String(await first.client.call('CLUSTER', 'INFO')).includes('cluster_state:ok');
  };
  // A node that is not met within the node timeout, on a busy machine, is forgotten: it is invited again.
  for (let tries = 1, isWhole = false; !isWhole; tries += 1) {
    for (const { port } of [...masters.slice(1), replica]) await first.client.call('CLUSTER', 'MEET', '127.0.0.1', port);
    isWhole = await eventually(joined, Boolean, 20).catch((error: unknown) => {
      if (tries === 3) throw error;
      return false;
    });
  }
  const own = await start(nodes.map(({ port }) => `redis://127.0.0.1:${port}`).join(','));
  // Of the three, the one that has the pushes.
  const slot = Number(await first.client.call('CLUSTER', 'KEYSLOT', `{${own.environment['QUEUE_PREFIX']}:push}`));
  const master = masters[Math.floor((slot / 16384) * 3)] ?? first;
  await replica.client.call('CLUSTER', 'REPLICATE', String(await master.client.call('CLUSTER', 'MYID')));
  await replicates(replica);
  await expectTakenOver(own, master, replica);
  await own.stop();
  for (const { client } of nodes) client.disconnect();
}, 150_000);
