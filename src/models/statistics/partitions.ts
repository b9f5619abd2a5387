// The months of the raw statistics tables, as partitions. Sequelize knows nothing of partitions: all of this is SQL of our own.
import { DateTime } from 'luxon';
import { QueryTypes, type Sequelize } from 'sequelize';
import { database, execute, select } from '../../infra/sequelize';

/** Parents before their devices: the order in which every statement locks them. */
const PARTITIONED = [
  { table: 'statistics_messages', column: 'sent_at' },
  { table: 'statistics_message_devices', column: 'sent_at' },
  { table: 'statistics_calls', column: 'initiated_at' },
  { table: 'statistics_call_devices', column: 'initiated_at' },
] as const;

/** Events come late, and no worker may run for weeks: one month back, three ahead. */
const MONTH_OFFSETS = [-1, 0, 1, 2, 3];
/** Dropping waits for whoever reads or writes, and holds up who comes after: not for longer than this; the next run tries again. */
const DROP_LOCK_TIMEOUT_MS = 2000;

interface Partition {
  name: string;
  table: string;
  column: string;
  /** ISO 8601: the first moment, and the first one after it. */
  from: string;
  until: string;
}

function partitionsAround(now: Date): Partition[] {
  return MONTH_OFFSETS.flatMap((offset) => {
    const month = DateTime.fromJSDate(now, { zone: 'utc' }).startOf('month').plus({ months: offset }) as DateTime<true>;
    const bounds = { from: month.toISO(), until: month.plus({ months: 1 }).toISO() };
    return PARTITIONED.map((parent) => ({ ...parent, ...bounds, name: `${parent.table}_${month.toFormat('yyyy_MM')}` }));
  });
}

/**
 * Makes the partitions around `now` that are missing. Rows that came before their month was made lie in the default
 * partition; they are moved in the same transaction. Several processes at once do it once.
 *
 * @param connection where: migrations have one of their own
 * @returns the names of the partitions that were made
 */
export async function ensurePartitions(now: Date = new Date(), connection: Sequelize = database): Promise<string[]> {
  const wanted = partitionsAround(now);
  const missing = await connection.query<{ name: string }>('SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL', {
    bind: [wanted.map(({ name }) => name)],
    type: QueryTypes.SELECT,
  });
  const names = new Set(missing.map(({ name }) => name));
  const made: string[] = [];
  for (const partition of wanted) {
    if (!names.has(partition.name)) continue;
    // Statements inside join this transaction, whichever connection it has.
    const isNew = await connection.transaction(() => create(partition));
    if (isNew) made.push(partition.name);
  }
  return made;
}

async function create({ name, table, column, from, until }: Partition): Promise<boolean> {
  await execute(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  const [found] = await select<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [name]);
  if (found?.there === true) return false;
  await execute(`CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
  await execute(
    `WITH moved AS (DELETE FROM ${table}_default WHERE ${column} >= '${from}' AND ${column} < '${until}' RETURNING *)
     INSERT INTO ${name} SELECT * FROM moved`,
  );
  await execute(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${until}')`);
  return true;
}

/** Names of the monthly partitions that end before a moment, the beginning of a month of UTC. */
export async function partitionsBefore(floor: Date): Promise<string[]> {
  const found = await select<{ name: string }>(
    'SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = ANY ($1::regclass[])',
    [PARTITIONED.map(({ table }) => table)],
  );
  return found
    .map(({ name }) => name)
    .filter((name) => {
      const month = /_(\d{4}_\d\d)$/.exec(name)?.[1];
      return month !== undefined && DateTime.fromFormat(month, 'yyyy_MM', { zone: 'utc' }).toJSDate() < floor;
    });
}

/** Whether events from before a moment lie in a default partition: they came when their month was not there, or no longer. */
export async function hasEventsOutsidePartitions(floor: Date): Promise<boolean> {
  const found = await select(
    `SELECT 1 WHERE ${PARTITIONED.map(({ table, column }) => `EXISTS (SELECT 1 FROM ${table}_default WHERE ${column} < $1)`).join(' OR ')}`,
    [floor],
  );
  return found.length > 0;
}

/**
 * Locks all raw tables until the transaction around it ends: nobody reads or writes them meanwhile.
 *
 * @throws an error that isLockTimeout() knows, where somebody else holds one for longer than DROP_LOCK_TIMEOUT_MS
 */
export async function lockRawTables(): Promise<void> {
  await execute(`SET LOCAL lock_timeout = ${DROP_LOCK_TIMEOUT_MS}`);
  for (const { table } of PARTITIONED) await execute(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
}

/** Whether a statement gave up waiting for a lock. */
export const isLockTimeout = (error: unknown): boolean => (error as { original?: { code?: string } }).original?.code === '55P03';

/**
 * Drops partitions, and events from before `floor` that came too late for theirs; for the transaction around it, under lockRawTables().
 *
 * @param names as partitionsBefore() gives them
 */
export async function dropRawEvents(names: readonly string[], floor: Date): Promise<void> {
  for (const name of names) await execute(`DROP TABLE ${name}`);
  for (const { table, column } of PARTITIONED) await execute(`DELETE FROM ${table}_default WHERE ${column} < $1`, [floor]);
}
