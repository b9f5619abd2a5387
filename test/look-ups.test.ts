// What many requests share: look-ups of keys and DIGEST names, and counts of nonces. Each stays exact to its request.
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { hashApiKey } from '../src/services/credentials/secrets';
import { loadModels, type Models } from './helpers/models';
import { StatementCounter } from './helpers/statements';
import { eventually, request, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const OTHER = 'other.example.org';

let system: System;
let counter: StatementCounter;
let web = '';
let models: Models['models'];
let close: Models['close'];
let identities: typeof import('../src/models/credentials/identity');
let views: typeof import('../src/models/accounts/account-view');
let visibility: Models['visibility'];
let nonces: typeof import('../src/services/credentials/nonces');

beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0, environment: { APP_KEY: 'a-secret-of-the-installation' } });
  counter = await StatementCounter.start(system.environment['DATABASE_URL'] ?? '');
  await system.startWeb({ DATABASE_URL: counter.url });
  web = system.urls[1] ?? '';
  await system.space(OTHER);
  ({ models, visibility, close } = await loadModels(system));
  identities = await import('../src/models/credentials/identity.js');
  views = await import('../src/models/accounts/account-view.js');
  nonces = await import('../src/services/credentials/nonces.js');
});
afterEach(() => {
  counter.relay.delayMs = 0;
  counter.reset();
});
afterAll(async () => {
  await close();
  await system.stop();
  await counter.stop();
});

const isLookUp = (sql: string): boolean => sql.includes('FROM api_keys k JOIN');
const lookUps = (): string[] => counter.statements.filter(isLookUp);
const me = (key: string): Promise<Answer> => request(`${web}/api/accounts/me`, { key });
describe('keys', () => {
  let account: Account;
  let others: Account[];
  beforeEach(async () => {
    const name = Math.random().toString(36).slice(2);
    account = await system.account(name, { domain: OTHER });
    others = await Promise.all(Array.from({ length: 10 }, (_, n) => system.account(`${name}-${n}`, { domain: OTHER })));
  });

  test('that come at the same time share few statements, each has its own account, and each use counts', async () => {
    await Promise.all(others.map(({ key }) => me(key)));
    counter.reset();
    counter.relay.delayMs = 300;
    const shown = Array.from({ length: 60 }, (_, n) => (n % 2 === 0 ? account : (others[n % 10] as Account)));
    const answers = await Promise.all([...shown, { id: 0, key: 'unknown' }].map(({ key }) => me(key)));
    expect(answers.map(({ status }) => status)).toEqual([...shown.map(() => 200), 401]);
    expect(answers.slice(0, -1).map(({ json }) => json['id'])).toEqual(shown.map(({ id }) => id));
    expect(lookUps().length).toBeLessThan(20);
    await eventually(
      () => system.rows<{ requests: string }>('SELECT requests FROM api_keys WHERE account_id = $1', [account.id]),
      ([row]) => Number(row?.requests) === 30,
    );
  });

  test.each([
    ['its key is deleted', 401, (id: number) => system.rows('DELETE FROM api_keys WHERE account_id = $1', [id])],
    ['it is blocked', 403, (id: number) => system.rows('UPDATE accounts SET blocked = true WHERE id = $1', [id])],
    ['its Space expires', 403, () => system.rows("UPDATE spaces SET expire_at = now() - interval '1 second' WHERE domain = $1", [OTHER])],
    [
      'its key is bound to another address',
      401,
      (id: number) => system.rows("UPDATE api_keys SET ip = '192.0.2.9' WHERE account_id = $1", [id]),
    ],
  ])(
    'a request that comes once %s is refused, while an earlier one with the same key has its statement under way',
    async (_why, status, end) => {
      counter.relay.delayMs = 0;
      await me(account.key);
      counter.reset();
      counter.relay.delayMs = 1000;
      const earlier = me(account.key);
      await eventually(
        () => Promise.resolve(lookUps()),
        (found) => found.length > 0,
      );
      await end(account.id);
      expect((await me(account.key)).status).toBe(status);
      await earlier;
      counter.relay.delayMs = 0;
      await system.rows('UPDATE spaces SET expire_at = NULL WHERE domain = $1', [OTHER]);
    },
  );
});

