// What node:http refuses by itself, and what is wrong with a request before anybody looks what it asks for: JSON as all answers are, in words that say
// what would be right, and never in the middle of another answer.
import { connect, type Socket } from 'node:net';
import { contract } from './helpers/contract';
import { eventually, SPACE, startSystem, type System } from './helpers/system';

let system: System;
let key: string;
beforeAll(async () => {
  system = await startSystem({ workers: 0, environment: { TRUST_PROXY: '1' } });
  ({ key } = await system.account('refused-user'));
});
afterAll(async () => {
  const log = system.webs[0]?.output() ?? '';
  await system.stop();
  expect(log).not.toMatch(/"level":(50|60)/);
});

interface Parsed {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Answers of a connection, one after the other; each has a length. */
function parse(text: string): Parsed[] {
  const answers: Parsed[] = [];
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n');
    const [line = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((each) => [each.slice(0, each.indexOf(':')).toLowerCase(), each.slice(each.indexOf(':') + 2)]),
    );
    const length = Number(headers['content-length'] ?? 0);
    answers.push({ status: Number(line.split(' ')[1]), headers, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

/** Sends bytes as they are, and gives the answers once the server has ended the connection. */
function raw(bytes: string | Buffer, then?: (socket: Socket) => void): Promise<Parsed[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(system.url).port), '127.0.0.1', () => {
      socket.write(bytes);
      then?.(socket);
    });
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('end', () => resolve(parse(text)));
    socket.on('error', reject);
    socket.setTimeout(10_000, () => reject(new Error(`nothing more came after ${text}`)));
  });
}

const HOST = 'Host: localhost\r\n';
const long = 'x'.repeat(20_000);

