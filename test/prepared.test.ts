// Prepared statements: named where a session is our own, never where a pooler does not keep them, and done anew where they are out of date.
import { startPgBouncer, startRelay, type Pooler } from './helpers/pooler';
import { StatementCounter } from './helpers/statements';
import { startSystem, type System } from './helpers/system';

type Sequelize = typeof import('../src/infra/sequelize');
type Database = typeof import('../src/infra/database');
interface Program extends Sequelize {
  inTransaction: Database['inTransaction'];
}

let system: System;
let url: string;
let pooler: Pooler;
let bouncer: Pooler | undefined;
let program: Program | undefined;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  url = system.environment['DATABASE_URL'] ?? '';
  pooler = await startRelay(url);
  bouncer = await startPgBouncer(url);
});
beforeEach(() => system.rows('DROP TABLE IF EXISTS changing; CREATE TABLE changing (a integer NOT NULL); INSERT INTO changing VALUES (1)'));
afterEach(async () => {
  await program?.closeDatabase();
  program = undefined;
});
afterAll(async () => {
  await pooler.stop();
  await bouncer?.stop();
  await system.stop();
});

/** The program's own way to a database, with settings of its own. */
async function load(to: string, settings: Record<string, string> = {}): Promise<Program> {
  const prepared = { DATABASE_PREPARED_STATEMENTS: 'auto', ...settings };
  Object.assign(process.env, system.environment, { DATABASE_URL: to, DATABASE_POOL_SIZE: '1', ...prepared });
  jest.resetModules();
  const [sequelize, { inTransaction }] = [await import('../src/infra/sequelize.js'), await import('../src/infra/database.js')];
  program = { ...sequelize, inTransaction };
  return program;
}
const FIND = 'SELECT * FROM changing WHERE a > $1';
const ADD = 'UPDATE changing SET a = a + $1';

test.each([
  ['auto', 'PostgreSQL itself', () => url, 1],
  ['off', 'PostgreSQL itself', () => url, 0],
  ['auto', 'a pooler', () => pooler.url, 0],
  ['on', 'a pooler that keeps them', () => pooler.url, 1],
])('%s: in front of %s', async (setting, _name, urlOf, named) => {
  const counter = await StatementCounter.start(urlOf());
  const { select, execute } = await load(counter.url, { DATABASE_PREPARED_STATEMENTS: setting });
  for (let n = 0; n < 3; n += 1) expect(await select(FIND, [0])).toEqual([{ a: 1 }]);
  expect(counter.prepared.filter(({ sql }) => sql === FIND).map(({ name }) => name !== '')).toEqual(named ? [true] : [false, false, false]);
  // How many rows are wanted decides about the plan.
  await select('SELECT 1 AS one LIMIT $1', [1]);
  expect(counter.prepared.find(({ sql }) => sql.includes('LIMIT'))?.name).toBe('');
  // Errors and rows are the statement's, whether it was prepared or not.
  for (let n = 0; n < 2; n += 1) await expect(select('SELECT 1 / $1::integer', [0])).rejects.toMatchObject({ original: { code: '22012' } });
  for (let n = 0; n < 2; n += 1)
    await expect(select('SELECT * FROM nowhere WHERE a = $1', [1])).rejects.toMatchObject({ original: { code: '42P01' } });
  expect(await execute(ADD, [1])).toBe(1);
  expect(await select(FIND, [0])).toEqual([{ a: 2 }]);
  await program?.closeDatabase();
  program = undefined;
  await counter.stop();
});

describe.each([
  ['auto', 'PostgreSQL itself', () => url],
  ['on', 'a pooler that is one connection', () => pooler.url],
  ['on', 'PgBouncer in transaction mode', () => bouncer?.url],
  ['auto', 'PgBouncer in transaction mode', () => bouncer?.url],
])('%s, %s', (setting, _name, urlOf) => {
  test('a result that a migration has changed is the new one, in a transaction, too, where nothing is done twice', async () => {
    const to = urlOf();
    if (to === undefined) return;
    const { select, execute, inTransaction } = await load(to, { DATABASE_PREPARED_STATEMENTS: setting });
    for (let n = 0; n < 2; n += 1) expect(await select(FIND, [0])).toEqual([{ a: 1 }]);
    await system.rows('ALTER TABLE changing ADD COLUMN b integer');
    expect(await select(FIND, [0])).toEqual([{ a: 1, b: null }]);
    for (let n = 0; n < 2; n += 1) expect(await select(FIND, [0])).toEqual([{ a: 1, b: null }]);
    await system.rows('ALTER TABLE changing DROP COLUMN b');
    const found = await inTransaction(async () => {
      await execute(ADD, [1]);
      return select(FIND, [0]);
    });
    expect(found).toEqual([{ a: 2 }]);
    expect(await system.rows('SELECT a FROM changing')).toEqual([{ a: 2 }]);
  });

  test('statements that a session has lost are done nevertheless, by a session that has its limits', async () => {
    const to = urlOf();
    if (to === undefined) return;
    const { select, execute, inTransaction } = await load(to, { DATABASE_PREPARED_STATEMENTS: setting });
    for (const lose of ['DISCARD ALL', 'DEALLOCATE ALL']) {
      await select(FIND, [0]);
      await execute(lose).catch(() => undefined);
      expect((await select(FIND, [0])).length).toBe(1);
      await select(FIND, [0]);
      await execute(lose).catch(() => undefined);
      await inTransaction(async () => {
        await select(FIND, [0]);
        expect(await execute(ADD, [1])).toBe(1);
      });
      expect(await select("SELECT current_setting('statement_timeout') AS limit WHERE $1", [true])).toEqual([{ limit: '3900ms' }]);
    }
    expect(await system.rows('SELECT a FROM changing')).toEqual([{ a: 3 }]);
  });

  test('many at once have their own rows', async () => {
    const to = urlOf();
    if (to === undefined) return;
    const { select } = await load(to, { DATABASE_PREPARED_STATEMENTS: setting, DATABASE_POOL_SIZE: '8' });
    const rows = await Promise.all(
      Array.from({ length: 200 }, (_, n) => select(`SELECT $1::integer AS n, ${n % 7} AS kind`, [n]).then(([row]) => row)),
    );
    expect(rows).toEqual(rows.map((_, n) => ({ n, kind: n % 7 })));
  });
});

test('texts that are made at run time do not fill a session', async () => {
  const counter = await StatementCounter.start(url);
  const { select } = await load(counter.url);
  for (let n = 0; n < 320; n += 1) await select(`SELECT ${n} AS n WHERE $1`, [true]);
  expect(counter.prepared.filter(({ name }) => name !== '').length).toBeLessThanOrEqual(300);
  expect(await select('SELECT 5 AS n WHERE $1', [true])).toEqual([{ n: 5 }]);
  await program?.closeDatabase();
  program = undefined;
  await counter.stop();
});

test('a statement that outlives its transaction is not done', async () => {
  const { select, inTransaction } = await load(url);
  const late: Promise<unknown>[] = [];
  await inTransaction(async () => {
    await select(FIND, [0]);
    late.push(new Promise((resolve) => setTimeout(resolve, 100)).then(() => select(FIND, [0])));
  });
  await expect(Promise.all(late)).rejects.toThrow('goes on after it');
});
