// The client's address: what TRUST_PROXY believes, and what is no address.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { networkOf, parseIpAddress } from '../src/infra/ip-address';
import { send } from './helpers/raw';
import { eventually, request, SPACE, startSystem, type System } from './helpers/system';

describe('texts', () => {
  test.each([
    ['203.0.113.8', '203.0.113.8'],
    [' 203.0.113.8 ', '203.0.113.8'],
    ['203.0.113.8:51234', '203.0.113.8'],
    ['::ffff:203.0.113.8', '203.0.113.8'],
    ['::FFFF:cb00:7108', '203.0.113.8'],
    ['[::ffff:203.0.113.8]:443', '203.0.113.8'],
    ['2001:DB8:0:0::0001', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['', null],
    ['unknown', null],
    ['_hidden', null],
    ['203.0.113', null],
    ['203.0.113.8.9', null],
    ['203.0.113.8:', null],
    ['[2001:db8::1', null],
    ['2001:db8::1]:443', null],
    ['[2001:db8::1]:', null],
    ['[203.0.113.8]:443', null],
    ['fe80::1%25eth0', 'fe80::1'],
    ['[fe80::1%eth0]:443', 'fe80::1'],
    ['::1.2.3.4', '::1.2.3.4'],
    ['2001:0DB8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['::ffff:203.0.113.8:51234', null],
    ['0x7f.1', null],
    ['2130706433', null],
    ['203.0.113.08', null],
    ['"203.0.113.8"', null],
    ["' OR 1=1 --", null],
    ['1'.repeat(10_000), null],
  ])('%.40s', (text, address) => expect(parseIpAddress(text)).toBe(address));

  test.each([
    ['203.0.113.8', '203.0.113.8'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ])('the network of %s', (address, network) => expect(networkOf(address)).toBe(network));

  test.each([
    [32, '2001:db8:1234:5678:9abc::1', '2001:db8::/32'],
    [48, '2001:db8:1234:5678:9abc::1', '2001:db8:1234::/48'],
    [56, '2001:db8:1234:5678:9abc::1', '2001:db8:1234:5600::/56'],
    [61, '2001:db8:1234:567f::', '2001:db8:1234:5678::/61'],
    [96, '64:ff9b::1.2.3.4', '64:ff9b:0:0:0:0::/96'],
    [128, '2001:db8::1', '2001:db8:0:0:0:0:0:1/128'],
    [128, '::1.2.3.4', '0:0:0:0:0:0:102:304/128'],
    [128, '203.0.113.8', '203.0.113.8'],
  ])('the first %i bits of %s', (prefix, address, network) => expect(networkOf(address, prefix)).toBe(network));

  test('networks of any length hold the same addresses as their numbers say', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    const address = fc.array(group, { minLength: 8, maxLength: 8 });
    const numberOf = (groups: number[]): bigint => groups.reduce((sum, each) => sum * 65_536n + BigInt(each), 0n);
    const textOf = (groups: number[]): string => parseIpAddress(groups.map((each) => each.toString(16)).join(':')) ?? '';
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 127 }), fc.integer({ min: 32, max: 128 }), (groups, flipped, prefix) => {
        const other = numberOf(groups) ^ (1n << BigInt(127 - flipped));
        const others = Array.from({ length: 8 }, (_, index) => Number((other >> BigInt(112 - 16 * index)) & 0xffffn));
        fc.pre(textOf(groups).includes(':') && textOf(others).includes(':'));
        expect(networkOf(textOf(groups), prefix) === networkOf(textOf(others), prefix)).toBe(flipped >= prefix);
      }),
    );
  });
});

let system: System;
let key: string;
const addresses = (): Promise<string[]> =>
  system.rows<{ ip: string }>('SELECT DISTINCT ip FROM auth_tokens').then((rows) => rows.map(({ ip }) => ip));
