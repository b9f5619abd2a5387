// What a stranger or a single user sends costs little: long texts, odd headers, much JSON, many time zones, long lists. Limits on time are far above
// what is wanted (`npm run attack` has those): they only tell seconds from milliseconds.
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type Joi from 'joi';
import { operatorPattern } from '../config/operator-pattern';
import { requireSmallJson } from '../src/http/json';
import { parseSipUri } from '../src/infra/sip-uri';
import { canonicalTimeZone } from '../src/services/statistics/time-zones';
import { contract } from './helpers/contract';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const CPU_LIMIT_MS = 1000;
const LONG = 250_000;
const NASTY = ['a', '(', '@', '.', '-', '+1', ' x', '\u0301', 'é', 'admin', '<', '\\', '\u0000'];
const long = (text: string, length = LONG): string => text.repeat(Math.ceil(length / text.length)).slice(0, length);

let system: System;
let admin: Account;
let user: Account;

beforeAll(async () => {
  system = await startSystem({
    webs: 1,
    workers: 0,
    environment: {
      ACCOUNT_BLACKLISTED_USERNAMES: '.*admin.*,(a+)+$,^(b|bb)+$',
      ACCOUNT_USERNAME_REGEX: '^([a-z0-9]+[._-]?)*$',
      TRUST_PROXY: 'loopback',
    },
  });
  admin = await system.account('the-admin', { admin: true });
  user = await system.account('the-user');
});
afterAll(() => system.stop());

/** CPU milliseconds of `web` so far. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${system.webs[0]?.child.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
async function cheap<T>(work: () => Promise<T>): Promise<T> {
  const before = cpuMs();
  const result = await work();
  expect(cpuMs() - before).toBeLessThan(CPU_LIMIT_MS);
  return result;
}

/** A body in which each field, inner ones too, is that text. */
function filled(description: Joi.Description, text: string): unknown {
  const keys = Object.entries((description.keys ?? {}) as Record<string, Joi.Description>);
  return keys.length === 0 ? text : Object.fromEntries(keys.map(([name, child]) => [name, filled(child, text)]));
}

describe('long texts in every field of every endpoint', () => {
  test.each(NASTY)('of %j', async (letters) => {
    const text = long(letters);
    const bodies = contract().endpoints.filter(({ endpoint }) => endpoint.body);
    expect(bodies.length).toBeGreaterThan(20);
    for (const { endpoint } of bodies) {
      const route = endpoint.path.replace(/:id\b/, String(user.id)).replace(/:(\w+)/g, 'x');
      const body = filled(endpoint.body?.describe() as Joi.Description, text);
      const { status, text: answer } = await cheap(() =>
        system.api(route, { method: endpoint.method.toUpperCase(), key: admin.key, body }),
      );
      expect([endpoint.method, route, status >= 400 && status < 500]).toEqual([endpoint.method, route, true]);
      expect(answer.length).toBeLessThan(10_000);
    }
  });

  test('of a text that is too long only its length is said, and of the others what is wrong with them', async () => {
    const body = { username: `${'A'.repeat(70)}!`, email: 'x', password: 'short', algorithm: 'MD5', account_creation_token: 'x' };
    const { status, json } = await system.api('/accounts/with-account-creation-token', { method: 'POST', body });
    expect(status).toBe(422);
    const errors = json['errors'] as Record<string, string[]>;
    expect(errors['username']).toEqual(['The username field must not be longer than 64 characters.']);
    expect(errors['password']).toEqual(['The password field must be at least 6 characters.']);
    expect(Object.keys(errors)).toEqual(Object.keys(body).filter((name) => name in errors));
  });
});

