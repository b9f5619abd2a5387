// Job 2: Flexisip reports statistics.
import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { BIN_STARTS } from '../src/models/statistics/bins';
import { loadStatisticsJobs } from './helpers/statistics';
import { SPACE, eventually, startSystem, type Account, type Answer, type System } from './helpers/system';

let system: System;
let reporter: Account;
const send = (method: string, route: string, body: unknown, key = reporter.key): Promise<Answer> =>
  system.api(`/statistics${route}`, { method, body, key });
const message = (change: object = {}): Record<string, unknown> => ({
  id: randomUUID(),
  from: `alice@${SPACE}`,
  sent_at: '2026-03-01T10:15:00Z',
  encrypted: false,
  conference_id: null,
  ...change,
});
const call = (change: object = {}): Record<string, unknown> => ({
  id: randomUUID(),
  from: `alice@${SPACE}`,
  to: 'bob@other.org',
  initiated_at: '2026-03-01T10:15:00Z',
  ended_at: null,
  ...change,
});
const rollup = (kind: 'message' | 'call'): Promise<Record<string, unknown>[]> =>
  system.rows(`SELECT *, hour::text AS hour FROM statistics_${kind}_rollups AS r WHERE domain <> '' ORDER BY r.hour, domain, direction`);

beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 1, environment: { TZ: 'Asia/Kolkata' } });
  reporter = await system.account('flexisip', { admin: true });
});
afterAll(() => system.stop());

/** One duration, in seconds, as counted in bins. */
const counted = (seconds: number): number[] =>
  BIN_STARTS.map((start, bin) => (start <= seconds && seconds < (BIN_STARTS[bin + 1] ?? Infinity) ? 1 : 0));

test('a message from its sending to the rollup, as Flexisip reports it', async () => {
  const sent = message({ id: 'a'.repeat(64), to: { 'bob@other.org': { '"<urn:uuid:1>"': null } }, sent_at: '2026-01-01T12:30:00+02:00' });
  expect(await send('POST', '/messages', sent)).toMatchObject({ status: 200, text: '{}' });
  expect(await send('POST', '/messages', sent)).toMatchObject({
    status: 400,
    json: { message: 'A message with this id was already reported.' },
  });
  const route = `/messages/${sent['id'] as string}/to/bob%40other.org/devices/%22%3Curn:uuid:1%3E%22`;
  const first = await send('PATCH', route, { last_status: 503, received_at: '2026-01-01T10:30:01Z' });
  expect(first.status).toBe(201);
  expect(first.json).toMatchObject({
    message_id: sent['id'],
    to_username: 'bob',
    to_domain: 'other.org',
    device_id: '"<urn:uuid:1>"',
    last_status: 503,
    received_at: '2026-01-01T10:30:01.000000Z',
  });
  expect(typeof first.json['id']).toBe('number');
  const again = await send('PATCH', route, { last_status: '200', received_at: '2026-01-01T10:31:00Z' });
  expect([again.status, again.json['last_status'], again.json['id']]).toEqual([200, 200, first.json['id']]);

  const rows = await eventually(
    () => rollup('message'),
    (found) => found.length === 2 && found[1]?.['delivered'] === 1,
  );
  expect(rows).toEqual([
    {
      domain: 'other.org',
      direction: 'to',
      hour: expect.stringContaining('2026-01-01') as string,
      messages: 1,
      encrypted: 0,
      devices: 1,
      delivered: 1,
      delays: counted(60),
    },
    { domain: SPACE, direction: 'from', hour: rows[0]?.['hour'], messages: 1, encrypted: 0, devices: 1, delivered: 1, delays: counted(60) },
  ]);
  expect(await system.rows("SELECT messages, delays FROM statistics_message_rollups WHERE domain = ''")).toEqual([
    { messages: 1, delays: counted(60) },
  ]);
  expect(await system.rows("SELECT hour = '2026-01-01T10:00:00Z' AS utc FROM statistics_message_rollups LIMIT 1")).toEqual([{ utc: true }]);
});

test('a device id raw on the wire, as Flexisip writes it, is the same as its escaped form', async () => {
  const sent = message();
  await send('POST', '/messages', sent);
  const { port } = new URL(system.url);
  const agent = new Agent();
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const raw = httpRequest(
      // path is written as it is; fetch would escape it.
      {
        agent,
        port,
        host: '127.0.0.1',
        method: 'PATCH',
        path: `/api/statistics/messages/${sent['id'] as string}/to/bob@other.org/devices/"<urn:uuid:7>"`,
        headers: { 'x-api-key': reporter.key },
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
      },
    );
    raw.on('error', reject);
    raw.end(JSON.stringify({ last_status: 200, received_at: '2026-03-01T10:16:00Z' }));
  });
  agent.destroy();
  expect(status).toBe(201);
  const escaped = await send('PATCH', `/messages/${sent['id'] as string}/to/sip:bob@other.org/devices/%22%3Curn%3Auuid%3A7%3E%22`, {
    last_status: 202,
    received_at: '2026-03-01T10:17:00Z',
  });
  expect(escaped.status).toBe(200);
});

