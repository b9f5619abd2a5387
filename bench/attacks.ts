// What strangers and single users could send to stop the server. To add one: an object in the list. `npm run attack` measures each request by itself
// and then repeats it from several connections at once.
import { randomBytes } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { authorized, USER } from './http-rows';
import { assetUrl } from '../src/pages/assets';

/** One request over HTTP/1.1; a body that is no text is sent as JSON. */
export interface Shot {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | object;
}

export interface Target {
  /** HTTP/1.1. */
  port: number;
  /** HTTP/2 over TLS, of another process. */
  securePort: number;
}

export interface Attack {
  name: string;
  /** Requests, one after another; each costs no more than the bound. */
  shots?: () => Shot[];
  /** What is no plain request. @returns what came of it: statuses, or words */
  run?: (target: Target) => Promise<string[]>;
  /** Whose CPU and memory are measured; `http2` is the process with TLS. */
  web?: 'http1' | 'http2';
  /** At how many connections at once. */
  clients?: number;
}

const KB16 = 15_000;
const fill = (text: string, length = KB16): string => text.repeat(Math.ceil(length / text.length)).slice(0, length);
const user = authorized(USER);
const admin = authorized('bench-admin');

const header = (name: string, texts: string[], path = '/api/accounts/me', more: Record<string, string> = {}): Shot[] =>
  texts.map((text) => ({ path, headers: { ...more, [name]: fill(text) } }));

const card = (lines: string[], version = '4.0'): string =>
  ['BEGIN:VCARD', `VERSION:${version}`, 'FN:A', `UID:${randomBytes(8).toString('hex')}`, ...lines, 'END:VCARD', ''].join('\r\n');
const times = (count: number, line: (index: number) => string): string[] => Array.from({ length: count }, (_, index) => line(index));
const store = (lines: string[], version?: string): Shot => ({
  method: 'POST',
  path: '/api/accounts/me/vcards-storage',
  headers: user,
  body: { vcard: card(lines, version) },
});
/** As much of a text as a body may have, in JSON. */
const brimful = (text: string): string => text.repeat(Math.floor(1_048_000 / (JSON.stringify(text).length - 2)));

const post = (path: string, body: string | object, headers: Record<string, string> = {}): Shot => ({ method: 'POST', path, headers, body });
const create = (fields: object): Shot =>
  post('/api/accounts/with-account-creation-token', {
    username: 'somebody-new',
    password: 'a-password',
    algorithm: 'SHA-256',
    account_creation_token: 'x',
    ...fields,
  });
const LONG = 250_000;
const NASTY = ['a', '(', '@', '.', '-', '+', ' ', '\u0301', '1', 'é', 'admin', '%', '<', '\\'];

/** Sends headers over HTTP/2, each connection by itself. */
function overHttp2(port: number, headers: Record<string, string>[]): Promise<string[]> {
  return new Promise((resolve) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const seen: string[] = [];
    let open = headers.length;
    const done = (outcome: string): void => {
      seen.push(outcome);
      open -= 1;
      if (open > 0) return;
      session.destroy();
      resolve(seen);
    };
    session.on('error', () => undefined);
    session.once('close', () => resolve([...seen, 'connection closed']));
    session.once('remoteSettings', () => {
      for (const each of headers) {
        const stream = session.request({ ':path': '/api/ping', ...each });
        let status = 'stream refused';
        stream.on('response', (answer) => (status = String(answer[':status'])));
        stream.on('error', () => undefined);
        stream.resume();
        stream.once('close', () => done(status));
      }
    });
  });
}

/** Asks without reading; the connections stay open for a while. */
async function unread(port: number, text: string, connections: number, ms: number): Promise<string[]> {
  const sockets: Socket[] = [];
  let ended = 0;
  for (let count = 0; count < connections; count += 1) {
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => (ended += 1));
    socket.pause();
    socket.write(text);
    sockets.push(socket);
  }
  await sleep(ms);
  const before = ended;
  for (const socket of sockets) socket.destroy();
  return [before === 0 ? 'kept open' : `${before} ended`];
}