describe('patterns of operators', () => {
  const create = (username: string): ReturnType<System['api']> =>
    system.api('/accounts', { method: 'POST', key: admin.key, body: { username, password: 'a-password', algorithm: 'MD5' } });

  test('a name for which one takes too long is refused at once', async () => {
    for (const name of [`${'a'.repeat(62)}!`, 'a'.repeat(64), `${'b'.repeat(63)}c`, `${'0'.repeat(63)}!`]) {
      const { status, json } = await cheap(() => create(name));
      expect([name, status, Object.keys(json['errors'] ?? {})]).toEqual([name, 422, ['username']]);
    }
    expect((await create('the-admins-friend')).status).toBe(422);
    expect((await create('somebody-else')).status).toBe(200);
  });

  test('longer texts are not shown to them', () => {
    expect(operatorPattern('a')('a'.repeat(65))).toBeUndefined();
    expect(operatorPattern('a')('a'.repeat(64))).toBe(true);
    expect(operatorPattern('^b')('a')).toBe(false);
    expect(operatorPattern('^(a+)+$')(`${'a'.repeat(60)}!`)).toBeUndefined();
    expect(operatorPattern('^(a+)+$')('aaa')).toBe(true);
    expect(() => operatorPattern('(')).toThrow(SyntaxError);
  });
});

describe('headers', () => {
  test('SIP addresses are read in one pass, and only as long as addresses are', () => {
    const started = performance.now();
    for (const text of ['<', '<sip:a@', '"<', 'sip:', '>', 'sip:a@b;']) parseSipUri(long(text));
    expect(performance.now() - started).toBeLessThan(CPU_LIMIT_MS);
    expect(parseSipUri('"A <b>" <sip:c@D.example>')).toEqual({ username: 'c', domain: 'd.example' });
    expect(parseSipUri('"A" <sip:c@D.example;transport=tls>;tag=1')).toEqual({ username: 'c', domain: 'd.example' });
    expect(parseSipUri('<sip:c@d.example')).toBeNull();
    expect(parseSipUri(`sip:${'é'.repeat(64).replace(/é/g, '%C3%A9')}@d.example`)?.username).toBe('é'.repeat(64));
    expect(parseSipUri(`sip:${'a'.repeat(5000)}@d.example`)).toBeNull();
  });

  test.each(['from', 'accept', 'accept-language', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])(
    '%s of more than 2,048 characters is refused before it is read',
    async (name) => {
      for (const letters of ['<', 'a/b,', '::1,', ',', ';']) {
        const { status, json } = await cheap(() => system.api('/accounts/me', { headers: { [name]: long(letters, 14_000) } }));
        expect([status, json['message']]).toEqual([431, `The header ${name} is longer than 2048 characters.`]);
      }
    },
  );

  test('more than 128 are refused, and none is left out unseen', async () => {
    const statusOf = (fields: string[]): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(Number(new URL(system.url).port), '127.0.0.1');
        socket.once('data', (answer) => {
          resolve(String(answer).split('\r\n', 1)[0] ?? '');
          socket.destroy();
        });
        socket.write(`GET /api/accounts/me HTTP/1.1\r\nhost: localhost\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`);
      });
    const filler = (count: number): string[] => Array.from({ length: count }, () => 'a:');
    expect(await statusOf([...filler(126), `x-api-key: ${user.key}`])).toBe('HTTP/1.1 200 OK');
    for (const count of [127, 1000, 2300])
      expect(await statusOf([...filler(count), `x-api-key: ${user.key}`])).toBe('HTTP/1.1 431 Request Header Fields Too Large');
    expect(await statusOf([`cookie: x-api-key=${user.key}`, ...filler(1100), 'sec-fetch-site: cross-site'])).toBe(
      'HTTP/1.1 431 Request Header Fields Too Large',
    );
  });

  test('others are cheap as long as node:http admits', async () => {
    for (const [name, text] of [
      ['cookie', 'a=b;'],
      ['cookie', 'x-api-key='],
      ['authorization', 'Bearer  '],
      ['authorization', 'Digest a="'],
      ['x-request-id', 'a'],
      ['user-agent', 'a('],
    ] as const) {
      const { status } = await cheap(() => system.api('/accounts/me', { headers: { [name]: long(text, 14_000) } }));
      expect([name, status]).toEqual([name, 401]);
    }
  });
});

