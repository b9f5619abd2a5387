// What PostgreSQL may take, whatever state it is in: limits in the server on every statement, behind a pooler as well, and an answer within 5 s.
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Sequelize } from 'sequelize';
import { context } from '../src/infra/context';
import { DatabaseTime } from '../src/infra/database-time';
import { openDatabase } from '../src/infra/sequelize';
import { migrate } from '../src/migrations';
import { Batcher } from '../src/infra/batcher';
import { startPostgres } from '../src/start/postgres';
import { startPgBouncer, startRelay, type Pooler } from './helpers/pooler';
import { treeOf } from './helpers/processes';
import { StatementCounter } from './helpers/statements';
import { eventually, request, SPACE, startSystem, System, type Account, type Answer } from './helpers/system';
import { testServers } from './setup/servers';

/** What a request may take, by the promise. */
const PROMISED_MS = 5000;
/** Connections beside the pool's, for what requests share. */
const SHARED = 6;

let system: System;
let url: string;
let pooler: Pooler | undefined;
let bouncer: Pooler | undefined;
const opened: Sequelize[] = [];

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  url = system.environment['DATABASE_URL'] ?? '';
  await system.rows('CREATE TABLE held (n integer); INSERT INTO held VALUES (1)');
  pooler = await startRelay(url);
  bouncer = await startPgBouncer(url);
});
afterEach(async () => {
  for (const database of opened.splice(0)) await database.close();
});
afterAll(async () => {
  await pooler?.stop();
  await bouncer?.stop();
  await system.stop();
});

/** A pool of the program. */
function open(to: string, options: { statementTimeoutMs?: number; lockTimeoutMs?: number; poolSize?: number } = {}): Sequelize {
  const database = openDatabase({ url: to, poolSize: 2, ...options });
  opened.push(database);
  return database;
}
const codeOf = (error: unknown): unknown => (error as { original?: { code?: string } }).original?.code;
/** Statements under way in this test's database that are not this test's own. */
const active = async (): Promise<string[]> =>
  (
    await system.rows<{ query: string }>(
      "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'flexisip-account-api' AND state = 'active'",
    )
  ).map(({ query }) => query);
/** How many connections the program has to this test's database. */
const connections = async (): Promise<number> =>
  (
    await system.rows<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'flexisip-account-api'",
    )
  )[0]?.n ?? 0;
async function took(work: Promise<unknown>): Promise<[ms: number, error: unknown]> {
  const begun = Date.now();
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return [Date.now() - begun, error];
}
/** A session that holds a table. */
async function lock(table: string, on: string = url): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: on });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return client;
}

const SHOWN = "SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock";