const CASES: [name: string, status: number, message: RegExp, bytes: string | Buffer][] = [
  ['an unknown method', 405, /^The method BREW is not known here\.$/, `BREW / HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', 405, /^The method CONNECT is not known/, `CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n`],
  ['no method', 400, /^The first line of the request must be/, `\x01\x02 / HTTP/1.1\r\n${HOST}\r\n`],
  ['TLS', 400, /^This port speaks HTTP without TLS/, Buffer.from('160301020001000000', 'hex')],
  ['HTTP/3.0', 400, /^Without TLS this server speaks HTTP\/1\.1/, `GET / HTTP/3.0\r\n${HOST}\r\n`],
  ['HTTP/2 without TLS', 400, /^Without TLS/, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a space in the address', 400, /^The first line of the request must be/, `GET /a b HTTP/1.1\r\n${HOST}\r\n`],
  ['letters beyond ASCII in the address', 400, /^The address must be a path/, `GET /\xc3\xa9 HTTP/1.1\r\n${HOST}\r\n`],
  ['an address that is no path', 400, /^The address must be a path/, `GET api/ping HTTP/1.1\r\n${HOST}\r\n`],
  ['the address of another protocol', 400, /^The address must be a path/, `GET ftp://localhost/api/ping HTTP/1.1\r\n${HOST}\r\n`],
  ['an address with a user', 400, /^The address must be a path/, `GET http://me@localhost/api/ping HTTP/1.1\r\n${HOST}\r\n`],
  ['an address without a host', 400, /^The address must be a path/, `GET http:///api/ping HTTP/1.1\r\n${HOST}\r\n`],
  ['* for another method than OPTIONS', 400, /^The address must be a path/, `GET * HTTP/1.1\r\n${HOST}\r\n`],
  ['lines without CR', 400, /^Each line of the head must end with CR and LF/, 'GET /api/ping HTTP/1.1\nHost: localhost\n\n'],
  ['no host', 400, /^There must be one host header/, 'GET /api/ping HTTP/1.1\r\n\r\n'],
  ['two hosts', 400, /^There must be one host header/, `GET /api/ping HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ['a host that is none', 400, /^There must be one host header/, 'GET /api/ping HTTP/1.1\r\nHost: local host/\r\n\r\n'],
  ['a space before the colon', 400, /^A header is malformed/, `GET /api/ping HTTP/1.1\r\n${HOST}A : b\r\n\r\n`],
  ['a folded header', 400, /^A header is malformed/, `GET /api/ping HTTP/1.1\r\n${HOST}A: b\r\n c\r\n\r\n`],
  ['a NUL in a header', 400, /^A header is malformed/, `GET /api/ping HTTP/1.1\r\n${HOST}A: b\0\r\n\r\n`],
  ['a header of 20 kB', 431, /larger than 16 KiB together\.$/, `GET /api/ping HTTP/1.1\r\n${HOST}A: ${long}\r\n\r\n`],
  ['an address of 20 kB', 431, /larger than 16 KiB together\.$/, `GET /${long} HTTP/1.1\r\n${HOST}\r\n`],
  [
    'two lengths',
    400,
    /^There must be one content-length header/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
  ],
  ['a length that is no number', 400, /^There must be one content-length/, `POST /api/ping HTTP/1.1\r\n${HOST}Content-Length: ten\r\n\r\n`],
  [
    'a length and chunks',
    400,
    /^Of the headers content-length and transfer-encoding/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'chunks and a length',
    400,
    /^Of the headers content-length and transfer-encoding/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n`,
  ],
  [
    'an unknown coding',
    400,
    /^The transfer-encoding must be chunked\.$/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Transfer-Encoding: sponge\r\n\r\n`,
  ],
  [
    'a compressed transfer',
    400,
    /^The transfer-encoding must be chunked\.$/,
    `POST /api/statistics/calls HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'chunks in chunks',
    400,
    /^The transfer-encoding must be chunked\.$/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'a chunk without a size',
    400,
    /^The body has a chunk that does not begin with its size/,
    `POST /api/accounts/auth_token HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  ],
  [
    'long extensions of chunks',
    413,
    /^The chunks of the body have too long extensions\.$/,
    `POST /api/accounts/auth_token HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2;${long}\r\n{}\r\n0\r\n\r\n`,
  ],
  [
    'another expectation',
    417,
    /^The only expectation that is met is 100-continue\.$/,
    `POST /api/ping HTTP/1.1\r\n${HOST}Connection: close\r\nExpect: a-reply\r\nContent-Length: 0\r\n\r\n`,
  ],
];

test.each(CASES)('%s: %i', async (_name, status, message, bytes) => {
  const answers = await raw(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, (socket) => {
    if (String(bytes).startsWith('GET /api/ping') || String(bytes).includes('HTTP/1.1')) socket.write('');
    // What is refused in spite of its whole head leaves the connection open.
    setTimeout(() => socket.end(), 500).unref();
  });
  expect(answers).toHaveLength(1);
  const [{ status: got, headers, body } = { status: 0, headers: {}, body: '' }] = answers;
  expect(got).toBe(status);
  expect(headers).toMatchObject({
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-language': 'en',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  });
  const { message: said, ...rest } = JSON.parse(body) as Record<string, string>;
  expect(said).toMatch(message);
  expect(rest).toEqual({});
  const id = headers['x-request-id'] ?? '';
  const line = await eventually(
    () => Promise.resolve((system.webs[0]?.output() ?? '').split('\n').find((each) => each.includes(`"${id}"`)) ?? ''),
    (found) => found !== '',
  );
  expect(JSON.parse(line)).toMatchObject({ request_id: id, status, ip: '127.0.0.1', msg: 'request' });
});

test.each([400, 408, 413, 417, 431])('the document declares %i for every endpoint', (status) => {
  const operations = Object.values(contract().document.paths).flatMap((path) => Object.values(path));
  expect(operations.filter(({ responses }) => !(status in responses))).toEqual([]);
});

describe('on a connection with other requests', () => {
  const ping = `GET /api/ping HTTP/1.1\r\n${HOST}\r\n`;
  const me = (): string => `GET /api/accounts/me HTTP/1.1\r\n${HOST}x-api-key: ${key}\r\n\r\n`;

  test('what is under way is answered first, each for itself', async () => {
    const answers = await raw(`${me()}${ping}${me()}BREW / HTTP/1.1\r\n${HOST}\r\n${ping}`);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 405]);
    expect(answers[1]?.body).toBe('pong');
    expect(answers.at(-1)?.headers['connection']).toBe('close');
  });

  test('what stands behind a transfer coding that is not known is no request', async () => {
    for (const coding of ['', 'gzip, chunked'])
      expect(
        (await raw(`POST /api/ping HTTP/1.1\r\n${HOST}Transfer-Encoding: ${coding}\r\n\r\n${ping}`)).map(({ status }) => status),
      ).toEqual([400]);
  });

  test('a body that breaks off behind another request is that request’s', async () => {
    const broken = `POST /api/accounts/auth_token HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n`;
    expect((await raw(`${me()}${broken}`)).map(({ status }) => status)).toEqual([200, 400]);
    expect((await raw(`${me()}${ping}${broken}${ping}`)).map(({ status }) => status)).toEqual([200, 200, 400]);
    expect(await system.rows('SELECT 1 FROM auth_tokens')).toEqual([]);
  });

  test('a body that breaks off before it is read is refused by whoever comes to read it; who reads none answers, once', async () => {
    const broken = 'Transfer-Encoding: chunked\r\n\r\nzz\r\n';
    const form = `${HOST}Content-Type: application/x-www-form-urlencoded\r\n${broken}`;
    const { key: superKey } = await system.account('refused-admin', { admin: true });
    const statuses = async (request: string): Promise<number[]> => (await raw(request)).map(({ status }) => status);
    expect(await statuses(`POST /statistics/sign-in HTTP/1.1\r\n${form}`)).toEqual([400]);
    expect(await statuses(`PUT /queues/api/queues/push/clean/failed HTTP/1.1\r\n${HOST}x-api-key: ${superKey}\r\n${broken}`)).toEqual([
      400,
    ]);
    // Now while it is being read, by bull-board itself.
    const begun = broken.replace('zz\r\n', '2\r\n{}\r\n');
    const late = await raw(
      `PUT /queues/api/queues/push/clean/failed HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nx-api-key: ${superKey}\r\n${begun}`,
      (socket) => {
        setTimeout(() => socket.write('zz\r\n'), 500).unref();
      },
    );
    expect(late.map(({ status }) => status)).toEqual([400]);
    expect(await statuses(`GET /creation_token/check/x HTTP/1.1\r\n${HOST}${broken}`)).toEqual([404]);
    expect(system.webs[0]?.output()).not.toContain('"level":50');
  });

  test('an answer that has begun is cut, and nothing is written into it', async () => {
    await system.rows(
      `INSERT INTO vcards_storage (account_id, uuid, vcard, created_at, updated_at)
       SELECT a.id, 'card-' || n, repeat('x', 400000), now(), now() FROM accounts a, generate_series(1, 60) n WHERE a.username = 'refused-user'`,
    );
    const text = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(system.url).port), '127.0.0.1');
      let received = '';
      socket.once('data', () => socket.write('\x01\x02\x03\r\n\r\n'));
      socket.on('data', (chunk) => (received += chunk.toString('latin1')));
      socket.on('error', () => resolve(received));
      socket.on('close', () => resolve(received));
      socket.write(`GET /api/accounts/me/vcards-storage HTTP/1.1\r\n${HOST}x-api-key: ${key}\r\n\r\n`);
    });
    const first = text.indexOf('HTTP/1.1', 1);
    // The answer was whole before the next began.
    expect(first === -1 || text.slice(0, first).endsWith('}\r\n0\r\n\r\n')).toBe(true);
  });

  test('a client that goes on sending still reads why it was refused', async () => {
    const [answer] = await raw(`GET /api/ping HTTP/1.1\r\n${HOST}A: ${long}`, (socket) => {
      for (let n = 0; n < 50; n += 1) socket.write(long);
    });
    expect(answer?.status).toBe(431);
  });
});

describe('targets', () => {
  const statusOf = async (target: string, more = '', method = 'GET'): Promise<number> =>
    (await raw(`${method} ${target} HTTP/1.1\r\n${HOST}Connection: close\r\n${more}\r\n`))[0]?.status ?? 0;

  test.each([
    ['http://localhost/api/ping', 200],
    ['HTTP://LocalHost:80/api/ping', 200],
    ['https://localhost/api/ping?x=1', 200],
    ['http://[::1]:8000/api/ping', 200],
    ['http://localhost', 404],
    ['http://localhost?x', 404],
    ['//api/ping', 404],
    ['/api//ping', 404],
    ['/api%2Fping', 404],
    ['/api/ping?%zz', 200],
    ['/api/accounts/%zz', 400],
    ['/api/accounts/%', 400],
    ['/api/accounts/%ff', 400],
  ])('%s: %i', async (target, status) => expect(await statusOf(target)).toBe(status));

  test('with a URL its host counts, and not the header', async () => {
    await system.space('target.example.org', { expireAt: new Date(Date.now() - 1000) });
    const headers = `x-api-key: ${key}\r\n`;
    expect(await statusOf('http://target.example.org:8443/api/accounts/me', headers)).toBe(403);
    expect(await statusOf(`http://${SPACE}/api/accounts/me`, `${headers}X-Nothing: target.example.org\r\n`)).toBe(200);
    const bare = await raw(
      `GET http://${SPACE}/api/accounts/me HTTP/1.1\r\nHost: target.example.org\r\nConnection: close\r\n${headers}\r\n`,
    );
    expect(bare[0]?.status).toBe(200);
  });

  test('OPTIONS of the server as a whole', async () => {
    for (const target of ['*', 'http://localhost']) {
      const [answer] = await raw(`OPTIONS ${target} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
      expect([answer?.status, answer?.headers['allow'], answer?.body]).toEqual([204, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS', '']);
    }
  });

  test('HTTP/1.0 needs no host', async () => {
    expect((await raw('GET /api/ping HTTP/1.0\r\n\r\n'))[0]).toMatchObject({ status: 200, body: 'pong' });
  });
});
