// What the log says of who signs in to the pages, and of what is done on the dashboard; and what the dashboard answers where Redis goes silent.
import { randomUUID } from 'node:crypto';
import { killServers, serve } from './helpers/redis';
import { send, type RawAnswer } from './helpers/raw';
import { Relay } from './helpers/relay';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const ADDRESS = '203.0.113.77';
const FORM = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' };

let system: System;
let superAdmin: Account;
/** An admin who may not see the queues. */
let admin: Account;
beforeAll(async () => {
  system = await startSystem({ environment: { TRUST_PROXY: '1' } });
  superAdmin = await system.account('dashboard-super', { admin: true });
  await system.space('tenant.example.org');
  admin = await system.account('dashboard-admin', { domain: 'tenant.example.org', admin: true });
});
afterAll(async () => {
  killServers();
  await system.stop();
});

type Line = Record<string, unknown> & { msg: string };
const linesOf = (of: System, request_id: string): Line[] =>
  (of.webs[0]?.output() ?? '')
    .split('\n')
    .filter((line) => line.includes(request_id))
    .map((line) => JSON.parse(line) as Line);

/** What was logged of one request, its own line the last. */
async function logged(
  url: string,
  { headers = {}, ...options }: { method?: string; headers?: Record<string, string>; body?: string },
  of = system,
): Promise<{ answer: RawAnswer; lines: Line[] }> {
  const id = randomUUID();
  const answer = await send(of.url + url, { ...options, headers: { 'x-request-id': id, 'x-forwarded-for': ADDRESS, ...headers } });
  const lines = await eventually(
    () => Promise.resolve(linesOf(of, id)),
    (found) => found.some(({ msg }) => msg === 'request'),
  );
  return { answer, lines };
}
const EVERYWHERE = new Set(['level', 'time', 'pid', 'version', 'request_id', 'ms']);
const without = (line: Line): object => Object.fromEntries(Object.entries(line).filter(([name]) => !EVERYWHERE.has(name)));

/** Carries out an action as the super admin. @returns the status, and what the log says of it */
async function act(method: string, url: string, body?: object | string, of = system, key = superAdmin.key): Promise<[number, object[]]> {
  const { answer, lines } = await logged(
    `/queues/api${url}`,
    {
      method,
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    },
    of,
  );
  return [answer.status, lines.filter(({ msg }) => msg === 'an action on the dashboard').map(without)];
}
const lineOf = (action: string, status: number, more: object): object => ({
  account_id: superAdmin.id,
  account: `dashboard-super@${SPACE}`,
  action,
  status,
  ip: ADDRESS,
  msg: 'an action on the dashboard',
  ...more,
});

/** Fails a push, as long as nobody has an account at FCM. @returns its job's id */
async function failedJob(): Promise<string> {
  await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: { pn_provider: 'fcm', pn_prid: randomUUID() } });
  const { json, text } = await send(`${system.url}/queues/api/queues?activeQueue=push&status=failed`, {
    headers: { 'x-api-key': superAdmin.key },
  });
  const { queues } = (Object.keys(json).length > 0 ? json : JSON.parse(text)) as { queues: { name: string; jobs: { id: string }[] }[] };
  return queues.find(({ name }) => name === 'push')?.jobs[0]?.id ?? '';
}

