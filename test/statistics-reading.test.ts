// Reading statistics: periods out of hourly rollups, as JSON and CSV.
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { BIN_STARTS } from '../src/models/statistics/bins';
import { percentile } from '../src/services/statistics/histogram';
import { periodsOf } from '../src/services/statistics/reading';
import { noMarks } from './helpers/statistics';
import { SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

describe('percentiles', () => {
  const binsOf = (values: number[]): number[] =>
    BIN_STARTS.map((start, bin) => values.filter((value) => value >= start && value < (BIN_STARTS[bin + 1] ?? Infinity)).length);

  test('of nothing are none; of whole seconds up to ten exact', () => {
    expect(percentile(binsOf([]), 0.5)).toBeNull();
    expect([0.5, 0.9, 0.99].map((share) => percentile(binsOf([1, 1, 1, 2, 2, 3, 4, 5, 9, 10]), share))).toEqual([2, 9, 10]);
    expect(percentile(binsOf([0]), 0.99)).toBe(0);
  });

  test('of longer times never off by more than a bin', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 400_000 }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(0.5, 0.9, 0.99),
        (values, share) => {
          const exact = values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * values.length)) - 1] ?? 0;
          const found = percentile(binsOf(values), share) ?? -1;
          expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact * 0.3);
        },
      ),
    );
  });
});

describe('periods', () => {
  const of = (from: string, to: string, by: 'hour' | 'day' | 'week' | 'month' | 'year', timezone = 'UTC'): string[] | null =>
    periodsOf({ from: DateTime.fromISO(from, { zone: timezone }), to: DateTime.fromISO(to, { zone: timezone }), by, timezone })?.map(
      ({ label, from: begins, to: ends }) => `${label} ${begins.toISOString().slice(0, 13)} ${ends.toISOString().slice(0, 13)}`,
    ) ?? null;

  test('in the reader’s zone; daylight saving, weeks and half-hour offsets', () => {
    expect(of('2026-03-28', '2026-03-31', 'day', 'Europe/Paris')).toEqual([
      '2026-03-28 2026-03-27T23 2026-03-28T23',
      '2026-03-29 2026-03-28T23 2026-03-29T22',
      '2026-03-30 2026-03-29T22 2026-03-30T22',
    ]);
    expect(of('2025-12-29', '2026-01-06', 'week')).toEqual([
      '2026-W01 2025-12-29T00 2026-01-05T00',
      '2026-W02 2026-01-05T00 2026-01-06T00',
    ]);
    expect(of('2026-01-15T10:20', '2026-03-01T00:00', 'month')).toEqual([
      '2026-01 2026-01-15T10 2026-02-01T00',
      '2026-02 2026-02-01T00 2026-03-01T00',
    ]);
    // Local midnight is 18:30 UTC: the hour that it cuts stays with the day before.
    expect(of('2026-01-01', '2026-01-03', 'day', 'Asia/Kolkata')).toEqual([
      '2026-01-01 2025-12-31T19 2026-01-01T19',
      '2026-01-02 2026-01-01T19 2026-01-02T19',
    ]);
    // A clock put back: an hour comes twice. From its second coming, and half an hour back.
    expect(of('2026-10-25T01:00', '2026-10-25T04:00', 'hour', 'Europe/Paris')).toEqual([
      '2026-10-25 01:00 2026-10-24T23 2026-10-25T00',
      '2026-10-25 02:00 2026-10-25T00 2026-10-25T01',
      '2026-10-25 02:00 2026-10-25T01 2026-10-25T02',
      '2026-10-25 03:00 2026-10-25T02 2026-10-25T03',
    ]);
    for (const zone of ['Europe/Paris', 'Australia/Lord_Howe', 'America/St_Johns', 'America/Havana', 'Africa/Casablanca'])
      for (const by of ['hour', 'day', 'week', 'month', 'year'] as const)
        for (let hour = 0; hour < 366 * 24; hour += 11) {
          const from = DateTime.utc(2025, 10, 1).plus({ hours: hour });
          const periods = periodsOf({ from, to: from.plus({ hours: 13 }), by, timezone: zone }) ?? [];
          expect([zone, by, from.toISO(), periods.at(-1)?.to]).toEqual([zone, by, from.toISO(), from.plus({ hours: 13 }).toJSDate()]);
        }
  });

  test('whatever is asked: they follow one another without gap, cover it, and are whole hours', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20_000 }),
        fc.integer({ min: 1, max: 900 }),
        fc.constantFrom('hour', 'day', 'week', 'month', 'year'),
        fc.constantFrom('UTC', 'Europe/Paris', 'Asia/Kolkata', 'Asia/Kathmandu', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia'),
        (start, hours, by, timezone) => {
          const from = DateTime.fromISO('2024-01-01T00:00:00Z').plus({ hours: start });
          const to = from.plus({ hours });
          const periods = periodsOf({ from, to, by, timezone }) ?? [];
          expect(periods[0]?.from).toEqual(from.toJSDate());
          expect(periods.at(-1)?.to).toEqual(to.toJSDate());
          periods.forEach(({ from: begins, to: ends }, index) => {
            expect(begins.getTime() % 3_600_000).toBe(0);
            expect(ends.getTime()).toBeGreaterThan(begins.getTime());
            if (index > 0) expect(begins).toEqual(periods[index - 1]?.to);
          });
        },
      ),
    );
  });

  test('too many are none; an empty range is empty; the usual range where nothing is said', () => {
    expect(of('2020-01-01', '2026-01-01', 'hour')).toBeNull();
    expect(of('2026-01-02', '2026-01-01', 'day')).toEqual([]);
    const now = DateTime.utc(2026, 3, 15, 10, 20) as DateTime<true>;
    for (const [by, count] of [
      ['hour', 48],
      ['day', 30],
      ['week', 26],
      ['month', 12],
      ['year', 10],
    ] as const)
      expect(periodsOf({ by, timezone: 'Europe/Paris' }, now)).toHaveLength(count);
  });
});

