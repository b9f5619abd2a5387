// Keys of machines from the command line, and how operators hear of those that end: /metrics, /health/ready, the log and the table.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { runTask } from './helpers/jobs';
import { namedKey } from './helpers/named-keys';
import { eventually, request, SPACE, startSystem, type System } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 1, environment: { TRUST_PROXY: '1' } });
  await system.account('cli-super', { admin: true });
});
afterAll(() => system.stop());

const run = promisify(execFile);
interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}
async function flexiapi(...parameters: string[]): Promise<Ran> {
  const bin = path.join(__dirname, '..', 'bin', 'flexiapi');
  try {
    return {
      code: 0,
      ...(await run(process.execPath, [bin, ...parameters], { env: { PATH: process.env['PATH'], ...system.environment } })),
    };
  } catch (error) {
    return error as Ran;
  }
}
interface Made extends Record<string, unknown> {
  id: number;
  api_key: string;
}
const made = async (...parameters: string[]): Promise<Made> => JSON.parse((await flexiapi(...parameters, '--json')).stdout) as Made;
const statusOf = async (key: string): Promise<number> => (await system.api('/accounts/me', { key })).status;
const metric = async (name: string): Promise<string[]> =>
  (await request(`${system.url}/metrics`)).text.split('\n').filter((line) => line.startsWith(name));
const warnings = async (): Promise<string[]> => (await request(`${system.url}/health/ready`)).json['warnings'] as string[];

test('made, listed, rotated and revoked', async () => {
  const key = await made(
    'api-keys:create',
    'printer',
    '--scope',
    'accounts:read,contacts:read',
    '-s',
    'spaces:read',
    '--from',
    '127.0.0.1,10.0.0.0/8',
  );
  expect(key).toMatchObject({
    name: 'printer',
    account: `cli-super@${SPACE}`,
    scopes: ['accounts:read', 'spaces:read', 'contacts:read'],
    allowed_addresses: ['127.0.0.1', '10.0.0.0/8'],
    expires_at: null,
  });
  expect(await statusOf(key.api_key)).toBe(200);
  const rotated = await made('api-keys:rotate', 'printer', '--grace-minutes', '5');
  expect([await statusOf(key.api_key), await statusOf(rotated.api_key)]).toEqual([200, 200]);
  const again = await made('api-keys:rotate', String(key.id));
  expect([await statusOf(key.api_key), await statusOf(rotated.api_key), await statusOf(again.api_key)]).toEqual([401, 401, 200]);
  await eventually(
    () => flexiapi('api-keys'),
    ({ stdout }) => /printer .*127\.0\.0\.1/.test(stdout),
  );
  const { stdout } = await flexiapi('api-keys');
  expect(stdout).toContain(`cli-super@${SPACE}`);
  expect(stdout).not.toContain(again.api_key.slice(9));
  expect((await flexiapi('api-keys', '--json')).stdout).not.toContain('key_hash');
  expect(await flexiapi('api-keys:revoke', 'printer')).toMatchObject({
    code: 0,
    stdout: `API key printer of sip:cli-super@${SPACE} revoked.\n`,
  });
  expect(await statusOf(again.api_key)).toBe(401);
});

test('for an account by number or address, with an end of either kind', async () => {
  const other = await system.account('cli-other');
  const day = await made('api-keys:create', 'by day', '-s', '*', '--account', String(other.id), '--expires', '2090-05-06');
  expect(day).toMatchObject({ account_id: other.id, expires_at: '2090-05-06T00:00:00.000Z' });
  const soon = await made('api-keys:create', 'by time', '-s', '*', '--account', `sip:CLI-other@${SPACE.toUpperCase()}`, '--expires', '90d');
  expect(new Date(soon['expires_at'] as string).getTime() - Date.now()).toBeGreaterThan(89.9 * 86_400_000);
  expect(await made('api-keys:create', 'unused', '-s', '*', '--unused-minutes', '60')).toMatchObject({
    expires_after_last_used_minutes: 60,
  });
  expect((await flexiapi('api-keys:create', 'said', '-s', '*', '--never')).stdout).toMatch(
    /^API key {2}flexiapi_[A-Za-z0-9]{46}\n[^]*Expires {2}never\n/,
  );
  // The same name, of another account: it must be said whose is meant.
  await made('api-keys:create', 'by day', '-s', '*');
  expect(await flexiapi('api-keys:rotate', 'by day')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^several accounts .*--account\n$/) as string,
  });
  expect(await made('api-keys:rotate', 'by day', '--account', String(other.id))).toMatchObject({ id: day.id });
  expect(
    (JSON.parse((await flexiapi('api-keys', '--account', `cli-other@${SPACE}`, '--json')).stdout) as Made[]).map(({ id }) => id),
  ).toEqual([day.id, soon.id]);
});

