// Spaces: made, changed and deleted by super admins, and picked by the Host header.
import { SPACE, eventually, startSystem, type Answer, type System } from './helpers/system';

let system: System;
let key: string;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 1 });
  key = (await system.account('space-super', { admin: true })).key;
});
afterAll(() => system.stop());

const call = (method: string, route: string, body?: unknown): Promise<Answer> =>
  system.api(route, { method, key, ...(body === undefined ? {} : { body }) });
const post = (body: object): Promise<Answer> => call('POST', '/spaces', body);
const FLAGS = [
  'disable_chat_feature',
  'disable_meetings_feature',
  'hide_settings',
  'hide_account_settings',
  'disable_call_recordings_feature',
  'only_display_sip_uri_username',
  'assistant_hide_create_account',
  'assistant_disable_qr_code',
  'assistant_hide_third_party_account',
];

test('made with defaults, shown, listed, changed with the body that GET gave, deleted', async () => {
  const made = await post({ domain: 'New.Example.org', super: '0' });
  expect(made.status).toBe(201);
  expect(made.json).toEqual({
    domain: 'new.example.org',
    host: 'new.example.org',
    super: false,
    disable_broadcast_feature: true,
    ...Object.fromEntries(FLAGS.map((flag) => [flag, false])),
    max_account: 0,
    max_accounts: 0,
    expire_at: null,
    created_at: made.json['created_at'],
    updated_at: made.json['updated_at'],
  });
  const shown = await call('GET', '/spaces/new.example.org');
  expect(shown.json).toEqual(made.json);
  const listed = JSON.parse((await call('GET', '/spaces')).text) as { domain: string }[];
  expect(listed.map(({ domain }) => domain)).toEqual([SPACE, 'new.example.org']);
  const changed = await call('PUT', '/spaces/new.example.org', {
    ...shown.json,
    domain: 'other.org',
    hide_settings: 1,
    max_account: '3',
    expire_at: '2099-01-01T10:00:00+02:00',
  });
  expect([changed.status, changed.json]).toEqual([
    200,
    {
      ...shown.json,
      hide_settings: true,
      max_account: 3,
      expire_at: '2099-01-01T08:00:00.000000Z',
      updated_at: changed.json['updated_at'],
    },
  ]);
  expect((await call('PUT', '/spaces/new.example.org', { ...changed.json, expire_at: null })).json['expire_at']).toBeNull();
  expect(await call('DELETE', '/spaces/new.example.org')).toMatchObject({ status: 200, text: '{}' });
  for (const method of ['GET', 'DELETE']) expect((await call(method, '/spaces/new.example.org')).status).toBe(404);
  expect((await call('PUT', '/spaces/new.example.org', changed.json)).status).toBe(404);
});

test.each([
  [{ super: true }, 'domain'],
  [{ domain: 'a b', super: true }, 'domain'],
  [{ domain: 'x'.repeat(65), super: true }, 'domain'],
  [{ domain: 'x.org\n', super: 'yes' }, 'super'],
  [{ domain: 'ok.org' }, 'super'],
  [{ domain: SPACE.toUpperCase(), super: false }, 'domain'],
  [{ domain: 'ok.org', super: false, host: SPACE }, 'host'],
  [{ domain: 'ok.org', super: false, host: 'h'.repeat(256) }, 'host'],
  [{ domain: 'ok.org', super: false, hide_settings: 'true' }, 'hide_settings'],
  [{ domain: 'ok.org', super: false, max_accounts: -1 }, 'max_accounts'],
  [{ domain: 'ok.org', super: false, max_account: 2 ** 31 }, 'max_account'],
  [{ domain: 'ok.org', super: false, expire_at: '2020-01-01' }, 'expire_at'],
  [{ domain: 'ok.org', super: false, expire_at: 'tomorrow' }, 'expire_at'],
])('POST %j is refused by its field', async (body, field) => {
  const { status, json } = await post(body);
  expect([status, Object.keys(json['errors'] ?? {})]).toEqual([422, [field]]);
});

test('what GET gives of a Space that has expired can be put back; no other day before today can', async () => {
  const { json: made } = await call('POST', '/spaces', {
    domain: 'over.example.org',
    super: false,
    expire_at: new Date().toISOString().slice(0, 10),
  });
  await system.db.query("UPDATE spaces SET expire_at = '2020-02-03 04:05:06.789' WHERE domain = 'over.example.org'");
  const { json: over } = await call('GET', '/spaces/over.example.org');
  expect(over).toEqual({ ...made, expire_at: '2020-02-03T04:05:06.789000Z' });
  const put = await call('PUT', '/spaces/over.example.org', { ...over, max_account: 3 });
  expect([put.status, put.json['expire_at'], put.json['max_account']]).toEqual([200, '2020-02-03T04:05:06.789000Z', 3]);
  const refused = await call('PUT', '/spaces/over.example.org', { ...over, expire_at: '2020-02-03' });
  expect([refused.status, Object.keys(refused.json['errors'] as object)]).toEqual([422, ['expire_at']]);
});

