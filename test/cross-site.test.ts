// Cookies, and what a browser does with them though nobody meant it: each endpoint by each cookie from each place. The two attacks themselves run
// in a browser (cross-site-browser.test.ts).
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { endpoints } from '../src/api';
import { changesAnything, ok, route } from '../src/http/route';
import { en } from '../src/i18n/en';
import { hashPassword } from '../src/services/credentials/secrets';
import { send, type RawAnswer } from './helpers/raw';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
const PAGE = 'flexiapi-page';
const SECURE_PAGE = '__Host-flexiapi-page';
const FOREIGN = en['auth.origin'];
const BY_COOKIE = en['auth.cookie'];

let system: System;
beforeAll(async () => {
  system = await startSystem({ workers: 0, environment: { TRUST_PROXY: '1', JWT_RSA_PUBLIC_KEY_PEM: pem.replaceAll('\n', '\\n') } });
});
/** Systems of single tests. */
const others: System[] = [];
afterAll(() => Promise.all([system, ...others].map((each) => each.stop())));

const api = (path: string, headers: Record<string, string>, method = 'GET'): Promise<RawAnswer> =>
  send(`${system.url}/api${path}`, { method, headers });
const signIn = (key: string, headers: Record<string, string> = {}, page = 'statistics'): Promise<RawAnswer> =>
  send(`${system.url}/${page}/sign-in`, {
    method: 'POST',
    body: `api_key=${key}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html', ...headers },
  });

type Verdict = typeof FOREIGN | typeof BY_COOKIE | 'in';
/** What a browser says, and what comes of it for what only reads and for what changes something. */
const PLACES: Record<string, { headers: () => Record<string, string>; reads: Verdict; changes: Verdict }> = {
  'another site': { headers: () => ({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }), reads: FOREIGN, changes: FOREIGN },
  'another site, JSON': {
    headers: () => ({ 'sec-fetch-site': 'cross-site', 'content-type': 'application/json' }),
    reads: FOREIGN,
    changes: FOREIGN,
  },
  'a link on another site': {
    headers: () => ({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }),
    reads: FOREIGN,
    changes: FOREIGN,
  },
  'a sibling subdomain, or another port': { headers: () => ({ 'sec-fetch-site': 'same-site' }), reads: FOREIGN, changes: FOREIGN },
  'another site, an old browser': { headers: () => ({ origin: 'https://evil.example.org' }), reads: FOREIGN, changes: FOREIGN },
  'another port, an old browser': { headers: () => ({ origin: 'http://127.0.0.1:1' }), reads: FOREIGN, changes: FOREIGN },
  'an origin without a name': { headers: () => ({ origin: 'null' }), reads: FOREIGN, changes: FOREIGN },
  'a value that nobody knows': { headers: () => ({ 'sec-fetch-site': 'same-origin, none' }), reads: FOREIGN, changes: FOREIGN },
  'own page by its word, another by its origin': {
    headers: () => ({ 'sec-fetch-site': 'same-origin', origin: 'https://evil.example.org' }),
    reads: FOREIGN,
    changes: FOREIGN,
  },
  'a link in a mail, or a typed address': {
    headers: () => ({ 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }),
    reads: 'in',
    changes: BY_COOKIE,
  },
  'an own link': { headers: () => ({ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' }), reads: 'in', changes: BY_COOKIE },
  'an own page': { headers: () => ({ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }), reads: 'in', changes: 'in' },
  'an own page, an old browser': { headers: () => ({ origin: system.urls[0] ?? '' }), reads: 'in', changes: 'in' },
  'the browser itself': { headers: () => ({ 'sec-fetch-site': 'none' }), reads: 'in', changes: 'in' },
  'nobody says where': { headers: () => ({}), reads: 'in', changes: BY_COOKIE },
  'nobody says where, JSON': { headers: () => ({ 'content-type': 'Application/JSON; charset=utf-8' }), reads: 'in', changes: 'in' },
};

describe('every endpoint, by cookie', () => {
  let caller: Account;
  let serial = 0;
  const again = async (): Promise<void> => {
    caller = await system.account(`cookie-${(serial += 1)}`, { admin: true });
  };
  beforeAll(again);

  const rows = endpoints.map((endpoint) => [endpoint.method, endpoint.path, endpoint] as const);
  test.each(rows)('%s %s', async (method, path, endpoint) => {
    const address = path
      .replace(/:(to|sip|email|phone)\b/g, 'nobody@nowhere')
      .replace(/:domain\b/g, 'nowhere')
      .replace(/:\w+/g, '999999');
    const open = endpoint.access === 'public';
    for (const [place, { headers, reads, changes }] of Object.entries(PLACES)) {
      for (const cookie of ['x-api-key', PAGE]) {
        const answer = await api(address, { cookie: `${cookie}=${caller.key}`, ...headers() }, method.toUpperCase());
        const { message } = answer.json;
        const verdict = [FOREIGN, BY_COOKIE].find((text) => text === message) ?? (answer.status === 401 ? 'out' : 'in');
        // The cookie of the pages opens only what they ask for.
        const isCredential = cookie === 'x-api-key' || endpoint.page === true;
        const wanted = open ? 'in' : isCredential ? (changesAnything(endpoint) ? changes : reads) : 'out';
        expect([place, cookie, verdict, answer.status === 403 && verdict !== 'in']).toEqual([
          place,
          cookie,
          wanted,
          wanted === FOREIGN || wanted === BY_COOKIE,
        ]);
        if (answer.status === 200 && path === '/accounts/me/api_key') caller.key = answer.text;
        if (answer.status === 200 && method === 'delete' && path === '/accounts/me') await again();
      }
    }
    if (method !== 'get') return;
    const head = await api(address, { 'x-api-key': caller.key }, 'HEAD');
    if (changesAnything(endpoint)) {
      expect([head.status, head.text]).toEqual([405, '']);
      expect(head.headers.allow?.split(', ')).toContain('GET');
      expect(head.headers.allow?.split(', ')).not.toContain('HEAD');
    } else expect(head.status).not.toBe(405);
  });

  /** What GET changes since existing apps do so: a row that is new here was thought about. */
  test('which GET changes something is said twice: here and in the endpoints', () => {
    const changing = endpoints.filter((endpoint) => endpoint.method === 'get' && changesAnything(endpoint)).map(({ path }) => path);
    expect(changing.toSorted()).toEqual([
      '/accounts/:id/provision',
      '/accounts/:sip/recover/:recover_key',
      '/accounts/auth_token/:auth_token/attach',
      '/accounts/me/api_key',
      '/accounts/me/api_key/:auth_token',
      '/accounts/me/provision',
    ]);
    expect(endpoints.filter(({ page }) => page).map(({ path }) => path)).toEqual([
      '/sends',
      '/sends/summary',
      '/accounts/:id/sends',
      '/statistics/messages',
      '/statistics/calls',
    ]);
  });

  test('a GET that does not say whether it changes anything does not compile', () => {
    const said = {
      path: '/x',
      access: 'public',
      scope: null,
      group: 'x',
      summary: 'x',
      answers: {},
      handler: () => Promise.resolve(ok()),
    } as const;
    // @ts-expect-error -- `changes` is missing
    route({ ...said, method: 'get' });
    // @ts-expect-error -- the cookie of the pages opens nothing that changes
    route({ ...said, method: 'get', changes: true, page: true });
    route({ ...said, method: 'get', changes: false, page: true });
    expect(changesAnything(route({ ...said, method: 'post' }))).toBe(true);
  });
});

test('HEAD changes nothing, wherever GET does: API, provisioning, validation', async () => {
  const user = await system.account('head-user');
  const { token } = (await api('/accounts/auth_token', {}, 'POST')).json as { token: string };
  const key = { 'x-api-key': user.key };
  const attached = async (): Promise<unknown> =>
    (await system.rows('SELECT account_id FROM auth_tokens WHERE token = $1', [token]))[0]?.['account_id'];
  expect((await api(`/accounts/auth_token/${token}/attach`, key, 'HEAD')).status).toBe(405);
  expect(await attached()).toBeNull();
  expect((await api(`/accounts/auth_token/${token}/attach`, key)).status).toBe(200);
  expect(await attached()).toBe(user.id);
  expect((await send(`${system.url}/provisioning/auth_token/${token}`, { method: 'HEAD' })).status).toBe(404);
  expect((await api(`/accounts/me/api_key/${token}`, {}, 'HEAD')).status).toBe(405);
  expect((await api('/accounts/me/api_key', key, 'HEAD')).status).toBe(405);
  expect((await api('/accounts/me/provision', key, 'HEAD')).status).toBe(405);
  expect(await system.rows('SELECT 1 FROM provisioning_tokens WHERE account_id = $1', [user.id])).toEqual([]);
  // The key is the same, and the token still good.
  expect((await api('/accounts/me', key, 'HEAD')).status).toBe(200);
  expect((await api(`/accounts/me/api_key/${token}`, {})).status).toBe(200);
});

describe('other credentials notice nothing, also beside a cookie', () => {
  const evil = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', origin: 'https://evil.example.org' };
  test('header', async () => {
    const { key } = await system.account('header-user');
    for (const cookie of [`x-api-key=${key}`, 'x-api-key=wrong', `${PAGE}=${key}`])
      expect((await api('/accounts/me/provision', { ...evil, cookie, 'x-api-key': key })).status).toBe(200);
    expect((await api('/accounts/me', { ...evil, cookie: `x-api-key=${key}`, 'x-api-key': 'wrong' })).status).toBe(401);
  });

  test('JSON Web Token', async () => {
    const { key } = await system.account('jwt-user');
    const claims = { sip_identity: `sip:jwt-user@${SPACE}`, exp: Math.floor(Date.now() / 1000) + 60 };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
    const authorization = `Bearer ${token}`;
    expect((await api('/accounts/me/provision', { ...evil, cookie: `x-api-key=${key}`, authorization })).status).toBe(200);
  });

  test('DIGEST, from its first request without an answer to the challenge', async () => {
    const { id, key } = await system.account('digest-user');
    await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [
      id,
      'SHA-256',
      hashPassword('SHA-256', 'digest-user', SPACE, 'password'),
    ]);
    const headers = { ...evil, cookie: `x-api-key=${key}`, from: `sip:digest-user@${SPACE}` };
    const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const curl = async (more: string[]): Promise<string> =>
      (
        await promisify(execFile)(
          'curl',
          ['-s', '-o', '/dev/null', '-w', '%{http_code}', `${system.url}/api/accounts/me/provision`].concat(fields, more),
        )
      ).stdout;
    expect(await curl(['--digest', '-u', 'digest-user:password'])).toBe('200');
    expect(await curl(['--digest', '-u', 'digest-user:wrong'])).toBe('401');
    // A cookie that may act goes before DIGEST, as before.
    expect((await api('/accounts/me', { cookie: `x-api-key=${key}`, from: 'sip:nobody@nowhere' })).status).toBe(200);
  });
});

test('what is refused is no use of the key', async () => {
  const { id, key } = await system.account('unused-key');
  for (let n = 0; n < 5; n += 1)
    expect((await api('/accounts/me', { cookie: `x-api-key=${key}`, 'sec-fetch-site': 'same-site' })).status).toBe(403);
  expect((await api('/accounts/me', { cookie: `x-api-key=${key}` })).status).toBe(200);
  const uses = (): Promise<{ requests: number }[]> => system.rows('SELECT requests FROM api_keys WHERE account_id = $1', [id]);
  const [row] = await eventually(uses, ([found]) => (found?.requests ?? 0) > 0, 5);
  expect(row?.requests).toBe(1);
});

test('what is refused counts for the address, not for the account', async () => {
  const limited = await startSystem({ workers: 0, environment: { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: '4' } });
  others.push(limited);
  const { key } = await limited.account('limited-user');
  const me = async (headers: Record<string, string>): Promise<number> =>
    (await send(`${limited.url}/api/accounts/me`, { headers: { cookie: `x-api-key=${key}`, ...headers } })).status;
  const evil = { 'sec-fetch-site': 'cross-site', 'x-forwarded-for': '203.0.113.9' };
  const statuses = [];
  for (let n = 0; n < 6; n += 1) statuses.push(await me(evil));
  expect(statuses).toEqual([403, 403, 403, 403, 429, 429]);
  for (let n = 0; n < 4; n += 1) expect(await me({ 'x-forwarded-for': '203.0.113.9' })).toBe(200);
});

test('an origin is the own one by host and port as the front says, and without TLS it is another one', async () => {
  const { key } = await system.account('fronted-user');
  const cookie = `x-api-key=${key}`;
  const at = async (origin: string, more: Record<string, string> = {}): Promise<number> =>
    (await api('/accounts/me/provision', { cookie, origin, ...more })).status;
  const front = { 'x-forwarded-host': 'Accounts.example.org', 'x-forwarded-proto': 'https' };
  expect(await at('https://accounts.example.org', front)).toBe(200);
  expect(await at('https://accounts.example.org', { ...front, 'x-forwarded-host': 'accounts.example.org:443' })).toBe(200);
  expect(await at('https://accounts.example.org:8443', front)).toBe(403);
  expect(await at('http://accounts.example.org', front)).toBe(403);
  expect(await at(system.urls[0] ?? '', front)).toBe(403);
  for (const origin of ['file://', 'chrome-extension://abc', '', `${system.urls[0]}, https://evil.example.org`])
    expect([origin, await at(origin)]).toEqual([origin, 403]);
  // The front ends TLS and is not trusted to say so.
  expect(await at((system.urls[0] ?? '').replace('http:', 'https:'))).toBe(200);
  const untrusting = await startSystem({ workers: 0 });
  others.push(untrusting);
  const other = await untrusting.account('untrusted-front');
  const refused = await send(`${untrusting.url}/api/accounts/me`, {
    headers: { cookie: `x-api-key=${other.key}`, origin: 'https://accounts.example.org', ...front },
  });
  expect(refused.status).toBe(403);
});

