// What counts up for years: every column of 32 bits or fewer is judged, and each counter goes on at its limit. And rows that cannot be written, which
// stop no others.
import { randomUUID } from 'node:crypto';
import { loadModels, type Models } from './helpers/models';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const INT4 = 2_147_483_647;
const INT2 = 32_767;

/** Why it is enough, for each column; a new one fails the test until it is judged. */
const JUDGED: Record<string, string> = {
  ...Object.fromEntries(
    [
      'account_account_type',
      'account_actions',
      'account_contacts_list',
      'account_creation_tokens',
      'account_dictionary_entries',
      'activation_expirations',
      'api_keys',
      'auth_tokens',
      'contacts',
      'email_change_codes',
      'named_api_keys',
      'nonces',
      'passwords',
      'pending_deletions',
      'phone_change_codes',
      'provisioning_tokens',
      'recovery_codes',
      'sends',
      'token_deliveries',
      'vcard_usages',
      'vcards_storage',
    ].map((table) => [`${table}.account_id`, 'refers to accounts.id']),
  ),
  'named_api_key_secrets.key_id': 'refers to named_api_keys.id',
  'queue_actions.account_id': 'is one of accounts.id, or was',
  'queue_actions.key_id': 'is one of named_api_keys.id, or was',
  'queue_actions.affected': 'at most the jobs that Redis holds of a queue',
  'queue_actions.status': 'a status of HTTP',
  'contacts.contact_id': 'refers to accounts.id',
  'contacts_list_contact.contact_id': 'refers to accounts.id',
  'account_account_type.account_type_id': 'refers to account_types.id',
  'account_contacts_list.contacts_list_id': 'refers to contacts_lists.id',
  'contacts_list_contact.contacts_list_id': 'refers to contacts_lists.id',
  'contacts_lists.space_id': 'refers to spaces.id',
  'accounts.id': 'part of the API; 68 years at one new account a second, and strangers are held back by limits',
  'accounts_tombstones.id': 'one for each deleted account',
  'activation_expirations.id': 'one for each account',
  'passwords.id': 'one for each account and change of its password; 68 years at one a second',
  'account_actions.id': 'part of the API; made one by one by admins',
  'account_types.id': 'part of the API; made one by one by admins',
  'account_dictionary_entries.id': 'made by admins; 68 years at one a second',
  'contacts_lists.id': 'part of the API; made one by one by admins',
  'named_api_keys.id': 'part of the API; made one by one by admins',
  'recovery_codes.id': 'imported only',
  'spaces.id': 'made one by one by super admins',
  'vcards_storage.id': 'one for each card that a person stores; 68 years at one a second',
  'account_count_changes.accounts': 'at most the accounts of a statement',
  'account_count_changes.block': 'accounts.id by a thousand',
  'account_counts.accounts': 'at most a thousand',
  'account_counts.block': 'accounts.id by a thousand',
  'account_count_groups.accounts': 'at most a hundred thousand',
  'account_count_groups.blocks': 'accounts.id by a hundred thousand',
  'named_api_keys.expires_after_last_used_minutes': 'given by a person, its schema has the limit',
  'spaces.max_account': 'given by a person, its schema has the limit',
  'spaces.max_accounts': 'given by a person, its schema has the limit',
  'statistics_message_devices.last_status': 'given by Flexisip, its schema has the limit',
  'statistics_retention.id': 'always 1',
  ...Object.fromEntries(
    [
      'statistics_call_rollups.answered',
      'statistics_call_rollups.calls',
      'statistics_call_rollups.ended',
      'statistics_call_rollups.missed',
      'statistics_call_rollups.durations',
      'statistics_call_rollups.rings',
      'statistics_message_rollups.delivered',
      'statistics_message_rollups.devices',
      'statistics_message_rollups.encrypted',
      'statistics_message_rollups.messages',
      'statistics_message_rollups.delays',
    ].map((column) => [column, 'of one hour: 596,000 a second would have to come']),
  ),
  'sends.attempts': 'in a day, with pauses of a minute and more',
  'sends.provider_ms': 'bounded by the time that a send has, a minute',
  'sends.queued_ms': '24 days; what has waited longer is cut to that',
  'sends.guesses': 'five, and its code is void',
  'vcard_usages.cards': 'of one account, whose ids end with vcards_storage.id',
  'nonces.nc': 'tested below',
  'accounts.confirmation_key_attempts': 'tested below',
  'email_change_codes.attempts': 'tested below',
  'phone_change_codes.attempts': 'tested below',
  'statistics_message_devices.reports': 'tested below',
  'statistics_call_devices.reports': 'tested below',
};

let system: System;
let admin: Account;
let models: Models['models'];
let close: Models['close'];

beforeAll(async () => {
  system = await startSystem({ workers: 0 });
  admin = await system.account('admin', { admin: true });
  ({ models, close } = await loadModels(system));
});
afterAll(async () => {
  await close();
  await system.stop();
});