test('PUT wants everything, expire_at even where it is null; 422 comes before 404', async () => {
  const { json } = await call('PUT', '/spaces/missing.org', {});
  expect(Object.keys(json['errors'] as object).toSorted()).toEqual(
    ['super', ...FLAGS, 'disable_broadcast_feature', 'max_account', 'max_accounts', 'expire_at'].toSorted(),
  );
});

test('a limit below what is there is refused; an expired Space closes at once and opens again', async () => {
  const { json: space } = await post({ domain: 'limited.org', super: false });
  const users = await Promise.all(['limited-one', 'limited-two'].map((name) => system.account(name, { domain: 'limited.org' })));
  const low = await call('PUT', '/spaces/limited.org', { ...space, max_accounts: 1 });
  expect([low.status, low.json['message']]).toEqual([422, 'The max accounts field must not be less than the 2 accounts of the space.']);
  expect((await call('PUT', '/spaces/limited.org', { ...space, max_accounts: 2 })).status).toBe(200);
  const me = (): Promise<number> => system.api('/accounts/me', { key: users[0]?.key ?? '' }).then(({ status }) => status);
  expect(await me()).toBe(200);
  expect((await call('PUT', '/spaces/limited.org', { ...space, expire_at: new Date().toISOString().slice(0, 10) })).status).toBe(200);
  expect([await me(), await me()]).toEqual([403, 403]);
  expect((await call('PUT', '/spaces/limited.org', space)).status).toBe(200);
  expect(await me()).toBe(200);
});

test('of two Spaces with one host at once one is made', async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) => post({ domain: `race${n}.org`, host: 'race.example.org', super: false })),
  );
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 422, 422, 422, 422, 422]);
});

test('deleting a Space takes its accounts and all that hangs on them, and its statistics; nobody else’s', async () => {
  await post({ domain: 'doomed.org', super: false });
  const [mine, other] = [await system.account('doomed-user', { domain: 'doomed.org', admin: true }), await system.account('survivor')];
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'x', 'MD5')", [mine.id]);
  await system.rows('INSERT INTO contacts (account_id, contact_id) VALUES ($1, $2), ($2, $1)', [mine.id, other.id]);
  await system.rows("INSERT INTO contacts_lists (title, space_id) SELECT 'list', id FROM spaces WHERE domain = 'doomed.org'");
  await system.rows("INSERT INTO account_creation_tokens (token, used, account_id) VALUES ('doomed-token1', true, $1)", [mine.id]);
  const report = (route: string, body: object): Promise<Answer> => system.api(`/statistics${route}`, { method: 'POST', key, body });
  await report('/messages', { id: 'out', from: 'a@doomed.org', sent_at: '2026-03-01', encrypted: true });
  await report('/messages', { id: 'in', from: `a@${SPACE}`, sent_at: '2026-03-01', encrypted: true });
  await system.api('/statistics/messages/out/to/b@else.org/devices/d', {
    method: 'PATCH',
    key,
    body: { last_status: 200, received_at: '2026-03-01' },
  });
  await report('/calls', { id: 'out', from: 'a@doomed.org', to: 'b@else.org', initiated_at: '2026-03-01' });
  const rollups = (): Promise<Record<string, unknown>[]> =>
    system.rows(
      "SELECT domain FROM (SELECT domain FROM statistics_message_rollups UNION SELECT domain FROM statistics_call_rollups) AS r WHERE domain <> '' ORDER BY domain",
    );
  await eventually(rollups, (rows) => rows.length === 3);
  expect((await call('DELETE', '/spaces/doomed.org')).status).toBe(200);
  const left = (): Promise<{ left: number; messages: number }[]> =>
    system.rows(
      `SELECT (SELECT count(*) FROM accounts WHERE domain = 'doomed.org') + (SELECT count(*) FROM contacts) + (SELECT count(*) FROM contacts_lists) + (SELECT count(*) FROM passwords WHERE account_id = $1)
          + (SELECT count(*) FROM account_creation_tokens WHERE account_id = $1) + (SELECT count(*) FROM accounts_tombstones) + (SELECT count(*) FROM statistics_calls) + (SELECT count(*) FROM statistics_message_devices) AS left,
          (SELECT count(*)::int FROM statistics_messages) AS messages`,
      [mine.id],
    );
  // What there may be much of goes in pieces.
  await eventually(left, ([rest]) => rest?.left === 0 && rest.messages === 1, 30);
  expect(await system.rows('SELECT id FROM statistics_messages')).toEqual([{ id: 'in' }]);
  expect((await system.api('/accounts/me', { key: other.key })).status).toBe(200);
  await eventually(rollups, (rows) => rows.length === 1 && rows[0]?.['domain'] === SPACE);
});
