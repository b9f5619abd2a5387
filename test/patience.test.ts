// Clients that do not read their answer or do not send their body, and answers of any length: what a listener does, with real sockets.
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { connect as connectHttp2 } from 'node:http2';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import express, { type Express } from 'express';
import { withHttp2Support } from '../src/http/http2';
import { writeBytes, writeError, writeParts } from '../src/http/reply';
import type { Parts } from '../src/http/route';
import { createListener, type Listener, type Tls } from '../src/http/server';
import { PATIENCE, type Patience } from '../src/http/unread';
import { makeCertificate } from './helpers/pki';
import { testServers } from './setup/servers';

/** Of clients that do not read or send: as short as a test may wait. */
const SHORT: Patience = { unreadAnswerMs: 300, bodyMs: 600 };
/** More than a system takes for a client that does not read. */
const WHOLE_BYTES = 128 * 1024 * 1024;
const MEGABYTE = 'x'.repeat(1024 * 1024);

/** How many parts were made, and whether they came to an end. */
let made = 0;
let ended: Promise<void>;
let end: () => void;

async function* parts(count: number, failsAt = Infinity): Parts {
  try {
    for (let part = 0; part < count; part += 1) {
      if (part === failsAt) throw new Error('the database is gone');
      made += 1;
      yield MEGABYTE;
      await Promise.resolve();
    }
  } finally {
    end();
  }
}

function app(): Express {
  const served = express();
  served.get('/parts/:count', async (request, response) => {
    try {
      await writeParts(response, 200, 'text/plain', parts(Number(request.params['count']), Number(request.query['fails'] ?? Infinity)));
    } catch (error) {
      writeError(response, error, 'en');
    }
  });
  served.get('/whole', (_request, response) => writeBytes(response, 200, 'text/plain', Buffer.alloc(WHOLE_BYTES)));
  served.get('/number/:n', (request, response) => {
    // The later ones would be done first.
    setTimeout(() => writeBytes(response, 200, 'text/plain', `<${request.params['n']}>`), 20 - Number(request.params['n']));
  });
  served.post('/body', express.raw({ type: () => true }), (_request, response) => writeBytes(response, 200, 'text/plain', 'read'));
  return served;
}

let listeners: Listener[] = [];
let tls: Tls;
let ca = '';
beforeAll(async () => {
  const directory = mkdtempSync(path.join(testServers().directory, 'patience-'));
  const certificate = await makeCertificate(directory);
  ca = certificate.cert;
  tls = { certFile: path.join(directory, 'cert.pem'), keyFile: path.join(directory, 'key.pem') };
  writeFileSync(tls.certFile, certificate.cert);
  writeFileSync(tls.keyFile, certificate.key);
});
beforeEach(() => {
  made = 0;
  ended = new Promise((resolve) => (end = resolve));
});
afterEach(async () => {
  await Promise.all(listeners.map((listener) => listener.drain()));
  listeners = [];
});

/** @param patience its own where all is read: a machine that stands still for a moment is no client that does not read */
async function listen(withTls: boolean, patience = PATIENCE): Promise<number> {
  const listener = createListener(withHttp2Support(app()), withTls ? tls : undefined, 1, patience);
  listeners.push(listener);
  await new Promise<void>((resolve) => listener.server.listen(0, '127.0.0.1', resolve));
  return (listener.server.address() as AddressInfo).port;
}

/** Sends text and reads nothing before `read()`. */
function dial(port: number, text: string): { read: () => Promise<string> } {
  const socket = connectTcp(port, '127.0.0.1');
  socket.pause();
  socket.on('error', () => undefined);
  socket.write(text);
  const read = async (): Promise<string> => {
    let received = '';
    for await (const chunk of socket) received += String(chunk);
    return received;
  };
  return { read };
}
const get = (target: string, more = 'connection: close\r\n'): string => `GET ${target} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`;

