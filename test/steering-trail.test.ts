// What is done to queues leaves a row: by the API, at the command line and from the dashboard.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { runTask } from './helpers/jobs';
import { namedKey } from './helpers/named-keys';
import { send } from './helpers/raw';
import { killServers, serve } from './helpers/redis';
import { Relay } from './helpers/relay';
import { linesOf, Steering, type Json } from './helpers/steering';
import { eventually, SPACE, startSystem } from './helpers/system';

let on: Steering;
beforeAll(async () => {
  on = await Steering.start();
});
afterAll(async () => {
  killServers();
  await on.stop();
});

describe('the trail', () => {
  test('who, from where, what and what came of it: by the API, at the command line and from the dashboard, in one list', async () => {
    const key = await namedKey(on.system, on.superAdmin.id, ['queues:write']);
    const [named] = await on.system.rows<{ id: number; name: string }>('SELECT id, name FROM named_api_keys ORDER BY id DESC LIMIT 1');
    const id = randomUUID();
    const by = await send(`${on.system.url}/api/queues/chores/pause`, {
      method: 'POST',
      body: '{}',
      headers: { 'x-api-key': key, 'content-type': 'application/json', 'x-request-id': id },
    });
    expect(by.status).toBe(200);
    const row = {
      source: 'api',
      account_id: on.superAdmin.id,
      account: `steering-super@${SPACE}`,
      key_id: named?.id,
      key_name: named?.name,
      ip: '127.0.0.1',
    };
    expect(await on.lastAction()).toMatchObject({
      ...row,
      action: 'pause',
      queue: 'chores',
      outcome: 'done',
      request_id: id,
      status: 200,
      ended_at: expect.anything() as unknown,
    });
    const lines = linesOf(on.system.webs[0]?.output() ?? '').filter(({ request_id }) => request_id === id);
    expect(lines).toEqual([
      expect.objectContaining({ source: 'api', account_id: on.superAdmin.id, action: 'pause', queue: 'chores', outcome: 'done' }),
    ]);

    const cli = await on.flexiapi(['queues:resume', 'chores']);
    expect(await on.lastAction()).toMatchObject({
      source: 'cli',
      account_id: null,
      ip: null,
      action: 'resume',
      queue: 'chores',
      outcome: 'done',
    });
    expect(linesOf(cli.stderr)).toEqual([expect.objectContaining({ source: 'cli', action: 'resume', outcome: 'done' })]);
    expect(String((await on.lastAction())['account'])).toContain('@');

    await send(`${on.system.url}/queues/api/queues/chores/pause`, { method: 'PUT', headers: { 'x-api-key': on.superAdmin.key } });
    await send(`${on.system.url}/queues/api/queues/chores/resume`, { method: 'PUT', headers: { 'x-api-key': on.superAdmin.key } });
    expect(await on.lastAction()).toMatchObject({
      source: 'board',
      action: 'PUT /api/queues/:queueName/resume',
      queue: 'chores',
      outcome: 'done',
      status: 200,
    });

    const { json } = await on.get('/queue_actions?limit=2');
    const [newest, second] = json['data'] as Json[];
    expect([newest?.['action'], second?.['action']]).toEqual(['PUT /api/queues/:queueName/resume', 'PUT /api/queues/:queueName/pause']);
    const next = await on.get(`/queue_actions?limit=2&cursor=${String(json['next_cursor'])}`);
    expect((next.json['data'] as Json[]).map(({ source }) => source)).toEqual(['cli', 'api']);
    expect(((await on.get('/queue_actions?queue=messages')).json['data'] as Json[]).length).toBe(0);
    expect(
      (JSON.parse((await on.flexiapi(['--json', 'queues:actions', '--limit', '2'])).stdout) as Json[]).map(({ id: one }) => one),
    ).toEqual([newest?.['id'], second?.['id']]);
    expect((await on.flexiapi(['queues:actions'])).stdout).toContain('steering-super');
  });

  test('what was refused as well: no such queue, a key that only reads, the same on the dashboard', async () => {
    expect((await on.post('/queues/nowhere/pause')).status).toBe(404);
    expect(await on.lastAction()).toMatchObject({ queue: 'nowhere', outcome: 'refused', status: 404 });
    const reader = await namedKey(on.system, on.superAdmin.id, ['queues:read']);
    const before = (await on.actions()).length;
    for (const url of ['/queues/push/pause', '/queues/push/resume', '/queues/push/clean', '/queues/push/retry-failed']) {
      expect((await on.post(url, {}, reader)).status).toBe(403);
      expect(await on.lastAction()).toMatchObject({
        source: 'api',
        queue: 'push',
        action: url.split('/').at(-1),
        outcome: 'refused',
        status: 403,
      });
    }
    await send(`${on.system.url}/queues/api/queues/push/pause`, { method: 'PUT', headers: { 'x-api-key': reader } });
    expect(await on.lastAction()).toMatchObject({ source: 'board', queue: 'push', outcome: 'refused', status: 403 });
    await send(`${on.system.url}/queues/api/queues/push/add`, {
      method: 'POST',
      headers: { 'x-api-key': on.superAdmin.key, 'content-type': 'application/json' },
      body: '{"name":"x","data":{},"options":{}}',
    });
    expect(await on.lastAction()).toMatchObject({
      action: 'POST /api/queues/:queueName/add',
      outcome: 'refused',
      status: 403,
      reason: '403 queue.sends',
    });
    expect((await on.actions()).length).toBe(before + 6);
    // Who is no super admin fills no table.
    const user = await on.system.account('steering-user');
    expect((await on.post('/queues/push/pause', {}, user.key)).status).toBe(403);
    expect((await on.get('/queue_actions', user.key)).status).toBe(403);
    expect((await on.actions()).length).toBe(before + 6);
  });

  test('where it cannot be written nothing is done: by none of the three', async () => {
    await on.system.rows('ALTER TABLE queue_actions RENAME TO queue_actions_away');
    try {
      // A table that is gone is a fault of the server, which no endpoint declares: so it is asked without a look at the declaration.
      const api = await fetch(`${on.system.url}/api/queues/chores/pause`, {
        method: 'POST',
        headers: { 'x-api-key': on.superAdmin.key, 'content-type': 'application/json' },
        body: '{}',
      });
      expect(api.status).toBeGreaterThanOrEqual(500);
      const board = await send(`${on.system.url}/queues/api/queues/chores/pause`, {
        method: 'PUT',
        headers: { 'x-api-key': on.superAdmin.key },
      });
      expect(board.status).toBeGreaterThanOrEqual(500);
      expect((await on.flexiapi(['queues:pause', 'chores'])).code).toBe(1);
      const away = await on.flexiapi(['queues:pause', 'chores'], { ...on.system.environment, DATABASE_URL: 'postgres://127.0.0.1:1/x' });
      expect([away.code, away.stderr.trim().split('\n').length]).toEqual([1, 1]);
      expect(await on.queue('chores').isPaused()).toBe(false);
    } finally {
      await on.system.rows('ALTER TABLE queue_actions_away RENAME TO queue_actions');
    }
  });

  test('a command that Redis does not answer says so in its log as well', async () => {
    const { code, stderr } = await on.flexiapi(['queues:pause', 'chores'], { ...on.system.environment, REDIS_URL: 'redis://127.0.0.1:1' });
    expect(code).toBe(1);
    expect(linesOf(stderr)).toEqual([expect.objectContaining({ level: 40, source: 'cli', action: 'pause', outcome: 'failed' })]);
    expect(await on.lastAction()).toMatchObject({ source: 'cli', action: 'pause', queue: 'chores', outcome: 'failed' });
  });

  test('a process that is killed in between leaves the row of what it began', async () => {
    // The database takes the row, and Redis never answers.
    const redis = await serve([]);
    const relay = await Relay.start(redis.port, () => ({
      asked: (chunk) => {
        if (/pause/i.test(chunk.toString('latin1'))) redis.freeze();
      },
    }));
    const before = (await on.actions()).length;
    const child = on.command(['queues:pause', 'chores'], { REDIS_URL: `redis://127.0.0.1:${relay.port}` });
    try {
      await eventually(
        () => on.actions(),
        (rows) => rows.length === before + 1,
      );
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await on.lastAction()).toMatchObject({ action: 'pause', outcome: 'begun', ended_at: null });
    } finally {
      child.kill('SIGKILL');
      redis.thaw();
      await relay.stop();
    }
  });

  test('a Redis that is silent from the start, or falls silent in the middle: 503, soon, and the row says that nobody knows', async () => {
    const redis = await serve([]);
    let isLast = false;
    const relay = await Relay.start(redis.port, () => ({
      asked: (chunk) => {
        if (isLast && /pause/i.test(chunk.toString('latin1'))) redis.freeze();
      },
    }));
    const own = await startSystem({ workers: 0, environment: { REDIS_URL: `redis://127.0.0.1:${relay.port}` } });
    try {
      const { key } = await own.account('silent-steering', { admin: true });
      const rows = (): Promise<Json[]> => own.rows('SELECT outcome, action FROM queue_actions ORDER BY id');
      expect((await own.api('/queues/push/pause', { method: 'POST', key, body: {} })).status).toBe(200);
      isLast = true;
      let began = performance.now();
      expect((await own.api('/queues/push/pause', { method: 'POST', key, body: {} })).status).toBe(503);
      expect(performance.now() - began).toBeLessThan(5000);
      expect(await rows()).toEqual([
        { outcome: 'done', action: 'pause' },
        { outcome: 'unknown', action: 'pause' },
      ]);
      began = performance.now();
      for (const url of ['/queues', '/queues/push/jobs']) expect([url, (await own.api(url, { key })).status]).toEqual([url, 503]);
      expect((await own.api('/queues/push/retry-failed', { method: 'POST', key, body: {} })).status).toBe(503);
      expect(performance.now() - began).toBeLessThan(10_000);
      expect((await rows()).at(-1)).toEqual({ outcome: 'failed', action: 'retry-failed' });
    } finally {
      redis.thaw();
      await own.stop();
      await relay.stop();
    }
  });

  test('rows are kept for a year', async () => {
    await on.system.rows(
      "INSERT INTO queue_actions (source, account, action, created_at) VALUES ('cli', 'old', 'pause', now() - interval '366 days'), ('cli', 'kept', 'pause', now() - interval '364 days')",
    );
    const worker = await on.system.startWorker();
    await runTask(on.system, 'chores', 'clean');
    await worker.end();
    const kept = await on.system.rows("SELECT account FROM queue_actions WHERE account IN ('old', 'kept')");
    expect(kept).toEqual([{ account: 'kept' }]);
  });
});
