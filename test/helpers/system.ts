// The real processes over a database of their own: what a test file runs against.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { en } from '../../src/i18n/en';
import { hashApiKey } from '../../src/services/credentials/secrets';
import { freePort } from '../../src/start/ports';
import { checkAnswer, contract } from './contract';
import { databaseName, testServers, withDatabase } from '../setup/servers';

const DIST = path.join(__dirname, '..', '..', 'dist');
export const SPACE = 'sip.example.org';
/** Where a process says that it is overloaded. */
const MAX_ATTEMPTS = 20;

export interface Process {
  child: ChildProcess;
  output: () => string;
  /** Ends it with a signal and waits; gives its exit code, null where the signal itself ended it. */
  end: (signal?: NodeJS.Signals) => Promise<number | null>;
}

/** Starts one of the program's processes as the Procfile does. `ready`: a line that it writes then. */
export async function startProcess(file: string, environment: Record<string, string>, ready: RegExp): Promise<Process> {
  const cwd = mkdtempSync(path.join(testServers().directory, 'cwd-'));
  const inherited = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
  const child = spawn(process.execPath, [path.join(DIST, file)], {
    cwd,
    env: { ...inherited, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  // Not at its `exit`: what it wrote last may come after that.
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
      if (ready.test(output)) resolve();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    void exited.then((code) => reject(new Error(`${file} ended with ${code}: ${output}`)));
  });
  return {
    child,
    output: () => output,
    end: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return exited;
    },
  };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: Record<string, unknown>;
}

export interface RequestOptions {
  method?: string;
  body?: unknown;
  key?: string;
  headers?: Record<string, string>;
}

/** One HTTP request; an object as body is sent as JSON. @throws where an answer under /api is not as its endpoint declares */
export async function request(url: string, { method = 'GET', body, key, headers = {} }: RequestOptions = {}): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'x-api-key': key }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  checkAnswer({ method, url, status: response.status, contentType: response.headers.get('content-type'), text });
  let json: Record<string, unknown> = {};
  if (text !== '' && response.headers.get('content-type') === 'application/json') json = JSON.parse(text) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, text, json };
}

export interface Account {
  id: number;
  key: string;
}

export class System {
  readonly webs: Process[] = [];
  readonly workers: Process[] = [];
  readonly urls: string[] = [];
  #next = 0;

  constructor(
    readonly db: pg.Pool,
    readonly environment: Record<string, string>,
  ) {}

  /** Any of the web processes, in turn. */
  get url(): string {
    this.#next += 1;
    return this.urls[this.#next % this.urls.length] ?? '';
  }

  async startWeb(environment: Record<string, string> = {}): Promise<Process> {
    const port = await freePort();
    const web = await startProcess('src/web.js', { ...this.environment, PORT: String(port), ...environment }, /web listens/);
    this.webs.push(web);
    this.urls.push(`http://127.0.0.1:${port}`);
    return web;
  }

  async startWorker(environment: Record<string, string> = {}): Promise<Process> {
    const worker = await startProcess('workers/main.js', { ...this.environment, ...environment }, /worker runs/);
    this.workers.push(worker);
    return worker;
  }

  /**
   * Asks any of the web processes. One that is late, because the machine has more to do than this test, is asked again, as it says: what it refuses so it has
   * not done. Tests of that refusal ask by request().
   */
  async api(route: string, options?: RequestOptions): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await request(`${this.url}/api${route}`, options);
      if (answer.json['message'] !== en['server.overloaded'] || attempt === MAX_ATTEMPTS) return answer;
      await sleep(attempt * 100);
    }
  }

  async rows<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.db.query<Row>(sql, values)).rows;
  }

  /** Makes a Space. */
  async space(domain: string, { isSuper = false, host = domain, expireAt = null as Date | null, maxAccounts = 0 } = {}): Promise<void> {
    await this.db.query(
      'INSERT INTO spaces (domain, host, super, expire_at, max_accounts, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, now(), now())',
      [domain, host, isSuper, expireAt, maxAccounts],
    );
  }

  /** Makes an account with an API key that works from anywhere. */
  async account(username: string, { domain = SPACE, admin = false, blocked = false, ip = null as string | null } = {}): Promise<Account> {
    const [row] = await this.rows<{ id: number }>(
      `INSERT INTO accounts (username, domain, admin, blocked, activated, ip_address, user_agent, created_at, updated_at) VALUES ($1, $2, $3, $4, true, '192.0.2.1', 'test', now(), now()) RETURNING id`,
      [username, domain, admin, blocked],
    );
    const id = row?.id ?? 0;
    const key = randomBytes(20).toString('hex');
    await this.db.query('INSERT INTO api_keys (account_id, key, ip, last_used_at) VALUES ($1, $2, $3, now())', [id, hashApiKey(key), ip]);
    return { id, key };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.webs, ...this.workers].map((process) => process.end()));
    await this.db.end();
  }
}

/** A database of its own from the template, a Redis prefix of its own, `webs` and `workers` processes, and the default Space (super). */
export async function startSystem({ webs = 1, workers = 1, environment = {} } = {}): Promise<System> {
  const { maintenanceUrl, redisUrl, template } = testServers();
  const name = databaseName();
  const maintenance = new pg.Client({ connectionString: maintenanceUrl });
  await maintenance.connect();
  await maintenance.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  await maintenance.end();
  const url = withDatabase(maintenanceUrl, name);
  // As the program reads bigint.
  const types: pg.CustomTypesConfig = {
    getTypeParser: (...[oid, format]: Parameters<typeof pg.types.getTypeParser>) =>
      oid === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(oid, format) as unknown),
  };
  const db = new pg.Pool({ connectionString: url, max: 5, types });
  db.on('error', () => undefined);
  const system = new System(db, {
    DATABASE_URL: url,
    REDIS_URL: redisUrl,
    QUEUE_PREFIX: name,
    HOST: '127.0.0.1',
    RATE_LIMIT_PER_MINUTE: '0',
    ...environment,
  });
  await system.space(SPACE, { isSuper: true });
  const started = Promise.all([
    ...Array.from({ length: webs }, () => system.startWeb()),
    ...Array.from({ length: workers }, () => system.startWorker()),
  ]);
  contract();
  await started;
  return system;
}

/** Asks until the answer is as wanted, at most `seconds`. */
export async function eventually<T>(ask: () => Promise<T>, isRight: (value: T) => boolean, seconds = 15): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await ask();
    if (isRight(value)) return value;
    if (Date.now() > end) throw new Error(`not as wanted within ${seconds} s: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
