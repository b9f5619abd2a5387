// The months of raw statistics: made far ahead, and never at the expense of an event that is reported.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadStatisticsJobs, type StatisticsJobs } from './helpers/statistics';
import { SPACE, startSystem, type Account, type System } from './helpers/system';

let system: System;
let jobs: StatisticsJobs;
let reporter: Account;
let serial = 0;
const NOW = new Date();
const monthAfter = (months: number): string => {
  const moment = new Date(Date.UTC(NOW.getUTCFullYear(), NOW.getUTCMonth() + months, 1));
  return moment.toISOString().slice(0, 7).replace('-', '_');
};

beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0 });
  jobs = await loadStatisticsJobs(system);
  reporter = await system.account('flexisip', { admin: true });
});
afterAll(async () => {
  await jobs.close();
  await system.stop();
});

const exists = async (name: string): Promise<boolean> =>
  (await system.rows<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [name]))[0]?.there === true;
/** Does something while somebody reads all for long, as pg_dump does. */
async function besideReader<T>(work: () => Promise<T>): Promise<T> {
  const client = await system.db.connect();
  try {
    await client.query(
      `BEGIN; LOCK TABLE statistics_messages, statistics_message_devices, statistics_calls, statistics_call_devices IN ACCESS SHARE MODE`,
    );
    return await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}
/** Reports a message, its device, a call and its end. @returns how long the slowest of them took, and the statuses */
async function report(sentAt = new Date().toISOString()): Promise<[number, string]> {
  const id = `p-${(serial += 1)}`;
  const statuses: number[] = [];
  let slowest = 0;
  const send = async (method: string, route: string, body: object): Promise<void> => {
    const begun = Date.now();
    statuses.push((await system.api(`/statistics${route}`, { method, key: reporter.key, body })).status);
    slowest = Math.max(slowest, Date.now() - begun);
  };
  await send('POST', '/messages', { id, from: `a@${SPACE}`, sent_at: sentAt, encrypted: false });
  await send('PATCH', `/messages/${id}/to/b@${SPACE}/devices/d`, { last_status: 200, received_at: sentAt });
  await send('POST', '/calls', { id, from: `a@${SPACE}`, to: 'b@x.org', initiated_at: sentAt, ended_at: null });
  await send('PATCH', `/calls/${id}`, { ended_at: sentAt });
  return [slowest, statuses.join(' ')];
}
/** Reports again and again while something goes on. @returns the slowest, and all statuses there were */
async function reportsWhile(work: Promise<unknown>): Promise<[number, string[]]> {
  let isOver = false;
  void work.then(() => (isOver = true));
  let slowest = 0;
  const statuses = new Set<string>();
  while (!isOver) {
    const [ms, status] = await report();
    slowest = Math.max(slowest, ms);
    statuses.add(status);
  }
  return [slowest, [...statuses]];
}
const ALL_WELL = '200 201 200 200';
/** One that is held up by a lock for a moment is no slower; behind the reader it would take as long as that lives. */
const SLOWEST_MS = 2500;

test('a year of months is there from the start', async () => {
  for (const months of [-1, 0, 1, 6, 12])
    expect([months, await exists(`statistics_call_devices_${monthAfter(months)}`)]).toEqual([months, true]);
  expect(await exists(`statistics_messages_${monthAfter(13)}`)).toBe(false);
});

test('behind somebody who reads for long months are left for later, and no event is late; once they are through they are made', async () => {
  const later = new Date(Date.UTC(NOW.getUTCFullYear(), NOW.getUTCMonth() + 1, 5));
  const names = ['messages', 'message_devices', 'calls', 'call_devices'].map((name) => `statistics_${name}_${monthAfter(13)}`);
  await besideReader(async () => {
    const making = jobs.ensurePartitions(later);
    const [slowest, statuses] = await reportsWhile(making);
    expect([await making, statuses]).toEqual([{ made: [], left: names }, [ALL_WELL]]);
    expect(slowest).toBeLessThan(SLOWEST_MS);
  });
  expect((await jobs.ensurePartitions(later)).made).toEqual(names);
});

test('events are not late while old months are dropped, behind a reader or not', async () => {
  await jobs.ensurePartitions(new Date('2021-06-10'));
  await report('2021-06-01T10:00:00Z');
  await besideReader(async () => {
    const dropping = jobs.dropPartitions(12, new Date('2023-06-10'));
    const [slowest, statuses] = await reportsWhile(dropping);
    expect([await dropping, statuses]).toEqual([[], [ALL_WELL]]);
    expect(slowest).toBeLessThan(SLOWEST_MS);
  });
  expect(await jobs.dropPartitions(12, new Date('2023-06-10'))).toContain('statistics_messages_2021_06');
});

/** What an import has left in the default partition. */
const bring = (month: string, count: number, text = ''): Promise<unknown> =>
  system.rows(
    `INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, encrypted, conference_id)
     SELECT $1 || '-' || n, 'a', $2, ($1 || '-01')::timestamptz + n * interval '1 second', false, $4 FROM generate_series(1, $3) AS n`,
    [month, SPACE, count, text],
  );
const placesOf = async (month: string): Promise<unknown> =>
  system.rows('SELECT tableoid::regclass::text AS place, count(*)::int AS n FROM statistics_messages WHERE id LIKE $1 GROUP BY 1', [
    `${month}-%`,
  ]);

test('imported history gets its months, a few strays do not', async () => {
  await bring('2024-03', 1500);
  await bring('2024-05', 20);
  const { made, left } = await jobs.ensurePartitions();
  expect([made.filter((name) => name.includes('2024')), left]).toEqual([
    ['messages', 'message_devices', 'calls', 'call_devices'].map((name) => `statistics_${name}_2024_03`),
    [],
  ]);
  expect(await placesOf('2024-03')).toEqual([{ place: 'statistics_messages_2024_03', n: 1500 }]);
  expect(await placesOf('2024-05')).toEqual([{ place: 'statistics_messages_default', n: 20 }]);
});

test('a default partition that is large is not read through under a lock; an operator makes its months', async () => {
  await bring('2024-07', 60_000, 'x'.repeat(250));
  const later = new Date(Date.UTC(NOW.getUTCFullYear(), NOW.getUTCMonth() + 2, 5));
  const { made, left } = await jobs.ensurePartitions(later);
  expect([made.includes(`statistics_calls_${monthAfter(14)}`), left]).toEqual([true, [`statistics_messages_${monthAfter(14)}`]]);
  expect(await placesOf('2024-07')).toEqual([{ place: 'statistics_messages_default', n: 60_000 }]);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(__dirname, '..', 'bin', 'flexiapi'), 'statistics:make-months', '2024-04'],
    {
      env: { ...process.env, ...system.environment },
    },
  );
  expect(stdout).toMatch(/^Made: \d+\.$/m);
  expect(await placesOf('2024-07')).toEqual([{ place: 'statistics_messages_2024_07', n: 60_000 }]);
  expect(await placesOf('2024-05')).toEqual([{ place: 'statistics_messages_2024_05', n: 20 }]);
  // What was deleted of the default partition no longer counts: the next month is made without anybody's help.
  expect((await jobs.ensurePartitions(later)).left).toEqual([]);
});

test('what is reported while a month is made is moved to it as well', async () => {
  const later = (months: number): Date => new Date(Date.UTC(NOW.getUTCFullYear(), NOW.getUTCMonth() + months, 5));
  await jobs.ensurePartitions(later(3));
  const month = monthAfter(16).replace('_', '-');
  const client = await system.db.connect();
  await client.query('BEGIN');
  await client.query(
    `INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, encrypted) VALUES ($1 || '-1', 'a', $2, ($1 || '-02')::timestamptz, false)`,
    [month, SPACE],
  );
  const making = jobs.ensurePartitions(later(4));
  // Not yet there when the default partition was read first; there once nobody else may write to it.
  for (let isAwaited = false; !isAwaited;)
    isAwaited =
      (await system.rows("SELECT 1 FROM pg_locks WHERE relation = 'statistics_messages_default'::regclass AND NOT granted")).length > 0;
  await client.query('COMMIT');
  client.release();
  expect(await making).toEqual({ made: expect.arrayContaining([`statistics_messages_${monthAfter(16)}`]) as string[], left: [] });
  expect(await placesOf(month)).toEqual([{ place: `statistics_messages_${monthAfter(16)}`, n: 1 }]);
});
