// Raw statistics by month: dropped after STATISTICS_RETENTION_MONTHS, what they were counted to kept.
import { openQueue } from './helpers/jobs';
import { loadStatisticsJobs, noMarks, type StatisticsJobs } from './helpers/statistics';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

type Row = Record<string, unknown>;

describe('retention', () => {
  let system: System;
  let reporter: Account;
  let jobs: StatisticsJobs;
  const NOW = new Date('2027-06-10T00:00:00Z');
  beforeAll(async () => {
    system = await startSystem({ webs: 1, workers: 0 });
    reporter = await system.account('flexisip', { admin: true });
    jobs = await loadStatisticsJobs(system);
  });
  afterAll(async () => {
    await jobs.close();
    await system.stop();
  });

  const report = async (id: string, sentAt: string): Promise<void> => {
    const send = (method: string, route: string, body: object): Promise<unknown> =>
      system.api(`/statistics${route}`, { method, key: reporter.key, body });
    await send('POST', '/messages', { id, from: `a@${SPACE}`, sent_at: sentAt, encrypted: false });
    await send('PATCH', `/messages/${id}/to/b@${SPACE}/devices/d`, { last_status: 200, received_at: sentAt });
    await send('POST', '/calls', { id, from: `a@${SPACE}`, to: 'b@x.org', initiated_at: sentAt, ended_at: sentAt });
  };
  const idsOf = async (table: string): Promise<unknown[]> =>
    (await system.rows(`SELECT id FROM statistics_${table} ORDER BY id`)).map(({ id }) => id);

  test('the queue of chores does it where STATISTICS_RETENTION_MONTHS says so', async () => {
    await jobs.ensurePartitions(new Date('2020-06-10'));
    await report('ancient', '2020-06-01T10:00:00Z');
    const run = async (): Promise<void> => {
      const queue = openQueue(system, 'chores');
      await queue.add('partitions', { payload: { task: 'partitions' } });
      await queue.close();
    };
    const keeping = await system.startWorker();
    await run();
    await noMarks(system);
    await keeping.end();
    expect(await idsOf('messages')).toContain('ancient');
    const dropping = await system.startWorker({ STATISTICS_RETENTION_MONTHS: '12' });
    await run();
    await eventually(
      () => idsOf('messages'),
      (ids) => !ids.includes('ancient'),
    );
    expect(
      await system.rows("SELECT messages FROM statistics_message_rollups WHERE domain = '' AND hour = '2020-06-01T10:00:00Z'"),
    ).toEqual([{ messages: 1 }]);
    // While it counts, nobody else drops.
    await dropping.end();
  });

  test('old months are dropped with their keys, once they are counted; what was counted stays, whatever comes late', async () => {
    for (const month of ['2027-03-10', '2027-06-10']) await jobs.ensurePartitions(new Date(month));
    await report('old', '2027-02-10T10:00:00Z');
    await report('last-kept', '2027-03-01T00:00:00Z');
    await report('now', '2027-06-01T10:00:00Z');
    const totals = (): Promise<Row[]> =>
      system.rows(
        "SELECT hour, messages, delivered FROM statistics_message_rollups WHERE domain = '' AND hour > '2027-01-01' ORDER BY hour",
      );

    // Somebody who reads for long is waited for at most a moment; nothing is half dropped.
    const reader = await system.db.connect();
    await reader.query('BEGIN; SELECT 1 FROM statistics_messages LIMIT 1');
    expect(await jobs.dropPartitions(3, NOW)).toEqual([]);
    await reader.query('COMMIT');
    reader.release();
    expect(await idsOf('messages')).toEqual(['last-kept', 'now', 'old']);

    const dropped = await Promise.all([1, 2].map(() => jobs.dropPartitions(3, NOW)));
    // Each once, though two were at it; older months went, too; no later one.
    expect(new Set(dropped.flat()).size).toBe(dropped.flat().length);
    expect(dropped.flat().some((name) => name.endsWith('2027_03'))).toBe(false);
    expect(
      dropped
        .flat()
        .filter((name) => name.endsWith('2027_02'))
        .toSorted(),
    ).toEqual([
      'statistics_call_devices_2027_02',
      'statistics_calls_2027_02',
      'statistics_message_devices_2027_02',
      'statistics_messages_2027_02',
    ]);
    for (const table of ['messages', 'calls', 'message_keys', 'call_keys'])
      expect([table, await idsOf(table)]).toEqual([table, ['last-kept', 'now']]);
    const figures = await totals();
    expect(figures).toHaveLength(3);
    expect(figures[0]).toMatchObject({ messages: 1, delivered: 1 });

    // Late for a month that is gone: accepted, forgotten again, and no figure of that month changes.
    await report('late', '2027-02-10T10:30:00Z');
    await jobs.aggregate();
    expect(await totals()).toEqual(figures);
    await jobs.dropPartitions(3, NOW);
    expect(await idsOf('messages')).toEqual(['last-kept', 'now']);
    expect(await idsOf('message_keys')).toEqual(['last-kept', 'now']);
    expect(await totals()).toEqual(figures);
  });
});
