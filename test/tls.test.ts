// TLS by web itself: HTTP/2 for Flexisip, which speaks nothing else, and HTTP/1.1 for all others, the whole API alike over both.
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect as netConnect, type Socket } from 'node:net';
import path from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import { assetUrl } from '../src/pages/assets';
import { Http2Client, type Http2Answer } from './helpers/http2';
import { makeCertificate, type Certificate } from './helpers/pki';
import { testServers } from './setup/servers';
import { eventually, SPACE, startProcess, startSystem, type Account, type System } from './helpers/system';

const run = promisify(execFile);
const directory = mkdtempSync(path.join(testServers().directory, 'tls-'));
const certFile = path.join(directory, 'cert.pem');
const keyFile = path.join(directory, 'key.pem');
let certificate: Certificate;
let system: System;
let reporter: Account;
let client: Http2Client;

function install(made: Certificate): void {
  writeFileSync(certFile, made.cert);
  writeFileSync(keyFile, made.key);
}
const portOf = (index: number): string => new URL(system.urls[index] ?? '').port;
const urlOf = (index: number): string => `https://localhost:${portOf(index)}`;
const open = (index = 0): Http2Client => new Http2Client(urlOf(index), certificate.cert);

/** The same request over HTTP/1.1. */
function overHttp1(method: string, route: string, headers: Record<string, string>, body?: string): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        port: portOf(0),
        host: 'localhost',
        ca: certificate.cert,
        method,
        path: route,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

beforeAll(async () => {
  certificate = await makeCertificate(directory);
  install(certificate);
  system = await startSystem({ webs: 1, workers: 1, environment: { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } });
  reporter = await system.account('flexisip', { admin: true });
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'x', 'MD5'), ($1, 'y', 'SHA-256')", [reporter.id]);
  client = open();
});
afterAll(async () => {
  client.close();
  await system.stop();
});

const message = (): Record<string, unknown> => ({
  id: randomUUID(),
  from: `alice@${SPACE}`,
  sent_at: '2026-03-01T10:15:00Z',
  encrypted: false,
  conference_id: null,
});

