// Migrations beside a program that runs: they give way to whoever writes, and a build of an index that was ended is taken up again.
import pg from 'pg';
import type { Sequelize } from 'sequelize';
import { openDatabase } from '../src/infra/sequelize';
import { migrate } from '../src/migrations';
import { apply } from '../src/migrations/apply';
import { createIndexConcurrently } from '../src/migrations/indexes';
import { eventually, startSystem, type System } from './helpers/system';

let system: System;
let database: Sequelize;
let others: pg.Client[] = [];

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  database = openDatabase({ url: system.environment['DATABASE_URL'] ?? '', poolSize: 2 });
});
afterEach(async () => {
  for (const client of others) await client.end();
  others = [];
});
afterAll(async () => {
  await database.close();
  await system.stop();
});

async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: system.environment['DATABASE_URL'] });
  await client.connect();
  others.push(client);
  return client;
}
const isApplied = async (name: string): Promise<boolean> =>
  (await system.rows('SELECT 1 FROM migrations WHERE name = $1', [name])).length === 1;
const index = async (name: string): Promise<unknown> =>
  (await system.rows('SELECT indisvalid AS valid, indisunique AS is_unique FROM pg_index WHERE indexrelid = to_regclass($1)', [name]))[0];
/** What it costs a writer who comes now. */
async function writeTakes(): Promise<number> {
  const begun = Date.now();
  await system.rows("INSERT INTO statistics_dirty_buckets (kind, hour, domain) VALUES ('messages', now(), 'x.org')");
  return Date.now() - begun;
}

test('behind a long reader a migration lets writers pass, and is applied once the reader is through', async () => {
  const reader = await session();
  await reader.query('BEGIN; SELECT 1 FROM statistics_dirty_buckets LIMIT 1');
  let runs = 0;
  const applied = apply(database, '9001-waits', {
    up: async (connection) => {
      runs += 1;
      await connection.query('ALTER TABLE statistics_dirty_buckets ADD COLUMN tried integer');
    },
  });
  await eventually(
    () => Promise.resolve(runs),
    (count) => count >= 2,
  );
  // One that waited without a limit would hold this up for as long as the reader lives.
  const held = [await writeTakes(), await writeTakes(), await writeTakes()];
  expect(Math.max(...held)).toBeLessThan(2000);
  expect(await isApplied('9001-waits')).toBe(false);
  await reader.query('COMMIT');
  await applied;
  expect(await isApplied('9001-waits')).toBe(true);
});

test('what fails in it leaves neither a part of the migration nor its record', async () => {
  const failing = apply(database, '9002-fails', {
    up: async (connection) => {
      await connection.query('CREATE TABLE half (n integer)');
      await connection.query('SELECT 1 / 0');
    },
  });
  await expect(failing).rejects.toThrow('division by zero');
  expect([await isApplied('9002-fails'), (await system.rows("SELECT to_regclass('half') AS half"))[0]]).toEqual([false, { half: null }]);
});

describe('an index that is built while others write', () => {
  const dirty = { name: 'dirty_hour_idx', table: 'statistics_dirty_buckets', on: '(hour)' };

  test('holds up nobody, though somebody reads and writes for long', async () => {
    const writer = await session();
    await writer.query("BEGIN; INSERT INTO statistics_dirty_buckets (kind, hour, domain) VALUES ('calls', now(), 'x.org')");
    const built = apply(database, '9003-index', { up: (connection) => createIndexConcurrently(connection, dirty), transaction: false });
    await eventually(
      () => system.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"),
      (rows) => rows.length > 0,
    );
    expect(await writeTakes()).toBeLessThan(1000);
    expect(await isApplied('9003-index')).toBe(false);
    await writer.query('COMMIT');
    await built;
    expect([await isApplied('9003-index'), await index(dirty.name)]).toEqual([true, { valid: true, is_unique: false }]);
    // Once more: there is nothing left to do.
    await createIndexConcurrently(database, dirty);
  });

  test('is built anew where a build was ended', async () => {
    const name = 'dirty_ended_idx';
    const writer = await session();
    await writer.query("BEGIN; INSERT INTO statistics_dirty_buckets (kind, hour, domain) VALUES ('calls', now(), 'x.org')");
    const killed = createIndexConcurrently(database, { ...dirty, name }).catch((error: unknown) => error);
    await eventually(
      () => system.rows(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%${name}%' AND wait_event_type = 'Lock'`),
      (rows) => rows.length > 0,
    );
    expect(await killed).toBeInstanceOf(Error);
    await writer.query('COMMIT');
    expect(await index(name)).toEqual({ valid: false, is_unique: false });
    await createIndexConcurrently(database, { ...dirty, name });
    expect(await index(name)).toEqual({ valid: true, is_unique: false });
  });

  test('of a partitioned table it is built partition by partition, also where some have theirs', async () => {
    const parts = { name: 'statistics_calls_ended_idx', table: 'statistics_calls', on: '(ended_at)' };
    await system.rows('CREATE INDEX statistics_calls_default_ended_idx ON statistics_calls_default (ended_at)');
    const writer = await session();
    await writer.query('BEGIN; LOCK TABLE statistics_call_devices IN ROW EXCLUSIVE MODE');
    await createIndexConcurrently(database, parts);
    await createIndexConcurrently(database, parts);
    expect(await index(parts.name)).toEqual({ valid: true, is_unique: false });
    const [counted] = await system.rows(
      `SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = 'statistics_calls'::regclass) =
              (SELECT count(*) FROM pg_inherits WHERE inhparent = 'statistics_calls_ended_idx'::regclass) AS whole`,
    );
    expect(counted).toEqual({ whole: true });
  });
});

test('a limit of the server on idle transactions does not end the lock of migrations', async () => {
  const [{ name } = { name: '' }] = await system.rows<{ name: string }>('SELECT current_database() AS name');
  await system.rows(`ALTER DATABASE ${name} SET idle_in_transaction_session_timeout = 50`);
  const locker = await session();
  await locker.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE migrations');
  const migrating = migrate(system.environment['DATABASE_URL'] ?? '');
  await eventually(
    () =>
      system.rows(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%migrations%'",
      ),
    (rows) => rows.length > 0,
  );
  await expect(Promise.race([migrating, new Promise((resolve) => setTimeout(resolve, 300, 'goes on'))])).resolves.toBe('goes on');
  await locker.query('COMMIT');
  expect(await migrating).toEqual([]);
  await system.rows(`ALTER DATABASE ${name} RESET idle_in_transaction_session_timeout`);
});
