// Every table's rows end somewhere, found by index however many others there are.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runTask } from './helpers/jobs';
import { loadModels } from './helpers/models';
import { request, startSystem, type System } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 1, environment: { APP_TOKENS_PER_ADDRESS: '3', TRUST_PROXY: 'loopback' } });
});
afterAll(() => system.stop());

const run = (task: 'sweep' | 'clean'): Promise<Record<string, number>> =>
  runTask(system, task === 'sweep' ? 'maintenance' : 'chores', task);

test('docs/data-model.md states an end for every table of the schema, and for none that is not there', async () => {
  const text = readFileSync(path.join(__dirname, '..', 'docs', 'data-model.md'), 'utf8');
  const section = /^## Ends of life$([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
  const firstCells = section.split('\n').flatMap((line) => /^\| (.*?) \|/.exec(line)?.[1] ?? []);
  const stated = firstCells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
  const tables = await system.rows<{ name: string }>(
    `SELECT relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname = current_schema()`,
  );
  expect([...new Set(stated)].toSorted()).toEqual(tables.map(({ name }) => name).toSorted());
});

test('no sweep scans a table: each finds its rows by an index', async () => {
  const { id } = await system.account('owner-of-many');
  const many = 'FROM generate_series(1, 20000) n';
  const young = "now() - n * interval '1 millisecond'";
  for (const sql of [
    `INSERT INTO nonces (account_id, nonce, created_at) SELECT ${id}, 'n' || n, ${young} ${many}`,
    `INSERT INTO email_change_codes (account_id, code, email, created_at) SELECT ${id}, '1', 'x', ${young} ${many}`,
    `INSERT INTO phone_change_codes (account_id, code, phone, created_at) SELECT ${id}, '1', 'x', ${young} ${many}`,
    `INSERT INTO recovery_codes (account_id, code, created_at) SELECT ${id}, '1', ${young} ${many}`,
    `INSERT INTO auth_tokens (token, created_at) SELECT 'a' || n, ${young} ${many}`,
    `INSERT INTO account_creation_tokens (token, used, created_at) SELECT 'c' || n, n % 2 = 0, ${young} ${many}`,
    `INSERT INTO account_creation_request_tokens (token, validated_at, created_at) SELECT 'r' || n, now(), ${young} ${many}`,
    `INSERT INTO provisioning_tokens (account_id, token, created_at) SELECT ${id}, 'p' || n, ${young} ${many}`,
    `INSERT INTO token_deliveries (account_id, kind, token_hash, network, retry_from, retry_until)
     SELECT ${id}, 'provisioning', 'h' || n, 'x', now(), now() + interval '1 hour' ${many}`,
    `INSERT INTO messages (recipient, body, send_deadline) SELECT 'x', 'y', now() + interval '1 hour' ${many}`,
    `INSERT INTO sends (account_id, channel, kind, recipient, state, expires_at, created_at)
     SELECT ${id}, 'sms', 'account_creation', 'x', 'sent', now(), ${young} ${many}`,
    `INSERT INTO queue_actions (source, account, action, created_at) SELECT 'cli', 'root', 'pause', ${young} ${many}`,
  ])
    await system.rows(sql);
  await system.rows('ANALYZE');
  const { models, close } = await loadModels(system);
  const { searchesOf } = await import('../src/models/ends-of-life.js');
  const lives = {
    creationToken: 60,
    device: 60,
    provisioningToken: 60,
    emailCode: 10,
    phoneCode: 10,
    authToken: 5,
    nonce: 60,
    send: 90 * 24 * 60,
    blocking: 30,
  };
  const searches = searchesOf(lives);
  expect(searches.length).toBeGreaterThan(12);
  for (const sql of searches) {
    const plan = await system.rows<Record<string, string>>(`EXPLAIN ${sql.replace('$1', '1000')}`);
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    // No row lies outside of the months: there is nothing to look for by index.
    expect([sql, text.replace('Seq Scan on sends_default', '')]).toEqual([sql, expect.not.stringContaining('Seq Scan') as string]);
  }
  // What Sequelize makes of the scopes that the sweep asks for.
  const asked: string[] = [];
  const logging = (text: string): void => void asked.push(text.replace(/^Executing \([^)]*\): /, ''));
  for (const codes of [models.EmailChangeCode, models.PhoneChangeCode])
    await codes.scope(['due', 'stale']).findAll({ attributes: ['id'], order: [['send_deadline', 'ASC']], limit: 1000, logging, raw: true });
  expect(asked).toHaveLength(2);
  for (const sql of asked) {
    const plan = await system.rows<Record<string, string>>(`EXPLAIN ${sql}`);
    expect([sql, plan.map((row) => row['QUERY PLAN']).join('\n')]).toEqual([sql, expect.not.stringContaining('Seq Scan') as string]);
  }
  await close();
});