describe('the same over HTTP/2 and HTTP/1.1', () => {
  const json = JSON.stringify;
  test.each<[string, string, string, Record<string, string>, string | undefined]>([
    ['text', 'GET', '/api/ping', {}, undefined],
    ['JSON', 'GET', '/api/accounts/me', { 'x-api-key': 'KEY' }, undefined],
    ['HEAD', 'HEAD', '/api/accounts/me', { 'x-api-key': 'KEY' }, undefined],
    ['nobody', 'GET', '/api/accounts/me', {}, undefined],
    ['nothing there', 'GET', '/api/nowhere', {}, undefined],
    ['wrong method', 'PATCH', '/api/ping', {}, undefined],
    ['not JSON', 'POST', '/api/statistics/messages', { 'x-api-key': 'KEY' }, '{'],
    ['fields', 'POST', '/api/statistics/messages', { 'x-api-key': 'KEY', 'accept-language': 'fr' }, '{}'],
    ['content type', 'POST', '/api/accounts/auth_token', { 'content-type': 'text/plain' }, 'x'],
    ['accept', 'GET', '/api/ping', { accept: 'text/css' }, undefined],
    ['too large', 'POST', '/api/accounts/auth_token', {}, json({ x: 'x'.repeat(1_100_000) })],
    ['a page', 'GET', '/creation_token/check/none', {}, undefined],
    ['the documentation', 'GET', '/api', {}, undefined],
    ['a file', 'GET', assetUrl('swagger-ui.css'), {}, undefined],
    ['the dashboard, signed out', 'GET', '/queues', { accept: 'text/html' }, undefined],
    ['the dashboard', 'GET', '/queues/', { 'x-api-key': 'KEY', accept: 'text/html' }, undefined],
    ['what the dashboard shows', 'GET', '/queues/api/queues', { 'x-api-key': 'KEY', accept: '*/*' }, undefined],
    ['contacts as text', 'GET', '/contacts/vcard', { 'x-api-key': 'KEY' }, undefined],
    ['provisioning', 'GET', '/provisioning', { 'x-linphone-provisioning': '1' }, undefined],
    ['health', 'GET', '/health/ready', {}, undefined],
  ])('%s', async (_name, method, route, given, body) => {
    const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value === 'KEY' ? reporter.key : value]));
    const [two, one] = [await client.request(method, route, headers, body), await overHttp1(method, route, headers, body)];
    expect(two.status).toBe(one.status);
    const changing =
      /("(timestamp|processedOn|finishedOn|uptime|ts|progress|used_memory|memory|delay|every|count|completed|jobs|counts|active)":|\d{10,})/;
    if (!changing.test(one.text)) expect(two.text).toBe(one.text);
    for (const name of ['content-type', 'cache-control', 'content-security-policy', 'allow', 'content-language', 'www-authenticate'])
      expect([name, two.headers[name]]).toEqual([name, one.headers[name]]);
    expect(two.headers['x-request-id']).toMatch(/./);
  });

  test('challenges: a header line an algorithm; the host picks the Space; the cookie is Secure', async () => {
    const challenged = await client.request('GET', '/api/accounts/me', { from: `sip:flexisip@${SPACE}` });
    expect(challenged.status).toBe(401);
    expect(String(challenged.headers['www-authenticate']).match(/Digest realm/g)).toHaveLength(2);
    await system.space('gone.example.org', { expireAt: new Date(Date.now() - 1000) });
    const user = await system.account('some-user');
    const at = (authority: string): Promise<Http2Answer> =>
      client.request('GET', '/api/accounts/me', { ':authority': authority, 'x-api-key': user.key });
    expect([(await at('gone.example.org:8443')).status, (await at(SPACE)).status]).toEqual([403, 200]);
    const key = await client.request('GET', '/api/accounts/me/api_key', { 'x-api-key': user.key });
    expect(String(key.headers['set-cookie'])).toContain('Secure');
  });

  test('a browser’s cookies: from its own page, from elsewhere; those of the pages belong to this host alone', async () => {
    const own = { cookie: `x-api-key=${reporter.key}`, origin: urlOf(0), 'sec-fetch-site': 'same-origin' };
    for (const ask of [
      (headers: Record<string, string>) => client.request('GET', '/api/accounts/me/provision', headers),
      (headers: Record<string, string>) => overHttp1('GET', '/api/accounts/me/provision', headers),
    ]) {
      expect((await ask(own)).status).toBe(200);
      expect((await ask({ ...own, origin: 'https://localhost:1' })).status).toBe(403);
      expect((await ask({ ...own, origin: urlOf(0).replace('https', 'http') })).status).toBe(403);
      expect((await ask({ ...own, 'sec-fetch-site': 'same-site' })).status).toBe(403);
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' };
    const signed = await client.request('POST', '/statistics/sign-in', form, `api_key=${reporter.key}`);
    const [cookie = ''] = signed.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^__Host-flexiapi-page=\w+; Max-Age=3600; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    expect((await client.request('GET', '/api/statistics/calls', headers)).status).toBe(200);
    expect((await client.request('GET', '/api/accounts', headers)).status).toBe(401);
  });

  test('a one-time token is spent once its answer is out, which both protocols tell in their own way', async () => {
    const { id, key } = await system.account('provisioned-once');
    for (const ask of [
      (route: string, headers: Record<string, string>) => client.request('GET', route, headers),
      (route: string, headers: Record<string, string>) => overHttp1('GET', route, headers),
    ]) {
      const token = (JSON.parse((await ask('/api/accounts/me/provision', { 'x-api-key': key })).text) as Record<string, string>)[
        'provisioning_token'
      ];
      const fetchDocument = (): Promise<Http2Answer> => ask(`/provisioning/${token}`, { 'x-linphone-provisioning': '1' });
      expect((await fetchDocument()).status).toBe(200);
      expect((await fetchDocument()).status).toBe(404);
      expect(await system.rows('SELECT 1 FROM token_deliveries WHERE account_id = $1', [id])).toEqual([]);
    }
  });

  test('a body whose length nobody announces; an empty DATA frame; no body at all', async () => {
    const headers = { 'x-api-key': reporter.key };
    expect((await client.request('POST', '/api/statistics/messages', headers, JSON.stringify(message()), { length: false })).status).toBe(
      200,
    );
    // Flexisip says content-type and content-length: 0 on GET, too, and ends the stream with an empty DATA frame.
    expect((await client.request('GET', '/api/spaces', { ...headers, accept: 'application/json' }, '')).status).toBe(200);
    expect((await client.request('POST', '/api/account_creation_tokens', headers)).status).toBe(201);
  });
});

