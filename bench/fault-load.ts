// The load that faults are survived under, and the book that is kept of it: what was answered, after how long, what was acknowledged, and what
// was asked to be sent.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { OutsideWorld } from '../test/helpers/outside';
import type { Request } from './connection';
import type { FaultSystem, Part } from './fault-system';
import { send, type Answer } from './load';

const DOMAIN = 'bench.invalid';
const ACCOUNTS = 40;
const CLIENTS = 16;
const PAUSE_MS = 40;
/** Nobody should wait so long; who does is given up. */
const GIVE_UP_MS = 20_000;
/** The longest that anybody may wait for an answer. */
export const MAX_ANSWER_MS = 5000;
/** What the generator's own delays may add. */
const MEASURING_MARGIN_MS = 250;

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const keyOf = (username: string): string => `key-of-${username}`;

/** What the processes are configured with. */
export const SETTINGS: Record<string, string> = {
  NODE_ENV: 'production',
  APP_KEY: randomBytes(32).toString('hex'),
  APP_SIP_DOMAIN: DOMAIN,
  // On, and never reached.
  RATE_LIMIT_PER_MINUTE: '10000000',
  CODES_PER_RECIPIENT_PER_HOUR: '0',
  CODES_PER_RECIPIENT_PER_DAY: '0',
  CODES_PER_ADDRESS_PER_HOUR: '0',
  SMS_PER_PREFIX_PER_HOUR: '0',
  APP_TOKENS_PER_ADDRESS: '0',
  BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
  // How long these wait is the operator's word; by default it is longer than anybody else may wait.
  SMS_TIMEOUT_SECONDS: '4',
  EMAIL_TIMEOUT_SECONDS: '4',
  SHUTDOWN_GRACE_SECONDS: '10',
};

/** Accounts with keys and passwords, phone countries, and the Space. */
export async function fillDatabase(db: pg.Pool): Promise<void> {
  await db.query('INSERT INTO spaces (domain, host, super, created_at, updated_at) VALUES ($1, $1, true, now(), now())', [DOMAIN]);
  await db.query("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  await db.query(
    `WITH made AS (
       INSERT INTO accounts (username, domain, admin, activated, ip_address, user_agent, created_at, updated_at)
       SELECT 'user' || n, $1, n = 0, true, '192.0.2.1', 'bench', now(), now() FROM generate_series(0, $2::integer) n RETURNING id, username
     ), keys AS (
       INSERT INTO api_keys (account_id, key, last_used_at)
       SELECT id, encode(sha256(convert_to('key-of-' || username, 'UTF8')), 'hex'), now() FROM made
     ), passwords AS (
       INSERT INTO passwords (account_id, password, algorithm)
       SELECT id, encode(sha256(convert_to(username || ':' || $1 || ':secret', 'UTF8')), 'hex'), 'SHA-256' FROM made
     )
     INSERT INTO account_creation_tokens (token, used, account_id, created_at, updated_at) SELECT 'used' || id, true, id, now(), now() FROM made`,
    [DOMAIN, ACCOUNTS],
  );
}

interface Book {
  requests: number;
  /** Answers later than MAX_ANSWER_MS from a process that could have answered, by kind of request. */
  slow: string[];
  /** 500 and above but 503; and connections that ended without an answer although the process could have answered. */
  wrong: string[];
  unavailable: number;
  cut: number;
}

const emptyBook = (): Book => ({ requests: 0, slow: [], wrong: [], unavailable: 0, cut: 0 });

interface Kind {
  name: string;
  make: () => { request: Request; answered?: (status: number) => void; then?: (answer: Answer) => Request | undefined };
}

export class Load {
  book = emptyBook();
  readonly #agents = new Map<Part, Agent>();
  readonly #acknowledged = { messages: new Set<string>(), accounts: new Set<string>() };
  /** By device, number or mailbox: the status of the request that asked for it. */
  readonly #asked = { pushes: new Map<string, number>(), sms: new Map<string, number>(), mails: new Map<string, number>() };
  #serial = 0;
  #stopping = new AbortController();
  #clients: Promise<void>[] = [];

  private constructor(
    readonly system: FaultSystem,
    readonly world: OutsideWorld,
    readonly db: pg.Pool,
  ) {}

  static open(system: FaultSystem, world: OutsideWorld): Load {
    const db = new pg.Pool({ connectionString: system.databaseUrl, max: 2 });
    db.on('error', () => undefined);
    return new Load(system, world, db);
  }