describe('over HTTP', () => {
  const TENANT = 'tenant.example.org';
  let system: System;
  let superAdmin: Account;
  let admin: Account;
  const read = (route: string, key = superAdmin.key, accept = 'application/json'): Promise<Answer> =>
    system.api(`/statistics${route}`, { key, headers: { accept } });
  const send = (method: string, route: string, body: object): Promise<Answer> =>
    system.api(`/statistics${route}`, { method, body, key: superAdmin.key });

  async function message(id: string, from: string, sentAt: string, devices: [to: string, status: number, at: string][], encrypted = false) {
    expect((await send('POST', '/messages', { id, from, sent_at: sentAt, encrypted, conference_id: null })).status).toBe(200);
    for (const [index, [to, status, at]] of devices.entries())
      await send('PATCH', `/messages/${id}/to/${to}/devices/d${index}`, { last_status: status, received_at: at });
  }

  beforeAll(async () => {
    system = await startSystem({ webs: 2, workers: 1 });
    superAdmin = await system.account('the-super', { admin: true });
    await system.space(TENANT);
    admin = await system.account('the-admin', { domain: TENANT, admin: true });

    await message(
      'm1',
      `alice@${TENANT}`,
      '2026-03-01T10:00:00Z',
      [
        [`bob@${SPACE}`, 200, '2026-03-01T10:00:02Z'],
        [`bob@${SPACE}`, 503, '2026-03-01T10:00:30Z'],
      ],
      true,
    );
    // A domain in another letter case is the same.
    await message('m2', `alice@TENANT.example.org`, '2026-03-01T23:30:00Z', [[`bob@${SPACE}`, 202, '2026-03-01T23:30:04Z']]);
    await message('m3', `bob@${SPACE}`, '2026-03-02T12:00:00Z', [[`alice@${TENANT}`, 408, '2026-03-02T12:00:32Z']]);

    const call = (id: string, from: string, to: string, at: string): Promise<Answer> =>
      send('POST', '/calls', { id, from, to, initiated_at: at, ended_at: null });
    await call('c1', `alice@${TENANT}`, `bob@${SPACE}`, '2026-03-01T10:00:00Z');
    await send('PATCH', '/calls/c1/devices/d', { rang_at: '2026-03-01T10:00:01Z' });
    await send('PATCH', '/calls/c1/devices/d', { invite_terminated: { at: '2026-03-01T10:00:07Z', state: 'accepted' } });
    await send('PATCH', '/calls/c1/devices/e', { invite_terminated: { at: '2026-03-01T10:00:07Z', state: 'accepted_elsewhere' } });
    await send('PATCH', '/calls/c1', { ended_at: '2026-03-01T10:00:09Z' });
    await call('c2', `alice@${TENANT}`, `bob@${SPACE}`, '2026-03-01T11:00:00Z');
    await send('PATCH', '/calls/c2/devices/d', { invite_terminated: { at: '2026-03-01T11:00:20Z', state: 'declined' } });
    await call('c3', `alice@${TENANT}`, `bob@${SPACE}`, '2026-03-01T12:00:00Z');
    await send('PATCH', '/calls/c3/devices/d', { rang_at: '2026-03-01T12:00:01Z' });
    await noMarks(system);
  });
  afterAll(() => system.stop());

  const RANGE = 'from=2026-03-01&to=2026-03-03';

  test('messages of a Space, by day', async () => {
    const { status, json } = await read(`/messages?${RANGE}&by=day`, admin.key);
    expect(status).toBe(200);
    expect(json).toEqual({
      from: '2026-03-01T00:00:00.000000Z',
      to: '2026-03-03T00:00:00.000000Z',
      by: 'day',
      timezone: 'UTC',
      domain: TENANT,
      direction: 'sent',
      total: {
        messages: 2,
        encrypted: 1,
        encrypted_share: 0.5,
        devices: 3,
        delivered: 2,
        delivery_rate: 0.6667,
        delay_p50: 2,
        delay_p90: 4,
        delay_p99: 4,
      },
      periods: [
        expect.objectContaining({ period: '2026-03-01', from: '2026-03-01T00:00:00.000000Z', messages: 2, delivered: 2 }) as object,
        {
          period: '2026-03-02',
          from: '2026-03-02T00:00:00.000000Z',
          to: '2026-03-03T00:00:00.000000Z',
          messages: 0,
          encrypted: 0,
          encrypted_share: null,
          devices: 0,
          delivered: 0,
          delivery_rate: null,
          delay_p50: null,
          delay_p90: null,
          delay_p99: null,
        },
      ],
    });
  });

  test('a day begins where the reader is', async () => {
    const { json } = await read(`/messages?from=2026-03-01&to=2026-03-03&timezone=Europe/Paris`, admin.key);
    expect((json['periods'] as { period: string; messages: number }[]).map(({ period, messages }) => [period, messages])).toEqual([
      ['2026-03-01', 1],
      ['2026-03-02', 1],
    ]);
    // An offset in the moment itself wins; a plus in an address is a space to a server.
    const offset = await read(`/messages?from=2026-03-01T00:00:00+01:00&to=2026-03-03T00:00:00%2B01:00&by=year`, admin.key);
    expect(offset.json).toMatchObject({ from: '2026-02-28T23:00:00.000000Z', to: '2026-03-02T23:00:00.000000Z', total: { messages: 2 } });
  });

  test('what a Space received; all domains together count everything once', async () => {
    expect((await read(`/messages?${RANGE}&direction=received`, admin.key)).json['total']).toMatchObject({ messages: 1, delivered: 0 });
    expect((await read(`/messages?${RANGE}&domain=${SPACE}&direction=received`)).json['total']).toMatchObject({ messages: 2, devices: 3 });
    expect((await read(`/messages?${RANGE}`)).json).toMatchObject({ domain: null, total: { messages: 3, devices: 4, delivered: 2 } });
    expect((await read(`/messages?${RANGE}&direction=received`)).json['total']).toMatchObject({ messages: 3 });
    expect((await read(`/messages?${RANGE}&domain=nobody.example.org`)).json['total']).toMatchObject({ messages: 0, delivery_rate: null });
  });

  test('calls: answered, missed, and neither while it rings', async () => {
    expect((await read(`/calls?${RANGE}&by=month`, admin.key)).json['total']).toEqual({
      calls: 3,
      answered: 1,
      answered_share: 0.3333,
      missed: 1,
      missed_share: 0.3333,
      seconds: 9,
      duration_p50: 9,
      duration_p90: 9,
      duration_p99: 9,
      ring_time_p50: 6,
      ring_time_p90: 6,
      ring_time_p99: 6,
    });
  });

  test('as CSV', async () => {
    const { status, headers, text } = await read(`/messages?${RANGE}&by=month`, admin.key, 'text/csv');
    expect([status, headers.get('content-type'), headers.get('content-disposition')]).toEqual([
      200,
      'text/csv; charset=utf-8',
      'attachment; filename="messages-2026-03-01-by-month.csv"',
    ]);
    expect(text).toBe(
      'period,from,to,messages,encrypted,encrypted_share,devices,delivered,delivery_rate,delay_p50,delay_p90,delay_p99\n' +
        '2026-03,2026-03-01T00:00:00.000000Z,2026-03-03T00:00:00.000000Z,2,1,0.5,3,2,0.6667,2,4,4\n',
    );
    expect((await read('/calls', admin.key, 'text/csv;q=0.5, application/json')).headers.get('content-type')).toBe('application/json');
    expect((await read('/calls', admin.key, 'text/html')).status).toBe(406);
    // Where there is no CSV it is not admitted.
    expect((await system.api('/accounts', { key: admin.key, headers: { accept: 'text/csv' } })).status).toBe(406);
  });

  test('from a replica, where one is named; one that is unavailable is 503 for figures alone', async () => {
    const ask = async (replica: string, path: string): Promise<[number, unknown]> => {
      await system.startWeb({ DATABASE_READ_URL: replica });
      const answer = await fetch(`${system.urls.pop() ?? ''}/api${path}`, { headers: { 'x-api-key': admin.key } });
      return [answer.status, await answer.json()];
    };
    // A database of the same tables without a message in them tells which of the two was asked.
    const empty = await startSystem({ webs: 0, workers: 0 });
    expect(await ask(empty.environment['DATABASE_URL'] ?? '', `/statistics/messages?${RANGE}`)).toMatchObject([
      200,
      { domain: TENANT, total: { messages: 0 } },
    ]);
    const unavailable = 'postgres://nobody@127.0.0.1:1/unavailable';
    expect((await ask(unavailable, `/statistics/messages?${RANGE}`))[0]).toBe(503);
    expect((await ask(unavailable, '/accounts/me'))[0]).toBe(200);
    await empty.stop();
  });

  test.each([
    ['from=yesterday', 'from'],
    ['to=2026-02-30', 'to'],
    ['by=minute', 'by'],
    ['by=hour&from=2020-01-01&to=2021-01-01', 'by'],
    ['from=2026-03-02&to=2026-03-01', 'to'],
    ['timezone=Mars/Olympus', 'timezone'],
    ['direction=up', 'direction'],
    [`domain=${'d'.repeat(257)}`, 'domain'],
    ['domain=nul%00', 'domain'],
    ['by=day&by=hour', 'by'],
    ['from[x]=1&by=hour&by=day', 'by'],
  ])('%s is refused by its field', async (query, field) => {
    for (const kind of ['messages', 'calls']) {
      const { status, json } = await read(`/${kind}?${query}`);
      expect([status, Object.keys((json['errors'] as object | undefined) ?? {})]).toEqual([422, [field]]);
    }
  });

  test('empty and unknown parameters are none; another’s Space is 404; users may not', async () => {
    expect((await read(`/messages?${RANGE}&domain=&by=&timezone=&colour=red`)).json).toMatchObject({ by: 'day', domain: null });
    expect((await read(`/messages?${RANGE}&domain=${TENANT.toUpperCase()}`, admin.key)).status).toBe(200);
    expect((await read(`/messages?${RANGE}&domain=${SPACE}`, admin.key)).status).toBe(404);
    const user = await system.account('a-user');
    expect((await read('/messages', user.key)).status).toBe(403);
  });
});
