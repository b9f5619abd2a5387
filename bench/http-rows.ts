// What is measured over HTTP: for each row the requests of a client, against a web process with rows that are made here, and the bare programs
// that it is compared with.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import type { Web } from './checkout';
import type { Request } from './connection';
import { send, type Client } from './load';

const DOMAIN = 'bench.invalid';
/** Who has contacts. */
export const USER = 'bench-user';
const PASSWORD = 'bench-password';
const CONTACTS = 500;
/** More than a run can use up. */
const CREATION_TOKENS = 100_000;
/** Accounts with a key of their own, so that no two clients of a row bring the same. */
const CALLERS = 64;

const hash = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'utf8').digest('hex');
const apiKey = (username: string): string => `key-of-${username}`;
/** Headers of one of the accounts that `fill()` makes. */
export const authorized = (username: string): Record<string, string> => ({ 'x-api-key': apiKey(username) });

/** A Space whose host is ours, an admin, a user with contacts, and creation tokens. By SQL, so that any checkout can be measured. */
export async function fill({ db }: Pick<Web, 'db'>): Promise<void> {
  await db.query(`INSERT INTO spaces (domain, host, created_at, updated_at) VALUES ($1, '127.0.0.1', now(), now())`, [DOMAIN]);
  for (const [username, admin] of [
    ['bench-admin', true],
    [USER, false],
  ] as const) {
    await db.query(
      `WITH made AS (
         INSERT INTO accounts (username, domain, admin, activated, ip_address, user_agent, created_at, updated_at)
         VALUES ($1, $2, $3, true, '192.0.2.1', 'bench', now(), now()) RETURNING id
       ), keys AS (INSERT INTO api_keys (account_id, key, last_used_at) SELECT id, $4, now() FROM made)
       INSERT INTO passwords (account_id, password, algorithm) SELECT id, $5, 'SHA-256' FROM made`,
      [username, DOMAIN, admin, hash('sha256', apiKey(username)), hash('sha256', `${username}:${DOMAIN}:${PASSWORD}`)],
    );
  }
  await db.query(
    `WITH made AS (
       INSERT INTO accounts (username, domain, activated, ip_address, user_agent, created_at, updated_at)
       SELECT 'caller' || n, $1, true, '192.0.2.1', 'bench', now(), now() FROM generate_series(0, $2::integer - 1) n RETURNING id, username
     ), keys AS (
       INSERT INTO api_keys (account_id, key, last_used_at) SELECT id, encode(sha256(convert_to('key-of-' || username, 'UTF8')), 'hex'), now() FROM made
     )
     INSERT INTO passwords (account_id, password, algorithm)
     SELECT id, encode(sha256(convert_to(username || ':' || $1 || ':' || $3, 'UTF8')), 'hex'), 'SHA-256' FROM made`,
    [DOMAIN, CALLERS, PASSWORD],
  );
  await db.query(
    `WITH made AS (
       INSERT INTO accounts (username, domain, ip_address, user_agent, created_at, updated_at)
       SELECT 'contact' || n, $1, '192.0.2.1', 'bench', now(), now() FROM generate_series(1, $2::integer) n RETURNING id
     )
     INSERT INTO contacts (account_id, contact_id) SELECT (SELECT id FROM accounts WHERE username = $3), id FROM made`,
    [DOMAIN, CONTACTS, USER],
  );
  await db.query(
    `INSERT INTO account_creation_tokens (token, created_at, updated_at) SELECT 'token' || lpad(n::text, 8, '0'), now(), now() FROM generate_series(0, $1::integer - 1) n`,
    [CREATION_TOKENS],
  );
  await db.query(
    `INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
     SELECT $1, 'from', timestamptz '2001-01-01 00:00Z' + h * interval '1 hour', 60, 30, 60, 60, array_fill(1, ARRAY[66]) FROM generate_series(0, 30 * 24 - 1) h`,
    [DOMAIN],
  );
  await db.query('ANALYZE');
}

