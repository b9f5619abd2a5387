// API keys, and the access of every endpoint, derived from the declarations: it fails where one forgets its rule.
import { request as httpRequest } from 'node:http';
import { endpoints } from '../src/api';
import { hashApiKey } from '../src/services/credentials/secrets';
import { type Access, changesAnything, ok, route as declare } from '../src/http/route';
import { type Scope, SCOPES } from '../src/models/credentials/scopes';
import { openQueue } from './helpers/jobs';
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 1, environment: { TRUST_PROXY: '1', APP_API_KEY_EXPIRATION_MINUTES: '30' } });
});
afterAll(() => system.stop());

const me = (headers: Record<string, string>): Promise<Answer> => system.api('/accounts/me', { headers });

describe('API keys', () => {
  test('by header or cookie; the header decides alone', async () => {
    const { key, id } = await system.account('key-owner');
    expect((await me({ 'x-api-key': key })).json['id']).toBe(id);
    expect((await me({ cookie: `a=b; x-api-key=${key}` })).json['id']).toBe(id);
    expect((await me({ 'x-api-key': key, cookie: 'x-api-key=wrong', from: 'sip:nobody@nowhere' })).status).toBe(200);
    const wrong = await me({ 'x-api-key': 'wrong', cookie: `x-api-key=${key}` });
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, null]);
    expect((await me({})).status).toBe(401);
    expect((await me({ authorization: `Bearer ${key}` })).status).toBe(401);
  });

  test('white space around the header, letter case of its name, and the forms of a cookie (RFC 9110, 5.5; RFC 6265, 4.1.1 and 5.4)', async () => {
    const { key, id } = await system.account('key-writer');
    const raw = (...headers: string[]): Promise<number> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(system.url);
        const sent = httpRequest({ hostname, port, path: '/api/accounts/me', headers: ['host', hostname, ...headers] }, (answer) => {
          resolve(answer.resume().statusCode ?? 0);
        });
        sent.on('error', reject).end();
      });
    const right: string[][] = [
      ['x-api-key', ` \t${key}\t `],
      ['X-API-KEY', key],
      ['cookie', `x-api-key=${key}`],
      ['Cookie', `a="b"; x-api-key=${key}; c`],
      ['cookie', `a=b;x-api-key=${key};`],
      ['cookie', `;; x-api-key = ${key} \t; x=y=z`],
      ['cookie', 'a=b', 'cookie', `x-api-key=${key}`],
      ['cookie', `X-API-Key=other; x-api-key=${key}`],
    ];
    for (const headers of right) expect([headers, await raw(...headers)]).toEqual([headers, 200]);
    const wrong: string[][] = [
      ['x-api-key', key, 'x-api-key', key],
      ['x-api-key', `"${key}"`],
      ['x-api-key', ''],
      ['x-api-key', key.toUpperCase()],
      ['cookie', `X-API-KEY=${key}`],
      ['cookie', `x-api-key=${key},`],
      // Quotes are part of the value (RFC 6265, section 5.2), and it was given without.
      ['cookie', `x-api-key="${key}"`],
      ['cookie', `x-api-key=${key}; x-api-key=${key}`],
    ];
    for (const headers of wrong) expect([headers, await raw(...headers)]).toEqual([headers, 401]);
    expect((await me({ 'x-api-key': key })).json['id']).toBe(id);
  });

  test('bound to an address, as the trusted front names it', async () => {
    const { key } = await system.account('bound-owner', { ip: '203.0.113.7' });
    expect((await me({ 'x-api-key': key })).status).toBe(401);
    expect((await me({ 'x-api-key': key, 'x-forwarded-for': '203.0.113.7' })).status).toBe(200);
    // Only the last hop is trusted: what a client puts before it is its own word.
    expect((await me({ 'x-api-key': key, 'x-forwarded-for': '203.0.113.7, 198.51.100.1' })).status).toBe(401);
  });

  test('hashed at rest; its use is written within moments, once, whatever process saw it', async () => {
    const { key, id } = await system.account('used-owner');
    await Promise.all(Array.from({ length: 40 }, () => me({ 'x-api-key': key })));
    const [row] = await eventually(
      () => system.rows('SELECT key, requests, last_used_at FROM api_keys WHERE account_id = $1', [id]),
      (rows) => rows[0]?.['requests'] === 40,
    );
    expect(row?.['key']).toBe(hashApiKey(key));
  });

  test('expires when unused; use keeps it alive', async () => {
    const { key, id } = await system.account('old-owner');
    await system.rows("UPDATE api_keys SET last_used_at = now() - interval '29 minutes' WHERE account_id = $1", [id]);
    expect((await me({ 'x-api-key': key })).status).toBe(200);
    await eventually(
      () => system.rows("SELECT 1 FROM api_keys WHERE account_id = $1 AND last_used_at > now() - interval '1 minute'", [id]),
      (rows) => rows.length === 1,
    );
    expect((await me({ 'x-api-key': key })).status).toBe(200);
    const other = await system.account('expired-owner');
    await system.rows("UPDATE api_keys SET last_used_at = now() - interval '31 minutes' WHERE account_id = $1", [other.id]);
    expect((await me({ 'x-api-key': other.key })).status).toBe(401);
  });
});