describe('JSON', () => {
  const post = (body: string): ReturnType<System['api']> =>
    cheap(() => system.api('/accounts/with-account-creation-token', { method: 'POST', body }));

  test.each([
    [
      'sixty thousand members',
      JSON.stringify(Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`k${n}`, 0]))),
      'Invalid JSON: the body has too many values.',
    ],
    ['an array of half a million', `{"a":[${'0,'.repeat(500_000)}0]}`, 'Invalid JSON: the body has too many values.'],
    ['a million beginnings of arrays', '['.repeat(1_000_000), 'Invalid JSON: the body is nested too deeply.'],
    ['objects in objects', '{"a":'.repeat(150_000), 'Invalid JSON: the body is nested too deeply.'],
    ['a string without end', `{"a":"${'\\"'.repeat(400_000)}`, 'Invalid JSON at line 1, column 800007.'],
  ])('%s', async (_name, body, message) => {
    expect(await post(body)).toMatchObject({ status: 400, json: { message } });
  });

  test('what stands in strings counts for nothing', () => {
    expect(() => requireSmallJson(Buffer.from(JSON.stringify({ a: '[{,'.repeat(50_000), '\\"[': ['\\', '"'] })))).not.toThrow();
    expect(() => requireSmallJson(Buffer.from(JSON.stringify({ a: Array.from({ length: 1900 }, () => '"') })))).not.toThrow();
    expect(() => requireSmallJson(Buffer.from(`${'['.repeat(33)}${']'.repeat(33)}`))).toThrow();
    expect(() => requireSmallJson(Buffer.from(`${'['.repeat(32)}${']'.repeat(32)}`))).not.toThrow();
  });

  test('a dictionary has at most 1,000 entries', async () => {
    const dictionary = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']));
    const body = { username: 'with-dictionary', password: 'a-password', algorithm: 'MD5' };
    const ask = (count: number): ReturnType<System['api']> =>
      system.api('/accounts', { method: 'POST', key: admin.key, body: { ...body, dictionary: dictionary(count) } });
    expect((await cheap(() => ask(1001))).json['errors']).toEqual({
      dictionary: ['The dictionary field must not have more than 1000 entries.'],
    });
    expect((await cheap(() => ask(1000))).status).toBe(200);
  });
});

test('while too many large bodies are on their way more of them are put off, and small ones are not', async () => {
  const { port } = new URL(system.url);
  const part = Buffer.alloc(900_000, 0x20);
  const head =
    'POST /api/accounts/me/vcards-storage HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n';
  const sockets: Socket[] = [];
  const putOff = new Promise<string>((resolve) => {
    // Together 90 MB, where 64 may be held.
    for (let count = 0; count < 100; count += 1) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.once('data', (answer) => resolve(String(answer)));
      socket.write(head);
      socket.write(part);
      sockets.push(socket);
    }
  });
  expect((await putOff).split('\r\n', 1)).toEqual(['HTTP/1.1 503 Service Unavailable']);
  const small = await system.api('/accounts/with-account-creation-token', { method: 'POST', body: {} });
  expect(small.status).toBe(422);
  for (const socket of sockets) socket.destroy();
  await eventually(
    () => system.api('/accounts/me/vcards-storage', { method: 'POST', key: user.key, body: { vcard: long('x', 500_000) } }),
    ({ status }) => status === 422,
  );
});