/** The address that a request is taken to come from, as an account made by it remembers it. */
async function addressOf(forwarded: string, url = system.url): Promise<unknown> {
  const username = `from-${Math.random().toString(36).slice(2)}`;
  const answer = await fetch(`${url}/api/accounts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key, 'x-forwarded-for': forwarded },
    body: JSON.stringify({ username, password: 'password', algorithm: 'MD5' }),
  });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { ip_address: unknown }).ip_address;
}

beforeAll(async () => {
  system = await startSystem({ workers: 0, environment: { TRUST_PROXY: 'true' } });
  ({ key } = await system.account('address-admin', { admin: true }));
});
afterAll(() => system.stop());

test('TRUST_PROXY=true is warned of, once', () => {
  const warnings = (system.webs[0]?.output() ?? '').split('\n').filter((line) => line.includes('TRUST_PROXY'));
  expect(warnings).toHaveLength(1);
  expect(JSON.parse(warnings[0] ?? '')).toMatchObject({ level: 40 });
});

test('an entry that is no address is nobody’s: the connection’s own counts, in columns and for limits', async () => {
  for (const garbage of ['x'.repeat(46), 'x'.repeat(2000), 'unknown', '203.0.113.300', `${'1'.repeat(300)}.2.3.4`])
    expect([garbage, await addressOf(garbage)]).toEqual([garbage, '127.0.0.1']);
  expect((await system.api('/accounts/auth_token', { method: 'POST', headers: { 'x-forwarded-for': 'y'.repeat(300) } })).status).toBe(201);
  expect(await addresses()).toEqual(['127.0.0.1']);
  const limited = await startSystem({ workers: 0, environment: { TRUST_PROXY: 'true', RATE_LIMIT_PER_MINUTE: '5' } });
  const statuses = await Promise.all(
    Array.from({ length: 8 }, (_, n) => limited.api('/ping', { headers: { 'x-forwarded-for': `garbage-${n}` } })),
  );
  expect(statuses.filter(({ status }) => status === 429)).toHaveLength(3);
  // One spelling, and one network, is one client.
  const six = ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '[2001:db8::1]:4711', '2001:db8::2', '2001:db8:0:0:ffff::', '2001:db8::3'];
  const answers = await Promise.all(six.map((address) => limited.api('/ping', { headers: { 'x-forwarded-for': address } })));
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(1);
  await limited.stop();
});

test('ports, brackets and spellings', async () => {
  expect(await addressOf('203.0.113.8:51234')).toBe('203.0.113.8');
  expect(await addressOf('[2001:DB8::1]:443')).toBe('2001:db8::1');
  expect(await addressOf('::ffff:203.0.113.8')).toBe('203.0.113.8');
});

test('behind a gateway that writes ports a client has one address: its key works, and the limit counts it', async () => {
  const limited = await startSystem({ workers: 0, environment: { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: '4' } });
  const from = (port: number): Record<string, string> => ({ 'x-forwarded-for': `203.0.113.8:${port}` });
  const { key: first } = await limited.account('gateway-user');
  const made = await limited.api('/accounts/me/api_key', { key: first, headers: from(51_234) });
  expect(made.status).toBe(200);
  expect((await limited.api('/accounts/me', { key: made.text, headers: from(51_299) })).status).toBe(200);
  const elsewhere = await limited.api('/accounts/me', { key: made.text, headers: { 'x-forwarded-for': '203.0.113.9:51299' } });
  expect(elsewhere.status).toBe(401);
  const statuses = await Promise.all(Array.from({ length: 6 }, (_, n) => limited.api('/ping', { headers: from(52_000 + n) })));
  expect(statuses.filter(({ status }) => status === 429)).toHaveLength(2);
  await limited.stop();
});

test.each([
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['::ffff:203.0.113.50', '203.0.113.50'],
  ['fe80::1%eth0', 'fe80::1'],
])('a key that was bound to %s works from %s', async (bound, address) => {
  const { key: bounded } = await system.account(`bound-${address.replaceAll(/\W/g, '-')}`, { ip: bound });
  const statusFrom = async (from: string): Promise<number> =>
    (await system.api('/accounts/me', { key: bounded, headers: { 'x-forwarded-for': from } })).status;
  expect([await statusFrom(address), await statusFrom('192.0.2.77')]).toEqual([200, 401]);
});

describe('the command line', () => {
  const create = (ip: string, username: string): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(
      process.execPath,
      [path.join(__dirname, '..', 'dist', 'src', 'cli', 'main.js'), 'accounts:create-admin', '-u', username, '-k', ip],
      { env: { ...process.env, ...system.environment } },
    );

  test.each([
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::ffff:203.0.113.8', '203.0.113.8'],
    ['', null],
  ])('binds a key to %j in the one spelling', async (given, address) => {
    const username = `typed-${given.length}`;
    await create(given, username);
    const rows = await system.rows('SELECT k.ip FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE a.username = $1', [username]);
    expect(rows).toEqual([{ ip: address }]);
  });

  test.each(['unknown', '203.0.113.300', '203.0.113.0/24', 'localhost'])('refuses -k %s', async (given) => {
    await expect(create(given, 'never')).rejects.toThrow(`-k: ${given} is not an IP address`);
  });
});

describe('what a front says', () => {
  /** The Space whose host was meant, by where an account of a stranger would be made. */
  async function spaceOf(url: string, headers: Record<string, string>): Promise<unknown> {
    const [{ id } = { id: 0 }] = await system.rows<{ id: number }>(
      'INSERT INTO account_creation_tokens (token, created_at) VALUES (substr(md5(random()::text), 1, 13), now()) RETURNING id',
    );
    const [{ token } = { token: '' }] = await system.rows<{ token: string }>('SELECT token FROM account_creation_tokens WHERE id = $1', [
      id,
    ]);
    const answer = await send(`${url}/api/accounts/with-account-creation-token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ username: `forwarded-${id}`, password: 'password', algorithm: 'MD5', account_creation_token: token }),
    });
    expect(answer.json).toHaveProperty('domain');
    return answer.json['domain'];
  }
  /** Whether the request counts as one over TLS: its sign-in cookie is `Secure` then. */
  async function isSecure(url: string, proto: string): Promise<boolean> {
    const answer = await send(`${url}/statistics/sign-out`, { method: 'POST', headers: { 'x-forwarded-proto': proto } });
    return String(answer.headers['set-cookie']).includes('Secure');
  }

  test.each([
    ['1', 'first.example.org', 'first.example.org'],
    ['1', 'FIRST.example.org:8443', 'first.example.org'],
    ['1', 'first.example.org.', 'first.example.org'],
    ['1', 'evil.example, first.example.org', 'first.example.org'],
    ['2', 'first.example.org, inner.example', 'first.example.org'],
    // Of the nearest one, which replaces what came.
    ['2', 'first.example.org', 'first.example.org'],
    ['1', ', first.example.org ,', 'first.example.org'],
    ['1', 'not a host', SPACE],
    ['1', 'https://first.example.org', SPACE],
    ['1', 'user@first.example.org', SPACE],
    ['false', 'first.example.org', SPACE],
  ])('TRUST_PROXY=%s, X-Forwarded-Host: %s', async (trusted, forwarded, space) => {
    if ((await system.rows("SELECT 1 FROM spaces WHERE domain = 'first.example.org'")).length === 0)
      await system.space('first.example.org');
    await system.startWeb({ TRUST_PROXY: trusted });
    const url = system.urls.pop() ?? '';
    const headers = { 'x-forwarded-host': forwarded, 'x-forwarded-for': '192.0.2.1, 192.0.2.2' };
    expect(await spaceOf(url, headers)).toBe(space);
    await system.webs.pop()?.end();
  });

  test('X-Forwarded-Proto', async () => {
    await system.startWeb({ TRUST_PROXY: '1' });
    const url = system.urls.pop() ?? '';
    const said: Record<string, boolean> = {};
    for (const proto of ['https', 'HTTPS', ' https ', 'http', 'https, http', 'http, https', 'wss', 'httpsx', '"https"', ''])
      said[proto] = await isSecure(url, proto);
    expect(said).toEqual({
      https: true,
      HTTPS: true,
      ' https ': true,
      http: false,
      // The first is the client's own word where one proxy appends to it.
      'https, http': false,
      'http, https': true,
      wss: false,
      httpsx: false,
      '"https"': false,
      '': false,
    });
    await system.webs.pop()?.end();
  });
});

