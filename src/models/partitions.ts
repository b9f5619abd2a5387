// Tables by month, as partitions. Sequelize knows nothing of partitions: all of this is SQL of our own.
import { setTimeout as sleep } from 'node:timers/promises';
import { DateTime } from 'luxon';
import { QueryTypes, type Sequelize } from 'sequelize';
import { execute, longDatabase, select } from '../infra/sequelize';

/** Tables whose months are made and dropped together. */
export interface Family {
  /** In the order in which every statement locks them. `column`: by which a row belongs to a month. */
  tables: readonly { table: string; column: string }[];
  /** Months that are made before the current one, and after it. */
  back: number;
  ahead: number;
  /** Of their pages; what is left serves updates, which then need no index. */
  fillfactor: number;
}

/** Raw statistics; parents before their devices. Events come late, and no worker may run for a year. */
export const STATISTICS: Family = {
  tables: [
    { table: 'statistics_messages', column: 'sent_at' },
    { table: 'statistics_message_devices', column: 'sent_at' },
    { table: 'statistics_calls', column: 'initiated_at' },
    { table: 'statistics_call_devices', column: 'initiated_at' },
  ],
  back: 1,
  ahead: 12,
  fillfactor: 100,
};

/** The ledger of sends: each row is updated once. */
export const SENDS: Family = { tables: [{ table: 'sends', column: 'created_at' }], back: 1, ahead: 2, fillfactor: 80 };

/** Rows of a month before those, such as an import brings, from which on it is made, too: fewer are no burden where they are. */
const MIN_ROWS_OF_MONTH = 1000;
/** Clocks that were never set send events from before: they make no months. */
const FIRST_MONTH = '2000-01-01T00:00:00Z';

/** Whoever waits for a lock holds up all who come after, and Flexisip sends nothing a second time: not for longer than this. */
const LOCK_TIMEOUT_MS = 100;
const TRIES = 5;
const RETRY_INTERVAL_MS = 500;
/** What PostgreSQL reads through of a default partition while nobody else may use it: of this much some tens of milliseconds. */
const MAX_DEFAULT_BYTES = 16 * 1024 * 1024;
/** Id of the transaction-level advisory lock: one process makes months. */
const MONTHS_LOCK_ID = 7_060_503;
const MAX_ROWS_PER_STATEMENT = 10_000;

interface Partition {
  name: string;
  table: string;
  column: string;
  /** ISO 8601: the first moment, and the first one after it. */
  from: string;
  until: string;
  fillfactor: number;
}

const monthOf = (moment: Date): DateTime<true> => DateTime.fromJSDate(moment, { zone: 'utc' }).startOf('month') as DateTime<true>;

function partitionsOf({ tables, fillfactor }: Family, month: DateTime<true>): Partition[] {
  const bounds = { from: month.toISO(), until: month.plus({ months: 1 }).toISO(), fillfactor };
  return tables.map((parent) => ({ ...parent, ...bounds, name: `${parent.table}_${month.toFormat('yyyy_MM')}` }));
}

/** Months before `until` of which a default partition has many rows. */
async function crowdedMonths({ tables }: Family, until: DateTime<true>): Promise<DateTime<true>[]> {
  const found = await select<{ month: Date }>(
    tables
      .map(
        ({ table, column }) =>
          `SELECT date_trunc('month', ${column}, 'UTC') AS month FROM ${table}_default WHERE ${column} >= $1 AND ${column} < $2
          GROUP BY 1 HAVING count(*) >= $3`,
      )
      .join(' UNION '),
    [FIRST_MONTH, until.toISO(), MIN_ROWS_OF_MONTH],
  );
  return found.map(({ month }) => monthOf(month));
}

/**
 * Does `work` in a transaction, again and again for some seconds while somebody else holds a lock that it needs. It waits for none of them longer than
 * LOCK_TIMEOUT_MS at a time, so that nobody who comes after is held up for longer.
 *
 * @returns undefined where it was of no avail
 */
