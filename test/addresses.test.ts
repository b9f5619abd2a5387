// The client's address: what TRUST_PROXY believes, and what is no address.
import { networkOf, parseIpAddress } from '../src/infra/ip-address';
import { startSystem, type System } from './helpers/system';

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

test.each([
  ['2', '203.0.113.8:51234, 198.51.100.7:8080', '203.0.113.8'],
  ['loopback, 198.51.100.0/24', '203.0.113.8:51234, 198.51.100.7:8080', '203.0.113.8'],
  ['loopback, 198.51.100.0/24', '203.0.113.8, 192.0.2.1', '192.0.2.1'],
  ['loopback, 2001:db8::/32', '203.0.113.8, [2001:DB8::7]:443', '203.0.113.8'],
])('TRUST_PROXY=%s, %s: proxies are known with port and brackets, and there is no warning', async (trusted, forwarded, address) => {
  const web = await system.startWeb({ TRUST_PROXY: trusted });
  expect(await addressOf(forwarded, system.urls.pop())).toBe(address);
  expect(web.output()).not.toContain('X-Forwarded-For');
});