test('RATE_LIMIT_IPV6_PREFIX says how much of an address is one client, for all that strangers are counted by', async () => {
  const environment = { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: '3', APP_TOKENS_PER_ADDRESS: '3', RATE_LIMIT_IPV6_PREFIX: '48' };
  const wide = await startSystem({ workers: 0, environment });
  // Until Redis answers each process counts by itself.
  await eventually(
    () => request(`${wide.url}/health/ready`),
    ({ status }) => status === 200,
  );
  const from = (n: number, network = '2001:db8:1'): Record<string, string> => ({ 'x-forwarded-for': `${network}:${n}::1` });
  const statuses = async (ask: (n: number) => Promise<{ status: number }>): Promise<number[]> => {
    const found: number[] = [];
    for (let n = 0; n < 4; n += 1) found.push((await ask(n)).status);
    return found;
  };
  expect(await statuses((n) => wide.api('/ping', { headers: from(n) }))).toEqual([200, 200, 200, 429]);
  expect((await wide.api('/ping', { headers: from(0, '2001:db8:2') })).status).toBe(200);
  expect(await statuses((n) => wide.api('/accounts/me', { key: `wrong-${n}`, headers: from(n, '2001:db8:3') }))).toEqual([
    401, 401, 401, 429,
  ]);
  const networks = await wide.rows<{ network: string }>('SELECT network FROM auth_tokens');
  expect(networks).toEqual([]);
  expect(await statuses((n) => wide.api('/accounts/auth_token', { method: 'POST', headers: from(n, '2001:db8:4') }))).toEqual([
    201, 201, 201, 429,
  ]);
  expect(await wide.rows('SELECT DISTINCT network FROM auth_tokens')).toEqual([{ network: '2001:db8:4::/48' }]);
  await wide.stop();
});