test('every column of 32 bits or fewer is judged', async () => {
  const columns = await system.rows<{ name: string }>(
    `SELECT c.relname || '.' || a.attname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
        AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int2[]'::regtype, 'int4[]'::regtype)`,
  );
  expect(columns.map(({ name }) => name).toSorted()).toEqual(Object.keys(JUDGED).toSorted());
});

test('ids of rows that come and go, go on behind 32 bits', async () => {
  const wide = await system.rows<{ table: string }>(
    `SELECT c.relname AS table FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition AND a.attname = 'id' AND a.attidentity = 'd' AND a.atttypid = 'int8'::regtype`,
  );
  for (const { table } of wide) await system.rows(`SELECT setval(pg_get_serial_sequence('${table}', 'id'), ${INT4})`);
  const { id, key } = await system.account('busy');
  expect((await system.rows<{ n: number }>('SELECT id::float8 AS n FROM api_keys WHERE account_id = $1', [id]))[0]?.n).toBeGreaterThan(
    INT4,
  );
  expect((await system.api('/accounts/me', { key })).status).toBe(200);
  await models.Nonce.acceptCount({ account_id: id, nonce: 'a', nc: 1 });
  const request = await system.api('/account_creation_request_tokens', { method: 'POST', body: {} });
  expect([200, 201]).toContain(request.status);
  const token = await system.api('/account_creation_tokens', { method: 'POST', key: admin.key, body: {} });
  expect([200, 201]).toContain(token.status);
  expect((await system.api(`/accounts/${id}/provision`, { key: admin.key })).status).toBe(200);
  const auth = await system.api('/accounts/auth_token', { method: 'POST', body: {} });
  expect([200, 201]).toContain(auth.status);
  await models.EmailChangeCode.create({ account_id: id, code: '1234', email: 'a@b.org' });
  await models.PhoneChangeCode.create({ account_id: id, code: '1234', phone: '+33612345678' });
  await models.SipMessage.create({ recipient: 'sip:a@b.org', body: 'x', send_deadline: new Date() });
  const inAnHour = new Date(Date.now() + 3_600_000);
  await models.Send.create({
    channel: 'sms',
    kind: 'account_ready',
    account_id: id,
    recipient: '+33612345678',
    language: 'en',
    expires_at: inAnHour,
  });
  await models.QueueAction.create({ source: 'cli', account: 'root', action: 'pause' });
  await models.Alert.settle([{ alert: 'A', labels: '{}', severity: 'warning', summary: 'a' }], { A: 0 });
  await models.TokenDelivery.begin(id, { kind: 'provisioning', token_hash: 'hash', network: '192.0.2.1' });
  for (const { table } of wide)
    expect([table, (await system.rows(`SELECT 1 FROM ${table} WHERE id > ${INT4}`)).length > 0]).toEqual([table, true]);
});

