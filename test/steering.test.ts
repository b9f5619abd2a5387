// Putting failed jobs back, pausing and cleaning, by the API and at the command line.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { send } from './helpers/raw';
import { Steering, type Json } from './helpers/steering';

let on: Steering;
beforeAll(async () => {
  on = await Steering.start();
});
afterAll(() => on.stop());

describe('putting failed jobs back', () => {
  const SENT_NOWHERE = ['failed: ECONNREFUSED', 'refused: 400', 'not_configured: no key', 'unregistered', 'expired: late', 'no_device'];
  const MAYBE = ['unknown: timeout', 'job stalled more than allowable limit', 'read ECONNRESET', 'failedly: x'];

  test('of a queue that sends, those alone that are not too late and that certainly have not arrived; by the API as by the command line', async () => {
    for (const by of ['api', 'cli'] as const) {
      await on.empty('push');
      const certain = await on.fail(
        'push',
        SENT_NOWHERE.map((text) => ({ text, deadline: 60_000 })),
      );
      await on.fail(
        'push',
        MAYBE.map((text) => ({ text, deadline: 60_000 })),
      );
      await on.fail('push', [
        { text: 'failed: too late', deadline: -1 },
        { text: 'unknown: too late', deadline: -1 },
        { text: 'failed: a token', deadline: 60_000, payload: { kind: 'creation_token', asker_confirms: true } },
      ]);
      const wanted = {
        queue: 'push',
        matched: 13,
        retried: 6,
        refused: { deadline_over: 2, may_have_arrived: 4, nobody_waits: 1, not_failed: 0 },
        complete: true,
      };
      const before = (await on.actions()).length;
      const dry =
        by === 'api'
          ? (await on.post('/queues/push/retry-failed', { dry_run: true })).json
          : JSON.parse((await on.flexiapi(['--json', 'queues:retry-failed', 'push', '--dry-run'])).stdout);
      expect(dry).toEqual({ ...wanted, dry_run: true });
      expect([await on.queue('push').getWaitingCount(), (await on.actions()).length]).toEqual([0, before]);
      const done =
        by === 'api'
          ? (await on.post('/queues/push/retry-failed')).json
          : JSON.parse((await on.flexiapi(['--json', 'queues:retry-failed', 'push'])).stdout);
      expect(done).toEqual({ ...wanted, dry_run: false });
      const waiting = (await on.queue('push').getWaiting()).map(({ id }) => String(id));
      expect(waiting.toSorted()).toEqual(certain.toSorted());
      expect((await on.workOff('push', () => 1)).toSorted()).toEqual(SENT_NOWHERE.toSorted());
    }
  });

  test('all of a queue whose work may be done twice', async () => {
    await on.empty('statistics');
    await on.fail('statistics', [{ text: 'deadlock detected' }, { text: 'unknown: x', deadline: -1 }]);
    expect((await on.post('/queues/statistics/retry-failed', { reason: 'DEADLOCK' })).json).toMatchObject({ matched: 1, retried: 1 });
    expect((await on.post('/queues/statistics/retry-failed')).json).toMatchObject({ matched: 1, retried: 1 });
    await on.empty('statistics');
  });

  test('by reason and since when', async () => {
    await on.empty('push');
    await on.fail('push', [{ text: 'refused: 400', deadline: 60_000 }]);
    await sleep(20);
    const since = new Date();
    await sleep(20);
    await on.fail('push', [
      { text: 'refused: 403', deadline: 60_000 },
      { text: 'failed: x', deadline: 60_000 },
    ]);
    const dry = async (body: object): Promise<unknown> =>
      (await on.post('/queues/push/retry-failed', { dry_run: true, ...body })).json['matched'];
    expect([
      await dry({}),
      await dry({ reason: 'refused' }),
      await dry({ reason: 'failed' }),
      await dry({ since }),
      await dry({ since, reason: 'refused' }),
      await dry({ reason: '40' }),
      await dry({ reason: 'timeout' }),
    ]).toEqual([3, 2, 1, 2, 1, 2, 0]);
    expect(
      JSON.parse((await on.flexiapi(['--json', 'queues:retry-failed', 'push', '--dry-run', '--since', since.toISOString()])).stdout),
    ).toMatchObject({ matched: 2 });
    expect(JSON.parse((await on.flexiapi(['--json', 'queues:retry-failed', 'push', '--dry-run', '--since', '1h'])).stdout)).toMatchObject({
      matched: 3,
    });
  });

  test('where none may be the command says how many and why, and exits with 1', async () => {
    await on.empty('push');
    await on.fail('push', [
      { text: 'failed: x', deadline: -1 },
      { text: 'unknown', deadline: 60_000 },
    ]);
    const { code, stdout, stderr } = await on.flexiapi(['queues:retry-failed', 'push']);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('0 of 2 failed jobs put back; left: 1 too late, their deadline is over; 1 may have arrived');
    const json = await on.flexiapi(['--json', 'queues:retry-failed', 'push']);
    expect([json.code, JSON.parse(json.stdout)]).toEqual([1, expect.objectContaining({ matched: 2, retried: 0 })]);
    await on.empty('push');
    expect((await on.flexiapi(['queues:retry-failed', 'push'])).code).toBe(0);
  });

  test('by several at once: each job once, the others are counted', async () => {
    await on.empty('sms');
    const ids = await on.fail(
      'sms',
      Array.from({ length: 400 }, (_, n) => ({ text: `failed: ${n}`, payload: { kind: 'account_creation' } })),
    );
    const answers = await Promise.all(Array.from({ length: 5 }, () => on.post('/queues/sms/retry-failed')));
    const reports = answers.map(({ json }) => json as { matched: number; retried: number; refused: { not_failed: number } });
    expect(reports.reduce((sum, { retried }) => sum + retried, 0)).toBe(400);
    for (const { matched, retried, refused } of reports) expect(retried + refused.not_failed).toBe(matched);
    expect((await on.queue('sms').getWaiting()).map(({ id }) => String(id)).toSorted()).toEqual(ids.toSorted());
    await on.empty('sms');
  });

  test('a job that was judged, put back by another and then perhaps sent, is not put back', async () => {
    await on.empty('sms');
    const [id = ''] = await on.fail('sms', [{ text: 'failed: x', payload: { kind: 'account_creation' } }]);
    // Between the look at it and the script of a second operator: the job has failed once more.
    const judged = await on.queue('sms').getJob(id);
    expect((await on.post('/queues/sms/retry-failed')).json).toMatchObject({ retried: 1 });
    await on.workOff('sms', () => {
      throw new Error('unknown: timeout');
    });
    expect((await on.queue('sms').getJob(id))?.finishedOn).not.toBe(judged?.finishedOn);
    expect((await on.post('/queues/sms/retry-failed')).json).toMatchObject({ retried: 0, refused: { may_have_arrived: 1 } });
    await on.empty('sms');
  });

  test('on the dashboard what may have arrived is refused as well', async () => {
    await on.empty('push');
    const [sure = '', unsure = ''] = await on.fail('push', [
      { text: 'failed: x', deadline: 60_000 },
      { text: 'unknown: timeout', deadline: 60_000 },
    ]);
    const put = async (url: string): Promise<[number, Json]> => {
      const { status, text } = await send(`${on.system.url}/queues/api/queues/push${url}`, {
        method: 'PUT',
        headers: { 'x-api-key': on.superAdmin.key },
      });
      return [status, text === '' ? {} : (JSON.parse(text) as Json)];
    };
    expect((await put(`/${unsure}/retry`))[0]).toBe(403);
    expect(await on.lastAction()).toMatchObject({ source: 'board', queue: 'push', job: unsure, outcome: 'refused', status: 403 });
    expect(await put('/retry/failed')).toEqual([200, { retried: 1, skipped: 1 }]);
    expect((await on.queue('push').getWaiting()).map(({ id }) => String(id))).toEqual([sure]);
    expect(await on.lastAction()).toMatchObject({ outcome: 'done', affected: 1, filter: { state: 'failed' } });
    await on.empty('push');
  });
});

