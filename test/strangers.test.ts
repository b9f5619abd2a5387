// What strangers may send to the pages and to addresses where nothing is: refused with the right status, never a failure, and counted.
import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { assetUrl } from '../src/pages/assets';
import { startRedis } from '../src/start/redis';
import { send, type RawAnswer } from './helpers/raw';
import { StatementCounter } from './helpers/statements';
import { eventually, request, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

const LIMIT = 4;
let system: System;
let limited: System;
beforeAll(async () => {
  [system, limited] = await Promise.all([
    startSystem({ workers: 0 }),
    startSystem({ workers: 0, environment: { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: String(LIMIT) } }),
  ]);
});
/** What single tests started, to be stopped in turn. */
const others: { stop: () => Promise<void> }[] = [];
afterAll(async () => {
  for (const other of others) await other.stop();
  const logs = [system, limited].map((of) => of.webs[0]?.output() ?? '');
  await Promise.all([system.stop(), limited.stop()]);
  // Nothing that a stranger sends is something that an operator must act on.
  for (const log of logs) expect(log).not.toMatch(/"level":(50|60)/);
});

const FORMS = [
  ['/creation_token/validate', 'account_creation_request_token'],
  ['/statistics/sign-in', 'api_key'],
  ['/queues/sign-in', 'api_key'],
] as const;
const FORM = 'application/x-www-form-urlencoded';
/** Compressed it is shorter than what is taken. */
const MEGABYTES = Buffer.alloc(8 * 1024 * 1024, 'a');
const bombs = { gzip: gzipSync(MEGABYTES), deflate: deflateSync(MEGABYTES), br: brotliCompressSync(MEGABYTES) };

describe.each(FORMS)('the form of %s', (address, field) => {
  const post = (body: string | Buffer | undefined, headers: Record<string, string> = {}): Promise<RawAnswer> =>
    send(`${system.url}${address}`, {
      method: 'POST',
      ...(body === undefined ? {} : { body }),
      headers: { 'content-type': FORM, accept: 'text/html', 'accept-language': 'fr', ...headers },
    });
  const right = `${field}=${'x'.repeat(40)}`;

  test.each<[string, number, string | Buffer | undefined, Record<string, string>]>([
    ['too much', 413, `${field}=${'x'.repeat(17_000)}`, {}],
    ['too much of what nobody asked for', 413, `${right}&more=${'x'.repeat(17_000)}`, {}],
    ['too much, of a length that nobody announced', 413, `${field}=${'x'.repeat(17_000)}`, { 'transfer-encoding': 'chunked' }],
    ...Object.entries(bombs).map(
      ([encoding, bomb]) =>
        [`a bomb in ${encoding}`, 413, bomb, { 'content-encoding': encoding }] as [string, number, Buffer, object] as never,
    ),
    ['too many fields', 413, `${right}&${'a=b&'.repeat(40)}`, {}],
    ['an unknown content-encoding', 415, right, { 'content-encoding': 'compress' }],
    ['one content-encoding in another', 415, gzipSync(gzipSync(right)), { 'content-encoding': 'gzip, gzip' }],
    ['charset UTF-16', 415, right, { 'content-type': `${FORM}; charset=utf-16` }],
    ['charset Latin 1', 415, right, { 'content-type': `${FORM}; charset=ISO-8859-1` }],
    ['a charset that does not exist', 415, right, { 'content-type': `${FORM};charset="x-nothing"` }],
    ['JSON', 415, JSON.stringify({ [field]: 'x' }), { 'content-type': 'application/json' }],
    [
      'a form in parts',
      415,
      `--x\r\ncontent-disposition: form-data; name="${field}"\r\n\r\nx\r\n--x--`,
      { 'content-type': 'multipart/form-data; boundary=x' },
    ],
    ['a type that is none', 415, right, { 'content-type': '/;;=' }],
    ['what is not compressed as it says', 400, right, { 'content-encoding': 'gzip' }],
    ['compressed, and cut off', 400, gzipSync('x'.repeat(1000)).subarray(0, 20), { 'content-encoding': 'gzip' }],
    ['a percent sign that begins nothing', 400, `${field}=%zz`, {}],
    ['an escape that is no UTF-8', 400, `${field}=%ff`, {}],
    ['a name with such an escape', 400, `${right}&%E0%A4%A=x`, {}],
    ['bytes that are no UTF-8', 400, Buffer.from([...Buffer.from(`${field}=`), 0xff, 0xfe]), {}],
    ['another field', 422, 'x=y', {}],
    ['nothing', 422, '', {}],
    ['no body at all', 422, undefined, {}],
    ['the field twice', 422, `${right}&${right}`, {}],
    ['the field twice, once by escapes', 422, `${right}&%61${field.slice(1)}=x`.replace('%61', `%${field.charCodeAt(0).toString(16)}`), {}],
  ])('%s: %i', async (_name, status, body, headers) => {
    const page = await post(body, headers);
    expect([page.status, page.headers['content-type'], page.headers['content-language']]).toEqual([
      status,
      'text/html; charset=utf-8',
      'fr',
    ]);
    expect(page.text).toContain('</html>');
    const json = await post(body, { ...headers, accept: 'application/json' });
    expect([json.status, json.headers['content-type'], typeof json.json['message']]).toEqual([status, 'application/json', 'string']);
    expect(`${page.text}${json.text}`).not.toMatch(/Server Error|node_modules/);
  });

  test('a right one is read, compressed too', async () => {
    const wrong = address.startsWith('/creation') ? 404 : 403;
    expect((await post(right)).status).toBe(wrong);
    expect((await post(right, { 'content-type': `${FORM}; charset=UTF-8` })).status).toBe(wrong);
    expect((await post(gzipSync(right), { 'content-encoding': 'gzip' })).status).toBe(wrong);
    expect((await post(`a=b&&c&${right}&`)).status).toBe(wrong);
  });

  test('a body that ends before its announced length', async () => {
    const { port, host } = new URL(system.url);
    const ended = (): string[] => (system.webs[0]?.output() ?? '').match(/^.*"method":"POST",.*"status":400,.*$/gm) ?? [];
    const before = ended().length;
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.end(`POST ${address} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: ${FORM}\r\nContent-Length: 100\r\n\r\n${field}=x`),
      );
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => (text += String(chunk)));
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1.1 400 [^]*The request ended before it was whole\.[^]*$/);
    const logged = await eventually(
      () => Promise.resolve(ended()),
      ({ length }) => length > before,
    );
    expect(logged.at(-1)).toMatch(/"level":30,/);
  });

  test('counts for the address before the body is read', async () => {
    const headers = { 'x-forwarded-for': `203.0.113.${FORMS.findIndex(([one]) => one === address) + 1}`, 'content-type': FORM };
    const over = (more: Record<string, string> = {}): Promise<RawAnswer> =>
      send(`${limited.url}${address}`, { method: 'POST', body: 'x'.repeat(20_000), headers: { ...headers, ...more } });
    for (let n = 0; n < LIMIT; n += 1) expect((await over()).status).toBe(413);
    const page = await over({ accept: 'text/html', 'accept-language': 'fr' });
    expect([page.status, page.headers['content-type']]).toEqual([429, 'text/html; charset=utf-8']);
    expect(page.text).toContain('Trop de requêtes');
    expect(Number(page.headers['retry-after'])).toBeGreaterThan(0);
    expect((await over({ accept: 'application/json' })).json['message']).toMatch(/^Too many requests/);
  });
});