const key = Object.entries(user)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('');
const getList = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${key}\r\n`;

export const attacks: readonly Attack[] = [
  {
    name: 'vCards',
    shots: () => [
      store([`TEL;TYPE=":"${brimful(',":"')}:1`]),
      store([brimful('TEL:1\n')]),
      store([brimful('A:\n')], '2.1'),
      store([brimful('item1.TEL;TYPE=home,work;PREF=1:1\n')]),
      store([brimful('N;ALTID=1:a\n')]),
      store([`NOTE${brimful(';A=b')}:x`]),
      store([`NOTE${brimful(';TYPE=b')}:x`]),
      store([`NOTE${brimful(';')}:x`], '2.1'),
      store([`NOTE${brimful(';A="x')}:x`]),
      store([`NOTE;A=${brimful('b,')}:x`]),
      store([`NOTE;A=${brimful('"",')}:x`]),
      store([`TEL;PID=1${brimful(',1')}:x`]),
      store([`NOTE:${brimful('"a",')}`]),
      store([`NOTE:${brimful('\\')}`]),
      store([`ORG:${brimful(';')}`]),
      store([`NOTE:${brimful('é')}`]),
      store([`NOTE:${brimful('😀')}`]),
      store([`PHOTO:data:image/jpeg;base64,${brimful('QUJD')}`]),
      store([`NOTE:x${brimful('\n y')}`]),
      store([`NOTE:x${brimful('\n ')}`], '2.1'),
      store([`NOTE;QUOTED-PRINTABLE;A=x${brimful('\n y')}:=\n`]),
      store([`NOTE;QUOTED-PRINTABLE:x${brimful('=\n')}y`], '2.1'),
      store([`NOTE;QUOTED-PRINTABLE:x${brimful('=\n ')}y`]),
      store([`NOTE;QUOTED-PRINTABLE:${brimful('= ')}x`]),
      store([brimful('A;QUOTED-PRINTABLE:=\n\n')], '2.1'),
      store([`PHOTO;BASE64:${brimful('\nA')}`], '2.1'),
      store([`PHOTO;BASE64:${brimful('\n ')}`], '2.1'),
      store([brimful('A;BASE64:A\n\n')], '2.1'),
      store([brimful('AGENT:\nBEGIN:VCARD\n')], '2.1'),
      store([brimful('AGENT:BEGIN:VCARD\nEND:VCARD\n')], '2.1'),
      store([`${brimful('a.')}TEL:x`], '2.1'),
      store([`URL:http://${brimful('é.')}`]),
      store([brimful('\n')]),
      store([brimful(' \n')]),
      post('/api/accounts/me/vcards-storage', { vcard: `${brimful('\n')}x` }, user),
      post('/api/accounts/me/vcards-storage', { vcard: `BEGIN:VCARD${brimful('\r\n')}` }, user),
      post('/api/accounts/me/vcards-storage', { vcard: `BEGIN:VCARD\rUID:u\r${brimful('A:\r')}END:VCARD` }, user),
    ],
  },
  { name: 'From', shots: () => header('from', ['<', '<sip:a@', '"<', 'sip:', 'sip:a@b;', '%', ' ', '<>']) },
  {
    name: 'Accept, Accept-Language',
    shots: () => [
      ...header('accept', ['a/b,', '*/*,', 'a/b;c="\\"",', 'text/html;q=0.1,', ';charset=', '; ', ','], '/api/ping'),
      ...header('accept', ['a/b,'], '/api/statistics/messages', admin),
      ...header('accept-language', ['a,', 'fr-FR;q=0.1,', '-', ';q', ' '], '/api/unknown'),
    ],
  },
  {
    name: 'other headers',
    shots: () => [
      ...header('cookie', ['a=b;', 'a="', 'x-api-key=a;', '%', ' ']),
      ...header('x-forwarded-for', ['1.1.1.1,', '::1,', '127.0.0.1,', ',', ' ']),
      ...header('content-type', ['a/b;a=b', ';a="\\', '/'], '/api/ping', { 'content-length': '0' }),
      ...header('if-none-match', ['W/"a",', ','], assetUrl('swagger-ui.css')),
      ...header('range', ['0-1,', '-1,', ','], assetUrl('swagger-ui.css')),
      ...header('x-request-id', ['a', '.']),
      ...header('user-agent', ['a'], '/api/ping'),
      { path: `/api/${fill('a/', 12_000)}` },
      { path: `/api/accounts/${fill('%40', 12_000)}/info` },
      { path: `/api/ping?${fill('a=b&', 12_000)}` },
      { path: `/api/ping?${fill('a[b]=1&', 12_000)}` },
    ],
  },
  {
    name: 'DIGEST and Bearer',
    shots: () => {
      const from = { from: `sip:${USER}@bench.invalid` };
      return [
        ...header(
          'authorization',
          ['a=b,', 'a="', 'a="\\', 'a="\\""\t', ' ', '\t,', ',', 'a = '].map((text) => `Digest ${fill(text)}`),
          '/api/accounts/me',
          from,
        ),
        ...header('authorization', [`Bearer ${fill(' ')}x`, `Bearer ${fill('.')}`, `Bearer ${fill('e30.')}`]),
      ];
    },
  },
  {
    name: 'HTTP/2 headers',
    web: 'http2',
    run: ({ securePort }) =>
      overHttp2(securePort, [
        { from: fill('<', 60_000) },
        { from: fill('<', 15_000) },
        Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`x-${n}`, fill('a', 1000)])),
        { accept: fill('a/b,', 12_000) },
      ]),
  },
  {
    name: 'user names and fields',
    shots: () => [
      ...NASTY.map((text) => create({ username: fill(text, LONG) })),
      create({ username: `${'a'.repeat(62)}!` }),
      create({ username: 'a'.repeat(64) }),
      ...NASTY.map((text) => create({ email: fill(text, LONG), phone: fill(text, LONG), password: fill(text, LONG) })),
      ...NASTY.map((text) => post('/api/accounts/me/email/request', { email: fill(text, LONG) }, user)),
      ...NASTY.map((text) =>
        post(
          '/api/accounts',
          { username: 'a-new-name', password: 'a-password', algorithm: 'SHA-256', dictionary: { a: fill(text, LONG) } },
          admin,
        ),
      ),
      ...NASTY.map((text) =>
        post(
          '/api/statistics/messages',
          { id: fill(text, LONG), from: fill(text, LONG), sent_at: fill(text, LONG), encrypted: true },
          admin,
        ),
      ),
      ...NASTY.map((text) => post('/api/messages', { to: fill(text, LONG), body: fill(text, LONG) }, admin)),
    ],
  },
  {
    name: 'JSON',
    shots: () => [
      create(Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`k${n}`, 0]))),
      post('/api/accounts/with-account-creation-token', fill('[', 1_000_000)),
      post('/api/accounts/with-account-creation-token', fill('{"a":', 1_000_000)),
      post('/api/accounts/with-account-creation-token', `{"a":[${fill('0,', 1_000_000)}0]}`),
      post('/api/accounts/with-account-creation-token', `{"a":"${fill('\\\\', 1_000_000)}"}`),
      post('/api/accounts/with-account-creation-token', `{"a":"${fill('\\"', 1_000_000)}"}`),
      post('/api/accounts/with-account-creation-token', `{"a":${fill('9', 1_000_000)}}`),
      post('/api/accounts/with-account-creation-token', fill(' ', 1_000_000)),
      post('/api/accounts/with-account-creation-token', `{"username":"${fill(' ', 1_000_000)}"}`),
      post(
        '/api/accounts',
        {
          username: 'a-new-name',
          password: 'a-password',
          algorithm: 'SHA-256',
          dictionary: Object.fromEntries(Array.from({ length: 1900 }, (_, n) => [`k${n}`, 'v'])),
        },
        admin,
      ),
    ],
  },
  {
    name: 'forms',
    shots: () =>
      ['/creation_token/validate', '/statistics/sign-in', '/queues/sign-in'].flatMap((path) =>
        ['a=b&', '%', 'a[b]=1&', 'a[][][]=1&', '&', '+'].map((text) =>
          post(path, fill(text, 90_000), { 'content-type': 'application/x-www-form-urlencoded' }),
        ),
      ),
  },
  {
    name: 'time zones',
    shots: () =>
      Array.from({ length: 20 }, () => {
        const zone = 'America/Argentina/ComodRivadavia'
          .split('')
          .map((letter) => (Math.random() < 0.5 ? letter.toUpperCase() : letter.toLowerCase()));
        return { path: `/api/statistics/messages?by=year&timezone=${zone.join('')}`, headers: admin };
      }),
  },
  { name: 'unknown paths', shots: () => times(20, (n) => `/api/${n}/${'x'.repeat(n * 10)}`).map((path) => ({ path })) },
  {
    name: 'lists that nobody reads',
    clients: 1,
    run: ({ port }) => unread(port, getList('/api/accounts/me/vcards-storage'), 150, 3000),
  },
  {
    name: 'texts that nobody reads',
    clients: 1,
    run: ({ port }) => unread(port, getList('/vcards-storage'), 150, 3000),
  },
  {
    name: 'pipelined and not read',
    clients: 1,
    run: ({ port }) => unread(port, getList('/vcards-storage').repeat(300), 20, 3000),
  },
  {
    name: 'bodies that do not come',
    clients: 1,
    run: ({ port }) =>
      unread(
        port,
        `POST /api/accounts/with-account-creation-token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n\r\n{`,
        150,
        2000,
      ),
  },
];