test.each([
  ['2', '203.0.113.8, unknown', '203.0.113.8'],
  ['2', 'unknown, 198.51.100.7', '127.0.0.1'],
  ['2', '203.0.113.8, , 198.51.100.7,', '203.0.113.8'],
  ['2', '192.0.2.1, _hidden, 203.0.113.8, 198.51.100.7', '203.0.113.8'],
  ['1', '203.0.113.8, _hidden', '127.0.0.1'],
  ['3', '203.0.113.8', '203.0.113.8'],
  ['loopback', '203.0.113.8, garbage', '127.0.0.1'],
  ['loopback, 198.51.100.0/24', '203.0.113.8, garbage, 198.51.100.7', '127.0.0.1'],
  ['loopback, 198.51.100.0/24', '198.51.100.9, 198.51.100.7', '198.51.100.9'],
  ['false', '203.0.113.8', '127.0.0.1'],
  ['2', '203.0.113.8:51234, 198.51.100.7:8080', '203.0.113.8'],
  ['loopback, 198.51.100.0/24', '203.0.113.8:51234, 198.51.100.7:8080', '203.0.113.8'],
  ['loopback, 198.51.100.0/24', '203.0.113.8, 192.0.2.1', '192.0.2.1'],
  ['loopback, 2001:db8::/32', '203.0.113.8, [2001:DB8::7]:443', '203.0.113.8'],
])('TRUST_PROXY=%s, %s: proxies are known with port and brackets, and there is no warning', async (trusted, forwarded, address) => {
  const web = await system.startWeb({ TRUST_PROXY: trusted });
  expect(await addressOf(forwarded, system.urls.pop())).toBe(address);
  expect(web.output()).not.toContain('X-Forwarded-For');
  await web.end();
});