let address = 0;
/** The statuses of so many requests and one more, from an address of their own. */
async function statusesOf(method: string, route: string, headers: Record<string, string> = {}, requests = LIMIT + 1): Promise<number[]> {
  address += 1;
  const statuses = [];
  for (let n = 0; n < requests; n += 1) {
    const from = { 'x-forwarded-for': `198.51.100.${address}` };
    statuses.push((await send(`${limited.url}${route}`, { method, headers: { ...from, ...headers } })).status);
  }
  return statuses;
}

describe('strangers are counted', () => {
  test.each<[string, string, string, number, Record<string, string>]>([
    ['nothing there under /api', 'GET', '/api/nothing', 404, {}],
    ['nothing there, with a key that nobody looks at', 'GET', '/api/nothing', 404, { 'x-api-key': 'x' }],
    ['another method', 'DELETE', '/api/ping', 405, {}],
    ['OPTIONS', 'OPTIONS', '/api/accounts', 405, {}],
    ['HEAD of what changes something', 'HEAD', '/api/accounts/me/api_key', 405, {}],
    ['a path with a bad escape under /api', 'GET', '/api/accounts/%zz', 400, {}],
    ['nothing there', 'GET', '/nothing', 404, {}],
    ['nothing there, by POST', 'POST', '/metrics', 404, {}],
    ['a provisioning token', 'GET', '/provisioning/none', 404, { 'x-linphone-provisioning': '1' }],
    ['HEAD of it', 'HEAD', '/provisioning/none', 404, {}],
    ['a provisioning token with a bad escape', 'GET', '/provisioning/%zz', 400, {}],
    ['a provisioning token that is no UTF-8', 'GET', '/provisioning/auth_token/%ff', 400, {}],
    ['an auth token', 'GET', '/provisioning/auth_token/none', 404, {}],
    ['a QR code', 'GET', '/provisioning/qrcode/none', 404, {}],
    ['own settings', 'GET', '/provisioning/me', 401, {}],
    ['own settings, with a wrong key', 'GET', '/provisioning/me', 401, { 'x-api-key': 'x' }],
    ['contacts as text', 'GET', '/contacts/vcard', 401, {}],
    ['a contact with a bad escape', 'GET', '/contacts/vcard/%zz', 400, {}],
    ['stored vCards as text, with a wrong key', 'GET', '/vcards-storage', 401, { 'x-api-key': 'x' }],
    ['the validation page', 'GET', '/creation_token/check/none', 404, {}],
    ['the validation page with a bad escape', 'GET', '/creation_token/check/%zz', 400, {}],
    ['the queues, signed out', 'GET', '/queues', 401, { accept: 'text/html' }],
    ['the queues, with a wrong cookie', 'GET', '/queues', 401, { accept: 'text/html', cookie: 'flexiapi-page=x' }],
    ['what the queues show', 'GET', '/queues/api/queues', 401, {}],
    ['the statistics, signed out', 'GET', '/statistics', 401, { accept: 'text/html' }],
    ['signing out', 'POST', '/statistics/sign-out', 303, {}],
  ])('%s', async (_name, method, route, status, headers) => {
    expect(await statusesOf(method, route, headers)).toEqual([...Array<number>(LIMIT).fill(status), 429]);
  });

  test('by the account on the pages of who is signed in', async () => {
    const { key } = await limited.account('page-counted', { admin: true });
    const cookie = `flexiapi-page=${key}`;
    expect(await statusesOf('GET', '/statistics', { cookie, accept: 'text/html' })).toEqual([...Array<number>(LIMIT).fill(200), 429]);
    expect(await statusesOf('GET', '/statistics', {}, 1)).toEqual([401]);
  });

  test('but never where health is asked, nor for what stands in files', async () => {
    for (const route of [
      '/health/live',
      '/health/ready',
      '/metrics',
      '/api',
      '/api/openapi.json',
      assetUrl('page.css'),
      assetUrl('swagger-ui.css'),
    ])
      expect([route, ...new Set(await statusesOf('GET', route, {}, 2 * LIMIT))]).toEqual([route, 200]);
  });
});