test('a call: ringing and its end come apart, and neither blanks the other', async () => {
  const started = call({ devices: {}, sip_call_id: 'x~1@host', initiated_at: '2026-02-01T10:00:00Z' });
  expect((await send('POST', '/calls', started)).status).toBe(200);
  expect((await send('POST', '/calls', started)).status).toBe(400);
  const route = `/calls/${started['id'] as string}`;
  expect(await send('PATCH', `${route}/devices/d1`, { rang_at: '2026-02-01T10:00:02Z' })).toMatchObject({
    status: 201,
    json: { rang_at: '2026-02-01T10:00:02.000000Z', invite_terminated_at: null },
  });
  expect(
    await send('PATCH', `${route}/devices/d1`, { invite_terminated: { at: '2026-02-01T10:00:05Z', state: 'accepted' } }),
  ).toMatchObject({
    status: 200,
    json: {
      rang_at: '2026-02-01T10:00:02.000000Z',
      invite_terminated_at: '2026-02-01T10:00:05.000000Z',
      invite_terminated_state: 'accepted',
    },
  });
  expect(await send('PATCH', `${route}/devices/d1`, {})).toMatchObject({ status: 200, json: { invite_terminated_state: 'accepted' } });
  expect(await send('PATCH', `${route}/devices/d2`, { invite_terminated: {} })).toMatchObject({ status: 201 });
  expect(await send('PATCH', route, { ended_at: '2026-02-01T10:01:05Z' })).toMatchObject({
    status: 200,
    json: { id: started['id'], ended_at: '2026-02-01T10:01:05.000000Z', to_domain: 'other.org' },
  });
  await eventually(
    () => rollup('call'),
    (rows) => rows.length === 2 && rows.every((row) => row['answered'] === 1 && Number(row['seconds']) === 65),
  );
  const [row] = await rollup('call');
  expect(row).toMatchObject({ calls: 1, missed: 0, ended: 1, durations: counted(65), rings: counted(3) });
});