async function whenFree<T>(connection: Sequelize, work: () => Promise<T>): Promise<T | undefined> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    try {
      return await connection.transaction(async () => {
        await execute(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
        return work();
      });
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (tries < TRIES) await sleep(RETRY_INTERVAL_MS);
    }
  }
  return undefined;
}

/** Default partitions that are too large to be read through under a lock. What was deleted of them counts until it is vacuumed: so they are first. */
async function largeDefaults({ tables }: Family, connection: Sequelize): Promise<Set<string>> {
  const isLarge = async (table: string): Promise<boolean> =>
    (
      await connection.query('SELECT 1 WHERE pg_relation_size($1::regclass) > $2', {
        bind: [`${table}_default`, MAX_DEFAULT_BYTES],
        type: QueryTypes.SELECT,
      })
    ).length > 0;
  const large = new Set<string>();
  for (const { table } of tables) {
    if (!(await isLarge(table))) continue;
    await connection.query(`VACUUM ${table}_default`);
    if (await isLarge(table)) large.add(table);
  }
  return large;
}

/** Whether a family's tables are divided, which they are from one migration on. */
export const isDivided = async ({ tables }: Family, connection: Sequelize): Promise<boolean> =>
  (
    await connection.query('SELECT 1 FROM pg_partitioned_table WHERE partrelid = ANY (SELECT to_regclass(t) FROM unnest($1::text[]) t)', {
      bind: [tables.map(({ table }) => table)],
      type: QueryTypes.SELECT,
    })
  ).length === tables.length;

/** What ensurePartitions() did. */
export interface MadePartitions {
  /** Names of those that were made. */
  made: string[];
  /** Names of those that could not be made now: somebody else holds a table, or its default partition is too large. */
  left: string[];
}

/**
 * Makes the partitions around `now` that are missing, and those of earlier months of which the default partition has many rows: what came before its
 * month was made lies there, and is moved. Nobody waits for it longer than a moment, whatever else goes on: it gives way, and the next run goes on.
 * Several processes at once do it once.
 *
 * @param family whose months
 * @param connection where: migrations have one of their own
 * @param since make all months from this one on, however large the default partition is: nobody reads or writes the tables while it is read through
 */
export async function ensurePartitions(
  family: Family,
  now: Date = new Date(),
  connection: Sequelize = longDatabase(),
  since?: Date,
): Promise<MadePartitions> {
  const first = monthOf(now).minus({ months: family.back });
  const large = since === undefined ? await largeDefaults(family, connection) : new Set<string>();
  const months = new Map<string, DateTime<true>>();
  if (large.size === 0)
    for (const month of await connection.transaction(() => crowdedMonths(family, first))) months.set(month.toISO(), month);
  const begin = since === undefined ? first : DateTime.min(first, monthOf(since));
  for (let month = begin; month <= monthOf(now).plus({ months: family.ahead }); month = month.plus({ months: 1 }))
    months.set(month.toISO(), month);
  const wanted = [...months.values()].flatMap((month) => partitionsOf(family, month));
  const missing = await connection.query<{ name: string }>('SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL', {
    bind: [wanted.map(({ name }) => name)],
    type: QueryTypes.SELECT,
  });
  const names = new Set(missing.map(({ name }) => name));
  const result: MadePartitions = { made: [], left: [] };
  for (const partition of wanted) {
    if (!names.has(partition.name)) continue;
    // Statements inside join this transaction, whichever connection it has.
    const isNew = large.has(partition.table) ? undefined : await whenFree(connection, () => create(partition));
    if (isNew === undefined) result.left.push(partition.name);
    else if (isNew) result.made.push(partition.name);
  }
  return result;
}

/**
 * Makes a partition with what the default partition has of it. Those who write to other months are never held up: ATTACH takes a lock on the parent
 * that suits theirs, and one on the default partition that suits nobody's, which is why it comes last, and is waited for so briefly.
 */