describe('the cookie of the pages', () => {
  test('has a name that no other host can give it, where there is TLS', async () => {
    const { key } = await system.account('page-cookie', { admin: true });
    const tls = { 'x-forwarded-proto': 'https' };
    const attributes = 'Max-Age=3600; Path=/; HttpOnly';
    expect((await signIn(key)).headers['set-cookie']).toEqual([`${PAGE}=${key}; ${attributes}; SameSite=Strict`]);
    expect((await signIn(key, tls)).headers['set-cookie']).toEqual([`${SECURE_PAGE}=${key}; ${attributes}; Secure; SameSite=Strict`]);
    const open = async (cookie: string, more: Record<string, string> = {}): Promise<number[]> => [
      (await send(`${system.url}/statistics`, { headers: { cookie, accept: 'text/html', ...more } })).status,
      (await api('/statistics/messages', { cookie, ...more })).status,
      (await api('/accounts', { cookie, ...more })).status,
    ];
    expect(await open(`${PAGE}=${key}`)).toEqual([200, 200, 401]);
    expect(await open(`${SECURE_PAGE}=${key}`, tls)).toEqual([200, 200, 401]);
    expect(await open(`${PAGE}=${key}`, tls)).toEqual([401, 401, 401]);
    expect(await open(`${SECURE_PAGE}=${key}`)).toEqual([401, 401, 401]);
    expect(await open(`x-api-key=${key}`)).toEqual([200, 200, 200]);
    // The one with which somebody signed in goes before the one of API clients, and decides alone.
    expect(await open(`x-api-key=wrong; ${PAGE}=${key}`)).toEqual([200, 200, 401]);
    expect(await open(`x-api-key=${key}; ${PAGE}=wrong`)).toEqual([401, 401, 200]);
  });

  test('opens the pages to nobody elsewhere', async () => {
    const { key } = await system.account('page-visitor', { admin: true });
    for (const page of ['statistics', 'queues', 'queues/api/queues']) {
      for (const cookie of [`x-api-key=${key}`, `${PAGE}=${key}`]) {
        const visit = async (site: string): Promise<number> =>
          (await send(`${system.url}/${page}`, { headers: { cookie, accept: 'text/html', 'sec-fetch-site': site } })).status;
        expect([page, await visit('cross-site'), await visit('same-site')]).toEqual([page, 403, 403]);
        expect([page, await visit('same-origin'), await visit('none')]).toEqual([page, 200, 200]);
      }
    }
    const put = async (headers: Record<string, string>): Promise<number> =>
      (
        await send(`${system.url}/queues/api/queues/push/retry/failed`, {
          method: 'PUT',
          headers: { cookie: `${PAGE}=${key}`, ...headers },
        })
      ).status;
    expect(await put({})).toBe(403);
    expect(await put({ 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await put({ 'sec-fetch-site': 'same-origin' })).toBeLessThan(300);
    expect((await signIn(key, { 'sec-fetch-site': 'same-site' })).status).toBe(403);
  });

  test('signing out ends the cookie of API clients as well, which the pages take', async () => {
    const out = await send(`${system.url}/statistics/sign-out`, { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } });
    expect([out.status, out.headers['set-cookie']]).toEqual([
      303,
      [`${PAGE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict`, 'x-api-key=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict'],
    ]);
    const evil = { 'sec-fetch-site': 'same-site' };
    expect((await send(`${system.url}/statistics/sign-out`, { method: 'POST', headers: evil })).status).toBe(403);
  });
});

test('of two cookies of one name neither counts: the other may be a sibling subdomain’s', async () => {
  const { key } = await system.account('tossed', { admin: true });
  const other = await system.account('tosser', { admin: true });
  for (const name of ['x-api-key', PAGE])
    for (const cookie of [
      `${name}=${key}; ${name}=${other.key}`,
      `${name}=${other.key}; a=b; ${name}=${key}`,
      `${name}=${key};${name} =${other.key}`,
      `${name}=${key}; ${name}=${key}`,
    ]) {
      const answers = [await api('/statistics/messages', { cookie }), await send(`${system.url}/statistics`, { headers: { cookie } })];
      expect([cookie, ...answers.map(({ status }) => status)]).toEqual([cookie, 401, 401]);
    }
});

test('a link gives the browser no cookie: it would be signed in to an account of somebody else', async () => {
  const exchange = async (headers: Record<string, string>): Promise<RawAnswer> => {
    const user = await system.account(`exchange-${Math.random().toString(36).slice(2)}`);
    const { token } = (await api('/accounts/auth_token', {}, 'POST')).json as { token: string };
    await api(`/accounts/auth_token/${token}/attach`, { 'x-api-key': user.key });
    const answer = await api(`/accounts/me/api_key/${token}`, headers);
    expect([answer.status, answer.json]).toEqual([200, { api_key: expect.stringMatching(/^\w{40}$/) as string }]);
    return answer;
  };
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' },
    { origin: 'https://evil.example.org' },
  ] as Record<string, string>[])
    expect((await exchange(headers)).headers['set-cookie']).toBeUndefined();
  for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }] as Record<string, string>[])
    expect(String((await exchange(headers)).headers['set-cookie'])).toContain('x-api-key=');
});