describe('refusals', () => {
  /** What a client reads that sends these bytes, over TLS or not, until the server ends the connection. */
  const exchange = (bytes: string, overTls: boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const port = Number(portOf(0));
      const socket: Socket = overTls
        ? tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, () => socket.write(bytes))
        : netConnect(port, '127.0.0.1', () => socket.write(bytes));
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });

  test.each<[string, number, string, string, boolean]>([
    ['no TLS', 400, 'This port speaks TLS: the address begins with https://.', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', false],
    ['an unknown method', 405, 'The method BREW is not known here.', 'BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n', true],
    ['no host', 400, 'There must be one host header', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', true],
    ['a long header', 431, 'larger than 16 KiB', `GET / HTTP/1.1\r\nHost: localhost\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, true],
    ['another expectation', 417, '100-continue', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: more\r\n\r\n', true],
  ])('over HTTP/1.1: %s', async (_name, status, said, bytes, overTls) => {
    const text = await exchange(bytes, overTls);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toMatch(/^content-type: application\/json\r$/m);
    expect(text).toMatch(/^x-request-id: [0-9a-f-]{36}\r$/m);
    expect((JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as { message: string }).message).toContain(said);
  });

  test.each<[string, number, string, Record<string, string>]>([
    ['many headers', 431, 'more than 128 headers', Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`x-${n}`, 'x']))],
    ['large headers', 431, 'larger than 16 KiB', { 'x-a': 'x'.repeat(9000), 'x-b': 'x'.repeat(9000) }],
    ['a long header that is taken apart', 431, 'The header accept is longer', { accept: 'a/b,'.repeat(1000) }],
    ['another host than the authority', 400, 'There must be one host header', { ':authority': 'localhost', host: 'other.example' }],
    ['another expectation', 417, '100-continue', { expect: 'more', ':path': '/health/live' }],
  ])('over HTTP/2: %s', async (_name, status, said, headers) => {
    const answer = await client.request('GET', headers[':path'] ?? '/api/ping', headers);
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json']);
    expect((JSON.parse(answer.text) as { message: string }).message).toContain(said);
    expect(answer.headers['x-request-id']).toMatch(/./);
    expect((await client.request('GET', '/api/ping')).text).toBe('pong');
  });

  test('128 headers of 16 KiB are admitted, and as many as HTTP/1.1 has', async () => {
    const headers = Object.fromEntries(Array.from({ length: 126 }, (_, n) => [`x-${n}`, 'x'.repeat(100)]));
    expect((await client.request('GET', '/api/ping', headers)).status).toBe(200);
  });
});

test('the log has the address, and the request id, of a stream that outlives its connection', async () => {
  const other = open();
  await other.request('GET', '/api/ping');
  const id = randomUUID();
  const stream = other.session.request(
    {
      ':method': 'POST',
      ':path': '/api/statistics/messages',
      'x-request-id': id,
      'content-type': 'application/json',
      'x-api-key': reporter.key,
    },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  stream.write('{');
  // The server has it once it answers what was sent after it.
  await other.request('GET', '/api/ping');
  other.session.destroy();
  const line = await eventually(
    () =>
      Promise.resolve(
        (system.webs[0]?.output() ?? '').split('\n').find((each) => each.includes(id) && each.includes('"msg":"request"')) ?? '',
      ),
    (found) => found !== '',
  );
  expect(JSON.parse(line)).toMatchObject({ request_id: id, method: 'POST', ip: '127.0.0.1' });
});

test('curl --http2 and --http1.1', async () => {
  const curl = async (version: string): Promise<string> =>
    (
      await run('curl', [
        version,
        '-sS',
        '--cacert',
        certificate.file,
        '-o',
        '/dev/null',
        '-w',
        '%{http_version} %{http_code} %{content_type}',
        '-H',
        `x-api-key: ${reporter.key}`,
        `${urlOf(0)}/api/accounts/me`,
      ])
    ).stdout;
  expect(await curl('--http2')).toBe('2 200 application/json');
  expect(await curl('--http1.1')).toBe('1.1 200 application/json');
});

test('DIGEST of a name beyond ASCII, over either protocol', async () => {
  const { id } = await system.account('üser');
  const hash = createHash('md5').update(`üser:${SPACE}:secret`).digest('hex');
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, 'MD5')", [id, hash]);
  for (const protocol of ['--http2', '--http1.1']) {
    const parameters = ['-s', '-k', protocol, '--digest', '-u', 'üser:secret', '-H', `From: sip:üser@${SPACE}`, '-w', '\n%{http_version}'];
    const { stdout } = await run('curl', [...parameters, `${urlOf(0)}/api/accounts/me`]);
    expect(stdout).toContain('"username":"üser"');
    expect(stdout).toMatch(protocol === '--http2' ? /\n2$/ : /\n1\.1$/);
  }
});

test('200 streams at once on one connection, as Flexisip sends them, each answered for itself', async () => {
  const headers = { 'x-api-key': reporter.key, accept: 'application/json' };
  const sent = Array.from({ length: 200 }, () => message());
  const posted = await Promise.all(sent.map((each) => client.request('POST', '/api/statistics/messages', headers, JSON.stringify(each))));
  expect(posted.map(({ status, text }) => `${status} ${text}`)).toEqual(sent.map(() => '200 {}'));
  const patched = await Promise.all(
    sent.map(({ id }, n) =>
      client.request(
        'PATCH',
        // The device's quotes and brackets are not escaped on the wire.
        `/api/statistics/messages/${n % 2 === 0 ? String(id) : 'unknown'}/to/bob@other.org/devices/"<urn:uuid:${n}>"`,
        headers,
        JSON.stringify({ last_status: 200, received_at: '2026-03-01T10:15:01Z' }),
      ),
    ),
  );
  expect(patched.map(({ status }) => status)).toEqual(sent.map((_, n) => (n % 2 === 0 ? 201 : 400)));
  expect(client.goaways).toBe(0);
  const [count] = await system.rows("SELECT count(*)::int AS n FROM statistics_message_devices WHERE device_id LIKE '\"<urn:uuid:%'");
  expect(count).toEqual({ n: 100 });
});

test('SIGTERM with 200 streams under way: all are answered and stored, then GOAWAY, then the end', async () => {
  const web = await system.startWeb();
  const other = open(system.urls.length - 1);
  const headers = { 'x-api-key': reporter.key };
  await other.request('GET', '/api/accounts/me', headers);
  const sent = Array.from({ length: 200 }, () => message());
  const answers = Promise.all(sent.map((each) => other.request('POST', '/api/statistics/messages', headers, JSON.stringify(each))));
  // Under way at the server, not only on the wire.
  await eventually(
    () => system.rows('SELECT 1 FROM statistics_messages WHERE id = ANY ($1)', [sent.map(({ id }) => id)]),
    (rows) => rows.length > 0,
  );
  const ended = web.end('SIGTERM');
  expect((await answers).map(({ status }) => status)).toEqual(sent.map(() => 200));
  expect(await ended).toBe(0);
  expect(other.goaways).toBeGreaterThan(0);
  const stored = await system.rows('SELECT 1 FROM statistics_messages WHERE id = ANY ($1)', [sent.map(({ id }) => id)]);
  expect(stored).toHaveLength(200);
  system.urls.pop();
});

test('a renewed certificate is taken without a restart; a broken one is not', async () => {
  const fingerprint = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tlsConnect({ port: Number(portOf(0)), host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const before = await fingerprint();
  writeFileSync(certFile, 'not a certificate');
  await eventually(
    () => Promise.resolve(system.webs[0]?.output() ?? ''),
    (output) => output.includes('cannot be used'),
  );
  expect(await fingerprint()).toBe(before);
  install(await makeCertificate(mkdtempSync(path.join(directory, 'renewed-'))));
  await eventually(fingerprint, (now) => now !== before);
  // The connection from before is the same still.
  expect((await client.request('GET', '/api/ping')).text).toBe('pong');
});

test('a certificate that cannot be used stops the start with its name', async () => {
  const failed = startProcess('src/web.js', { ...system.environment, TLS_CERT_FILE: '/nowhere.pem' }, /web listens/);
  await expect(failed).rejects.toThrow(/TLS_CERT_FILE=\/nowhere\.pem: cannot be read: there is no such file/);
});