test('however many ask for health and metrics, PostgreSQL and Redis are asked once a second, and a server that went away is soon seen', async () => {
  const redis = await startRedis(mkdtempSync(path.join(testServers().directory, 'redis-')), () => undefined, false);
  const own = await startSystem({ webs: 0, workers: 0, environment: { REDIS_URL: redis.url } });
  others.push(own, redis);
  const counter = await StatementCounter.start(own.environment['DATABASE_URL'] ?? '');
  others.push(counter);
  await own.startWeb({ DATABASE_URL: counter.url });
  const client = new Redis(redis.url);
  const commands = async (): Promise<number> => Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))?.[1]);
  const ask = async (): Promise<void> => {
    const answers = await Promise.all([request(`${own.url}/health/ready`), request(`${own.url}/metrics`)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  };
  const ready = async (): Promise<string> => {
    const { status, json } = await request(`${own.url}/health/ready`);
    return `${status} ${(json['redis'] as { status: string }).status}`;
  };
  const becomes = (wanted: string): Promise<string> => eventually(ready, (now) => now === wanted, 8);
  // Its connections are made with the first questions.
  await becomes('200 ok');
  await ask();
  counter.reset();
  const before = await commands();
  const perAnswer = 60;
  const started = performance.now();
  for (let n = 0; n < 10; n += 1) await Promise.all(Array.from({ length: 30 }, ask));
  const seconds = Math.ceil((performance.now() - started) / 1000);
  // Each of both asks what it shows once a second; some of it is the same.
  for (const sql of counter.statements)
    expect([sql, counter.statements.filter((other) => other === sql).length <= 2 * (seconds + 1)]).toEqual([sql, true]);
  expect((await commands()) - before).toBeLessThanOrEqual(perAnswer * (seconds + 1));

  // Frozen, it keeps its connections and answers nothing.
  const pid = Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]);
  process.kill(pid, 'SIGSTOP');
  try {
    await becomes('503 failed');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await becomes('200 ok');
  client.disconnect();
  await redis.stop();
  await becomes('503 failed');
});

test('HSTS is for this host alone', async () => {
  const { headers } = await send(`${system.url}/health/live`);
  expect(headers['strict-transport-security']).toBe('max-age=31536000');
});
