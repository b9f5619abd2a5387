// Messages through linphone-daemon's UNIX socket, by way of the queue `messages`.
import { Redis } from 'ioredis';
import { Daemon } from './helpers/daemon';
import { eventually, startSystem, type Account, type Answer, type System } from './helpers/system';

const daemon = new Daemon();
let system: System;
let admin: Account;
const send = (body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  system.api('/messages', { method: 'POST', key: admin.key, body, headers });
const toBob = (body = 'hello'): Promise<Answer> => send({ to: 'bob@sip.example.org', body });

beforeAll(async () => {
  await daemon.start();
  system = await startSystem({ webs: 2, workers: 2, environment: { APP_LINPHONE_DAEMON_UNIX_PATH: daemon.path } });
  admin = await system.account('the-admin', { admin: true });
});
afterAll(async () => {
  await system.stop();
  await daemon.stop();
});
beforeEach(() => {
  daemon.mode = 'ok';
  daemon.slowness = 5;
  daemon.commands.length = 0;
  daemon.turnedAway = 0;
});
afterEach(async () => {
  // Whatever came of it, no text stays behind.
  await eventually(
    () => system.rows('SELECT body FROM messages'),
    (rows) => rows.length === 0,
  );
});

test('one command, the answer in pieces', async () => {
  expect(await send({ to: 'sip:bob@sip.example.org', body: 'Grüße: a; b' })).toMatchObject({ status: 200, json: { id: 'id-1' } });
  expect(daemon.commands).toEqual(['message sip:bob@sip.example.org Grüße: a; b']);
});

test('a line break cannot begin a second command', async () => {
  expect((await send({ to: 'bob@sip.example.org', body: 'one\r\ntwo\nquit\rthree\u2028four' })).status).toBe(200);
  expect(daemon.commands).toEqual(['message sip:bob@sip.example.org one two quit three four']);
});

test.each([
  [{}, ['to', 'body']],
  [{ to: 'bob@x', body: ' \n ' }, ['body']],
  [{ to: 'bob@x\nquit', body: 'x' }, ['to']],
  [{ to: 'bob@x y', body: 'x' }, ['to']],
  [{ to: 'bob', body: 'x' }, ['to']],
  [{ to: 'a@b@c', body: 'x' }, ['to']],
  [{ to: `${'a'.repeat(255)}@x`, body: 'x' }, ['to']],
  [{ to: 7, body: 7 }, ['to', 'body']],
  [{ to: 'bob@x', body: 'a\u0000b' }, ['body']],
  [{ to: 'bob@x', body: 'a\u001bb' }, ['body']],
  [{ to: 'bob@x', body: 'é'.repeat(16_001) }, ['body']],
])('%j is refused by its fields, and nothing is sent', async (body, fields) => {
  const { status, json } = await send(body);
  expect([status, Object.keys(json['errors'] as object)]).toEqual([422, fields]);
  expect(daemon.commands).toEqual([]);
});

test('the longest text arrives whole', async () => {
  expect((await toBob('é'.repeat(16_000))).status).toBe(200);
  expect(daemon.commands[0]).toHaveLength('message sip:bob@sip.example.org '.length + 16_000);
});

test('what the daemon refuses is 422 with its reason', async () => {
  daemon.mode = 'refuse';
  expect(await toBob()).toMatchObject({ status: 422, json: { errors: { to: ['The message was refused: Bad sip uri.'] } } });
});

test('many at once through two workers: all sent, each once, though the daemon takes one client at a time', async () => {
  daemon.slowness = 10;
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => toBob(`number ${n}`)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(new Set(answers.map(({ json }) => json['id'])).size).toBe(30);
  expect(daemon.commands.toSorted()).toEqual(
    Array.from({ length: 30 }, (_, n) => `message sip:bob@sip.example.org number ${n}`).toSorted(),
  );
});

test('somebody else holds the daemon for a while', async () => {
  const { connect } = await import('node:net');
  const other = connect(daemon.path);
  await new Promise<void>((resolve) => other.once('connect', () => resolve()));
  const sending = toBob();
  // However late a busy machine asks: it goes away once somebody was turned away.
  await eventually(
    () => Promise.resolve(daemon.turnedAway),
    (count) => count > 0,
  );
  other.destroy();
  expect((await sending).status).toBe(200);
  expect(daemon.turnedAway).toBeGreaterThan(0);
  expect(daemon.commands).toHaveLength(1);
});

test('the daemon is started again in between', async () => {
  await daemon.stop();
  const sending = toBob('across the restart');
  setTimeout(() => void daemon.start(), 700);
  expect((await sending).status).toBe(200);
  expect(daemon.commands).toEqual(['message sip:bob@sip.example.org across the restart']);
});

test.each(['hang', 'die', 'garbage'] as const)(
  'a daemon that reads and then does this is 503 in time, never asked twice: %s',
  async (mode) => {
    daemon.mode = mode;
    const started = Date.now();
    expect(await toBob()).toMatchObject({ status: 503, json: { message: 'The message could not be sent. Try again in a moment.' } });
    // The request waits for 5 s; what a busy machine adds is no hang.
    expect(Date.now() - started).toBeLessThan(9000);
    daemon.mode = 'ok';
    expect((await toBob('next')).status).toBe(200);
    expect(daemon.commands).toHaveLength(2);
  },
);

test('no daemon: 503; a worker killed in the send: 503, not sent again', async () => {
  await daemon.stop();
  expect((await toBob()).status).toBe(503);
  await daemon.start();
  daemon.mode = 'hang';
  const sending = toBob('once');
  await eventually(
    () => Promise.resolve(daemon.commands.length),
    (count) => count === 1,
  );
  await Promise.all(system.workers.map((worker) => worker.end('SIGKILL')));
  expect((await sending).status).toBe(503);
  daemon.mode = 'ok';
  // Nobody is there to take it; it is gone when somebody is.
  expect((await toBob('to nobody')).status).toBe(503);
  await system.startWorker();
  expect((await toBob('next')).status).toBe(200);
  expect(daemon.commands.map((command) => command.split(' ').slice(2).join(' '))).toEqual(['once', 'next']);
});

test('no text of a person’s is in Redis', async () => {
  const redis = new Redis(system.environment['REDIS_URL'] ?? '');
  await send({ to: 'secret.person@sip.example.org', body: 'a secret text' });
  for (const key of await redis.keys(`*${system.environment['QUEUE_PREFIX']}:messages*`)) {
    const kind = await redis.type(key);
    const value = kind === 'hash' ? await redis.hgetall(key) : kind === 'stream' ? await redis.xrange(key, '-', '+') : key;
    expect(JSON.stringify(value)).not.toMatch(/secret/);
  }
  redis.disconnect();
});

test('who may: admins; where there is no socket nobody', async () => {
  const user = await system.account('a-user');
  expect((await system.api('/messages', { method: 'POST', key: user.key, body: {} })).status).toBe(403);
  await system.startWeb({ APP_LINPHONE_DAEMON_UNIX_PATH: '' });
  const url = system.urls.pop() ?? '';
  const answer = await fetch(`${url}/api/messages`, { method: 'POST', headers: { 'x-api-key': admin.key } });
  expect(answer.status).toBe(404);
});