/** What a caller may do at most. */
const RANK: Record<Access, number> = { public: 0, user: 1, admin: 2, super_admin: 3 };

describe('every endpoint', () => {
  const callers: Record<string, { rank: number; refused?: number; account?: Account }> = {};
  const made = new Map<string, { rank: number; options: object; refused: number | undefined }>();
  let serial = 0;
  const again = async (name: string): Promise<{ rank: number; refused?: number; account: Account }> => {
    const { rank, options, refused } = made.get(name) ?? { rank: -1, options: {}, refused: undefined };
    const account = await system.account(`matrix-${name}-${(serial += 1)}`, options);
    // Asking for codes wants one, whatever the role.
    await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
      `matrix${serial}`,
      account.id,
    ]);
    return {
      rank,
      account,
      ...(refused === undefined ? {} : { refused }),
    };
  };
  beforeAll(async () => {
    await system.space('one.example.org');
    await system.space('two.example.org');
    await system.space('expired.example.org', { expireAt: new Date(Date.now() - 1000) });
    const add = async (name: string, rank: number, options: object, refused?: number): Promise<void> => {
      made.set(name, { rank, options, refused });
      callers[name] = await again(name);
    };
    callers['nobody'] = { rank: -1 };
    await add('user', 1, { domain: 'one.example.org' });
    await add('admin', 2, { domain: 'one.example.org', admin: true });
    await add('other-admin', 2, { domain: 'two.example.org', admin: true });
    await add('super', 3, { domain: SPACE, admin: true });
    await add('blocked', 1, { domain: SPACE, admin: true, blocked: true }, 403);
    await add('expired', 1, { domain: 'expired.example.org' }, 403);
    await add('expired-admin', 2, { domain: 'expired.example.org', admin: true }, 403);
  });

  test.each(endpoints.map((endpoint) => [endpoint.method, endpoint.path, endpoint.access] as const))(
    '%s %s is for %s',
    async (method, path, access) => {
      for (const [name, { rank, refused, account }] of Object.entries(callers)) {
        const route = path
          .replace(/:to\b/g, 'a@b')
          .replace(/:sip\b/g, 'a@b')
          .replace(/:\w+/g, '1');
        const { status, text } = await system.api(route, { method: method.toUpperCase(), ...(account ? { key: account.key } : {}) });
        // Whoever deleted the own account is made anew for the next endpoints.
        if (method === 'delete' && path === '/accounts/me' && status === 200 && account) callers[name] = await again(name);
        // A fresh key makes the one before useless.
        if (path === '/accounts/me/api_key' && status === 200 && account) account.key = text;
        const expected = access === 'public' ? 'in' : rank < 0 ? 401 : (refused ?? (rank < RANK[access] ? 403 : 'in'));
        // A public endpoint may refuse for its own reasons, but never asks who calls.
        if (expected === 'in') expect([name, status === 401 || (status === 403 && access !== 'public')]).toEqual([name, false]);
        else expect([name, status]).toEqual([name, expected]);
      }
    },
  );
});

