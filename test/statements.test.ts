// How many statements a request costs PostgreSQL: a change of the data layer that adds one fails here. BEGIN and COMMIT count, too.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { parseAuthParameters } from '../src/http/schemes/credentials';
import { hashPassword } from '../src/services/credentials/secrets';
import { StatementCounter } from './helpers/statements';
import { SPACE, startSystem, type Account, type Answer, type RequestOptions, type System } from './helpers/system';

const PASSWORD = 'a password';
let system: System;
let counter: StatementCounter;
let admin: Account;
let user: Account;
let contacts: Account[];
let nonces: string[];
let named: string;
let reporting: string;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  counter = await StatementCounter.start(system.environment['DATABASE_URL'] ?? '');
  await system.startWeb({ DATABASE_URL: counter.url });
  admin = await system.account('admin', { admin: true });
  user = await system.account('user');
  contacts = await Promise.all(Array.from({ length: 3 }, (_, n) => system.account(`contact-${n}`)));
  const stored = hashPassword('SHA-256', 'user', SPACE, PASSWORD);
  await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [user.id, 'SHA-256', stored]);
  const key = async (scope: string): Promise<string> =>
    (await call('POST', '/api_keys', admin.key, { name: scope, scopes: [scope] })).json['api_key'] as string;
  [named, reporting] = [await key('accounts:read'), await key('statistics:write')];
  nonces = [];
  for (let n = 0; n < 2; n += 1) {
    const challenge = (await system.api('/accounts/me', { headers: { from: `sip:user@${SPACE}` } })).headers.get('www-authenticate') ?? '';
    nonces.push(/nonce="([^"]+)"/.exec(challenge)?.[1] ?? '');
  }
});
afterAll(async () => {
  await system.stop();
  await counter.stop();
});

async function digest(nonce: number, nc: number, password = PASSWORD): Promise<Answer> {
  const challenge = await system.api('/accounts/me', { headers: { from: `sip:user@${SPACE}` } });
  const { realm = '', opaque = '' } = Object.fromEntries(
    parseAuthParameters((challenge.headers.get('www-authenticate') ?? '').slice('Digest '.length).split(', Digest ')[0] ?? '') ?? [],
  ) as Record<string, string>;
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const count = nc.toString(16).padStart(8, '0');
  const uri = '/api/accounts/me';
  const ends = `${nonces[nonce]}:${count}:cnonce:auth:${hash(`GET:${uri}`)}`;
  const response = hash(`${hash(`user:${realm}:${password}`)}:${ends}`);
  counter.reset();
  return system.api('/accounts/me', {
    headers: {
      from: `sip:user@${SPACE}`,
      authorization: `Digest realm="${realm}",nonce="${nonces[nonce]}",algorithm=SHA-256,opaque="${opaque}",username="user",response="${response}",cnonce="cnonce",nc=${count},qop=auth,uri="${uri}"`,
    },
  });
}

const call = (method: string, route: string, key: string | undefined, body?: unknown): Promise<Answer> =>
  system.api(route, { method, ...(key === undefined ? {} : { key }), ...(body === undefined ? {} : { body }) } satisfies RequestOptions);
const newAccount = (): Record<string, unknown> => ({
  username: `made-${randomBytes(6).toString('hex')}`,
  password: PASSWORD,
  algorithm: 'SHA-256',
});

async function creationToken(): Promise<string> {
  const { json } = await call('POST', '/account_creation_tokens', admin.key);
  return json['token'] as string;
}

const messageId = randomUUID();
const callId = randomUUID();
const device = `device=${randomUUID()}`;
const message = (id: string): object => ({
  id,
  from: `alice@${SPACE}`,
  sent_at: '2026-03-01T10:15:00Z',
  encrypted: false,
  conference_id: null,
});
const sipCall = (id: string): object => ({
  id,
  from: `alice@${SPACE}`,
  to: `bob@${SPACE}`,
  initiated_at: '2026-03-01T10:15:00Z',
  ended_at: null,
});

// In this order: later requests need what earlier ones made.
const REQUESTS: [name: string, statements: number, status: number, send: () => Promise<Answer>][] = [
  ['GET /accounts/me, API key', 1, 200, () => call('GET', '/accounts/me', user.key)],
  ['GET /accounts/me, named key', 1, 200, () => call('GET', '/accounts/me', named)],
  ['GET /accounts/me, named key without the scope', 1, 403, () => call('GET', '/accounts/me', reporting)],
  ['GET /accounts/me, no named key', 0, 401, () => call('GET', '/accounts/me', `${named.slice(0, -1)}-`)],
  ['GET /accounts/me, not authenticated', 1, 401, () => system.api('/accounts/me', { headers: { from: `sip:user@${SPACE}` } })],
  ['GET /accounts/me, DIGEST, a fresh nonce', 2, 200, () => digest(0, 1)],
  ['GET /accounts/me, DIGEST, the same nonce again', 2, 200, () => digest(0, 2)],
  ['GET /accounts/me, wrong DIGEST', 1, 401, () => digest(1, 1, 'a wrong password')],
  ['GET /accounts', 3, 200, () => call('GET', '/accounts', admin.key)],
  ['POST /accounts', 9, 200, () => call('POST', '/accounts', admin.key, newAccount())],
  [
    'POST /accounts/with-account-creation-token',
    7,
    200,
    async () => {
      const token = await creationToken();
      counter.reset();
      return call('POST', '/accounts/with-account-creation-token', undefined, { ...newAccount(), account_creation_token: token });
    },
  ],
  ['POST /accounts/:id/contacts/:contact_id', 2, 200, () => call('POST', `/accounts/${user.id}/contacts/${contacts[0]?.id}`, admin.key)],
  ['GET /accounts/me/contacts', 2, 200, () => call('GET', '/accounts/me/contacts', user.key)],
  ['POST /statistics/messages', 2, 200, () => call('POST', '/statistics/messages', admin.key, message(messageId))],
  [
    'PATCH /statistics/messages, a device',
    2,
    201,
    () =>
      call('PATCH', `/statistics/messages/${messageId}/to/bob@${SPACE}/devices/${device}`, admin.key, {
        last_status: 200,
        received_at: '2026-03-01T10:15:05Z',
      }),
  ],
  ['POST /statistics/calls, named key', 2, 200, () => call('POST', '/statistics/calls', reporting, sipCall(callId))],
  [
    'PATCH /statistics/calls, a device',
    2,
    201,
    () => call('PATCH', `/statistics/calls/${callId}/devices/${device}`, admin.key, { rang_at: '2026-03-01T10:15:02Z' }),
  ],
  [
    'PATCH /statistics/calls, its end',
    2,
    200,
    () => call('PATCH', `/statistics/calls/${callId}`, admin.key, { ended_at: '2026-03-01T10:16:00Z' }),
  ],
];

// When a key was last used is written once a second for all keys together, not for a request.
const LAST_USED = /^UPDATE "?(named_)?api_keys"? .*last_used_at/s;

test.each(REQUESTS)('%s: %i', async (_name, statements, status, send) => {
  counter.reset();
  const answer = await send();
  // What goes on after the answer counts, too.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(answer.status).toBe(status);
  expect(counter.statements.filter((sql) => !LAST_USED.test(sql))).toHaveLength(statements);
});