test('a view that comes with its identity is the one that is read by itself', async () => {
  const { id, key } = await system.account('viewed', { domain: OTHER });
  await system.rows("UPDATE accounts SET email = 'v@example.org', dtmf_protocol = 'sipinfo', display_name = 'É \"V\"' WHERE id = $1", [id]);
  await system.rows("INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, 'MD5', 'a'), ($1, 'SHA-256', 'b')", [id]);
  await system.rows("INSERT INTO account_dictionary_entries (account_id, key, value) VALUES ($1, 'k', 'v')", [id]);
  const view = await views.findAccountView(id, visibility.SYSTEM);
  expect(view?.created_at).toBeInstanceOf(Date);
  const shown = [
    { hash: 'unknown', host: SPACE },
    { hash: hashApiKey(key), host: SPACE },
  ];
  const [unknown, found] = await identities.findIdentitiesByApiKey(shown, { withView: true });
  expect(unknown).toBeNull();
  expect(found).toMatchObject({ account_id: id, username: 'viewed', domain: OTHER, admin: false, blocked: false, space_super: false });
  expect(found?.view).toEqual(view);
  expect(await identities.findIdentitiesByApiKey(shown, { withView: false })).toEqual([null, { ...found, view: undefined }]);
  const addresses = ['VIEWED', 'nobody', 'viewed', 'v\0d'].map((username) => ({ address: { username, domain: OTHER }, host: OTHER }));
  const [upper, nobody, exact, nul] = await identities.findDigestIdentities(addresses, { withView: true });
  expect([nobody, nul]).toEqual([null, null]);
  expect(exact).toEqual(upper);
  expect(exact?.view).toEqual(view);
  expect(exact?.passwords).toEqual([
    { algorithm: 'MD5', password: 'a' },
    { algorithm: 'SHA-256', password: 'b' },
  ]);
});

describe('counts of nonces', () => {
  const nc = async (nonce: string): Promise<number | undefined> => (await models.Nonce.findOne({ where: { nonce } }))?.nc;

  test('of many requests share a statement; of two with one count one wins, and the nonce is destroyed', async () => {
    const { id } = await system.account('counted');
    const each = await Promise.all(Array.from({ length: 100 }, (_, n) => nonces.acceptNonceCount(id, `one-${n}`, 1)));
    expect(new Set(each)).toEqual(new Set([true]));
    const same = await Promise.all(Array.from({ length: 20 }, () => nonces.acceptNonceCount(id, 'same', 1)));
    expect(same.filter(Boolean)).toHaveLength(1);
    expect(await nc('same')).toBe(nonces.MAX_NONCE_COUNT + 1);
    const rising = await Promise.all(Array.from({ length: 20 }, (_, n) => nonces.acceptNonceCount(id, 'rising', n + 1)));
    expect(rising.filter(Boolean)).toHaveLength(20);
    expect(await nc('rising')).toBe(20);
  });

  test('of an account that is locked or gone keep no other', async () => {
    const [held, free, gone] = [await system.account('held'), await system.account('free'), await system.account('gone')];
    await system.rows('DELETE FROM accounts WHERE id = $1', [gone.id]);
    const holder = new pg.Client({ connectionString: system.environment['DATABASE_URL'] });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [held.id]);
    const counts = [held.id, free.id, gone.id].map((account_id) => ({ account_id, nonce: `of-${account_id}`, nc: 1 }));
    expect(await models.Nonce.moveCounts(counts)).toEqual([null, true, null]);
    const waiting = nonces.acceptNonceCount(held.id, `of-${held.id}`, 1);
    expect(await nonces.acceptNonceCount(free.id, `of-${free.id}`, 2)).toBe(true);
    await holder.query('COMMIT');
    await holder.end();
    expect(await waiting).toBe(true);
    await expect(nonces.acceptNonceCount(gone.id, `of-${gone.id}`, 1)).rejects.toMatchObject({ original: { code: '23503' } });
  });

  test('of several processes and in any order wait for one another and for no deadlock', async () => {
    const { id } = await system.account('ordered');
    const names = Array.from({ length: 50 }, (_, n) => `order-${n}`);
    const moved = await Promise.all(
      Array.from({ length: 20 }, (_, round) =>
        models.Nonce.moveCounts((round % 2 === 0 ? names : names.toReversed()).map((nonce) => ({ account_id: id, nonce, nc: round + 1 }))),
      ),
    );
    expect(moved.flat()).not.toContain(null);
    expect(await models.Nonce.sum('nc', { where: { nonce: names } })).toBe(50 * 20);
  });
});