describe('every endpoint asks a named key for its scope', () => {
  /** A key a scope, all of one super admin, who may do everything. */
  let keys: Map<Scope, string>;
  let owner: Account;
  let serial = 0;
  const makeKeys = async (): Promise<void> => {
    owner = await system.account(`scopes-${(serial += 1)}`, { admin: true });
    keys = new Map();
    for (const scope of SCOPES) {
      const { json } = await system.api('/api_keys', { method: 'POST', key: owner.key, body: { name: scope, scopes: [scope] } });
      keys.set(scope, json['api_key'] as string);
    }
  };
  beforeAll(makeKeys);

  const lacking = (scope: Scope): string => `This API key may not do this: it lacks the scope ${scope}.`;
  const asked = endpoints.filter(({ access }) => access !== 'public').map((row) => [row.method, row.path, row.scope as Scope] as const);

  test.each(asked)('%s %s: %s', async (method, path, needed) => {
    const route = path.replace(/:(to|sip)\b/g, 'a@b').replace(/:\w+/g, '2147483647');
    for (const [scope, key] of keys) {
      const { status, json } = await system.api(route, { method: method.toUpperCase(), key });
      const isEnough = scope === needed || scope === '*';
      if (isEnough) expect([scope, status === 401, json['message'] === lacking(needed)]).toEqual([scope, false, false]);
      else expect([scope, status, json['message']]).toEqual([scope, 403, lacking(needed)]);
      if (method === 'delete' && path === '/accounts/me' && status === 200) break;
    }
    if (method === 'delete' && path === '/accounts/me') await makeKeys();
    // Of a person nobody asks for a scope.
    const { json } = await system.api(route, { method: method.toUpperCase(), key: owner.key });
    expect(json['message']).not.toBe(lacking(needed));
    if ((method === 'delete' && path === '/accounts/me') || path === '/accounts/me/api_key') await makeKeys();
  });

  test('public ones ask for none, and every other for one that there is', () => {
    for (const { access, scope } of endpoints)
      expect(access === 'public' ? scope : SCOPES.includes(scope as Scope)).toBe(access === 'public' ? null : true);
  });

  test('reading is `:read`, and what changes is `:write`, `:send` or everything', () => {
    for (const row of endpoints) {
      if (row.scope === null || row.scope === 'keys:write' || row.scope === '*') continue;
      expect([row.path, row.method, row.scope.endsWith(':read')]).toEqual([row.path, row.method, !changesAnything(row)]);
    }
    expect(endpoints.filter(({ scope }) => scope === '*').map(({ path }) => path)).toEqual([
      '/accounts/auth_token/:auth_token/attach',
      '/accounts/me/api_key',
      '/accounts/me/password',
      '/accounts/me/provision',
      '/accounts/me/email/request',
      '/accounts/me/email',
      '/accounts/me/phone/request',
      '/accounts/me/phone',
    ]);
  });

  test('one that names no scope does not compile', () => {
    const said = { method: 'post', path: '/x', group: 'x', summary: 'x', answers: {}, handler: () => Promise.resolve(ok()) } as const;
    // @ts-expect-error -- `scope` is missing
    declare({ ...said, access: 'admin' });
    // @ts-expect-error -- there is no such scope
    declare({ ...said, access: 'admin', scope: 'everything' });
    // @ts-expect-error -- who is known needs one
    declare({ ...said, access: 'user', scope: null });
    expect(declare({ ...said, access: 'user', scope: '*' }).scope).toBe('*');
  });

  test('the OpenAPI document shows it', async () => {
    const document = JSON.parse((await system.api('/openapi.json')).text) as {
      paths: Record<string, Record<string, { security: Record<string, string[]>[]; description: string }>>;
    };
    for (const { method, path, scope } of endpoints) {
      const { security = [], description = '' } = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method] ?? {};
      expect([path, description.includes(`Scope of a named key: \`${scope}\``)]).toEqual([path, scope !== null]);
      if (scope !== null)
        expect(security).toEqual(expect.arrayContaining([{ api_key: [scope] }, { api_key_cookie: [scope] }, { digest: [] }]));
    }
  });
});