test('the uses of a key are counted behind 32 bits, and a key whose uses cannot be written stops no other', async () => {
  const users = [await system.account('use-1'), await system.account('use-2'), await system.account('use-3')];
  const uses = (): Promise<{ requests: number; fresh: boolean }[]> =>
    system.rows(
      "SELECT requests, last_used_at > now() - interval '1 minute' AS fresh FROM api_keys WHERE account_id = ANY ($1) ORDER BY account_id",
      [users.map(({ id }) => id)],
    );
  await system.rows(`UPDATE api_keys SET requests = ${INT4}, last_used_at = now() - interval '30 minutes' WHERE account_id = ANY ($1)`, [
    users.map(({ id }) => id),
  ]);
  await system.rows(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this row'; END $$`);
  await system.rows(
    `CREATE TRIGGER refuse BEFORE UPDATE ON api_keys FOR EACH ROW WHEN (OLD.account_id = ${users[1]?.id}) EXECUTE FUNCTION refuse()`,
  );
  await Promise.all(users.map(({ key }) => system.api('/accounts/me', { key })));
  const after = await eventually(uses, (rows) => rows[0]?.fresh === true && rows[2]?.fresh === true);
  expect(after.map(({ requests }) => requests)).toEqual([INT4 + 1, INT4, INT4 + 1]);
  // It is kept, and written once it can be.
  await system.rows('DROP TRIGGER refuse ON api_keys');
  await eventually(uses, (rows) => rows[1]?.requests === INT4 + 1);
});

test('attempts and counts stop at what their column holds', async () => {
  const { id } = await system.account('tried');
  await system.rows(
    "UPDATE accounts SET activated = false, confirmation_key = 'abcdefghijklm', confirmation_key_attempts = $1 WHERE id = $2",
    [INT2, id],
  );
  const wrong = await system.api(`/accounts/tried@${SPACE}/activate/email`, {
    method: 'POST',
    body: { confirmation_key: 'nopqrstuvwxyz' },
  });
  expect(wrong.status).toBe(404);
  expect(await system.rows('SELECT confirmation_key_attempts AS n FROM accounts WHERE id = $1', [id])).toEqual([{ n: INT2 }]);

  expect(await models.Nonce.acceptCount({ account_id: id, nonce: 'n', nc: INT4 - 1 })).toBe(true);
  expect(await models.Nonce.acceptCount({ account_id: id, nonce: 'n', nc: INT4 })).toBe(true);
  expect(await models.Nonce.acceptCount({ account_id: id, nonce: 'n', nc: INT4 })).toBe(false);

  const { key } = admin;
  const message = randomUUID();
  await system.api('/statistics/messages', {
    method: 'POST',
    key,
    body: { id: message, from: `tried@${SPACE}`, sent_at: '2026-03-01', encrypted: false },
  });
  const call = randomUUID();
  await system.api('/statistics/calls', {
    method: 'POST',
    key,
    body: { id: call, from: `tried@${SPACE}`, to: 'b@c.org', initiated_at: '2026-03-01' },
  });
  const patch = async (): Promise<number[]> => [
    (
      await system.api(`/statistics/messages/${message}/to/b@c.org/devices/d`, {
        method: 'PATCH',
        key,
        body: { last_status: 200, received_at: '2026-03-01' },
      })
    ).status,
    (await system.api(`/statistics/calls/${call}/devices/d`, { method: 'PATCH', key, body: { rang_at: '2026-03-01' } })).status,
  ];
  expect((await patch()).every((status) => status < 300)).toBe(true);
  await system.rows(`UPDATE statistics_message_devices SET reports = ${INT4}`);
  await system.rows(`UPDATE statistics_call_devices SET reports = ${INT4}`);
  expect(await patch()).toEqual([200, 200]);
});

test.each(['email', 'phone'] as const)('attempts at a code for an %s end it before their column does', async (kind) => {
  const { id, key } = await system.account(`codes-${kind}`);
  const recipient = kind === 'email' ? 'someone@example.org' : '+33698765432';
  await system.rows(
    `INSERT INTO ${kind}_change_codes (account_id, code, ${kind}, attempts, send_state, created_at) VALUES ($1, '1234', $2, ${INT2}, 'sent', now())`,
    [id, recipient],
  );
  const { status } = await system.api(`/accounts/me/${kind}`, { method: 'POST', key, body: { code: '9999' } });
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
});

test('an hour that cannot be counted is set aside, all others are counted, and it is tried again', async () => {
  Object.assign(process.env, system.environment, { LOG_LEVEL: 'fatal' });
  const { aggregate } = await import('../src/services/statistics/rollups.js');
  await system.rows('DELETE FROM statistics_dirty_buckets');
  for (let n = 0; n < 30; n += 1) {
    const body = { id: randomUUID(), from: `a@domain-${n}.org`, sent_at: '2026-02-01T10:30:00Z', encrypted: false };
    expect((await system.api('/statistics/messages', { method: 'POST', key: admin.key, body })).status).toBe(200);
  }
  await system.rows(`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this hour'; END $$`);
  await system.rows(
    "CREATE TRIGGER poison BEFORE INSERT ON statistics_message_rollups FOR EACH ROW WHEN (NEW.domain IN ('domain-7.org', 'domain-8.org')) EXECUTE FUNCTION poison()",
  );
  const counted = async (): Promise<number> =>
    (await system.rows("SELECT 1 FROM statistics_message_rollups WHERE domain LIKE 'domain-%' AND messages = 1")).length;
  await aggregate();
  expect(await counted()).toBe(28);
  expect(await system.rows('SELECT kind, domain, reason FROM statistics_failed_buckets ORDER BY domain')).toEqual([
    { kind: 'messages', domain: 'domain-7.org', reason: 'not this hour' },
    { kind: 'messages', domain: 'domain-8.org', reason: 'not this hour' },
  ]);
  expect(await system.rows('SELECT 1 FROM statistics_dirty_buckets')).toEqual([]);
  // Another event of that hour is passed over without a try.
  await system.rows(
    "INSERT INTO statistics_dirty_buckets (kind, hour, domain) VALUES ('messages', '2026-02-01T10:00:00Z', 'domain-7.org')",
  );
  await aggregate();
  await system.rows('DROP TRIGGER poison ON statistics_message_rollups');
  await aggregate();
  expect(await counted()).toBe(28);
  await system.rows("UPDATE statistics_failed_buckets SET failed_at = now() - interval '2 hours'");
  await aggregate();
  expect(await counted()).toBe(30);
  expect(await system.rows('SELECT 1 FROM statistics_failed_buckets')).toEqual([]);
});

test('a part of a job that fails stops no other', async () => {
  const { eachPart } = await import('../src/infra/parts.js');
  const done: string[] = [];
  const part = (name: string) => () => Promise.resolve(done.push(name));
  await expect(eachPart({ a: part('a'), b: () => Promise.reject(new Error('b failed')), c: part('c') })).rejects.toThrow('b failed');
  expect(done).toEqual(['a', 'c']);
  expect(await eachPart({ a: part('a'), c: part('c') })).toEqual({ a: 3, c: 4 });
});
