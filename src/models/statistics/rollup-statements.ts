// What the statements that write and read hourly rollups have in common, and the lock under which they are written.
import { execute, select, selectFromReplica } from '../../infra/sequelize';
import { ALL_DOMAINS } from './batch';
import { sumBins } from './bins';
import type { Bucket } from './dirty-bucket';

/** `from`: what accounts of the domain sent or whom they called; `to`: what they were sent, or who called them. */
export type RollupDirection = 'from' | 'to';

/** Id of the transaction-level advisory lock: one aggregation, or one drop of old months, at a time, in whatever worker. */
export const ROLLUP_LOCK_ID = 7_060_502;

/**
 * Takes the lock of rollups until the transaction around it ends.
 *
 * @returns false where another worker has it
 */
export async function tryLockRollups(): Promise<boolean> {
  const [lock] = await select<{ got: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS got', [ROLLUP_LOCK_ID]);
  return lock?.got === true;
}

/** For the transaction around it: no just-in-time compilation, since compiling sums of sixty bins takes longer than doing them. */
export async function disableJit(): Promise<void> {
  await execute('SET LOCAL jit = off');
}

/** SQL: the relation `buckets` (hour, domain, since), of the arrays $1 and $2; an hour in which a Space was deleted begins at that moment. */
export const BUCKETS = `buckets AS (
  SELECT b.hour, b.domain, greatest(b.hour, f.since) AS since
    FROM unnest($1::timestamptz[], $2::text[]) AS b (hour, domain) LEFT JOIN statistics_floors f ON f.domain = b.domain)`;
/** SQL: whether the moment in `column` lies in the hour of the bucket `b`. */
export const inBucket = (column: string): string => `${column} >= b.since AND ${column} < b.hour + interval '1 hour'`;

/** Columns of a rollup that are added up: plain numbers, and arrays with a number for each bin. */
export interface SummedColumns<Sums> {
  counts: readonly (keyof Sums & string)[];
  bins: readonly (keyof Sums & string)[];
}

/** Statements for the hours $1 of all domains together: the sum of what each domain sent, since everything has one sender. */
export function totalsOf<Sums>(table: string, { counts, bins }: SummedColumns<Sums>): string[] {
  const columns = [...counts, ...bins];
  const sums = [...counts.map((column) => `sum(${column})`), ...bins.map(sumBins)];
  return [
    `DELETE FROM ${table} WHERE domain = '${ALL_DOMAINS}' AND hour = ANY ($1::timestamptz[])`,
    `INSERT INTO ${table} (domain, direction, hour, ${columns.join(', ')})
     SELECT '${ALL_DOMAINS}', 'from', hour, ${sums.join(', ')} FROM ${table}
      WHERE hour = ANY ($1::timestamptz[]) AND direction = 'from' AND domain <> '${ALL_DOMAINS}' GROUP BY hour`,
  ];
}

/** Counts buckets by `statement`, then the totals of their hours; for the transaction around it. */
export async function recount(buckets: readonly Bucket[], statement: string, totals: readonly string[]): Promise<void> {
  const hours = buckets.map(({ hour }) => hour);
  await execute(statement, [hours, buckets.map(({ domain }) => domain)]);
  for (const total of totals) await execute(total, [hours]);
}

/** Which rollups are summed: those of a domain from the first of `starts` until `end`, by the periods that begin at `starts`. */
export interface PeriodQuery {
  /** In lower case; ALL_DOMAINS for all together, which have the direction `from` alone. */
  domain: string;
  direction: RollupDirection;
  /** In ascending order. */
  starts: readonly Date[];
  /** Exclusive. */
  end: Date;
}
/** `period`: the place, from 1, in the query's `starts`. */
export type PeriodSums<Sums> = Sums & { period: number };

/**
 * The sums of each period that has rollups, read from the replica. One statement for all periods: PostgreSQL sorts the hours into them, so
 * that a year by day costs one scan of an index.
 */
export async function sumByPeriod<Sums>(
  table: string,
  { counts, bins }: SummedColumns<Sums>,
  { domain, direction, starts, end }: PeriodQuery,
): Promise<PeriodSums<Sums>[]> {
  const columns = [
    ...counts.map((column) => `sum(${column})::bigint AS ${column}`),
    ...bins.map((column) => `${sumBins(column)} AS ${column}`),
  ];
  const found = await selectFromReplica<Record<string, unknown>>(
    `SELECT width_bucket(hour, $3::timestamptz[]) AS period, ${columns.join(', ')}
       FROM ${table} WHERE domain = $1 AND direction = $2 AND hour >= ($3::timestamptz[])[1] AND hour < $4 GROUP BY 1`,
    [domain, direction, starts, end],
  );
  // pg gives the elements of bigint[] as text.
  return found.map((row) => ({
    ...row,
    ...Object.fromEntries(bins.map((column) => [column, (row[column] as string[]).map(Number)])),
  })) as PeriodSums<Sums>[];
}
