// What is measured over HTTP: for each row the requests of a client, against a web process with rows that are made here.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import type { Web } from './checkout';
import { send, type Client, type Request } from './load';

const DOMAIN = 'bench.invalid';
/** Who has contacts. */
export const USER = 'bench-user';
const PASSWORD = 'bench-password';
const CONTACTS = 20;
/** More than a run can use up. */
const CREATION_TOKENS = 40_000;

const hash = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'utf8').digest('hex');
const apiKey = (username: string): string => `key-of-${username}`;
/** Headers of one of the accounts that `fill()` makes. */
export const authorized = (username: string): Record<string, string> => ({ 'x-api-key': apiKey(username) });

/** A Space whose host is ours, an admin, a user with contacts, and creation tokens. By SQL, so that any checkout can be measured. */
export async function fill({ db }: Web): Promise<void> {
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
async function digestClient({ port }: Web, agent: Agent): Promise<Client> {
  const request: Request = { method: 'GET', path: '/api/accounts/me', headers: { from: `sip:${USER}@${DOMAIN}` } };
  const { headers, status } = await send(agent, port, request);
  const challenge = [headers['www-authenticate'] ?? []].flat().find((line) => /algorithm="?SHA-256/.test(line));
  if (challenge === undefined) throw new Error(`no challenge of SHA-256 from /accounts/me, but ${status}`);
  const [realm, nonce, opaque] = ['realm', 'nonce', 'opaque'].map((name) => directive(challenge, name));
  const ha1 = hash('sha256', `${USER}:${DOMAIN}:${PASSWORD}`);
  const ha2 = hash('sha256', `${request.method}:${request.path}`);
  let count = 0;
  return () => {
    count += 1;
    const nc = count.toString(16).padStart(8, '0');
    const cnonce = randomBytes(8).toString('hex');
    const response = hash('sha256', `${ha1}:${nonce}:${nc}:${cnonce}:auth:${ha2}`);
    const authorization =
      `Digest username="${USER}", realm="${realm}", nonce="${nonce}", uri="${request.path}", algorithm=SHA-256, ` +
      `qop=auth, nc=${nc}, cnonce="${cnonce}", response="${response}", opaque="${opaque}"`;
    return { ...request, headers: { ...request.headers, authorization } };
  };
}

const get =
  (path: string, username: string): Client =>
  () => ({ method: 'GET', path, headers: authorized(username) });

const newAccount = (): Record<string, string> => ({
  username: `new-${randomBytes(8).toString('hex')}`,
  password: PASSWORD,
  algorithm: 'SHA-256',
});

const createAccount: Client = () => ({ method: 'POST', path: '/api/accounts', headers: authorized('bench-admin'), body: newAccount() });

/** Tokens are used once: all clients of one web process share the numbering. */
function createWithToken(): Client {
  let next = 0;
  return () => {
    const body = { ...newAccount(), account_creation_token: `token${String(next++).padStart(8, '0')}` };
    return { method: 'POST', path: '/api/accounts/with-account-creation-token', headers: {}, body };
  };
}

/** The five reports of a message and a call, one after another, as Flexisip sends them. */
function statisticsClient(): Client {
  const at = '2001-01-01T00:00:00Z';
  const [from, to] = [`alice@${DOMAIN}`, `bob@${DOMAIN}`];
  let step = 0;
  let id = '';
  const reports: (() => Pick<Request, 'method' | 'path' | 'body'>)[] = [
    () => ({ method: 'POST', path: 'messages', body: { id, from, sent_at: at, encrypted: true } }),
    () => ({ method: 'PATCH', path: `messages/${id}/to/${to}/devices/d`, body: { last_status: 200, received_at: at } }),
    () => ({ method: 'POST', path: 'calls', body: { id, from, to, initiated_at: at } }),
    () => ({ method: 'PATCH', path: `calls/${id}/devices/d`, body: { rang_at: at, invite_terminated: { at, state: 'accepted' } } }),
    () => ({ method: 'PATCH', path: `calls/${id}`, body: { ended_at: at } }),
  ];
  return () => {
    if (step % reports.length === 0) id = randomUUID();
    const { method, path, body = {} } = (reports[step++ % reports.length] as (typeof reports)[number])();
    return { method, path: `/api/statistics/${path}`, headers: authorized('bench-admin'), body };
  };
}

const many = (count: number, client: () => Client): Client[] => Array.from({ length: count }, client);

/** A row of the table: `count` clients against a web process. */
export interface HttpRow {
  name: string;
  clients: (web: Web, agent: Agent, count: number) => Promise<Client[]>;
}

export const httpRows: readonly HttpRow[] = [
  { name: 'me by API key', clients: async (_web, _agent, count) => many(count, () => get('/api/accounts/me', USER)) },
  {
    name: 'me by DIGEST',
    clients: async (web, agent, count) => Promise.all(Array.from({ length: count }, () => digestClient(web, agent))),
  },
  { name: 'create account (admin)', clients: async (_web, _agent, count) => many(count, () => createAccount) },
  {
    name: 'create account (creation token)',
    clients: async (_web, _agent, count) => {
      const shared = createWithToken();
      return many(count, () => shared);
    },
  },
  { name: 'page of accounts', clients: async (_web, _agent, count) => many(count, () => get('/api/accounts', 'bench-admin')) },
  { name: `contacts (${CONTACTS})`, clients: async (_web, _agent, count) => many(count, () => get('/api/accounts/me/contacts', USER)) },
  { name: 'statistics: reports', clients: async (_web, _agent, count) => many(count, statisticsClient) },
  {
    name: 'statistics: a month by day',
    clients: async (_web, _agent, count) =>
      many(count, () => get('/api/statistics/messages?from=2001-01-01&to=2001-01-31&by=day', 'bench-admin')),
  },
];
