// Who may do what on the dashboard: every route that bull-board declares, by every kind of caller, on a queue that sends and one that does not. And who
// may open which page.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { appRoutes } from '@bull-board/api/dist/routes.js';
import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { SignJWT } from 'jose';
import { en } from '../src/i18n/en';
import { fr } from '../src/i18n/fr';
import { requireAllowed } from '../src/pages/board-rules';
import { queues, QUEUE_NAMES } from '../src/queues/contracts';
import { fillQueue } from './helpers/filled-queue';
import { openQueue } from './helpers/jobs';
import { namedKey } from './helpers/named-keys';
import { send, type RawAnswer } from './helpers/raw';
import { eventually, SPACE, startSystem, type System } from './helpers/system';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;

type Rights = 'none' | 'read' | 'write';
interface Caller {
  headers: Record<string, string>;
  rights: Rights;
  /** What who may not even look is told. */
  told?: string;
}

let system: System;
let callers: Record<string, Caller>;
const opened: Queue[] = [];

const lacks = (scope: string, texts: Record<'auth.scope', string> = en): string => texts['auth.scope'].replace('{scope}', scope);

beforeAll(async () => {
  system = await startSystem({ workers: 0, environment: { JWT_RSA_PUBLIC_KEY_PEM: pem.replaceAll('\n', '\\n') } });
  const person = await system.account('scopes-super', { admin: true });
  await system.space('tenant.example.org');
  const tenant = await system.account('scopes-admin', { domain: 'tenant.example.org', admin: true });
  const user = await system.account('scopes-user');
  const claims = { sip_identity: `sip:scopes-super@${SPACE}`, exp: Math.floor(Date.now() / 1000) + 3600 };
  const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
  const of = async (id: number, scopes: string[], rights: Rights, told?: string): Promise<Caller> => ({
    headers: { 'x-api-key': await namedKey(system, id, scopes) },
    rights,
    ...(told === undefined ? {} : { told }),
  });
  callers = {
    'a key with other scopes': await of(person.id, ['accounts:read', 'statistics:read'], 'none', lacks('queues:read')),
    'a key with queues:write alone': await of(person.id, ['queues:write'], 'none', lacks('queues:read')),
    'a key with queues:read': await of(person.id, ['queues:read'], 'read'),
    'a key with both': await of(person.id, ['queues:read', 'queues:write'], 'write'),
    'a key with *': await of(person.id, ['*'], 'write'),
    'a person’s key': { headers: { 'x-api-key': person.key }, rights: 'write' },
    'a JSON Web Token': { headers: { authorization: `Bearer ${token}` }, rights: 'write' },
    'an admin’s key with *': await of(tenant.id, ['*'], 'none', en['auth.super_admin']),
    'an admin’s own key': { headers: { 'x-api-key': tenant.key }, rights: 'none', told: en['auth.super_admin'] },
    'a user’s key with *': await of(user.id, ['*'], 'none', en['auth.admin']),
  };
});
afterAll(async () => {
  await Promise.all(opened.map((queue) => queue.close()));
  await system.stop();
});

const headersOf = (name: string): Record<string, string> => callers[name]?.headers ?? {};
const READER = 'a key with queues:read';
const WRITER = 'a key with both';