describe('an action on the dashboard leaves a line that says who did what, and what came of it', () => {
  test('on one job', async () => {
    const job = await failedJob();
    const of = { queue: 'push', job };
    expect(await act('PUT', `/queues/push/${job}/retry`)).toEqual([204, [lineOf('PUT /api/queues/:queueName/:jobId/retry', 204, of)]]);
    await failedJob();
    const data = { jobData: { payload: { kind: 'creation_token', prid: 'a-secret-address' } } };
    expect(await act('PATCH', `/queues/push/${job}/update-data`, data)).toEqual([
      403,
      [lineOf('PATCH /api/queues/:queueName/:jobId/update-data', 403, { ...of, reason: '403 queue.sends' })],
    ]);
    expect(await act('PUT', `/queues/push/${job}/clean`)).toEqual([204, [lineOf('PUT /api/queues/:queueName/:jobId/clean', 204, of)]]);
    const [, [line]] = await act('POST', '/queues/statistics/add', { name: 'x', data: {}, options: { delay: 1e7 } });
    const other = { queue: 'statistics', job: (line as { job: string }).job };
    expect(await act('PATCH', `/queues/statistics/${other.job}/update-data`, data)).toEqual([
      200,
      [lineOf('PATCH /api/queues/:queueName/:jobId/update-data', 200, other)],
    ]);
    expect(system.webs[0]?.output()).not.toContain('a-secret-address');
  });

  test('on a queue, on all of them, on a schedule', async () => {
    await failedJob();
    for (const [method, url, action, status, of] of [
      ['PUT', '/queues/push/retry/failed', '/queues/:queueName/retry/:queueStatus', 200, { queue: 'push', state: 'failed' }],
      ['PUT', '/queues/push/clean/failed', '/queues/:queueName/clean/:queueStatus', 200, { queue: 'push', state: 'failed' }],
      ['PUT', '/queues/sms/promote', '/queues/:queueName/promote', 200, { queue: 'sms' }],
      ['PUT', '/queues/sms/pause', '/queues/:queueName/pause', 200, { queue: 'sms' }],
      ['PUT', '/queues/sms/resume', '/queues/:queueName/resume', 200, { queue: 'sms' }],
      ['PUT', '/queues/pause', '/queues/pause', 200, {}],
      ['PUT', '/queues/resume', '/queues/resume', 200, {}],
      ['PUT', '/queues/sms/empty', '/queues/:queueName/empty', 200, { queue: 'sms' }],
      [
        'PUT',
        '/queues/chores/job-schedulers/nothing/remove',
        '/queues/:queueName/job-schedulers/:schedulerId/remove',
        404,
        { queue: 'chores', scheduler: 'nothing' },
      ],
    ] as const)
      expect([url, ...(await act(method, url))]).toEqual([url, status, [lineOf(`${method} /api${action}`, status, of)]]);
  });

  test('that adds a job: the new one’s id, and nothing of its data', async () => {
    const [status, lines] = await act('POST', '/queues/chores/add', {
      name: 'x',
      data: { payload: { kind: 'a-secret-kind' } },
      options: {},
    });
    expect([status, lines]).toEqual([
      200,
      [lineOf('POST /api/queues/:queueName/add', 200, { queue: 'chores', job: expect.stringMatching(/./) as string })],
    ]);
    expect(system.webs[0]?.output()).not.toContain('a-secret-kind');
  });

  test('that fails: no such job, no such queue, a job in another state, a body that is no JSON', async () => {
    expect(await act('PUT', '/queues/push/none/retry')).toEqual([
      404,
      [lineOf('PUT /api/queues/:queueName/:jobId/retry', 404, { queue: 'push', job: 'none' })],
    ]);
    expect(await act('PUT', '/queues/nowhere/pause')).toEqual([
      404,
      [lineOf('PUT /api/queues/:queueName/pause', 404, { queue: 'nowhere' })],
    ]);
    const job = await failedJob();
    expect(await act('PUT', `/queues/push/${job}/promote`)).toEqual([
      409,
      [
        lineOf('PUT /api/queues/:queueName/:jobId/promote', 409, {
          queue: 'push',
          job,
          reason: expect.stringContaining('is not in the delayed state') as string,
        }),
      ],
    ]);
    expect(await act('POST', '/queues/chores/add', '{')).toEqual([
      400,
      [lineOf('POST /api/queues/:queueName/add', 400, { queue: 'chores', reason: '400 json.invalid' })],
    ]);
  });

  test('that is refused: who may not, and what another site makes; and what only reads leaves none', async () => {
    expect((await act('PUT', '/queues/push/pause', undefined, system, admin.key))[0]).toBe(403);
    for (const [headers, status] of [
      [{ 'x-api-key': admin.key }, 403],
      [{}, 401],
      [{ cookie: `flexiapi-page=${superAdmin.key}`, 'sec-fetch-site': 'same-site' }, 403],
    ] as const) {
      const { lines } = await logged('/queues/api/queues/push/pause', { method: 'PUT', headers });
      expect(lines.map(without)).toEqual([{ method: 'PUT', route: '/queues', status, ip: ADDRESS, msg: 'request' }]);
    }
    const id = randomUUID();
    await send(`${system.url}/queues/api/queues`, { headers: { 'x-api-key': superAdmin.key, 'x-request-id': id } });
    await logged('/queues', { headers: { accept: 'text/html' } });
    expect(linesOf(system, id)).toEqual([]);
  });
});

test('no page of it is kept by a cache', async () => {
  const { status, headers } = await send(`${system.url}/queues`, { headers: { 'x-api-key': superAdmin.key, accept: 'text/html' } });
  expect([status, headers['cache-control']]).toEqual([200, 'no-store']);
});