async function create({ name, table, column, from, until, fillfactor }: Partition): Promise<boolean> {
  await execute(`SELECT pg_advisory_xact_lock(${MONTHS_LOCK_ID})`);
  // Read from the table: to_regclass() may still know that there was none, from before the lock was there.
  const found = await select(
    'SELECT 1 FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = $1::regclass AND relname = $2',
    [table, name],
  );
  if (found.length > 0) return false;
  // With its indexes: ATTACH would build them while it has the lock.
  await execute(
    `CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES) WITH (fillfactor = ${fillfactor})`,
  );
  const move = (): Promise<number> =>
    execute(
      `WITH moved AS (DELETE FROM ${table}_default WHERE ${column} >= '${from}' AND ${column} < '${until}' RETURNING *)
       INSERT INTO ${name} SELECT * FROM moved`,
    );
  await move();
  await execute(`LOCK TABLE ${table}_default IN ACCESS EXCLUSIVE MODE`);
  // What came in the meantime.
  await move();
  await execute(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${until}')`);
  return true;
}

/** Names of the monthly partitions of a family that end before a moment, the beginning of a month of UTC. */
export async function partitionsBefore({ tables }: Family, floor: Date): Promise<string[]> {
  const found = await select<{ name: string }>(
    'SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = ANY ($1::regclass[])',
    [tables.map(({ table }) => table)],
  );
  return found
    .map(({ name }) => name)
    .filter((name) => {
      const month = /_(\d{4}_\d\d)$/.exec(name)?.[1];
      return month !== undefined && DateTime.fromFormat(month, 'yyyy_MM', { zone: 'utc' }).toJSDate() < floor;
    });
}

/** Whether rows from before a moment lie in a default partition: they came when their month was not there, or no longer. */
export async function hasRowsOutsidePartitions({ tables }: Family, floor: Date): Promise<boolean> {
  const found = await select(
    `SELECT 1 WHERE ${tables.map(({ table, column }) => `EXISTS (SELECT 1 FROM ${table}_default WHERE ${column} < $1)`).join(' OR ')}`,
    [floor],
  );
  return found.length > 0;
}

/**
 * Does `work` in a transaction in which nobody else reads or writes the tables; it should take milliseconds. One who comes meanwhile waits.
 *
 * @returns undefined where somebody else held a table each time that it was tried
 */
export function withTablesLocked<T>({ tables }: Family, work: () => Promise<T>): Promise<T | undefined> {
  return whenFree(longDatabase(), async () => {
    await execute(`LOCK TABLE ${tables.map(({ table }) => table).join(', ')} IN ACCESS EXCLUSIVE MODE`);
    return work();
  });
}

/** Whether a statement gave up waiting for a lock. */
const isLockTimeout = (error: unknown): boolean => (error as { original?: { code?: string } }).original?.code === '55P03';

/** Drops the monthly partitions that end before a moment; inside withTablesLocked(). @returns their names */
export async function dropPartitionsBefore(family: Family, floor: Date): Promise<string[]> {
  // Asked for again: somebody else may have dropped them meanwhile.
  const names = await partitionsBefore(family, floor);
  for (const name of names) await execute(`DROP TABLE ${name}`);
  return names;
}

/** Deletes some of the rows from before `floor` that lie in a default partition. @returns how many; 0 once there are none */
export async function deleteSomeOutsidePartitions({ tables }: Family, floor: Date): Promise<number> {
  let deleted = 0;
  for (const { table, column } of tables)
    deleted += await execute(
      `DELETE FROM ${table}_default WHERE ctid = ANY (ARRAY (SELECT ctid FROM ${table}_default WHERE ${column} < $1 LIMIT ${MAX_ROWS_PER_STATEMENT}))`,
      [floor],
    );
  return deleted;
}