test('what has no parent is an error for its sender only', async () => {
  const parented = message();
  await send('POST', '/messages', parented);
  const body = { last_status: 200, received_at: '2026-03-01T10:16:00Z' };
  const answers = await Promise.all([
    send('PATCH', `/messages/${parented['id'] as string}/to/bob@other.org/devices/d`, body),
    send('PATCH', '/messages/unknown/to/bob@other.org/devices/d', body),
    send('PATCH', '/calls/unknown/devices/d', {}),
    send('PATCH', '/calls/unknown', { ended_at: '2026-03-01T10:16:00Z' }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([201, 400, 400, 404]);
});

test('a thousand at once, ten of them bad: 990 rows, each its own answer', async () => {
  const bodies: Record<string, unknown>[] = Array.from({ length: 985 }, () => message({ from: 'many@many.org' }));
  const bad: [object, number][] = [
    [message({ from: 'nobody' }), 422],
    [message({ sent_at: 'yesterday' }), 422],
    [message({ encrypted: 'maybe' }), 422],
    [message({ id: 'x'.repeat(65) }), 422],
    [message({ id: undefined }), 422],
    [message({ from: 'many@many.org', conference_id: 'nul\u0000' }), 422],
    [{ ...bodies[3] }, 400],
    [{ ...bodies[4] }, 400],
    [{ ...bodies[5] }, 400],
    [{ ...bodies[6] }, 400],
  ];
  const twins = Array.from({ length: 5 }, () => message({ from: 'many@many.org' }));
  const all = [...bodies, ...twins, ...bad.map(([body]) => body)];
  const answers = await Promise.all(all.map((body) => send('POST', '/messages', body)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(990);
  expect(statuses.filter((status) => status === 400)).toHaveLength(4);
  expect(statuses.filter((status) => status === 422)).toHaveLength(6);
  expect(await system.rows("SELECT count(*)::int AS n FROM statistics_messages WHERE from_domain = 'many.org'")).toEqual([{ n: 990 }]);
  await eventually(
    () => system.rows("SELECT messages FROM statistics_message_rollups WHERE domain = 'many.org'"),
    (rows) => rows[0]?.['messages'] === 990,
  );
});

test('the same device reported many times at once: one row, one 201', async () => {
  const started = call();
  await send('POST', '/calls', started);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      send(
        'PATCH',
        `/calls/${started['id'] as string}/devices/d`,
        n % 2 ? { rang_at: '2026-03-01T10:15:01Z' } : { invite_terminated: { at: '2026-03-01T10:15:02Z', state: 'declined' } },
      ),
    ),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
  expect(
    await system.rows(
      'SELECT rang_at IS NOT NULL AS rang, invite_terminated_state AS state FROM statistics_call_devices WHERE call_id = $1',
      [started['id']],
    ),
  ).toEqual([{ rang: true, state: 'declined' }]);
});

test.each([
  ['2026-05-01', '2026-05-01T00:00:00.000Z'],
  ['2026-05-01T10:00', '2026-05-01T10:00:00.000Z'],
  ['2026-05-01T10:00:00', '2026-05-01T10:00:00.000Z'],
  ['2026-05-01T10:00:00.123456Z', '2026-05-01T10:00:00.123Z'],
  ['20260501T100000Z', '2026-05-01T10:00:00.000Z'],
  ['2026-05-01T10:00:00+05:30', '2026-05-01T04:30:00.000Z'],
  ['1969-12-31T23:59:59Z', '1969-12-31T23:59:59.000Z'],
  ['2093-01-01T00:00:00Z', '2093-01-01T00:00:00.000Z'],
])('the time %s is stored in UTC', async (sent_at, stored) => {
  const sent = message({ sent_at });
  expect((await send('POST', '/messages', sent)).status).toBe(200);
  const [row] = await system.rows<{ sent_at: Date }>('SELECT sent_at FROM statistics_messages WHERE id = $1', [sent['id']]);
  expect(row?.sent_at.toISOString()).toBe(stored);
});

test.each([
  [{ sent_at: '2026-02-30' }, 'sent_at'],
  [{ sent_at: 1740823200 }, 'sent_at'],
  [{ sent_at: '10:00' }, 'sent_at'],
  [{ from: '@sip.example.org' }, 'from'],
  [{ from: `${'a'.repeat(257)}@x` }, 'from'],
  [{ encrypted: 'true' }, 'encrypted'],
  [{ encrypted: null }, 'encrypted'],
  [{ conference_id: 'c'.repeat(256) }, 'conference_id'],
])('the message %j is refused by its field', async (change, field) => {
  const { status, json } = await send('POST', '/messages', message(change));
  expect([status, Object.keys(json['errors'] as object)]).toEqual([422, [field]]);
});

test.each([
  ['/messages/m/to/nobody/devices/d', { last_status: 200, received_at: '2026-03-01' }, 'to'],
  [`/messages/m/to/a@b/devices/${'d'.repeat(256)}`, { last_status: 200, received_at: '2026-03-01' }, 'device_id'],
  ['/messages/m/to/a@b/devices/d', { last_status: 3_000_000_000, received_at: '2026-03-01' }, 'last_status'],
  ['/messages/m/to/a@b/devices/d', { last_status: 2.5, received_at: '2026-03-01' }, 'last_status'],
  ['/calls/c/devices/d', { invite_terminated: { at: '2026-03-01' } }, 'invite_terminated.state'],
  ['/calls/c/devices/d', { invite_terminated: { state: 'declined' } }, 'invite_terminated.at'],
  ['/calls/c/devices/d', { invite_terminated: { at: 'soon', state: 'declined' } }, 'invite_terminated.at'],
  ['/calls/c/devices/d', { invite_terminated: 'declined' }, 'invite_terminated'],
  ['/calls/c', {}, 'ended_at'],
])('PATCH %s %j is refused by its field', async (route, body, field) => {
  const { status, json } = await send('PATCH', route, body);
  expect([status, Object.keys(json['errors'] as object)]).toEqual([422, [field]]);
});

test('an admin of any Space reports, a user does not', async () => {
  await system.space('tenant.org');
  const tenant = await system.account('tenant-admin', { domain: 'tenant.org', admin: true });
  const user = await system.account('plain-user');
  expect((await send('POST', '/messages', message(), tenant.key)).status).toBe(200);
  expect((await send('POST', '/messages', message(), user.key)).status).toBe(403);
});

test('events that wait for their month move into it when it is made', async () => {
  const { ensurePartitions, close } = await loadStatisticsJobs(system);
  const sent = message({ sent_at: '2099-06-15T00:00:00Z' });
  await send('POST', '/messages', sent);
  await send('PATCH', `/messages/${sent['id'] as string}/to/a@b/devices/d`, { last_status: 200, received_at: '2099-06-15' });
  const made = await Promise.all([1, 2].map(() => ensurePartitions(new Date('2099-06-01'))));
  await close();
  expect(made.flatMap((each) => each.made).filter((name) => name === 'statistics_messages_2099_06')).toHaveLength(1);
  expect(await system.rows('SELECT tableoid::regclass::text AS place FROM statistics_messages WHERE id = $1', [sent['id']])).toEqual([
    { place: 'statistics_messages_2099_06' },
  ]);
  const again = await send('PATCH', `/messages/${sent['id'] as string}/to/a@b/devices/d`, { last_status: 202, received_at: '2099-06-16' });
  expect(again.status).toBe(200);
});