  readonly #kinds: readonly Kind[] = [
    { name: 'ping', make: () => ({ request: this.#get('/api/ping') }) },
    { name: 'me by API key', make: () => ({ request: this.#get('/api/accounts/me', this.#user()) }) },
    { name: 'me by DIGEST', make: () => this.#digest() },
    { name: 'message reported', make: () => this.#message() },
    { name: 'account made', make: () => this.#account() },
    { name: 'push', make: () => this.#push() },
    { name: 'SMS', make: () => this.#code('phone', `+3361${String((this.#serial += 1)).padStart(7, '0')}`) },
    { name: 'mail', make: () => this.#code('email', `user-${(this.#serial += 1)}@example.org`) },
    { name: 'readiness', make: () => ({ request: this.#get('/health/ready') }) },
  ];

  #user(): string {
    return `user${1 + (this.#serial++ % ACCOUNTS)}`;
  }

  #get(target: string, username?: string): Request {
    return { method: 'GET', path: target, headers: username === undefined ? {} : { 'x-api-key': keyOf(username) } };
  }

  #post(target: string, body: object, username?: string): Request {
    return { ...this.#get(target, username), method: 'POST', body };
  }

  /** RFC 7616; the nonce of a challenge is used once. */
  #digest(): ReturnType<Kind['make']> {
    const username = this.#user();
    const request = { ...this.#get('/api/accounts/me'), headers: { from: `sip:${username}@${DOMAIN}` } };
    const then = ({ status, headers }: Answer): Request | undefined => {
      const challenge = [headers['www-authenticate'] ?? []].flat().find((line) => /algorithm="?SHA-256/.test(line));
      if (status !== 401 || challenge === undefined) return undefined;
      const directives = new Map([...challenge.matchAll(/\b([a-z]+)="?([^",]+)/g)].map(([, name, value]) => [name, value]));
      const [realm, nonce, opaque] = ['realm', 'nonce', 'opaque'].map((name) => directives.get(name));
      const ha1 = hash(`${username}:${DOMAIN}:secret`);
      const response = hash(`${ha1}:${nonce}:00000001:c0ffee:auth:${hash(`GET:${request.path}`)}`);
      const authorization =
        `Digest username="${username}", realm="${realm}", nonce="${nonce}", uri="${request.path}", algorithm=SHA-256, ` +
        `qop=auth, nc=00000001, cnonce="c0ffee", response="${response}", opaque="${opaque}"`;
      return { ...request, headers: { ...request.headers, authorization } };
    };
    return { request, then };
  }

  #message(from = `alice@${DOMAIN}`): ReturnType<Kind['make']> {
    const id = randomUUID();
    const body = { id, from, sent_at: new Date().toISOString(), encrypted: true };
    return {
      request: this.#post('/api/statistics/messages', body, 'user0'),
      answered: (status) => void (status === 200 && this.#acknowledged.messages.add(id)),
    };
  }

  #account(): ReturnType<Kind['make']> {
    const username = `new-${randomBytes(8).toString('hex')}`;
    return {
      request: this.#post('/api/accounts', { username, password: 'secret', algorithm: 'SHA-256' }, 'user0'),
      answered: (status) => void (status === 200 && this.#acknowledged.accounts.add(username)),
    };
  }

  #push(): ReturnType<Kind['make']> {
    const device = randomBytes(32).toString('hex');
    this.#asked.pushes.set(device, 0);
    return {
      request: this.#post('/api/account_creation_tokens/send-by-push', {
        pn_provider: 'apns',
        pn_param: 'TEAMID1234.org.linphone.phone',
        pn_prid: device,
      }),
      answered: (status) => this.#asked.pushes.set(device, status),
    };
  }

  #code(channel: 'phone' | 'email', recipient: string): ReturnType<Kind['make']> {
    const asked = channel === 'phone' ? this.#asked.sms : this.#asked.mails;
    asked.set(recipient, 0);
    return {
      request: this.#post(`/api/accounts/me/${channel}/request`, { [channel]: recipient }, this.#user()),
      answered: (status) => asked.set(recipient, status),
    };
  }

  /** One request to one `web`, written into the book. @returns its status; 0 where there was no answer */
  async #ask(web: Part, { name, make }: Kind): Promise<number> {
    const { request, answered, then } = make();
    const agent = this.#agents.get(web) ?? new Agent({ keepAlive: true, timeout: GIVE_UP_MS });
    this.#agents.set(web, agent);
    let status = 0;
    for (let next: Request | undefined = request; next;) {
      const started = performance.now();
      const answer: Answer | undefined = await Promise.race([
        send(agent, web.port, next),
        sleep(GIVE_UP_MS, undefined, { ref: false }),
      ]).catch(() => undefined);
      const ended = performance.now();
      status = answer?.status ?? 0;
      this.#note(`${name}: ${status || 'no answer'} after ${Math.round(ended - started)} ms`, status, [started, ended], web);
      next = answer && then?.(answer);
    }
    answered?.(status);
    return status;
  }

  #note(line: string, status: number, [started, ended]: [number, number], web: Part): void {
    this.book.requests += 1;
    if (status === 503) this.book.unavailable += 1;
    if (!web.couldAnswer(started, ended)) {
      if (status === 0) this.book.cut += 1;
      return;
    }
    if (ended - started > MAX_ANSWER_MS + MEASURING_MARGIN_MS) this.book.slow.push(line);
    if (status === 0 || (status >= 500 && status !== 503)) this.book.wrong.push(line);
  }

  async #client(first: number): Promise<void> {
    for (let turn = first; !this.#stopping.signal.aborted; turn += 1) {
      const web =
        this.system.webs.filter(({ inRotation }) => inRotation)[turn % 2] ?? this.system.webs.find(({ inRotation }) => inRotation);
      const kind = this.#kinds[Math.floor(turn / 2) % this.#kinds.length];
      if (web && kind) await this.#ask(web, kind);
      await sleep(PAUSE_MS);
    }
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#clients = Array.from({ length: CLIENTS }, (_, number) => this.#client(number * 7));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#clients);
  }

  /** A new page of the book. @returns the one before */
  turnPage(): Book {
    const book = this.book;
    this.book = emptyBook();
    return book;
  }

  /** Whether one request of each kind is answered with success by each `web` now. @returns the first that was not */
  async firstFailure(): Promise<string | undefined> {
    for (const web of this.system.webs) {
      const failures = await Promise.all(
        this.#kinds.map(async (kind) => {
          const status = await this.#ask(web, kind);
          return status === 200 ? undefined : `${web.name}: ${kind.name} ${status || 'no answer'}`;
        }),
      );
      const failure = failures.find((found) => found !== undefined);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Reports a message of a domain that nobody else writes from. @returns whether it is in the figures by now */
  async beginFigures(): Promise<() => Promise<boolean>> {
    const domain = `figures-${randomBytes(6).toString('hex')}.invalid`;
    const kind = { name: 'message reported', make: () => this.#message(`alice@${domain}`) };
    const [web] = this.system.webs;
    if (!web || (await this.#ask(web, kind)) !== 200) return () => Promise.resolve(false);
    return async () => (await this.db.query('SELECT 1 FROM statistics_message_rollups WHERE domain = $1', [domain])).rows.length > 0;
  }

  /** What must never be, over the whole run: each with its first examples. */
  async judge(): Promise<{ lost: string[]; twice: string[]; usable: string[] }> {
    const missing = async (sql: string, acknowledged: Set<string>): Promise<string[]> => {
      const { rows } = await this.db.query<{ value: string }>(sql, [[...acknowledged]]);
      return rows.map(({ value }) => value);
    };
    const lost = [
      ...(await missing(
        'SELECT value FROM unnest($1::text[]) AS value WHERE NOT EXISTS (SELECT 1 FROM statistics_messages WHERE id = value)',
        this.#acknowledged.messages,
      )),
      ...(await missing(
        `SELECT value FROM unnest($1::text[]) AS value WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE username = value AND domain = '${DOMAIN}')`,
        this.#acknowledged.accounts,
      )),
    ];
    const sent = new Map<string, number>();
    const count = (what: string): Map<string, number> => sent.set(what, (sent.get(what) ?? 0) + 1);
    for (const { path: target } of this.world.apns.received) count(`push ${target.split('/').at(-1)}`);
    for (const { body } of this.world.twilio.received) count(`SMS ${(body as { To: string }).To}`);
    for (const { to } of this.world.mails) count(`mail ${to.join()}`);
    const twice = [...sent].filter(([, times]) => times > 1).map(([what, times]) => `${what} × ${times}`);
    for (const [kind, asked] of Object.entries(this.#asked)) {
      const word = { pushes: 'push', sms: 'SMS', mails: 'mail' }[kind];
      // Acknowledged, and sent to nobody.
      for (const [recipient, status] of asked) if (status === 200 && !sent.has(`${word} ${recipient}`)) lost.push(`${word} ${recipient}`);
    }
    const refused = [...this.#asked.pushes].filter(([, status]) => status !== 200).map(([device]) => device);
    const { rows } = await this.db.query<{ pn_prid: string }>(
      "SELECT pn_prid FROM account_creation_tokens WHERE pn_prid = ANY ($1) AND NOT used AND (send_state IS NULL OR send_state = 'sent')",
      [refused],
    );
    return { lost, twice, usable: rows.map(({ pn_prid }) => `the token of ${pn_prid}`) };
  }

  /** What was acknowledged and sent, in numbers. */
  get totals(): Record<string, number> {
    const { messages, accounts } = this.#acknowledged;
    const { apns, twilio } = this.world;
    return {
      messages: messages.size,
      accounts: accounts.size,
      pushes: apns.received.length,
      sms: twilio.received.length,
      mails: this.world.mails.length,
    };
  }

  async close(): Promise<void> {
    for (const agent of this.#agents.values()) agent.destroy();
    await this.db.end();
  }
}
