// What PostgreSQL's errors mean: a conflict that was lost is tried once more, a time limit is a database that did not answer in time.
import { loadModels, type Models } from '../helpers/models';
import { startSystem, type System } from '../helpers/system';

let system: System;
let database: Models['database'];
let close: Models['close'];
let query: (sql: string) => Promise<unknown>;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  const loaded = await loadModels(system);
  ({ database, close } = loaded);
  query = (sql) => loaded.models.Space.sequelize?.query(sql) ?? Promise.reject(new Error('no connection'));
  // A sequence counts tries: it is not rolled back.
  await system.rows(`
    CREATE SEQUENCE tries;
    CREATE TABLE kept (n integer);
    CREATE FUNCTION lose(code text, times integer) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('tries') <= times THEN RAISE EXCEPTION 'lost' USING ERRCODE = code; END IF;
      INSERT INTO kept VALUES (1);
    END $$;
    CREATE FUNCTION lose_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM nextval('tries');
      RAISE EXCEPTION 'lost' USING ERRCODE = '40001';
    END $$;
    CREATE TABLE late (n integer);
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lose_at_commit();
  `);
});
afterAll(async () => {
  await close();
  await system.stop();
});
beforeEach(async () => {
  await system.rows("TRUNCATE kept; SELECT setval('tries', 1, false)");
});
const tries = async (): Promise<number> =>
  (await system.rows<{ n: number }>('SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS n FROM tries'))[0]?.n ?? -1;
const kept = async (): Promise<number> => (await system.rows<{ n: number }>('SELECT count(*)::int AS n FROM kept'))[0]?.n ?? -1;

test.each(['40P01', '40001'])('%s: a statement that stands alone is tried once more', async (code) => {
  await query(`SELECT lose('${code}', 1)`);
  expect([await tries(), await kept()]).toEqual([2, 1]);
});

test.each(['40P01', '40001'])('%s: a transaction is tried once more as a whole, never a part of it', async (code) => {
  let runs = 0;
  await database.inTransaction(async () => {
    runs += 1;
    await query('INSERT INTO kept VALUES (2)');
    await database.inTransaction(() => query(`SELECT lose('${code}', 1)`));
  });
  expect([runs, await tries(), await kept()]).toEqual([2, 2, 2]);
});

test('a conflict that is lost twice is the caller’s: the database did not answer', async () => {
  let runs = 0;
  const lost = database.inTransaction(async () => {
    runs += 1;
    await query("SELECT lose('40P01', 9)");
  });
  const error = await lost.catch((thrown: unknown) => thrown);
  expect([runs, await tries(), database.isDatabaseUnavailable(error)]).toEqual([2, 2, true]);
  await expect(query("SELECT lose('40P01', 9)")).rejects.toThrow('lost');
  expect(await tries()).toBe(4);
});

test('a conflict that is lost at the commit: the whole again, and no success where there was none', async () => {
  await expect(database.inTransaction(() => query('INSERT INTO late VALUES (1)'))).rejects.toThrow('lost');
  expect([await tries(), (await system.rows('SELECT 1 FROM late')).length]).toEqual([2, 0]);
});

test('any other error is not tried again', async () => {
  await expect(database.inTransaction(() => query("SELECT lose('23505', 1)"))).rejects.toThrow('lost');
  expect(await tries()).toBe(1);
});

test.each([
  ['57014', true],
  ['55P03', true],
  ['25P03', true],
  ['25P04', true],
  ['53300', true],
  ['57P01', true],
  ['57P03', true],
  ['08006', true],
  ['25006', true],
  ['23505', false],
  ['22P02', false],
  ['42P01', false],
])('SQLSTATE %s: the database did not answer in time: %s', async (code, unavailable) => {
  const error = await query(`SELECT lose('${code}', 9)`).catch((thrown: unknown) => thrown);
  expect(database.isDatabaseUnavailable(error)).toBe(unavailable);
});
