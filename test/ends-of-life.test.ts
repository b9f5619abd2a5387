// Rows that nobody wants any more go, whoever made them; and nobody can make them without end.
import { runTask } from './helpers/jobs';
import { loadModels } from './helpers/models';
import { startSystem, type System } from './helpers/system';

const DAY = 24 * 60;
let serial = 0;
const fresh = (length: number): string => `t${(serial += 1)}`.padEnd(length, 'x');

/** Runs the hourly clean-up and waits for its end. */
const clean = (system: System): Promise<unknown> => runTask(system, 'chores', 'clean');

interface Made {
  /** In minutes. */
  age: number;
  columns?: Record<string, unknown>;
  stays: boolean;
}
type Rows = Record<string, Made[]>;

/** Makes rows, cleans, and tells which are left, by table and age. */
async function survivors(system: System, rows: Rows): Promise<Record<string, boolean[]>> {
  const ids: Record<string, number[]> = {};
  for (const [table, made] of Object.entries(rows)) {
    ids[table] = [];
    for (const { age, columns = {} } of made) {
      const names = Object.keys(columns);
      const [row] = await system.rows<{ id: number }>(
        `INSERT INTO ${table} (created_at${names.map((name) => `, ${name}`).join('')})
         VALUES (now() - make_interval(mins => $1)${names.map((_, n) => `, $${n + 2}`).join('')}) RETURNING id`,
        [age, ...Object.values(columns)],
      );
      ids[table]?.push(row?.id ?? 0);
    }
  }
  await clean(system);
  const left: Record<string, boolean[]> = {};
  for (const [table, made] of Object.entries(ids)) {
    const there = new Set((await system.rows<{ id: number }>(`SELECT id FROM ${table} WHERE id = ANY ($1)`, [made])).map(({ id }) => id));
    left[table] = made.map((id) => there.has(id));
  }
  return left;
}
const expected = (rows: Rows): Record<string, boolean[]> =>
  Object.fromEntries(Object.entries(rows).map(([table, made]) => [table, made.map(({ stays }) => stays)]));