describe('pausing and cleaning', () => {
  test('a paused queue gives workers nothing until it is resumed', async () => {
    await on.empty('api-keys');
    expect((await on.post('/queues/api-keys/pause')).json).toEqual({ queue: 'api-keys', paused: true });
    await on.queue('api-keys').add('x', { payload: {} });
    expect(await on.queue('api-keys').isPaused()).toBe(true);
    const { stdout } = await on.flexiapi(['--json', 'queues:resume', 'api-keys']);
    expect(JSON.parse(stdout)).toEqual({ queue: 'api-keys', paused: false });
    expect(await on.workOff('api-keys', () => 1)).toEqual(['x']);
    expect((await on.flexiapi(['queues:pause', 'api-keys'])).stdout).toBe('api-keys is paused.\n');
    expect((await on.post('/queues/api-keys/resume')).status).toBe(200);
    await on.empty('api-keys');
  });

  test('what is done is removed by age; the newest stays, since a request may look it up', async () => {
    await on.empty('sms');
    const ids = await on.fail(
      'sms',
      Array.from({ length: 250 }, (_, n) => ({ text: `failed: ${n}` })),
    );
    expect((await on.post('/queues/sms/clean', { state: 'failed' })).json).toMatchObject({ removed: 0, complete: true });
    // As if they had ended a minute ago.
    const client = new Redis(on.system.environment['REDIS_URL'] ?? '');
    const old = ids.slice(0, 220);
    for (const id of old) await client.zadd(on.queue('sms').toKey('failed'), Date.now() - 60_000, id);
    client.disconnect();
    expect((await on.post('/queues/sms/clean', { state: 'failed', older_than_seconds: 3600 })).json).toMatchObject({ removed: 0 });
    expect((await on.post('/queues/sms/clean', { state: 'failed' })).json).toEqual({
      queue: 'sms',
      state: 'failed',
      removed: 220,
      complete: true,
    });
    expect(await on.lastAction()).toMatchObject({ action: 'clean', affected: 220, filter: { state: 'failed', older_than_seconds: 0 } });
    expect(await on.queue('sms').getFailedCount()).toBe(30);
    expect((await on.flexiapi(['queues:clean', 'sms', '--state', 'failed', '--older-than', '1h'])).stdout).toBe('0 jobs removed.\n');
    await on.empty('sms');
  });
});