describe.each([
  ['PostgreSQL itself', () => url],
  ['a pooler that is one connection', () => pooler?.url],
  ['PgBouncer in transaction mode', () => bouncer?.url],
])('%s', (_name, urlOf) => {
  test('every statement has its limits, with values and without, alone and in a transaction', async () => {
    const to = urlOf();
    if (to === undefined) return; // The one before it stands for PgBouncer where there is none.
    const database = open(to);
    const limits = { statement: '3900ms', lock: '3s' };
    expect((await database.query(SHOWN))[0]).toEqual([limits]);
    expect((await database.query(`${SHOWN}, $1::text AS bound`, { bind: ['x'] }))[0]).toEqual([{ ...limits, bound: 'x' }]);
    await database.transaction(async () => {
      expect((await database.query(SHOWN))[0]).toEqual([limits]);
      expect((await database.query(`${SHOWN}, $1::text AS bound`, { bind: ['x'] }))[0]).toEqual([{ ...limits, bound: 'x' }]);
    });
    // Rows, counts and errors are those of the statement.
    expect((await database.query('UPDATE held SET n = $1', { bind: [2] }))[1]).toMatchObject({ rowCount: 1 });
    expect((await database.query('UPDATE held SET n = 1'))[1]).toMatchObject({ rowCount: 1 });
    await expect(database.query('SELECT $1::integer / 0', { bind: [1] })).rejects.toThrow('division by zero');
    await expect(database.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
    expect((await database.query('SELECT $1::integer AS one', { bind: [1] }))[0]).toEqual([{ one: 1 }]);
  });

  test('no other client is given limits that were set for this one', async () => {
    const to = urlOf();
    if (to === undefined || to === url) return;
    await open(to).query('SELECT $1::integer', { bind: [1] });
    const other = new pg.Client({ connectionString: to });
    await other.connect();
    expect((await other.query<object>(SHOWN)).rows).toEqual([{ statement: '0', lock: '0' }]);
    await other.end();
  });

  test('who waits for a lock gives up, and the server ends what takes too long', async () => {
    const to = urlOf();
    if (to === undefined) return;
    const holder = await lock('held');
    const database = open(to, { statementTimeoutMs: 800, lockTimeoutMs: 300 });
    for (const bind of [undefined, [1]]) {
      const [, error] = await took(database.query(bind ? 'UPDATE held SET n = $1' : 'UPDATE held SET n = 1', bind ? { bind } : {}));
      expect(codeOf(error)).toBe('55P03');
    }
    const [, error] = await took(database.query('SELECT pg_sleep($1)', { bind: [20] }));
    expect(codeOf(error)).toBe('57014');
    await holder.end();
  });

  test('what nobody waits for any more is ended in the server, and its connection is used again', async () => {
    const to = urlOf();
    if (to === undefined) return;
    const database = open(to, { poolSize: 1 });
    await database.query('SELECT 1');
    const [ms, error] = await took(within(400, () => database.query('SELECT pg_sleep(20)')));
    expect(codeOf(error)).toBe('57014');
    expect(ms).toBeLessThan(2000);
    await eventually(active, (queries) => queries.length === 0, 2);
    expect((await database.query('SELECT $1::integer AS one', { bind: [1] }))[0]).toEqual([{ one: 1 }]);
  });
});

const within = <T>(limitMs: number, work: () => Promise<T>): Promise<T> =>
  context.run({ request_id: 'x', databaseTime: new DatabaseTime(limitMs) }, work);

test('nobody is given a connection that the server has just ended', async () => {
  const database = open(url, { poolSize: 1 });
  const serves = async (): Promise<unknown> => (await database.query('SELECT 1 AS one'))[0];
  await serves();
  for (let round = 0; round < 20; round += 1) {
    const ended = database.query('SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)');
    // Asked in the same moment in which the error is known: the end of the socket has not been read by then.
    expect(await ended.then(serves, (error: unknown) => (codeOf(error) === '57P01' ? serves() : error))).toEqual([{ one: 1 }]);
  }
});

test('a place in the pool is waited for no longer than the request has time, and is not lost', async () => {
  const database = open(url, { poolSize: 1 });
  const first = database.query('SELECT pg_sleep(1)');
  const [ms, error] = await took(within(300, () => database.query('SELECT 1')));
  expect([ms < 900, (error as Error).message]).toEqual([true, 'Query read timeout']);
  await first;
  expect((await database.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }]);
});

test('statements share a request’s time, and a transaction whose time is over is rolled back', async () => {
  const database = open(url);
  await database.query('SELECT 1');
  const [ms, error] = await took(
    within(600, () =>
      database.transaction(async () => {
        await database.query('INSERT INTO held VALUES (7)');
        await database.query('SELECT pg_sleep(0.4)');
        await database.query('SELECT pg_sleep(0.4)');
      }),
    ),
  );
  expect([ms < 1500, codeOf(error)]).toEqual([true, '57014']);
  expect(await system.rows('SELECT 1 FROM held WHERE n = 7')).toEqual([]);
  // What a request does beside the database does not count, nor what goes on after its answer.
  const time = new DatabaseTime(300);
  await context.run({ request_id: 'x', databaseTime: time }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 400));
    await database.query('SELECT 1');
    await expect(database.query('SELECT pg_sleep(0.4)')).rejects.toThrow();
    time.end();
    await database.query('SELECT pg_sleep(0.4)');
  });
});

test('what many requests share does not use up the time of the one that began it', async () => {
  const database = open(url);
  const batcher = new Batcher<number, number>(async (items) => {
    await database.query('SELECT pg_sleep(0.2)');
    return items;
  });
  await expect(within(50, () => Promise.all([1, 2].map((item) => batcher.submit(item))))).resolves.toEqual([1, 2]);
});

