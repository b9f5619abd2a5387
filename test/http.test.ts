// The conventions that hold for every endpoint (docs/api-rules.md).
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { hashPassword } from '../src/services/credentials/secrets';
import { request, SPACE, startSystem, type System } from './helpers/system';

let system: System;
let key: string;
beforeAll(async () => {
  system = await startSystem({ workers: 0 });
  key = (await system.account('http-admin', { admin: true })).key;
});
afterAll(() => system.stop());

/** Bytes as they are, for what fetch would not send. */
function raw(text: string): Promise<string> {
  const { port } = new URL(system.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

test('ping answers four letters', async () => {
  const { status, text, headers } = await system.api('/ping');
  expect([status, text, headers.get('content-type')]).toEqual([200, 'pong', 'text/plain; charset=utf-8']);
  expect((await system.api('/ping/', {})).text).toBe('pong');
  const head = await system.api('/ping', { method: 'HEAD' });
  expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '4']);
});

test('answers name no framework, carry no etag, and repeat a well-formed request id', async () => {
  const { headers } = await system.api('/accounts/me', { key, headers: { 'x-request-id': 'my-id.1' } });
  expect(headers.get('x-request-id')).toBe('my-id.1');
  expect(headers.get('content-type')).toBe('application/json');
  expect(headers.get('cache-control')).toBe('no-store');
  expect([headers.get('etag'), headers.get('x-powered-by')]).toEqual([null, null]);
  expect((await system.api('/ping', { headers: { 'x-request-id': 'a b' } })).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
});

test.each([
  ['unknown path', '/nothing', 'GET', 404],
  ['unknown path with a token', '/accounts/me/nothing', 'GET', 404],
  ['letter case', '/Ping', 'GET', 404],
  ['other method', '/ping', 'DELETE', 405],
  ['a path with the prefix twice', '/api/ping', 'GET', 404],
  ['other method where authentication is wanted', '/accounts/me', 'PATCH', 405],
  ['OPTIONS', '/accounts/with-account-creation-token', 'OPTIONS', 405],
  ['bad escape', '/accounts/%zz', 'GET', 400],
])('%s', async (_name, route, method, status) => {
  const answer = await system.api(route, { method });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/json');
  expect(typeof answer.json['message']).toBe('string');
  if (status === 405) expect(answer.headers.get('allow')).toMatch(/^(GET, HEAD|POST|DELETE, GET, HEAD)$/);
});

describe('bodies', () => {
  const post = (body: string, headers: Record<string, string> = {}): ReturnType<System['api']> =>
    system.api('/statistics/calls', { method: 'POST', body, key, headers });

  test.each([
    ['{', 400],
    ['"text"', 400],
    ['12', 400],
    ['null', 400],
    ['[1]', 400],
    ['{"password":"geheim",}', 400],
    ['['.repeat(100_000), 400],
    [`{"a":${'['.repeat(200)}${']'.repeat(200)}}`, 400],
    ['', 422],
    ['[]', 422],
    ['{}', 422],
    ['{"__proto__":{"id":"x"}}', 422],
  ])('%.30s', async (body, status) => {
    const answer = await post(body);
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('geheim');
    if (status === 400) expect(answer.json['message']).toMatch(/^Invalid JSON/);
  });

  test('not UTF-8', async () => {
    const response = await fetch(`${system.url}/api/statistics/calls`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: Buffer.from([0x7b, 0xff, 0x7d]),
    });
    expect(response.status).toBe(400);
  });

  test('size, content type and accept come before JSON and authentication', async () => {
    expect((await post('x'.repeat(1024 * 1024 + 1))).status).toBe(413);
    expect((await post('{', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post('{', { 'content-type': 'application/json; charset=latin1' })).status).toBe(415);
    expect((await post('{', { accept: 'text/html' })).status).toBe(406);
    expect((await post('{', { accept: 'text/html, application/json;q=0' })).status).toBe(406);
    for (const accept of ['text/html, application/*;q=0.5', 'application/json; charset=utf-8', '*/*', ''])
      expect((await post('{}', { accept })).status).toBe(422);
    expect((await post('{}', { 'content-type': 'application/json; charset=utf-8' })).status).toBe(422);
    expect((await system.api('/accounts/me', { headers: { accept: 'text/html' } })).status).toBe(406);
    expect((await system.api('/accounts/me', { method: 'GET', headers: { 'content-type': 'application/json' } })).status).toBe(401);
  });

  test('a body without a content type, and a POST without body and length, as belle-sip sends it', async () => {
    const { host } = new URL(system.url);
    const bare = await raw(`POST /api/account_creation_tokens HTTP/1.1\r\nHost: ${host}\r\nx-api-key: ${key}\r\nConnection: close\r\n\r\n`);
    expect(bare).toMatch(/^HTTP\/1.1 201 /);
    const body = '{"id":"typeless","from":"a@b","to":"c@d","initiated_at":"2026-01-01"}';
    const typeless = await raw(
      `POST /api/statistics/calls HTTP/1.1\r\nHost: ${host}\r\nx-api-key: ${key}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    expect(typeless).toMatch(/^HTTP\/1.1 200 /);
    const chunked = await raw(
      `POST /api/statistics/calls HTTP/1.1\r\nHost: ${host}\r\nx-api-key: ${key}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    );
    expect(chunked).toMatch(/^HTTP\/1.1 422 /);
  });

  test('strings are trimmed, but for passwords; what is empty is missing', async () => {
    const { json } = await system.api('/accounts/with-account-creation-token', {
      method: 'POST',
      body: { username: '  spaced.name  ', password: '      ', algorithm: ' MD5 ', account_creation_token: '   ' },
    });
    expect(Object.keys(json['errors'] as object)).toEqual(['account_creation_token']);
  });
});

test.each([
  ['fr', 'fr'],
  ['fr-FR,fr;q=0.9,en;q=0.8', 'fr'],
  ['de, fr;q=0.5, en;q=0.6', 'en'],
  ['de', 'en'],
  ['*', 'en'],
  ['fr;q=0, en', 'en'],
  ['', 'en'],
])('accept-language %s', async (wanted, got) => {
  const { headers, json } = await system.api('/accounts/me', { headers: { 'accept-language': wanted } });
  expect(headers.get('content-language')).toBe(got);
  expect(json['message']).toBe(got === 'fr' ? 'Non authentifié.' : 'Unauthenticated.');
});

test('the Space of an account made with a token follows the Host header: host, else domain, else the default', async () => {
  await system.space('first.example.org', { host: 'second.example.org' });
  await system.space('second.example.org', { host: 'other.example.org' });
  const { port } = new URL(system.url);
  const makeAt = async (host: string, username: string): Promise<string | undefined> => {
    const { token } = (await system.api('/account_creation_tokens', { method: 'POST', key })).json as { token: string };
    const body = JSON.stringify({ username, password: 'password', algorithm: 'MD5', account_creation_token: token });
    const answer = await raw(
      `POST /api/accounts/with-account-creation-token HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    return /"domain":"([^"]*)"/.exec(answer)?.[1];
  };
  expect(await makeAt(`SECOND.example.org:${port}`, 'by-host')).toBe('first.example.org');
  expect(await makeAt('first.example.org', 'by-domain')).toBe('first.example.org');
  expect(await makeAt('unknown.example.org', 'by-default')).toBe(SPACE);
});

describe('rate limit', () => {
  test('by account where authenticated, by address otherwise; statistics are never lost to it', async () => {
    const limited = await startSystem({ webs: 2, workers: 0, environment: { RATE_LIMIT_PER_MINUTE: '5' } });
    const first = await limited.account('first-admin', { admin: true });
    const second = await limited.account('second-admin', { admin: true });
    const me = (account: { key: string }): Promise<number> =>
      limited.api('/accounts/me', { key: account.key }).then(({ status }) => status);
    const five = await Promise.all(Array.from({ length: 5 }, () => me(first)));
    expect(five).toEqual([200, 200, 200, 200, 200]);
    const over = await limited.api('/accounts/me', { key: first.key });
    expect(over.status).toBe(429);
    expect(over.headers.get('content-type')).toBe('application/json');
    expect([over.headers.get('x-ratelimit-limit'), over.headers.get('x-ratelimit-remaining')]).toEqual(['5', '0']);
    expect([over.headers.get('ratelimit-limit'), over.headers.get('ratelimit-remaining'), over.headers.get('ratelimit-policy')]).toEqual([
      '5',
      '0',
      '5;w=60',
    ]);
    expect(over.headers.get('ratelimit-reset')).toBe(over.headers.get('retry-after'));
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(over.headers.get('x-ratelimit-reset'))).toBeGreaterThan(Date.now() / 1000 - 1);
    expect(await me(second)).toBe(200);
    const report = await limited.api('/statistics/calls', {
      method: 'POST',
      key: first.key,
      body: { id: 'c', from: 'a@b', to: 'c@d', initiated_at: '2026-01-01' },
    });
    expect(report.status).toBe(200);
    const guesses = await Promise.all(Array.from({ length: 8 }, (_, n) => limited.api('/accounts/me', { key: `wrong${n}` })));
    expect(guesses.filter(({ status }) => status === 401)).toHaveLength(5);
    expect(guesses.filter(({ status }) => status === 429)).toHaveLength(3);
    expect((await limited.api('/ping')).status).toBe(429);
    await limited.stop();
  });
});

test('the documentation and its document', async () => {
  const page = await request(`${system.url}/api`);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  for (const [, asset] of page.text.matchAll(/(?:src|href)="(\/[^"]*)"/g))
    expect((await request(`${system.url}${asset}`)).status).toBe(200);
  expect(page.text).not.toMatch(/https?:\/\//);
  const document = await request(`${system.url}/api/openapi.json`);
  expect(document.json['openapi']).toBe('3.1.0');

  // Its lines work when pasted, with one's own name, password and key.
  const { id, key: own } = await system.account('pasted-user');
  await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [
    id,
    'SHA-256',
    hashPassword('SHA-256', 'pasted-user', SPACE, 'pasted word'),
  ]);
  const { description } = document.json['info'] as { description: string };
  const lines = [...description.matchAll(/^ {4}(curl .*)$/gm)].map(([, line = '']) =>
    line.replaceAll('YOUR_NAME', 'pasted-user').replace('YOUR_PASSWORD', 'pasted word').replace('YOUR_KEY', own),
  );
  const pasted = (line: string): Promise<string> =>
    promisify(execFile)('sh', ['-c', line.replace('curl', 'curl -s')]).then(({ stdout }) => stdout);
  const admin = await system.account('pasted-admin', { admin: true });
  const [make = '', use = '', rotate = '', revoke = ''] = lines.splice(3).map((line) => line.replace('YOUR_ADMIN_KEY', admin.key));
  const made = JSON.parse(await pasted(make)) as { id: number; api_key: string; scopes: string[] };
  expect(made.scopes).toEqual(['statistics:read']);
  const withKey = use.replace('YOUR_MACHINE_KEY', made.api_key);
  expect(await pasted(withKey)).toContain('"periods"');
  expect(await pasted(rotate.replace('KEY_NUMBER', String(made.id)))).toContain('"previous_good_until":"');
  expect(await pasted(withKey)).toContain('"periods"');
  expect(await pasted(revoke.replace('KEY_NUMBER', String(made.id)))).toBe('{}');
  expect(await pasted(withKey)).toContain('unknown');

  const outputs = await Promise.all(lines.map(pasted));
  expect(outputs).toEqual([
    expect.stringContaining('"pasted-user"'),
    expect.stringMatching(/^[A-Za-z0-9]{40}$/),
    expect.stringContaining('Unauthenticated'),
  ]);
});
