// Looking at queues and their jobs, by the API and at the command line.
import { once } from 'node:events';
import { Steering, type Json } from './helpers/steering';
import { eventually, type Answer } from './helpers/system';

let on: Steering;
beforeAll(async () => {
  on = await Steering.start();
});
afterAll(() => on.stop());

describe('looking', () => {
  const ids = (answer: Answer): string[] => (answer.json['data'] as { id: string }[]).map(({ id }) => id);

  test('the queues, and which of them are paused', async () => {
    await on.post('/queues/chores/pause');
    const report = (await on.get('/queues')).json as unknown as { queue: string; paused: boolean }[];
    expect(report.map(({ queue }) => queue)).toContain('push');
    expect(report.filter(({ paused }) => paused).map(({ queue }) => queue)).toEqual(['chores']);
    expect((await on.flexiapi(['queues'])).stdout).toContain('chores (paused)');
    expect(JSON.parse((await on.flexiapi(['queues', '--json'])).stdout)).toEqual(report);
    await on.post('/queues/chores/resume');
  });

  test('jobs by state, reason, age and request; nothing of whom they are for', async () => {
    await on.empty('push');
    const [first = '', second = ''] = await on.fail('push', [
      { text: 'refused: 400', deadline: 60_000, request_id: 'request-1' },
      { text: 'unknown: timeout', deadline: -1000 },
    ]);
    const [waiting] = await on
      .queue('push')
      .addBulk([{ name: 'w', data: { payload: { kind: 'notification', prid: 'a-secret-device' }, request_id: 'request-2' } }]);
    const all = await on.get('/queues/push/jobs');
    expect(ids(all)).toHaveLength(3);
    expect(all.text).not.toContain('secret');
    expect(all.json['next_cursor']).toBeNull();
    expect((all.json['data'] as Json[]).find(({ id }) => id === first)).toMatchObject({
      kind: 'notification',
      state: 'failed',
      outcome: 'refused',
      text: 'refused: 400',
      request_id: 'request-1',
      deadline_over: false,
      attempts: 1,
    });
    expect((all.json['data'] as Json[]).find(({ id }) => id === second)).toMatchObject({ outcome: 'unknown', deadline_over: true });
    for (const [query, wanted] of [
      ['?state=failed', [first, second]],
      ['?state=waiting', [waiting?.id]],
      ['?reason=refused', [first]],
      ['?reason=timeout&state=completed', []],
      ['?request_id=request-2', [waiting?.id]],
      ['?older_than=3600', []],
      ['?since=2020-W05', [first, second, waiting?.id]],
      [`?since=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`, []],
    ] as const)
      expect([query, ids(await on.get(`/queues/push/jobs${query}`)).toSorted()]).toEqual([query, wanted.map(String).toSorted()]);
    const shown = JSON.parse((await on.flexiapi(['--json', 'queues:jobs', 'push', '--reason', 'refused'])).stdout) as Json[];
    expect(shown.map(({ id }) => String(id))).toEqual([first]);
    expect((await on.flexiapi(['queues:jobs', 'push', '--request-id', 'request-1'])).stdout).toContain('refused: 400');
    await on.empty('push');
  });

  test('page by page, each job once, in every kind of state', async () => {
    await on.empty('sms');
    await on.fail(
      'sms',
      Array.from({ length: 450 }, (_, n) => ({ text: `failed: ${n}` })),
    );
    await on.queue('sms').addBulk(Array.from({ length: 450 }, (_, n) => ({ name: String(n), data: { payload: {} } })));
    await on
      .queue('sms')
      .addBulk(Array.from({ length: 250 }, (_, n) => ({ name: String(n), data: { payload: {} }, opts: { delay: 1e8 } })));
    const seen: string[] = [];
    let cursor: string | null = '';
    let pages = 0;
    while (cursor !== null) {
      const answer: Answer = await on.get(`/queues/sms/jobs?limit=70${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...ids(answer));
      cursor = answer.json['next_cursor'] as string | null;
      pages += 1;
    }
    expect([seen.length, new Set(seen).size, pages]).toEqual([1150, 1150, 17]);
    expect(JSON.parse((await on.flexiapi(['--json', 'queues:jobs', 'sms', '--limit', '2000'])).stdout)).toHaveLength(1150);
    await on.empty('sms');
  });

  test('what is wrong is named', async () => {
    for (const [url, field] of [
      ['/queues/push/jobs?state=gone', 'state'],
      ['/queues/push/jobs?limit=501', 'limit'],
      ['/queues/push/jobs?older_than=-1', 'older_than'],
      ['/queues/push/jobs?since=yesterday', 'since'],
      ['/queues/push/jobs?cursor=nonsense', 'cursor'],
      ['/queue_actions?cursor=x', 'cursor'],
      ['/queue_actions?queue=nowhere', 'queue'],
    ] as const) {
      const { status, json } = await on.get(url);
      expect([url, status, Object.keys(json['errors'] ?? {})]).toEqual([url, 422, [field]]);
    }
    for (const [url, body, field] of [
      ['/queues/push/retry-failed', { since: 'yesterday' }, 'since'],
      ['/queues/push/retry-failed', { dry_run: 'perhaps' }, 'dry_run'],
      ['/queues/push/clean', {}, 'state'],
      ['/queues/push/clean', { state: 'waiting' }, 'state'],
      ['/queues/push/clean', { state: 'failed', older_than_seconds: 'x' }, 'older_than_seconds'],
    ] as const) {
      const { status, json } = await on.post(url, body);
      expect([url, status, Object.keys(json['errors'] ?? {})]).toEqual([url, 422, [field]]);
    }
    expect((await on.get('/queues/nowhere/jobs')).status).toBe(404);
    for (const wrong of [
      ['queues:jobs', 'nowhere'],
      ['queues:jobs', 'push', '--state', 'gone'],
      ['queues:jobs', 'push', '--since', 'yesterday'],
      ['queues:clean', 'push'],
      ['queues:clean', 'push', '--state', 'waiting'],
      ['queues:pause', 'nowhere'],
    ])
      expect([wrong, (await on.flexiapi(wrong)).code]).toEqual([wrong, 2]);
  });

  test('the command watches, and ends by Ctrl-C', async () => {
    const watching = on.command(['queues', '--watch']);
    let output = '';
    watching.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually(
      () => Promise.resolve(output.split(' push waiting=0 ').length),
      (times) => times >= 3,
    );
    watching.kill('SIGINT');
    const [code] = (await once(watching, 'exit')) as [number];
    expect(code).toBe(0);
  });
});