test.each(['/statistics', '/queues'])('%s: who signs in and out is logged, who is refused too, never the key', async (page) => {
  const post = (route: string, body: string, headers = {}): ReturnType<typeof logged> =>
    logged(`${page}/${route}`, { method: 'POST', body, headers: { ...FORM, ...headers } });
  const who = { account_id: superAdmin.id, account: `dashboard-super@${SPACE}` };
  const own = (route: string, status: number): object => ({
    method: 'POST',
    route: `${page}/${route}`,
    status,
    ip: ADDRESS,
    msg: 'request',
  });
  const signed = await post('sign-in', `api_key=${superAdmin.key}`);
  expect(signed.lines.map(without)).toEqual([{ page, ip: ADDRESS, ...who, msg: 'signed in' }, own('sign-in', 303)]);
  const wrong = 'w'.repeat(40);
  for (const [body, headers, status, reason] of [
    [`api_key=${wrong}`, {}, 403, 'auth.api_key'],
    ['', {}, 422, 'field.required'],
    [`api_key=${superAdmin.key}`, { origin: 'https://evil.example.org' }, 403, 'auth.origin'],
  ] as const) {
    const { lines, answer } = await post('sign-in', body, headers);
    expect([answer.status, lines.map(without)]).toEqual([
      status,
      [{ page, ip: ADDRESS, status: reason === 'auth.api_key' ? 401 : status, reason, msg: 'not signed in' }, own('sign-in', status)],
    ]);
  }
  const cookie = `flexiapi-page=${superAdmin.key}`;
  const out = await post('sign-out', '', { cookie });
  const id = String(out.lines[0]?.['request_id']);
  // Whose key it was is looked up once the answer is written.
  const lines = await eventually(
    () => Promise.resolve(linesOf(system, id)),
    ({ length }) => length === 2,
  );
  expect(lines.map(without)).toEqual(
    expect.arrayContaining([own('sign-out', 303), { page, ip: ADDRESS, ...who, msg: 'signed out' }]) as object[],
  );
  // An expired key signs out as well.
  const expired = await post('sign-out', '', { cookie: `flexiapi-page=${wrong}` });
  expect([expired.answer.status, expired.answer.headers['set-cookie']?.length]).toEqual([303, 2]);
  const output = system.webs[0]?.output() ?? '';
  expect([output.includes(superAdmin.key), output.includes(wrong)]).toEqual([false, false]);
});

test('each page has its name in the log', async () => {
  for (const [url, route] of [
    ['/api', '/api'],
    ['/api/openapi.json', '/api/openapi.json'],
    ['/favicon.ico', '/favicon.ico'],
    ['/statistics', '/statistics'],
    ['/queues', '/queues'],
    ['/queues/queue/push', '/queues'],
    ['/creation_token/check/secret-token', '/creation_token/check/:token'],
    ['/nothing', null],
  ] as const) {
    const { lines } = await logged(url, { headers: { accept: 'text/html', 'x-api-key': superAdmin.key } });
    expect([url, lines.at(-1)?.['route']]).toEqual([url, route]);
  }
});

test('a page of an error leads back to the form', async () => {
  const { answer } = await logged('/statistics/sign-in', { method: 'POST', headers: FORM, body: `api_key=${'x'.repeat(20_000)}` });
  expect(answer.status).toBe(413);
  expect(answer.text).toContain('<a href="../statistics">Back</a>');
});

test('a Redis that goes silent in the middle of a call is 503, and the log has the action', async () => {
  const redis = await serve([]);
  let isLast = false;
  const relay = await Relay.start(redis.port, () => ({
    asked: (chunk) => {
      if (isLast && /pause/i.test(chunk.toString('latin1'))) redis.freeze();
    },
  }));
  const own = await startSystem({ workers: 0, environment: { TRUST_PROXY: '1', REDIS_URL: `redis://127.0.0.1:${relay.port}` } });
  try {
    const { id, key } = await own.account('silent-super', { admin: true });
    expect((await act('PUT', '/queues/push/resume', undefined, own, key))[0]).toBe(200);
    isLast = true;
    const began = performance.now();
    const [status, lines] = await act('PUT', '/queues/push/pause', undefined, own, key);
    expect(performance.now() - began).toBeLessThan(5000);
    expect([status, lines]).toEqual([
      503,
      [
        expect.objectContaining({
          account_id: id,
          action: 'PUT /api/queues/:queueName/pause',
          queue: 'push',
          status: 503,
          reason: expect.any(String) as string,
        }) as object,
      ],
    ]);
  } finally {
    redis.thaw();
    await own.stop();
    await relay.stop();
  }
});