test('each look-up is one of an index, whatever the tables were when it was planned', async () => {
  await system.account('planned');
  const asked = await system.account('asked', { admin: true });
  await me(asked.key);
  const { json } = await system.api('/api_keys', { method: 'POST', key: asked.key, body: { name: 'planned', scopes: ['*'] } });
  await me(json['api_key'] as string);
  await request(`${web}/api/accounts/me`, { headers: { from: `sip:planned@${SPACE}` } });
  await eventually(
    () => Promise.resolve(counter.prepared.filter(({ sql }) => sql.includes('WITH ORDINALITY'))),
    (found) => found.length >= 3,
  );
  const texts = new Set(counter.prepared.map(({ sql }) => sql).filter((sql) => sql.includes('WITH ORDINALITY')));
  const client = new pg.Client({ connectionString: system.environment['DATABASE_URL'] });
  await client.connect();
  const parameters = /LANE_PARAMETERS = \{ (.*) \}/.exec(readFileSync('src/infra/sequelize.ts', 'utf8'))?.[1] ?? '';
  for (const [, name = '', value = ''] of parameters.matchAll(/(\w+): '([\w-]+)'/g)) await client.query(`SET ${name} = ${value}`);
  const check = async (): Promise<void> => {
    await client.query('DEALLOCATE ALL; ANALYZE accounts, api_keys, named_api_keys, named_api_key_secrets, spaces, passwords');
    for (const sql of texts) {
      await client.query(`PREPARE look_up AS ${sql}`);
      const count = Math.max(...[...sql.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)));
      const values = ["'x'", ...Array.from({ length: count - 1 }, () => "'{}'")].join(', ');
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE look_up(${values})`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toMatch(/Seq Scan on (accounts|api_keys|named_api_keys|named_api_key_secrets|passwords|spaces)/);
      expect(plan).toMatch(/Index (Only )?Scan using (api_keys_key|named_api_key_secrets_pkey|accounts_)/);
      await client.query('DEALLOCATE look_up');
    }
  };
  await check();
  await system.rows(
    `INSERT INTO accounts (username, domain, activated, ip_address, user_agent, created_at, updated_at)
     SELECT 'many-' || n, $1, true, '192.0.2.1', 'test', now(), now() FROM generate_series(1, 100000) AS n`,
    [OTHER],
  );
  await system.rows(
    "INSERT INTO api_keys (account_id, key, last_used_at) SELECT id, md5(id::text), now() FROM accounts WHERE username LIKE 'many-%'",
  );
  await system.rows(
    `WITH made AS (INSERT INTO named_api_keys (account_id, name, scopes) SELECT id, 'many', '{*}' FROM accounts WHERE username LIKE 'many-%' RETURNING id)
     INSERT INTO named_api_key_secrets (key_hash, key_id) SELECT md5(id::text), id FROM made`,
  );
  await check();
  await client.end();
});

test('keys of machines share look-ups, too; one that comes once a key is revoked is refused, while an earlier one has its statement under way', async () => {
  const admin = await system.account('admin-of-machines', { admin: true });
  const make = async (name: string): Promise<{ id: number; api_key: string }> =>
    (await system.api('/api_keys', { method: 'POST', key: admin.key, body: { name, scopes: ['accounts:read'] } })).json as never;
  const [one, other] = [await make('one'), await make('other')];
  expect([(await me(one.api_key)).status, (await me(other.api_key)).status]).toEqual([200, 200]);
  counter.reset();
  counter.relay.delayMs = 300;
  const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => me((n % 2 === 0 ? one : other).api_key)));
  expect(answers.map(({ status, json }) => [status, json['id']])).toEqual(answers.map(() => [200, admin.id]));
  const isNamed = (sql: string): boolean => sql.includes('FROM named_api_key_secrets x JOIN');
  expect(counter.statements.filter(isNamed).length).toBeLessThan(10);

  const early = me(one.api_key);
  await eventually(
    () => Promise.resolve(counter.statements.filter(isNamed).length),
    (count) => count > 0,
  );
  await system.rows('DELETE FROM named_api_keys WHERE id = $1', [one.id]);
  expect((await me(one.api_key)).status).toBe(401);
  await early;
  expect((await me(other.api_key)).status).toBe(200);
});