describe('over HTTP/1.1', () => {
  test('an answer in parts is whole for who reads it, and short ones have their length', async () => {
    const port = await listen(false);
    const long = await fetch(`http://127.0.0.1:${port}/parts/20`);
    expect(long.headers.get('content-length')).toBeNull();
    expect((await long.text()).length).toBe(20 * MEGABYTE.length);
    const none = await fetch(`http://127.0.0.1:${port}/parts/0`);
    expect([none.headers.get('content-length'), await none.text()]).toEqual(['0', '']);
    const head = await fetch(`http://127.0.0.1:${port}/parts/20`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test('parts are made as they are read, and an answer that nobody reads ends', async () => {
    const port = await listen(false, SHORT);
    const { read } = dial(port, get('/parts/500'));
    await ended;
    // What the system itself takes for a client that does not read: some megabytes.
    expect(made).toBeLessThan(100);
    expect((await read()).length).toBeLessThan(100 * MEGABYTE.length);
  });

  test('so does one that was written whole', async () => {
    const port = await listen(false, SHORT);
    const ends = new Promise((resolve) => listeners[0]?.server.once('connection', (socket: Socket) => socket.once('close', resolve)));
    const { read } = dial(port, get('/whole'));
    await ends;
    expect((await read()).length).toBeLessThan(WHOLE_BYTES);
  });

  test('what fails before the first part is an error, what fails later destroys the connection', async () => {
    const port = await listen(false);
    expect((await fetch(`http://127.0.0.1:${port}/parts/5?fails=0`)).status).toBe(500);
    const broken = await fetch(`http://127.0.0.1:${port}/parts/5?fails=3`);
    expect(broken.status).toBe(200);
    await expect(broken.text()).rejects.toThrow();
  });

  test('requests that come at once are answered one after another, in their order', async () => {
    const port = await listen(false);
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    const { read } = dial(port, numbers.map((n) => get(`/number/${n}`, n === 19 ? 'connection: close\r\n' : '')).join(''));
    expect([...(await read()).matchAll(/<(\d+)>/g)].map(([, n]) => Number(n))).toEqual(numbers);
  });

  test('hundreds of long answers asked for at once, none read: one is begun', async () => {
    const port = await listen(false, SHORT);
    const { read } = dial(port, get('/parts/500', '').repeat(300));
    await ended;
    expect(made).toBeLessThan(100);
    await read();
  });
});

describe('over HTTP/2', () => {
  const open = async (patience?: Patience): Promise<ReturnType<typeof connectHttp2>> => {
    const session = connectHttp2(`https://localhost:${await listen(true, patience)}`, {
      ca,
      servername: 'localhost',
      lookup: (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }] as never),
    });
    session.on('error', () => undefined);
    return session;
  };

  test('an answer that nobody reads ends, another one of the connection does not', async () => {
    const session = await open({ ...SHORT, unreadAnswerMs: 1000 });
    const stream = session.request({ ':path': '/parts/500' });
    stream.on('error', () => undefined);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    await ended;
    expect(made).toBeLessThan(100);
    stream.resume();
    await closed;
    expect(stream.rstCode).not.toBe(0);
    const other = session.request({ ':path': '/parts/2' });
    let length = 0;
    other.on('data', (chunk: Buffer) => (length += chunk.length));
    await new Promise((resolve) => other.once('close', resolve));
    expect(length).toBe(2 * MEGABYTE.length);
    session.destroy();
  });

  test('an error in the middle ends the stream with an error', async () => {
    const session = await open();
    const stream = session.request({ ':path': '/parts/5?fails=3' });
    stream.on('error', () => undefined);
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).toBe(2);
    session.destroy();
  });

  test('a body that does not come ends the stream', async () => {
    const session = await open(SHORT);
    const stream = session.request({ ':path': '/body', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => undefined);
    stream.write('one octet');
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).not.toBe(0);
    session.destroy();
  });

  test('headers of more than 16 kB are refused, whatever their number', async () => {
    const session = await open();
    const statusOf = async (headers: Record<string, string>): Promise<number | undefined> => {
      const stream = session.request({ ':path': '/parts/0', ...headers });
      stream.on('error', () => undefined);
      let status: number | undefined;
      stream.on('response', (answer) => (status = Number(answer[':status'])));
      stream.resume();
      await new Promise((resolve) => stream.once('close', resolve));
      return status;
    };
    // The server's settings are known by then.
    expect(await statusOf({})).toBe(200);
    expect(await statusOf({ 'x-one': 'x'.repeat(12_000) })).toBe(200);
    expect(await statusOf({ 'x-one': 'x'.repeat(20_000) })).not.toBe(200);
    expect(await statusOf(Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`x-${n}`, 'x'.repeat(1000)])))).not.toBe(200);
    expect(await statusOf(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x-${n}`, 'x'])))).not.toBe(200);
    session.destroy();
  });
});