test.each<[string, string[], number, RegExp]>([
  ['no scope', ['x'], 2, /--scope/],
  ['an unknown scope', ['x', '-s', 'everything'], 2, /"everything": accounts:read, /],
  ['no name', ['-s', '*'], 2, /name/],
  ['an empty name', [' ', '-s', '*'], 1, /^name: /],
  ['a name that cannot be seen', ['a\u200b', '-s', '*'], 1, /^name: /],
  ['a range that is none', ['x', '-s', '*', '--from', '10.0.0.0/33'], 2, /--from.*10\.0\.0\.0\/33/],
  ['bits behind a prefix', ['x', '-s', '*', '--from', '10.0.0.1/8'], 2, /--from.*10\.0\.0\.1\/8/],
  [
    'more addresses than the API takes',
    ['x', '-s', '*', '--from', Array.from({ length: 101 }, (_, n) => `10.0.0.${n}`).join(',')],
    1,
    /^--from: /,
  ],
  ['an end that is past', ['x', '-s', '*', '--expires', '2020-01-01'], 2, /--expires.*past/],
  ['an end that is none', ['x', '-s', '*', '--expires', 'soon'], 2, /--expires/],
  ['two ends', ['x', '-s', '*', '--never', '--expires', '9d'], 1, /^--never, --expires/],
  ['unused for no time', ['x', '-s', '*', '--unused-minutes', '0'], 1, /^--unused-minutes/],
  ['an account that is not there', ['x', '-s', '*', '--account', 'nobody@nowhere.org'], 1, /^--account: /],
])('%s is refused with the name of the option', async (_what, parameters, code, text) => {
  const ran = await flexiapi('api-keys:create', ...parameters);
  expect([ran.code, ran.stdout]).toEqual([code, '']);
  expect(ran.stderr).toMatch(text);
});

test('a number is nobody else’s name: what another account calls its key decides nothing', async () => {
  const other = await system.account('cli-namesake');
  const [{ next } = { next: 0 }] = await system.rows<{ next: number }>('SELECT coalesce(max(id), 0) + 2 AS next FROM named_api_keys');
  await made('api-keys:create', String(next), '-s', 'accounts:read', '--account', String(other.id));
  const key = await made('api-keys:create', 'numbered', '-s', 'spaces:read');
  expect(key).toMatchObject({ id: next, name: 'numbered', account: `cli-super@${SPACE}`, scopes: ['spaces:read'] });
  for (const command of ['api-keys:rotate', 'api-keys:revoke'])
    expect(await flexiapi(command, String(next))).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/--account/) as string,
    });
  expect(await statusOf(key.api_key)).toBe(403);
  const rotated = await made('api-keys:rotate', String(next), '--account', `cli-super@${SPACE}`);
  expect(rotated).toMatchObject({ id: next, name: 'numbered' });
  expect(await made('api-keys:revoke', 'numbered')).toMatchObject({ id: next });
  expect(await made('api-keys:revoke', String(next))).toMatchObject({ name: String(next), id: next - 1 });
});

test('a name that is taken, and a key that is not there', async () => {
  await made('api-keys:create', 'taken', '-s', '*');
  expect(await flexiapi('api-keys:create', 'taken', '-s', '*')).toMatchObject({
    code: 1,
    stderr: 'name: the account has a key taken already; api-keys:rotate gives it another secret\n',
  });
  for (const command of ['api-keys:rotate', 'api-keys:revoke'])
    expect(await flexiapi(command, 'nowhere')).toMatchObject({
      code: 1,
      stderr: 'there is no API key nowhere; bin/flexiapi api-keys lists them\n',
    });
});

