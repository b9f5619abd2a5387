// The limit of an address is asked before PostgreSQL is: who is over it costs no statement, whatever keys and passwords come along.
import { createHash, randomUUID } from 'node:crypto';
import { StatementCounter } from './helpers/statements';
import { eventually, request, SPACE, startSystem, type Answer, type System } from './helpers/system';

const LIMIT = 5;
let system: System;
let counter: StatementCounter;
let url: string;
beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0, environment: { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: String(LIMIT) } });
  counter = await StatementCounter.start(system.environment['DATABASE_URL'] ?? '');
  await system.startWeb({ DATABASE_URL: counter.url });
  url = system.url;
  // Until Redis answers each process counts by itself.
  await eventually(
    () => request(`${url}/health/ready`),
    ({ status }) => status === 200,
  );
});
afterAll(async () => {
  await system.stop();
  await counter.stop();
});

let hosts = 0;
const newAddress = (): string => `198.51.100.${(hosts += 1)}`;
interface Given {
  key?: string;
  headers?: Record<string, string>;
}
const ask = (address: string, { key, headers = {} }: Given = {}, route = '/accounts/me', method = 'GET'): Promise<Answer> =>
  request(`${url}/api${route}`, { method, ...(key === undefined ? {} : { key }), headers: { 'x-forwarded-for': address, ...headers } });
/** Uses up the limit without a statement. */
const exhaust = async (address: string): Promise<void> => {
  for (let n = 0; n < LIMIT; n += 1) await ask(address, {}, '/ping');
  expect((await ask(address, {}, '/ping')).status).toBe(429);
  counter.reset();
};
const count = (answers: Answer[], status: number): number => answers.filter((answer) => answer.status === status).length;

test.each<[string, Given]>([
  ['a wrong key', { key: 'wrong' }],
  ['a wrong key in a cookie', { headers: { cookie: 'x-api-key=wrong' } }],
  ['a wrong digest', { headers: { from: `sip:nobody@${SPACE}`, authorization: 'Digest username="nobody"' } }],
  ['a bare From', { headers: { from: `sip:nobody@${SPACE}` } }],
  ['nothing', {}],
])('%s from an address that is over the limit costs no statement', async (_name, given) => {
  const address = newAddress();
  await exhaust(address);
  for (let n = 0; n < 5; n += 1) expect((await ask(address, given)).status).toBe(429);
  expect(counter.statements).toEqual([]);
});

test.each(['/statistics/messages', '/accounts/me/vcards-storage'])('nor at %s, nor at the pages', async (route) => {
  const address = newAddress();
  await exhaust(address);
  expect((await ask(address, { key: 'wrong' }, route, 'POST')).status).toBe(429);
  for (const page of ['/queues', '/contacts/vcard', '/provisioning/me', '/provisioning/some-token'])
    expect((await request(`${url}${page}`, { key: 'wrong', headers: { 'x-forwarded-for': address } })).status).toBe(429);
  const form = { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': address };
  expect((await request(`${url}/queues/sign-in`, { method: 'POST', body: 'api_key=wrong', headers: form })).status).toBe(429);
  expect(counter.statements).toEqual([]);
});

test('of 40 wrong keys at once as many are looked up as the limit says; of a network of IPv6 as of an address', async () => {
  for (const addressOf of [() => '203.0.113.1', (n: number) => `2001:db8::${n + 1}`]) {
    counter.reset();
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(addressOf(n), { key: `wrong-${n}` })));
    const wrong = count(answers, 401);
    expect(wrong + count(answers, 429)).toBe(40);
    // Where Redis is slow for a moment the process counts by itself, from zero.
    expect([wrong >= LIMIT, wrong <= 2 * LIMIT]).toEqual([true, true]);
    // Many in one statement: what counts is the hashes.
    const hashes = counter.bound.flatMap((bound, n) =>
      counter.statements[n]?.includes('FROM api_keys') ? (bound.match(/[0-9a-f]{64}/g) ?? []) : [],
    );
    expect(hashes).toHaveLength(wrong);
    expect(Number(answers.find(({ status }) => status === 429)?.headers.get('retry-after'))).toBeGreaterThan(0);
  }
});