test('the limits cost no statement: one is sent for each that was asked for', async () => {
  const counter = await StatementCounter.start(url);
  const database = open(counter.url);
  await database.query('SELECT 1');
  counter.reset();
  await database.query('SELECT $1::integer', { bind: [1] });
  await database.transaction(() => database.query('SELECT 2'));
  expect(counter.statements).toEqual(['SELECT $1::integer', 'START TRANSACTION;', 'SELECT 2', 'COMMIT;']);
  await database.close();
  opened.splice(0);
  await counter.stop();
});

describe('a request', () => {
  let admin: Account;
  /** What PgBouncer has kept open, in the name of its clients. */
  let others = 0;
  beforeAll(async () => {
    others = await connections();
    admin = await system.account('admin', { admin: true });
    await system.startWeb({ DATABASE_POOL_SIZE: '10' });
  });
  const create = (n: string): Promise<Answer> =>
    system.api('/accounts', {
      method: 'POST',
      key: admin.key,
      body: { username: `made-${n}`, password: 'a password', algorithm: 'SHA-256' },
    });

  test('in a transaction, of thirty at once, is answered within 5 s while a table is locked, and leaves nothing behind', async () => {
    expect((await create('before')).status).toBe(200);
    const holder = await lock('passwords');
    try {
      const times: number[] = [];
      const answers = await Promise.all(
        Array.from({ length: 30 }, async (_, n) => {
          const begun = Date.now();
          const answer = await create(String(n));
          times.push(Date.now() - begun);
          return answer.status;
        }),
      );
      expect(Math.max(...times)).toBeLessThan(PROMISED_MS);
      expect(new Set(answers)).toEqual(new Set([503]));
      // While the table is still locked: nothing waits for it in the server, and all connections are the pool's.
      await eventually(active, (queries) => queries.length === 0, 2);
      await eventually(connections, (count) => count - others <= 10 + SHARED, 2);
    } finally {
      await holder.end();
    }
    expect((await create('after')).status).toBe(200);
    expect(await system.rows("SELECT username FROM accounts WHERE username LIKE 'made-%' ORDER BY 1")).toEqual([
      { username: 'made-after' },
      { username: 'made-before' },
    ]);
  });

  test('that reports an event is answered within 5 s while the table is locked, though others are before it', async () => {
    const holder = await lock('statistics_message_keys');
    const report = async (id: string): Promise<[number, number]> => {
      const begun = Date.now();
      const body = { id, from: `a@${SPACE}`, sent_at: new Date().toISOString(), encrypted: false };
      const { status } = await system.api('/statistics/messages', { method: 'POST', key: admin.key, body });
      return [Date.now() - begun, status];
    };
    const first = report('first');
    await eventually(active, (queries) => queries.length > 0);
    const answers = await Promise.all([first, ...Array.from({ length: 20 }, (_, n) => report(`next-${n}`))]);
    await holder.end();
    expect(Math.max(...answers.map(([ms]) => ms))).toBeLessThan(PROMISED_MS);
    expect(new Set(answers.map(([, status]) => status))).toEqual(new Set([503]));
    await eventually(
      () => report(`after-${Date.now()}`),
      ([, status]) => status === 200,
    );
  });
});