const call = (name: string, method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  send(`${system.url}/queues${path}`, {
    method,
    headers: { ...headersOf(name), 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const jsonOf = ({ text }: RawAnswer): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

/** Each route of bull-board once, whatever it changes. */
const ROUTES = appRoutes.api.flatMap(({ method, route }) =>
  [method]
    .flat()
    .flatMap((one) => [route].flat().map((path) => ({ method: one, path, name: `${one} ${path.replace('/api/queues', '')}` }))),
);
const WRITING = ROUTES.filter(({ method }) => method !== 'get');

/** What may be done to a queue that sends, and what may not, said a second time: a route that is new in bull-board is in neither, and to be thought about. */
const ALLOWED = [
  'put /pause',
  'put /resume',
  'put /:queueName/retry/:queueStatus',
  'put /:queueName/promote',
  'put /:queueName/clean/:queueStatus',
  'put /:queueName/pause',
  'put /:queueName/resume',
  'put /:queueName/concurrency',
  'put /:queueName/rate-limit',
  'put /:queueName/rate-limit/release',
  'put /:queueName/empty',
  'put /:queueName/job-schedulers/:schedulerId/remove',
  'put /:queueName/:jobId/retry',
  'put /:queueName/:jobId/clean',
  'put /:queueName/:jobId/promote',
];
const REFUSED = [
  'post /:queueName/add',
  'put /:queueName/obliterate',
  'patch /:queueName/job-schedulers/:schedulerId',
  'put /:queueName/job-schedulers/:schedulerId/run',
  'patch /:queueName/:jobId/update-data',
  'patch /:queueName/:jobId/delay',
  'patch /:queueName/:jobId/priority',
  'put /:queueName/:jobId/remove-unprocessed-children',
];

test('what bull-board can do is known here', () => {
  expect(WRITING.map(({ name }) => name).toSorted()).toEqual([...ALLOWED, ...REFUSED].toSorted());
});

test('what a later bull-board may bring is refused where it could send: of a queue that sends, and of no queue by its name', () => {
  const refused = (method: string, params: object): boolean => {
    try {
      requireAllowed({ scopes: null }, { method, route: '/api/queues/:queueName/new', params: { ...params } });
      return false;
    } catch {
      return true;
    }
  };
  for (const method of ['post', 'put', 'patch', 'delete']) {
    expect([method, refused(method, { queueName: 'sms' }), refused(method, {})]).toEqual([method, true, true]);
    expect([method, refused(method, { queueName: 'chores' }), refused(method, { queueName: 'constructor' })]).toEqual([
      method,
      false,
      false,
    ]);
  }
});

/** Bodies that bull-board takes. */
const BODIES: Record<string, object> = {
  'post /:queueName/add': { name: 'x', data: { payload: { kind: 'nothing' } }, options: {} },
  'put /:queueName/obliterate': { force: true },
  'put /:queueName/concurrency': { concurrency: 1 },
  'put /:queueName/rate-limit': { max: 1, duration: 1000 },
  'patch /:queueName/job-schedulers/:schedulerId': { every: 3_600_000 },
  'patch /:queueName/:jobId/update-data': { jobData: {} },
  'patch /:queueName/:jobId/delay': { runAt: 1e13 },
  'patch /:queueName/:jobId/priority': { priority: 1 },
};
const addressOf = (path: string, queueName: string, jobId = 'none', schedulerId = 'none'): string =>
  path.replace(':queueName', queueName).replace(':jobId', jobId).replace(':schedulerId', schedulerId).replace(':queueStatus', 'failed');

describe('every route', () => {
  const rows = ROUTES.flatMap((route) =>
    (route.path.includes(':queueName') ? QUEUE_NAMES : ['push']).map((queue) => ({ ...route, queue })),
  );

  test.each(rows)('$method $path of $queue', async ({ method, path, name, queue }) => {
    for (const [who, { rights, told }] of Object.entries(callers)) {
      const answer = await call(who, method.toUpperCase(), addressOf(path, queue), BODIES[name] ?? {});
      const body = answer.text === '' ? {} : jsonOf(answer);
      if (rights === 'none') expect([who, answer.status, body['message']]).toEqual([who, 403, told]);
      else if (method !== 'get' && rights === 'read')
        expect([who, answer.status, body]).toEqual([who, 403, { error: en['queue.forbidden'], message: lacks('queues:write') }]);
      else if (REFUSED.includes(name) && queues[queue as keyof typeof queues].sends)
        expect([who, answer.status, body]).toEqual([who, 403, { error: en['queue.forbidden'], message: en['queue.sends'] }]);
      // It has this refused by itself.
      else if (path === '/api/redis/stats') expect(body['error']).toEqual({ key: 'ERRORS.FORBIDDEN' });
      else expect([who, [401, 403, 405].includes(answer.status), answer.status < 500]).toEqual([who, false, true]);
    }
  });
});

describe('with jobs in every state', () => {
  const jobs: Record<string, Record<string, string>> = {};
  const redis = (): Redis => new Redis(system.environment['REDIS_URL'] ?? '');

  /** Everything that Redis has of the queues, as it stands. */
  async function everything(): Promise<Record<string, string>> {
    const connection = redis();
    const keys = (await connection.keys(`{${system.environment['QUEUE_PREFIX']}:*`)).filter((key) => /\}:(push|statistics):/.test(key));
    const dumps = await Promise.all(keys.toSorted().map(async (key) => [key, (await connection.dumpBuffer(key))?.toString('hex') ?? '']));
    await connection.quit();
    return Object.fromEntries(dumps) as Record<string, string>;
  }

  beforeAll(async () => {
    // What the routes above have left.
    for (const name of ['push', 'statistics']) {
      const queue = openQueue(system, name);
      await queue.obliterate({ force: true });
      await queue.close();
      const filled = await fillQueue(system, name);
      opened.push(filled.queue);
      jobs[name] = filled.jobs;
    }
  });

  test.each([
    [READER, 'statistics', WRITING],
    [READER, 'push', WRITING],
    [WRITER, 'push', WRITING.filter(({ name }) => REFUSED.includes(name))],
  ] as const)('what is refused changes nothing in Redis: %s, %s', async (who, queue, routes) => {
    const before = await everything();
    expect(Object.keys(before).length).toBeGreaterThan(20);
    for (const { method, path, name } of routes)
      for (const id of path.includes(':jobId') ? Object.values(jobs[queue] ?? {}) : ['none'])
        for (const as of [queue, `%${queue.charCodeAt(0).toString(16)}${queue.slice(1)}`]) {
          const { status } = await call(who, method.toUpperCase(), addressOf(path, as, id, 'own'), BODIES[name] ?? {});
          expect([name, as, id, status]).toEqual([name, as, id, 403]);
        }
    expect(await everything()).toEqual(before);
  });

  test('a send that is done is not retried, one by one or all; one that failed is', async () => {
    const { completed = '', failed = '' } = jobs['push'] ?? {};
    const before = await everything();
    for (const path of [`/${completed}/retry`, '/retry/completed', '/retry/nonsense']) {
      const answer = await call(WRITER, 'PUT', `/api/queues/push${path}`);
      expect([path, answer.status, jsonOf(answer)]).toEqual([path, 403, { error: en['queue.forbidden'], message: en['queue.sent'] }]);
    }
    expect(await everything()).toEqual(before);
    expect((await call(WRITER, 'PUT', `/api/queues/push/${failed}/retry`)).status).toBe(204);
    const { queues: shown } = jsonOf(await call(READER, 'GET', '/api/queues?activeQueue=push&status=waiting')) as {
      queues: { name: string; allowCompletedRetries: boolean; readOnlyMode: boolean; jobs: { id: string }[] }[];
    };
    expect(shown.find(({ name }) => name === 'push')?.jobs.map(({ id }) => id)).toContain(failed);
    expect(shown.every(({ readOnlyMode }) => readOnlyMode)).toBe(true);
    const { queues: forWriter } = jsonOf(await call(WRITER, 'GET', '/api/queues')) as { queues: typeof shown };
    for (const { name, allowCompletedRetries, readOnlyMode } of forWriter)
      expect([name, readOnlyMode, allowCompletedRetries]).toEqual([name, false, !queues[name as keyof typeof queues].sends]);
    // Work that may be done twice is.
    expect((await call(WRITER, 'PUT', `/api/queues/statistics/${jobs['statistics']?.['completed']}/retry`)).status).toBe(204);
  });
});

test('whatever bull-board does not know is refused as well to who only reads, and logged', async () => {
  for (const [method, path] of [
    ['DELETE', '/api/queues/push'],
    ['POST', '/api/nothing'],
    ['PUT', '/'],
    ['PATCH', '/static/main.js'],
    ['OPTIONS', '/api/queues/push/add'],
  ] as const) {
    const id = randomUUID();
    const answer = await call(READER, method, path, {}, { 'x-request-id': id, 'accept-language': 'fr' });
    expect([method, path, answer.status, jsonOf(answer)]).toEqual([
      method,
      path,
      403,
      { error: fr['queue.forbidden'], message: lacks('queues:write', fr) },
    ]);
    const lines = await eventually(
      () => Promise.resolve((system.webs[0]?.output() ?? '').split('\n').filter((line) => line.includes(id) && line.includes('an action'))),
      ({ length }) => length === 1,
    );
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      action: method,
      status: 403,
      reason: '403 auth.scope',
      account: `scopes-super@${SPACE}`,
    });
  }
  const id = randomUUID();
  await call(READER, 'PUT', '/api/queues/push/pause', {}, { 'x-request-id': id });
  await eventually(
    () => Promise.resolve((system.webs[0]?.output() ?? '').split('\n').filter((line) => line.includes(id) && line.includes('an action'))),
    (lines) => lines.some((line) => line.includes('"action":"PUT /api/queues/:queueName/pause","queue":"push","status":403')),
  );
  expect((await call(WRITER, 'DELETE', '/api/queues/push')).status).toBe(404);
  expect((await call(READER, 'HEAD', '/api/queues')).status).toBe(200);
});

describe('each page by each key', () => {
  const PAGES = { '/queues': 'queues:read', '/statistics': 'statistics:read' } as const;
  const HTML = { accept: 'text/html' };
  let keys: [scopes: string[], key: string][];
  beforeAll(async () => {
    const { id } = await system.account('pages-super', { admin: true });
    const lists = [
      ['accounts:read'],
      ['queues:read'],
      ['queues:write'],
      ['statistics:read'],
      ['statistics:write'],
      ['queues:read', 'statistics:read'],
      ['*'],
    ];
    keys = await Promise.all(lists.map(async (scopes): Promise<[string[], string]> => [scopes, await namedKey(system, id, scopes)]));
  });

  test.each(Object.entries(PAGES))('%s is opened by %s, and whoever lacks it is told so, in English and in French', async (page, scope) => {
    for (const [scopes, key] of keys) {
      const isIn = scopes.includes(scope) || scopes.includes('*');
      for (const [language, texts] of [
        ['en', en],
        ['fr', fr],
      ] as const) {
        const headers = { ...HTML, 'accept-language': language };
        const sign = (accept: string): Promise<RawAnswer> =>
          send(`${system.url}${page}/sign-in`, {
            method: 'POST',
            body: `api_key=${key}`,
            headers: { ...headers, accept, 'content-type': 'application/x-www-form-urlencoded' },
          });
        const signed = await sign('text/html');
        expect([scopes, signed.status, signed.headers['set-cookie'] !== undefined]).toEqual([scopes, isIn ? 303 : 403, isIn]);
        const cookie = `flexiapi-page=${key}`;
        const seen = await send(`${system.url}${page}`, { headers: { ...headers, cookie } });
        const json = await send(`${system.url}${page}`, { headers: { ...headers, accept: 'application/json', cookie } });
        expect([scopes, seen.status, json.status]).toEqual([scopes, isIn ? 200 : 403, isIn ? 200 : 403]);
        if (isIn) continue;
        const said = `<p class="error" role="alert">${lacks(scope, texts).replaceAll("'", '&#39;')}</p>`;
        for (const { text } of [signed, seen]) expect([text.includes(said), text.includes('name="api_key"')]).toEqual([true, true]);
        expect([json.json['message'], (await sign('application/json')).json['message']]).toEqual([
          lacks(scope, texts),
          lacks(scope, texts),
        ]);
      }
    }
  });

  test('/statistics links to the queues, and lists the Spaces, for who may see them; what its script asks has the same scope', async () => {
    const { id, key: own } = await system.account('links-super', { admin: true });
    const see = async (key: string): Promise<[link: boolean, list: boolean, figures: number]> => {
      const cookie = `flexiapi-page=${key}`;
      const { text } = await send(`${system.url}/statistics`, { headers: { ...HTML, cookie } });
      const { status } = await send(`${system.url}/api/statistics/messages`, { headers: { cookie } });
      return [text.includes('/queues"'), text.includes('tenant.example.org'), status];
    };
    expect(await see(own)).toEqual([true, true, 200]);
    for (const [scopes, wanted] of [
      [['statistics:read'], [false, false, 200]],
      [
        ['statistics:read', 'queues:read'],
        [true, false, 200],
      ],
      [
        ['statistics:read', 'spaces:read'],
        [false, true, 200],
      ],
      [['*'], [true, true, 200]],
      [['queues:read'], [false, false, 403]],
    ] as const)
      expect([scopes, await see(await namedKey(system, id, [...scopes]))]).toEqual([scopes, wanted]);
  });

  test('a key that is limited, or ended, while its holder is signed in is so for the next click', async () => {
    const { id } = await system.account('limited-super', { admin: true });
    const key = await namedKey(system, id, ['queues:read', 'queues:write']);
    const headers = { cookie: `flexiapi-page=${key}`, 'sec-fetch-site': 'same-origin' };
    const pause = (): Promise<RawAnswer> => send(`${system.url}/queues/api/queues/sms/resume`, { method: 'PUT', headers });
    const open = (): Promise<RawAnswer> => send(`${system.url}/queues`, { headers: { ...headers, ...HTML } });
    expect([(await pause()).status, (await open()).status]).toEqual([200, 200]);
    await system.rows("UPDATE named_api_keys SET scopes = '{queues:read}' WHERE account_id = $1", [id]);
    expect([(await pause()).status, (await open()).status]).toEqual([403, 200]);
    await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '1 minute' WHERE account_id = $1", [id]);
    const ended = await open();
    expect([(await pause()).status, ended.status, ended.text.includes(en['auth.key_expired'])]).toEqual([401, 401, true]);
  });
});