describe('time zones', () => {
  test('every spelling is one of a closed set', () => {
    const zones = new Set(['Europe/Paris', 'europe/PARIS', 'EUROPE/paris', 'Europe/paris'].map(canonicalTimeZone));
    expect([...zones]).toEqual(['Europe/Paris']);
    expect(['US/Pacific', 'utc', 'Etc/GMT+3', 'America/Argentina/ComodRivadavia'].map((name) => canonicalTimeZone(name) !== null)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    for (const name of ['', 'Mars/Olympus', '+02:00', '-10:30', 'x'.repeat(LONG), 'Europe/Paris '])
      expect(canonicalTimeZone(name)).toBeNull();
  });

  test('the answer names the zone as it was asked for; dates with a zone of their own are none', async () => {
    const read = (query: string): ReturnType<System['api']> => system.api(`/statistics/messages?${query}`, { key: admin.key });
    expect(await read('by=day&from=2026-03-01&to=2026-03-03&timezone=europe/paris')).toMatchObject({
      status: 200,
      json: { timezone: 'europe/paris', from: '2026-02-28T23:00:00.000000Z' },
    });
    expect((await read(`from=${encodeURIComponent('2026-03-01T00:00:00[Europe/Paris]')}`)).status).toBe(422);
  });
});

describe('lists of any length', () => {
  const CARD_CHARACTERS = 400_000;
  const CARDS = 50;
  const CONNECTIONS = 30;
  let reader: Account;

  beforeAll(async () => {
    reader = await system.account('with-many-cards');
    await system.rows(
      `INSERT INTO vcards_storage (account_id, uuid, vcard, created_at, updated_at)
       SELECT $1::integer, 'card-' || n, repeat('x', CASE WHEN n % 2 = 0 THEN $2::integer ELSE n END), now(), now() FROM generate_series(1, $3::integer) n`,
      [reader.id, CARD_CHARACTERS, 2 * CARDS],
    );
  });

  test('are whole and in order for who reads them', async () => {
    const { status, json, headers } = await system.api('/accounts/me/vcards-storage', { key: reader.key });
    expect([status, headers.get('content-length')]).toEqual([200, null]);
    expect(Object.keys(json)).toEqual(Array.from({ length: 2 * CARDS }, (_, n) => `card-${n + 1}`));
    expect(Object.values(json).map((card) => (card as { vcard: string }).vcard.length)).toEqual(
      Array.from({ length: 2 * CARDS }, (_, n) => (n % 2 === 1 ? CARD_CHARACTERS : n + 1)),
    );
    const text = await fetch(`${system.url}/vcards-storage`, { headers: { 'x-api-key': reader.key } });
    expect((await text.text()).length).toBe(CARDS * (CARD_CHARACTERS + 1) + CARDS * CARDS + CARDS);
    // Of an account of another Space an admin sees none.
    expect((await system.api(`/accounts/${reader.id}/vcards-storage`, { key: admin.key })).status).toBe(200);
  });

  test('contacts, too', async () => {
    await system.rows(
      `WITH made AS (INSERT INTO accounts (username, domain, activated, ip_address, user_agent, created_at, updated_at)
         SELECT 'contact-' || n, $2, true, '192.0.2.1', 'test', now(), now() FROM generate_series(1, 450) n RETURNING id)
       INSERT INTO contacts (account_id, contact_id) SELECT $1::integer, id FROM made`,
      [reader.id, SPACE],
    );
    const own = (await system.api('/accounts/me/contacts', { key: reader.key })).json as unknown as { id: number; username: string }[];
    expect(own.map(({ username }) => username)).toEqual(Array.from({ length: 450 }, (_, n) => `contact-${n + 1}`));
    const managed = (await system.api(`/accounts/${reader.id}/contacts`, { key: admin.key })).json as unknown as { id: number }[];
    expect(managed.map(({ id }) => id)).toEqual(own.map(({ id }) => id));
    const cards = await (await fetch(`${system.url}/contacts/vcard`, { headers: { 'x-api-key': reader.key } })).text();
    expect(cards.split('\nEND:VCARD').length).toBe(451);
    expect(cards.match(/END:VCARD\nBEGIN:VCARD/g)?.length).toBe(449);
  });

  test('cost a part of memory each where nobody reads them, and others are answered', async () => {
    const pid = system.webs[0]?.child.pid;
    const residentMb = (): number => Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
    const before = residentMb();
    const { port } = new URL(system.url);
    const sockets: Socket[] = [];
    // The head has come: the answer is being written.
    const begun = Array.from({ length: CONNECTIONS }, () => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(`GET /api/accounts/me/vcards-storage HTTP/1.1\r\nhost: localhost\r\nx-api-key: ${reader.key}\r\n\r\n`);
      sockets.push(socket);
      return new Promise((resolve) => socket.once('data', () => resolve(socket.pause())));
    });
    await Promise.all(begun);
    for (let count = 0; count < 20; count += 1) expect((await system.api('/ping')).status).toBe(200);
    // Held as a whole they would be 600 MB.
    expect(residentMb() - before).toBeLessThan(300);
    for (const socket of sockets) socket.destroy();
  });
});