async function rowsFor(system: System, lives: 'for ever' | 'half an hour'): Promise<Rows> {
  const { id: account_id } = await system.account(fresh(12));
  const forEver = lives === 'for ever';
  const request = (more: object): Record<string, unknown> => ({ token: fresh(13), ...more });
  const validated = { validated_at: new Date() };
  const code = (channel: 'email' | 'phone', value: string | null): Record<string, unknown> => ({
    account_id,
    code: value,
    [channel]: 'recipient',
    send_state: 'sent',
  });
  const delivery = (token_hash: string): Record<string, unknown> => ({
    account_id,
    kind: 'provisioning',
    token_hash,
    network: '192.0.2.1',
    retry_from: new Date(),
  });
  const codes = (channel: 'email' | 'phone'): Made[] => [
    { age: 1, columns: code(channel, '1234'), stays: true },
    { age: 60, columns: code(channel, '1234'), stays: true },
    { age: DAY + 1, columns: code(channel, '1234'), stays: forEver },
    { age: 60, columns: code(channel, null), stays: true },
    { age: DAY + 1, columns: code(channel, null), stays: false },
  ];
  const send = (state: string): Record<string, unknown> => ({
    account_id,
    channel: 'email',
    kind: 'account_ready',
    recipient: 'recipient',
    // Of nobody's turn.
    next_at: new Date(Date.now() + DAY * 60_000),
    lease_until: new Date(Date.now() + DAY * 60_000),
    expires_at: new Date(Date.now() + 2 * DAY * 60_000),
    state,
  });
  return {
    sends: [
      ...['sent', 'failed', 'unknown'].flatMap((state) => [
        { age: 90 * DAY - 1, columns: send(state), stays: true },
        { age: 90 * DAY + 1, columns: send(state), stays: false },
      ]),
      ...['due', 'sending'].map((state) => ({ age: 30 * DAY, columns: send(state), stays: true })),
    ],
    account_creation_request_tokens: [
      { age: 1, columns: request({}), stays: true },
      { age: 60, columns: request({}), stays: forEver },
      { age: DAY + 1, columns: request({}), stays: false },
      { age: 60, columns: request(validated), stays: forEver },
      { age: 30 * DAY, columns: request(validated), stays: forEver },
      { age: 60, columns: request({ ...validated, used: true }), stays: true },
      { age: DAY + 1, columns: request({ ...validated, used: true }), stays: false },
    ],
    account_creation_tokens: [
      { age: 60, columns: { token: fresh(13) }, stays: true },
      { age: 2 * DAY, columns: { token: fresh(13) }, stays: forEver },
      { age: 30 * DAY, columns: { token: fresh(13), used: true, account_id }, stays: true },
    ],
    auth_tokens: [
      { age: 1, columns: { token: fresh(32) }, stays: true },
      { age: 6, columns: { token: fresh(32) }, stays: false },
      { age: 6, columns: { token: fresh(32), account_id }, stays: false },
    ],
    // In the order of their ids: the last unused one is the account's.
    provisioning_tokens: [
      { age: DAY + 1, columns: { token: fresh(13), account_id, used: true }, stays: false },
      { age: 60, columns: { token: fresh(13), account_id, used: true }, stays: true },
      { age: DAY + 1, columns: { token: fresh(13), account_id }, stays: false },
      { age: 60, columns: { token: fresh(13), account_id }, stays: true },
      { age: 2 * DAY, columns: { token: fresh(13), account_id }, stays: forEver },
    ],
    email_change_codes: codes('email'),
    phone_change_codes: codes('phone'),
    recovery_codes: [
      { age: 60, columns: { account_id, code: '1234' }, stays: true },
      { age: DAY + 1, columns: { account_id, code: '1234' }, stays: false },
      { age: DAY + 1, columns: { account_id, code: null }, stays: false },
    ],
    token_deliveries: [
      { age: 1, columns: { ...delivery(fresh(20)), retry_until: new Date(Date.now() + 30_000) }, stays: true },
      { age: 2, columns: { ...delivery(fresh(20)), retry_until: new Date(Date.now() - 1000) }, stays: false },
    ],
    nonces: [
      { age: 59, columns: { account_id, nonce: fresh(40) }, stays: true },
      { age: 61, columns: { account_id, nonce: fresh(40) }, stays: false },
    ],
  };
}

describe.each([
  ['for ever', '0'],
  ['half an hour', '30'],
] as const)('tokens and codes live %s', (lives, minutes) => {
  test('what is over goes, what somebody may ask for stays', async () => {
    const system = await startSystem({
      webs: 0,
      environment: {
        APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES: minutes,
        APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES: minutes,
        APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES: minutes,
        APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES: minutes,
      },
    });
    const rows = await rowsFor(system, lives);
    expect(await survivors(system, rows)).toEqual(expected(rows));
    await system.stop();
  });
});

test('codes count towards blocking for as long as the setting says', async () => {
  const system = await startSystem({ webs: 0, environment: { BLOCKING_TIME_PERIOD_CHECK: String(3 * DAY) } });
  const { id: account_id } = await system.account('blocked-later');
  const rows: Rows = {
    email_change_codes: [
      { age: 2 * DAY, columns: { account_id, code: null, email: 'a@example.org' }, stays: true },
      { age: 4 * DAY, columns: { account_id, code: null, email: 'a@example.org' }, stays: false },
    ],
  };
  expect(await survivors(system, rows)).toEqual(expected(rows));
  await system.stop();
});

test('a creation token stays for as long as it counts for its device', async () => {
  const system = await startSystem({
    webs: 0,
    environment: {
      APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES: '30',
      APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES: String(3 * DAY),
    },
  });
  const rows: Rows = {
    account_creation_tokens: [
      { age: 2 * DAY, columns: { token: fresh(13) }, stays: true },
      { age: 4 * DAY, columns: { token: fresh(13) }, stays: false },
    ],
  };
  expect(await survivors(system, rows)).toEqual(expected(rows));
  await system.stop();
});