describe('a request that waits for a job', () => {
  let own: System;
  beforeAll(async () => {
    own = await startSystem({ workers: 0, environment: { SMS_TIMEOUT_SECONDS: '4' } });
    await own.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  });
  afterAll(() => own.stop());
  const CODES = 'phone_change_codes';

  /** Asks for a code that no worker will send. @param web of `own` */
  async function ask(web = own.urls[0]): Promise<{ id: number; answer: Promise<[ms: number, status: number]> }> {
    const name = randomUUID();
    const { id, key } = await own.account(name);
    await own.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [name, id]);
    const begun = Date.now();
    const asked = request(`${web}/api/accounts/me/phone/request`, { method: 'POST', key, body: { phone: '+33612345678' } });
    return { id, answer: asked.then(({ status }) => [Date.now() - begun, status]) };
  }
  const jobs = async (): Promise<number> => {
    const redis = new Redis(own.environment['REDIS_URL'] ?? '');
    const added = await redis.xlen(`{${own.environment['QUEUE_PREFIX']}:sms}:sms:events`);
    redis.disconnect();
    return added;
  };

  test('waits so much less as PostgreSQL has taken before', async () => {
    const holder = await lock(CODES, own.environment['DATABASE_URL']);
    const { id, answer } = await ask();
    await new Promise((resolve) => setTimeout(resolve, 1800));
    await holder.end();
    const [ms, status] = await answer;
    expect([status, ms > 3000, ms < PROMISED_MS]).toEqual([503, true, true]);
    expect(await jobs()).toBeGreaterThan(0);
    expect(await own.rows(`SELECT 1 FROM ${CODES} WHERE account_id = $1`, [id])).toEqual([]);
  });

  test('is answered within 5 s where PostgreSQL cannot record that nothing came of it', async () => {
    const { id, answer } = await ask();
    await eventually(
      () => own.rows(`SELECT 1 FROM ${CODES} WHERE account_id = $1`, [id]),
      (rows) => rows.length === 1,
    );
    const holder = await lock(CODES, own.environment['DATABASE_URL']);
    const [ms, status] = await answer;
    await holder.end();
    expect([status, ms > 3000, ms < PROMISED_MS]).toEqual([503, true, true]);
  });

  test('adds none where no time is left for it', async () => {
    await own.startWeb({ SMS_TIMEOUT_SECONDS: '1' });
    const before = await jobs();
    const holder = await lock(CODES, own.environment['DATABASE_URL']);
    const { id, answer } = await ask(own.urls.at(-1));
    await new Promise((resolve) => setTimeout(resolve, 1200));
    await holder.end();
    const [ms, status] = await answer;
    expect([status, ms < PROMISED_MS]).toEqual([503, true]);
    expect(await jobs()).toBe(before);
    expect(await own.rows(`SELECT 1 FROM ${CODES} WHERE account_id = $1`, [id])).toEqual([]);
  });
});

describe('a PostgreSQL that is frozen', () => {
  test('is answered for within 5 s, memory and connections do not grow, and all is well once it goes on', async () => {
    const directory = mkdtempSync(path.join(testServers().directory, 'frozen-'));
    const postgres = await startPostgres(directory, ['fsync=off']);
    await migrate(postgres.url);
    const db = new pg.Pool({ connectionString: postgres.url, max: 2 });
    db.on('error', () => undefined);
    const own = new System(db, {
      ...system.environment,
      DATABASE_URL: postgres.url,
      QUEUE_PREFIX: path.basename(directory),
      DATABASE_POOL_SIZE: '5',
    });
    await own.space(SPACE, { isSuper: true });
    const { key } = await own.account('frozen', { admin: true });
    await own.startWeb();
    const ask = async (): Promise<[number, number]> => {
      const begun = Date.now();
      const { status } = await own.api('/accounts', {
        method: 'POST',
        key,
        body: { username: `frozen-${Math.random()}`, password: 'a password', algorithm: 'SHA-256' },
      });
      return [Date.now() - begun, status];
    };
    expect((await ask())[1]).toBe(200);
    const [{ pid } = { pid: 0 }] = await own.rows<{ pid: number }>(
      "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
    );
    const frozen = treeOf(pid);
    try {
      for (const one of frozen) process.kill(one, 'SIGSTOP');
      for (let round = 0; round < 2; round += 1) {
        const answers = await Promise.all(Array.from({ length: 15 }, ask));
        expect(Math.max(...answers.map(([ms]) => ms))).toBeLessThan(PROMISED_MS);
        expect(new Set(answers.map(([, status]) => status))).toEqual(new Set([503]));
      }
    } finally {
      for (const one of frozen) process.kill(one, 'SIGCONT');
    }
    await eventually(ask, ([, status]) => status === 200, 10);
    const count = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'flexisip-account-api'";
    await eventually(
      () => own.rows(count),
      (rows) => rows.length <= 5 + SHARED,
    );
    await own.stop();
    await postgres.stop();
  });
});
