// The months of the raw statistics tables.
import { DateTime } from 'luxon';
import { QueryTypes, type Sequelize } from 'sequelize';
import { aggregate, lockRollups } from './rollups';

/** Parents before their devices: the order in which every statement locks them. */
const PARTITIONED = [
  { table: 'statistics_messages', column: 'sent_at' },
  { table: 'statistics_message_devices', column: 'sent_at' },
  { table: 'statistics_calls', column: 'initiated_at' },
  { table: 'statistics_call_devices', column: 'initiated_at' },
] as const;

/** Events come late, and a process may be away for weeks: one month back, three ahead. */
const MONTHS = [-1, 0, 1, 2, 3];

/**
 * Makes the partitions around `now` that are missing. Rows that came before their month was made lie in the default
 * partition; they are moved in the same transaction. Several processes at once do it once.
 *
 * @returns the names of the partitions that were made
 */
export async function ensurePartitions(database: Sequelize, now: Date = new Date()): Promise<string[]> {
  const made: string[] = [];
  for (const offset of MONTHS) {
    const from = DateTime.fromJSDate(now, { zone: 'utc' }).startOf('month').plus({ months: offset });
    const until = from.plus({ months: 1 });
    for (const { table, column } of PARTITIONED) {
      const name = `${table}_${from.toFormat('yyyy_MM')}`;
      if (await exists(database, name)) continue;
      const bounds = [from.toISO(), until.toISO()] as const;
      await database.transaction(async (transaction) => {
        const run = (sql: string): Promise<unknown> => database.query(sql, { transaction });
        await run(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
        if (await exists(database, name)) return;
        await run(`CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
        await run(
          `WITH moved AS (DELETE FROM ${table}_default WHERE ${column} >= '${bounds[0]}' AND ${column} < '${bounds[1]}' RETURNING *)
           INSERT INTO ${name} SELECT * FROM moved`,
        );
        await run(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM ('${bounds[0]}') TO ('${bounds[1]}')`);
        made.push(name);
      });
    }
  }
  return made;
}

async function exists(database: Sequelize, name: string): Promise<boolean> {
  const [found] = (await database.query('SELECT to_regclass($1) IS NOT NULL AS there', { bind: [name] })) as [
    { there: boolean }[],
    unknown,
  ];
  return found[0]?.there === true;
}

const KEYS = [
  { table: 'statistics_message_keys', column: 'sent_at' },
  { table: 'statistics_call_keys', column: 'initiated_at' },
] as const;
const KEYS_AT_ONCE = 10_000;
/** Dropping waits for whoever reads or writes, and holds up who comes after: not for longer than this; the next run tries again. */
const LOCK_TIMEOUT = '2s';

/** Names of the monthly partitions that end before a moment. */
async function partitionsBefore(database: Sequelize, floor: DateTime): Promise<string[]> {
  const found = await database.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = ANY ($1::regclass[])`,
    { bind: [PARTITIONED.map(({ table }) => table)], type: QueryTypes.SELECT },
  );
  return found
    .map(({ name }) => name)
    .filter((name) => {
      const month = /_(\d{4}_\d\d)$/.exec(name)?.[1];
      return month !== undefined && DateTime.fromFormat(month, 'yyyy_MM', { zone: 'utc' }) < floor;
    });
}

/**
 * Drops raw events of months before the `months` last ones and the current one. What they were counted to is kept: hours that wait to be
 * counted are counted first, and later marks of dropped hours are passed over (services/rollups.ts).
 *
 * @returns the names of the partitions that were dropped
 */
export async function dropPartitions(database: Sequelize, months: number, now: Date = new Date()): Promise<string[]> {
  const floor = DateTime.fromJSDate(now, { zone: 'utc' }).startOf('month').minus({ months });
  const names = await partitionsBefore(database, floor);
  const late = await database.query(
    `SELECT 1 WHERE ${PARTITIONED.map(({ table, column }) => `EXISTS (SELECT 1 FROM ${table}_default WHERE ${column} < $1)`).join(' OR ')}`,
    { bind: [floor.toJSDate()], type: QueryTypes.SELECT },
  );
  const dropped = names.length > 0 || late.length > 0 ? await drop(database, names, floor) : [];
  for (const { table, column } of KEYS) {
    const sql = `DELETE FROM ${table} WHERE id IN (
      SELECT id FROM ${table} WHERE ${column} < $1 AND ${column} < (SELECT raw_since FROM statistics_retention) LIMIT ${KEYS_AT_ONCE}) RETURNING 1`;
    while ((await database.query(sql, { bind: [floor.toJSDate()], type: QueryTypes.SELECT })).length > 0);
  }
  return dropped;
}

const isLockTimeout = (error: unknown): boolean => (error as { original?: { code?: string } }).original?.code === '55P03';

/** Drops partitions and late rows in one transaction; nothing where somebody else is at it, holds a table, or waits to be counted. */
async function drop(database: Sequelize, names: string[], floor: DateTime): Promise<string[]> {
  await aggregate(database);
  const dropping = database.transaction(async (transaction) => {
    const run = (sql: string, bind: unknown[] = []): Promise<unknown> => database.query(sql, { bind, transaction });
    if (!(await lockRollups(database, transaction))) return [];
    await run(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
    for (const { table } of PARTITIONED) await run(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    // Nobody writes now: what has come since the aggregation above would be lost uncounted.
    const waiting = await database.query('SELECT 1 FROM statistics_dirty_buckets WHERE hour < $1 LIMIT 1', {
      bind: [floor.toJSDate()],
      type: QueryTypes.SELECT,
      transaction,
    });
    if (waiting.length > 0) return [];
    await run(
      `INSERT INTO statistics_retention (id, raw_since) VALUES (1, $1)
       ON CONFLICT (id) DO UPDATE SET raw_since = greatest(statistics_retention.raw_since, excluded.raw_since)`,
      [floor.toJSDate()],
    );
    for (const name of names) await run(`DROP TABLE ${name}`);
    // What came too late for its month.
    for (const { table, column } of PARTITIONED) await run(`DELETE FROM ${table}_default WHERE ${column} < $1`, [floor.toJSDate()]);
    return names;
  });
  return dropping.catch((error: unknown) => {
    if (isLockTimeout(error)) return [];
    throw error;
  });
}