test('right keys take no place, many at once neither, and work where the limit is reached once they have been seen', async () => {
  const address = newAddress();
  const users = await Promise.all(Array.from({ length: 4 }, (_, n) => system.account(`right-${n}`)));
  for (const { key } of users) {
    const answers = await Promise.all(Array.from({ length: LIMIT }, () => ask(address, { key })));
    expect(count(answers, 200)).toBe(LIMIT);
  }
  expect((await ask(address, { key: users[0]?.key ?? '' })).status).toBe(429);
  // None of it counted for the address.
  for (let n = 0; n < LIMIT; n += 1) expect((await ask(address, { key: `wrong-${n}` })).status).toBe(401);
  expect((await ask(address, { key: 'wrong' })).status).toBe(429);
  const reports = await Promise.all(
    Array.from({ length: 3 }, () =>
      request(`${url}/api/statistics/messages`, {
        method: 'POST',
        key: users[1]?.key ?? '',
        headers: { 'x-forwarded-for': address },
        body: { id: randomUUID(), from: 'a@b', to: {}, sent_at: '2026-03-01T00:00:00Z', encrypted: false, conference_id: null },
      }),
    ),
  );
  // Not an admin's; but the key was looked up.
  expect(count(reports, 403)).toBe(3);
});

test('a key that is replaced is a wrong one from then on', async () => {
  const address = newAddress();
  const { id, key } = await system.account('replaced-key');
  expect((await ask(address, { key })).status).toBe(200);
  await system.rows('UPDATE api_keys SET key = $2 WHERE account_id = $1', [id, createHash('sha256').update('another').digest('hex')]);
  for (let n = 0; n < LIMIT; n += 1) expect((await ask(address, { key })).status).toBe(401);
  counter.reset();
  expect((await ask(address, { key })).status).toBe(429);
  expect(counter.statements).toEqual([]);
});

test('after too many wrong passwords the account’s lock costs no statement either', async () => {
  const open = await startSystem({ webs: 0, workers: 0, environment: { TRUST_PROXY: '1' } });
  const tap = await StatementCounter.start(open.environment['DATABASE_URL'] ?? '');
  await open.startWeb({ DATABASE_URL: tap.url });
  const { id } = await open.account('locked-user');
  await open.rows("INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, 'MD5', $2)", [id, 'f'.repeat(32)]);
  const guess = async (): Promise<Answer> => {
    const from = { from: `sip:locked-user@${SPACE}`, 'x-forwarded-for': '203.0.113.9' };
    const challenge = String((await request(`${open.url}/api/accounts/me`, { headers: from })).headers.get('www-authenticate'));
    const [, nonce] = /nonce="([^"]*)"/.exec(challenge) ?? [];
    const [, opaque] = /opaque="([^"]*)"/.exec(challenge) ?? [];
    tap.reset();
    const authorization = `Digest username="locked-user",realm="${SPACE}",nonce="${nonce}",uri="/api/accounts/me",nc=00000001,cnonce="x",qop=auth,response="${'0'.repeat(32)}",opaque="${opaque}",algorithm=MD5`;
    return request(`${open.url}/api/accounts/me`, { headers: { ...from, authorization } });
  };
  for (let n = 0; n < 10; n += 1) expect((await guess()).status).toBe(401);
  expect((await guess()).status).toBe(429);
  for (let n = 0; n < 3; n += 1) {
    const refused = await guess();
    expect([refused.status, tap.statements]).toEqual([429, []]);
    expect(refused.json['message']).toBe(`Too many wrong passwords. Try again in ${refused.headers.get('retry-after')} seconds.`);
  }
  await open.stop();
  await tap.stop();
});