describe('nobody is surprised', () => {
  test('by a key that ends within a week, or the last fifth of its life', async () => {
    const key = await made('api-keys:create', 'ending', '-s', '*', '--expires', '30d');
    const young = await made('api-keys:create', 'young', '-s', '*', '--expires', '3h');
    const unused = await made('api-keys:create', 'unused soon', '-s', '*', '--unused-minutes', '100');
    const shift = (id: number, ago: string, left: string): Promise<unknown> =>
      system.rows('UPDATE named_api_keys SET secret_made_at = now() - $2::interval, expires_at = now() + $3::interval WHERE id = $1', [
        id,
        ago,
        left,
      ]);
    await shift(key.id, '60 days', '8 days');
    expect(await warnings()).toEqual([]);
    await shift(key.id, '60 days', '6 days 23 hours');
    await shift(young.id, '2 hours', '1 hour');
    await system.rows("UPDATE named_api_keys SET secret_made_at = now() - interval '81 minutes' WHERE id = $1", [unused.id]);
    const told = await eventually(warnings, (lines) => lines.length === 2);
    expect(told).toEqual([
      expect.stringMatching(/^the API key "unused soon" expires in 1[89] minutes$/),
      'the API key "ending" expires in 6 days',
    ]);
    const [line = ''] = await metric('flexiapi_api_key_expires_seconds{name="ending"}');
    expect(Number(line.split(' ').at(-1)) / 86_400).toBeCloseTo(6.96, 1);
    await runTask(system, 'chores', 'clean');
    const logged = (system.workers[0]?.output() ?? '').split('\n').filter((each) => each.includes('API keys expire soon'));
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({
      level: 40,
      count: 2,
      keys: [{ key: 'unused soon' }, { key: 'ending', key_id: key.id }],
    });
    await flexiapi('api-keys:revoke', 'ending');
    await flexiapi('api-keys:revoke', 'unused soon');
    await flexiapi('api-keys:revoke', 'young');
  });

  test('by a key that has expired and is still used', async () => {
    const key = await made('api-keys:create', 'forgotten', '-s', 'statistics:write', '--expires', '30d');
    await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '2 hours' WHERE id = $1", [key.id]);
    const report = (): Promise<{ status: number; text: string }> =>
      system.api('/statistics/messages', { method: 'POST', key: key.api_key, body: {} });
    const before = await metric('flexiapi_api_key_refused_total{name="forgotten"}');
    expect(before).toEqual([]);
    for (let n = 0; n < 3; n += 1) expect(await report()).toMatchObject({ status: 401, text: '{"message":"This API key has expired."}' });
    const refused = 'flexiapi_api_key_refused_total{name="forgotten"}';
    expect(
      await eventually(
        () => metric(refused),
        (lines) => lines.length === 1,
      ),
    ).toEqual([`${refused} 3`]);
    const told = await eventually(warnings, (lines) => lines.length === 1);
    expect(told[0]).toMatch(/^the API key "forgotten" was refused \d s ago: it has expired: /);
    const [line = ''] = await metric('flexiapi_api_key_expires_seconds{name="forgotten"}');
    expect(Number(line.split(' ').at(-1))).toBeLessThan(-7000);
    expect((await flexiapi('api-keys')).stdout).toMatch(/forgotten [^\n]*expired/);
    await runTask(system, 'chores', 'clean');
    expect(system.workers[0]?.output()).toMatch(/"key":"forgotten"[^\n]*"reason":"expired"/);
    // Once nobody uses it there is nothing to warn of.
    await system.rows("UPDATE named_api_keys SET last_refused_at = now() - interval '61 minutes' WHERE id = $1", [key.id]);
    expect(await eventually(warnings, (lines) => lines.length === 0)).toEqual([]);
  });

  test('by a key without the scope, or from another address', async () => {
    const key = await made('api-keys:create', 'elsewhere', '-s', 'contacts:read', '--from', '192.0.2.1');
    expect(await statusOf(key.api_key)).toBe(401);
    expect(await eventually(warnings, (lines) => lines.length === 1)).toEqual([
      expect.stringContaining('an address that it does not allow'),
    ]);
    const answer = await system.api('/accounts/me', { key: key.api_key, headers: { 'x-forwarded-for': '192.0.2.1' } });
    expect([answer.status, answer.json['message']]).toEqual([403, 'This API key may not do this: it lacks the scope accounts:read.']);
    expect(await eventually(warnings, ([line = '']) => line.includes('lacks a scope'))).toHaveLength(1);
    const refused = await eventually(
      () => metric('flexiapi_api_key_refused_total{name="elsewhere"}'),
      ([line = '']) => line.endsWith(' 2'),
    );
    expect(refused).toHaveLength(1);
  });

  test('by a key whose account is blocked, or no admin any more', async () => {
    const account = await system.account('cli-blocked', { admin: true });
    const key = await made('api-keys:create', 'of nobody', '-s', 'statistics:write', '--account', String(account.id));
    const report = async (): Promise<string> =>
      (await system.api('/statistics/messages', { method: 'POST', key: key.api_key, body: {} })).text;
    const isTold = ([line = '']: string[]): boolean => /^the API key "of nobody" was refused \d s ago: its account is blocked, /.test(line);
    for (const change of ['blocked = true', 'blocked = false, admin = false']) {
      await system.rows(`UPDATE accounts SET ${change} WHERE id = $1`, [account.id]);
      await system.rows('UPDATE named_api_keys SET last_refused_at = NULL');
      await eventually(warnings, (lines) => lines.length === 0);
      expect(await report()).toContain(change.includes('admin') ? 'Only an admin' : 'blocked');
      await eventually(warnings, isTold);
    }
    expect((await metric('flexiapi_api_key_refused_total{name="of nobody"}'))[0]).toMatch(/ 2$/);
    expect(JSON.parse((await flexiapi('api-keys', '--account', String(account.id), '--json')).stdout)).toMatchObject([
      { refused_requests: 2, last_refused_reason: 'account' },
    ]);
    await flexiapi('api-keys:revoke', 'of nobody');
  });

  test('of a key of the operator’s, however many the admins of Spaces have: ended, refused, and with its name', async () => {
    await system.space('crowd.example.org');
    const { id } = await system.account('crowd-admin', { domain: 'crowd.example.org', admin: true });
    await system.rows(
      `INSERT INTO named_api_keys (account_id, name, scopes, expires_at, last_refused_at, last_refused_reason, created_at)
       SELECT $1, 'crowd ' || n, '{*}', now() - interval '1 day', now(), 'expired', now() FROM generate_series(1, 1001) n`,
      [id],
    );
    const key = await made('api-keys:create', 'operators', '-s', '*', '--expires', '3d');
    const idle = await made('api-keys:create', 'idle', '-s', '*', '--expires', '3d');
    await system.rows("UPDATE named_api_keys SET secret_made_at = now() - interval '90 days' WHERE id = $1", [key.id]);
    await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '9 days' WHERE id = $1", [idle.id]);
    await eventually(warnings, ([line = '']) => line === 'the API key "operators" expires in 2 days');
    const shown = await metric('flexiapi_api_key_expires_seconds{name=');
    expect(shown.filter((line) => /"(operators|idle)"/.test(line))).toHaveLength(2);
    await system.rows('UPDATE named_api_keys SET name = $2 WHERE account_id = $1 AND name = $3', [id, 'operators', 'crowd 1']);
    const [line = ''] = await eventually(
      () => metric('flexiapi_api_key_expires_seconds{name="operators"}'),
      ([first = '']) => first.includes('-'),
    );
    expect(Number(line.split(' ').at(-1))).toBeLessThan(-86_000);
    await system.rows('DELETE FROM named_api_keys WHERE account_id = $1 OR id = ANY ($2)', [id, [key.id, idle.id]]);
  });

  test('by more than a thousand names, which are no more series than that: the last ones', async () => {
    const { id } = await system.account('names-admin', { admin: true });
    const key = await namedKey(system, id, ['contacts:read']);
    const refuse = async (name: string): Promise<void> => {
      await system.rows('UPDATE named_api_keys SET name = $2 WHERE account_id = $1', [id, name]);
      expect(await statusOf(key)).toBe(403);
    };
    await refuse('steady');
    for (let n = 0; n < 1010; n += 1) {
      await refuse(`name ${n}`);
      if (n === 500) await refuse('steady');
    }
    const lines = await eventually(
      () => metric('flexiapi_api_key_refused_total{'),
      (all) => all.some((line) => line.includes('"name 1009"')),
    );
    expect(lines).toHaveLength(1000);
    expect(lines).toContain('flexiapi_api_key_refused_total{name="steady"} 2');
    await system.rows('DELETE FROM named_api_keys WHERE account_id = $1', [id]);
  });
});