test('rows without a date, as imports bring them, begin their life when they are first seen', async () => {
  const { id } = await system.account('imported');
  await system.rows('DELETE FROM auth_tokens');
  await system.rows("INSERT INTO auth_tokens (token) SELECT 'undated' || n FROM generate_series(1, 1500) n");
  await system.rows("INSERT INTO email_change_codes (account_id, code, email) VALUES ($1, NULL, 'undated')", [id]);
  await run('clean');
  const dated = (table: string, where: string): Promise<unknown> =>
    system.rows(`SELECT count(*)::integer AS rows, count(created_at)::integer AS dated FROM ${table} WHERE ${where}`);
  expect(await dated('auth_tokens', "token LIKE 'undated%'")).toEqual([{ rows: 1500, dated: 1500 }]);
  expect(await dated('email_change_codes', "email = 'undated'")).toEqual([{ rows: 1, dated: 1 }]);
  await system.rows("UPDATE auth_tokens SET created_at = now() - interval '6 minutes'");
  expect(await run('clean')).toMatchObject({ auth_tokens: 1500 });
});

test('superseded provisioning tokens are found among any number that stay', async () => {
  await system.rows('DELETE FROM provisioning_tokens');
  const made = await system.rows<{ id: number }>(
    `INSERT INTO accounts (username, domain, ip_address, user_agent, created_at)
     SELECT 'many-' || n, 'sip.example.org', '192.0.2.1', 'test', now() FROM generate_series(1, 2500) n RETURNING id`,
  );
  const ids = made.map(({ id }) => id);
  const insert = (of: number[]): Promise<unknown> =>
    system.rows(
      "INSERT INTO provisioning_tokens (account_id, token, created_at) SELECT id, 'p' || id, now() - interval '2 days' FROM unnest($1::int[]) id",
      [of],
    );
  await insert(ids);
  await insert(ids.slice(-1));
  expect(await run('clean')).toMatchObject({ superseded_provisioning_tokens: 1 });
  expect(await system.rows('SELECT count(*)::integer AS n, count(DISTINCT account_id)::integer AS of FROM provisioning_tokens')).toEqual([
    { n: 2500, of: 2500 },
  ]);
});

test('messages, and tokens on their way, that nobody sends any more go in pieces', async () => {
  await system.rows(
    "INSERT INTO messages (recipient, body, send_deadline) SELECT 'late', 'y', now() - interval '2 minutes' FROM generate_series(1, 1500)",
  );
  await system.rows("INSERT INTO messages (recipient, body, send_deadline) VALUES ('in time', 'y', now() - interval '50 seconds')");
  await system.rows(
    "INSERT INTO account_creation_tokens (token, send_state, send_deadline, created_at) VALUES ('late', 'sending', now() - interval '2 minutes', now()), ('sent', 'sent', now() - interval '2 minutes', now())",
  );
  await run('sweep');
  expect(await system.rows("SELECT recipient FROM messages WHERE recipient IN ('late', 'in time')")).toEqual([{ recipient: 'in time' }]);
  expect(await system.rows("SELECT token FROM account_creation_tokens WHERE token IN ('late', 'sent')")).toEqual([{ token: 'sent' }]);
});

test('changes of the number of accounts are folded in pieces, and blocks without an account go', async () => {
  await system.rows(
    "INSERT INTO account_count_changes (domain, block, accounts) SELECT 'folded.example.org', n % 3, 1 FROM generate_series(1, 24999) n",
  );
  await system.rows("INSERT INTO account_count_changes (domain, block, accounts) VALUES ('folded.example.org', 2, -8333)");
  await run('sweep');
  expect(await system.rows('SELECT 1 FROM account_count_changes')).toEqual([]);
  expect(await system.rows("SELECT block, accounts FROM account_counts WHERE domain = 'folded.example.org' ORDER BY block")).toEqual([
    { block: 0, accounts: 8333 },
    { block: 1, accounts: 8333 },
  ]);
});

test.each(['/account_creation_request_tokens', '/accounts/auth_token'])(
  '%s: the addresses of one network of IPv6 count as one',
  async (route) => {
    const ask = async (address: string): Promise<number> =>
      (await request(`${system.url}/api${route}`, { method: 'POST', headers: { 'x-forwarded-for': address } })).status;
    const answers: number[] = [];
    for (let n = 1; n <= 4; n += 1) answers.push(await ask(`2001:db8:1:2::${n}`));
    expect(answers).toEqual([201, 201, 201, 429]);
    expect([await ask('2001:db8:1:3::1'), await ask('203.0.113.9')]).toEqual([201, 201]);
  },
);