test('thousands of rows go in one run, and a row that somebody has locked does not hold it up', async () => {
  const system = await startSystem({ webs: 0 });
  await system.rows(
    "INSERT INTO auth_tokens (token, created_at) SELECT 'old' || n, now() - interval '1 hour' FROM generate_series(1, 3500) n",
  );
  const session = await system.db.connect();
  await session.query('BEGIN');
  await session.query("SELECT 1 FROM auth_tokens WHERE token = 'old7' FOR UPDATE");
  await clean(system);
  expect(await system.rows('SELECT token FROM auth_tokens')).toEqual([{ token: 'old7' }]);
  await session.query('ROLLBACK');
  session.release();
  await system.stop();
});

describe('what strangers make', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ workers: 0, environment: { APP_TOKENS_PER_ADDRESS: '3' } });
  });
  afterAll(() => system.stop());

  test.each(['/account_creation_request_tokens', '/accounts/auth_token'])('%s: three of an address in an hour, then 429', async (path) => {
    const table = path === '/accounts/auth_token' ? 'auth_tokens' : 'account_creation_request_tokens';
    for (let n = 0; n < 3; n += 1) expect((await system.api(path, { method: 'POST' })).status).toBe(201);
    const refused = await system.api(path, { method: 'POST' });
    expect(refused.status).toBe(429);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(3500);
    expect(seconds).toBeLessThanOrEqual(3600);
    expect(await system.rows(`SELECT count(*)::int AS n FROM ${table}`)).toEqual([{ n: 3 }]);
    // An hour later, and for other addresses all the time.
    await system.rows(`UPDATE ${table} SET created_at = created_at - interval '61 minutes'`);
    expect((await system.api(path, { method: 'POST' })).status).toBe(201);
    await system.rows(`UPDATE ${table} SET network = '192.0.2.77', created_at = now()`);
    expect((await system.api(path, { method: 'POST' })).status).toBe(201);
  });

  test('above what is kept in all, the oldest go that nobody has done anything with', async () => {
    await system.rows('DELETE FROM auth_tokens; DELETE FROM account_creation_request_tokens');
    const { id } = await system.account('attacher');
    await system.rows('INSERT INTO auth_tokens (token, account_id, created_at) VALUES ($1, $2, now())', ['attached', id]);
    await system.rows("INSERT INTO auth_tokens (token, created_at) SELECT 'a' || n, now() FROM generate_series(1, 8) n ORDER BY n");
    await system.rows(
      "INSERT INTO account_creation_request_tokens (token, validated_at, created_at) SELECT 'valid' || n, now(), now() FROM generate_series(1, 6) n ORDER BY n",
    );
    await system.rows("INSERT INTO account_creation_request_tokens (token, used, created_at) VALUES ('used', true, now())");
    await system.rows(
      "INSERT INTO account_creation_request_tokens (token, created_at) SELECT 'r' || n, now() FROM generate_series(1, 8) n ORDER BY n",
    );
    const { close } = await loadModels(system);
    const { trimStrangers } = await import('../src/models/ends-of-life.js');
    expect(await trimStrangers(5)).toEqual({ request_tokens: 3, validated_request_tokens: 1, auth_tokens: 3 });
    expect(await trimStrangers(5)).toEqual({ request_tokens: 0, validated_request_tokens: 0, auth_tokens: 0 });
    await close();
    const tokens = async (table: string): Promise<string[]> =>
      (await system.rows<{ token: string }>(`SELECT token FROM ${table} ORDER BY id`)).map(({ token }) => token);
    expect(await tokens('auth_tokens')).toEqual(['attached', 'a4', 'a5', 'a6', 'a7', 'a8']);
    expect(await tokens('account_creation_request_tokens')).toEqual('valid2 valid3 valid4 valid5 valid6 used r4 r5 r6 r7 r8'.split(' '));
  });

  test('an account that makes provisioning tokens in a loop keeps the ten newest, and its last one works', async () => {
    const { id, key } = await system.account('in-a-loop');
    for (let n = 0; n < 14; n += 1) expect((await system.api('/accounts/me/provision', { key })).status).toBe(200);
    const rows = await system.rows<{ token: string }>('SELECT token FROM provisioning_tokens WHERE account_id = $1 ORDER BY id', [id]);
    expect(rows).toHaveLength(10);
    const opened = await fetch(`${system.url}/provisioning/${rows.at(-1)?.token}`, { headers: { 'x-linphone-provisioning': 'true' } });
    expect(opened.status).toBe(200);
  });
});