/** Of the directives of a challenge, which come quoted or not. */
const directive = (challenge: string, name: string): string =>
  [...challenge.matchAll(/\b([a-z]+)="?([^",]+)/g)].find(([, found]) => found === name)?.[2] ?? '';

/** A client of DIGEST (RFC 7616) with a nonce of its own, whose count it moves forward. */
async function digestClient(port: number, agent: Agent, username: string): Promise<Client> {
  const request: Request = { method: 'GET', path: '/api/accounts/me', headers: { from: `sip:${username}@${DOMAIN}` } };
  const { headers, status } = await send(agent, port, request);
  const challenge = [headers['www-authenticate'] ?? []].flat().find((line) => /algorithm="?SHA-256/.test(line));
  if (challenge === undefined) throw new Error(`no challenge of SHA-256 from /accounts/me, but ${status}`);
  const [realm, nonce, opaque] = ['realm', 'nonce', 'opaque'].map((name) => directive(challenge, name));
  const ha1 = hash('sha256', `${username}:${DOMAIN}:${PASSWORD}`);
  const ha2 = hash('sha256', `${request.method}:${request.path}`);
  let count = 0;
  return () => {
    count += 1;
    const nc = count.toString(16).padStart(8, '0');
    const cnonce = randomBytes(8).toString('hex');
    const response = hash('sha256', `${ha1}:${nonce}:${nc}:${cnonce}:auth:${ha2}`);
    const authorization =
      `Digest username="${username}", realm="${realm}", nonce="${nonce}", uri="${request.path}", algorithm=SHA-256, ` +
      `qop=auth, nc=${nc}, cnonce="${cnonce}", response="${response}", opaque="${opaque}"`;
    return { ...request, headers: { ...request.headers, authorization } };
  };
}

async function digestClients(port: number, count: number): Promise<Client[]> {
  const agent = new Agent({ keepAlive: true });
  try {
    return await Promise.all(Array.from({ length: count }, (_, index) => digestClient(port, agent, callerOf(index))));
  } finally {
    agent.destroy();
  }
}

/** The account of a client. */
const callerOf = (index: number): string => `caller${index % CALLERS}`;

/** Always the same request. */
function get(path: string, headers: Record<string, string> = {}): Client {
  const request = { method: 'GET', path, headers };
  return () => request;
}

const newAccount = (): Record<string, string> => ({
  username: `new-${randomBytes(8).toString('hex')}`,
  password: PASSWORD,
  algorithm: 'SHA-256',
});

const createAccount: Client = () => ({ method: 'POST', path: '/api/accounts', headers: authorized('bench-admin'), body: newAccount() });

let usedTokens = 0;
/** Tokens are used once: all clients share the numbering, since a web process and its ceilings share the rows. */
const createWithToken: Client = () => {
  const body = { ...newAccount(), account_creation_token: `token${String(usedTokens++).padStart(8, '0')}` };
  return { method: 'POST', path: '/api/accounts/with-account-creation-token', headers: {}, body };
};

/** A device has one token at a time: each request is another device's. */
const sendByPush: Client = () => ({
  method: 'POST',
  path: '/api/account_creation_tokens/send-by-push',
  headers: {},
  body: { pn_provider: 'apns.dev', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: randomBytes(32).toString('hex') },
});

const [FROM, TO, AT] = [`alice@${DOMAIN}`, `bob@${DOMAIN}`, '2001-01-01T00:00:00Z'];
const admin = authorized('bench-admin');

const reportMessage: Client = () => ({
  method: 'POST',
  path: '/api/statistics/messages',
  headers: admin,
  body: { id: randomUUID(), from: FROM, sent_at: AT, encrypted: true },
});

/** The five reports of a message and a call, one after another, as Flexisip sends them. */
function statisticsClient(): Client {
  let step = 0;
  let id = '';
  const reports: (() => Pick<Request, 'method' | 'path' | 'body'>)[] = [
    () => ({ method: 'POST', path: 'messages', body: { id, from: FROM, sent_at: AT, encrypted: true } }),
    () => ({ method: 'PATCH', path: `messages/${id}/to/${TO}/devices/d`, body: { last_status: 200, received_at: AT } }),
    () => ({ method: 'POST', path: 'calls', body: { id, from: FROM, to: TO, initiated_at: AT } }),
    () => ({ method: 'PATCH', path: `calls/${id}/devices/d`, body: { rang_at: AT, invite_terminated: { at: AT, state: 'accepted' } } }),
    () => ({ method: 'PATCH', path: `calls/${id}`, body: { ended_at: AT } }),
  ];
  return () => {
    if (step % reports.length === 0) id = randomUUID();
    const { method, path, body = {} } = (reports[step++ % reports.length] as (typeof reports)[number])();
    return { method, path: `/api/statistics/${path}`, headers: admin, body };
  };
}

const many =
  (client: (index: number) => Client): HttpRow['clients'] =>
  async (_port, count) =>
    Array.from({ length: count }, (_, index) => client(index));

/** A program of bench/ceilings that does the same work. */
export interface Rival {
  ceiling: string;
  /** Requests per CPU second of ours, as a part of its, that are to be reached. */
  goal?: number;
}

/** A row of the table: `count` clients against what listens on a port. */
export interface HttpRow {
  name: string;
  clients: (port: number, count: number) => Promise<Client[]>;
  rivals?: readonly Rival[];
  /** What must stand beside `web`: a worker, and push services; or a `web` that speaks HTTP/2 with TLS, over one connection. */
  with?: 'worker' | 'tls';
  /** Of the middle one of the waits, as a part of the first ceiling's: no more than that. */
  waitGoal?: number;
}

export const httpRows: readonly HttpRow[] = [
  {
    name: 'ping',
    clients: many(() => get('/api/ping')),
    rivals: [{ ceiling: 'node-http' }, { ceiling: 'express', goal: 1.2 }],
  },
  {
    name: 'me by API key',
    clients: many((index) => get('/api/accounts/me', authorized(callerOf(index)))),
    rivals: [
      { ceiling: 'express-pg', goal: 0.85 },
      { ceiling: 'express-pg-shared', goal: 0.55 },
      { ceiling: 'express-sequelize', goal: 2 },
      { ceiling: 'express-sequelize-lean', goal: 2 },
    ],
  },
  { name: 'me by DIGEST', clients: digestClients, rivals: [{ ceiling: 'express-pg-digest' }] },
  { name: 'create account (admin)', clients: many(() => createAccount) },
  { name: 'create account (creation token)', clients: many(() => createWithToken), rivals: [{ ceiling: 'express-pg-create' }] },
  {
    name: 'send-by-push',
    clients: many(() => sendByPush),
    rivals: [{ ceiling: 'bullmq', goal: 0.75 }],
    with: 'worker',
    waitGoal: 1.3,
  },
  { name: 'page of accounts', clients: many(() => get('/api/accounts?page=1', admin)), rivals: [{ ceiling: 'express-pg-page' }] },
  {
    name: `contacts (${CONTACTS})`,
    clients: many(() => get('/api/accounts/me/contacts', authorized(USER))),
    rivals: [{ ceiling: 'express-pg-contacts' }],
  },
  {
    name: 'statistics: a message',
    clients: many(() => reportMessage),
    rivals: [
      { ceiling: 'express-insert', goal: 2 },
      { ceiling: 'express-insert-shared', goal: 0.8 },
    ],
  },
  {
    name: 'statistics: a message, HTTP/2 with TLS',
    clients: many(() => reportMessage),
    rivals: [{ ceiling: 'http2-insert-shared' }],
    with: 'tls',
  },
  { name: 'statistics: reports', clients: many(statisticsClient) },
  {
    name: 'statistics: a month by day',
    clients: many(() => get('/api/statistics/messages?from=2001-01-01&to=2001-01-31&by=day', admin)),
  },
];