/** Every endpoint that asks nobody who calls: a new one must be named here. Users may call what is `me`, all else is for admins. */
const OPEN = [
  'get /ping',
  'post /account_creation_tokens/send-by-push',
  'post /accounts/auth_token',
  'get /accounts/me/api_key/:auth_token',
  'post /accounts/with-account-creation-token',
  'post /account_creation_request_tokens',
  'post /account_creation_tokens/using-account-creation-request-token',
  'post /accounts/public',
  'get /accounts/:phone/info-by-phone',
  'post /accounts/recover-by-phone',
  'get /accounts/:sip/recover/:recover_key',
  'get /accounts/:sip/info',
  'post /accounts/:sip/activate/email',
  'post /accounts/:sip/activate/phone',
  'get /phone_countries',
  'get /phones_countries',
];
const FOR_USERS = [
  'get /accounts/auth_token/:auth_token/attach',
  'get /accounts/me/api_key',
  'get /accounts/me',
  'delete /accounts/me',
  'post /accounts/me/password',
  'get /accounts/me/provision',
  'get /accounts/me/services/turn',
  'post /account_creation_tokens/consume',
  'post /accounts/me/email/request',
  'post /accounts/me/email',
  'post /accounts/me/phone/request',
  'post /accounts/me/phone',
  'get /accounts/me/devices',
  'delete /accounts/me/devices/:uuid',
  'get /accounts/me/contacts',
  'get /accounts/me/contacts/:sip',
  'get /accounts/me/vcards-storage',
  'get /accounts/me/vcards-storage/:uuid',
  'post /accounts/me/vcards-storage',
  'put /accounts/me/vcards-storage/:uuid',
  'delete /accounts/me/vcards-storage/:uuid',
  'post /push_notification',
];

test('who may call what is said twice: here and in the endpoints', () => {
  const of = (access: Access): string[] =>
    endpoints.filter((endpoint) => endpoint.access === access).map(({ method, path }) => `${method} ${path}`);
  expect(of('public').toSorted()).toEqual(OPEN.toSorted());
  expect(of('user').toSorted()).toEqual(FOR_USERS.toSorted());
  expect(of('super_admin').every((endpoint) => / \/(spaces|queues|queue_actions)/.test(endpoint))).toBe(true);
  expect(of('admin').some((endpoint) => endpoint.includes(' /spaces'))).toBe(false);
});

test('an expired Space of the Host closes it for everybody but super admins', async () => {
  const user = await system.account('guest-of-expired');
  const superAdmin = await system.account('super-of-expired', { admin: true });
  const { port } = new URL(system.url);
  const statusOf = (key: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      httpRequest(
        { port, host: '127.0.0.1', path: '/api/accounts/me', headers: { host: 'expired.example.org', 'x-api-key': key } },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      )
        .on('error', reject)
        .end();
    });
  expect(await statusOf(user.key)).toBe(403);
  expect(await statusOf(superAdmin.key)).toBe(200);
});

test('the worker deletes keys that expired', async () => {
  const { key, id } = await system.account('deleted-key');
  await system.rows("UPDATE api_keys SET last_used_at = now() - interval '1 hour' WHERE account_id = $1", [id]);
  const queue = openQueue(system, 'api-keys');
  await queue.add('clear_expired', { payload: { task: 'clear_expired' } });
  await eventually(
    () => system.rows('SELECT 1 FROM api_keys WHERE key = $1', [hashApiKey(key)]),
    (rows) => rows.length === 0,
  );
  await queue.close();
});
