// How far ahead tables that are partitioned by month have their months.
import { selectShared } from '../../infra/sequelize';

/** A table, and how many months after the current one, without a gap, have a partition; -1 where the current one has none. */
export interface MonthsAhead {
  table: string;
  ahead: number;
}

/** Of a year and a half no more need be known. */
const MAX_MONTHS = 18;

/** Of each partitioned table whose partitions are named after months, by the database's clock. For those who look whether all is well, on their own connections. */
export function monthsAhead(): Promise<MonthsAhead[]> {
  return selectShared<MonthsAhead>(
    'health',
    `SELECT parent.relname AS table,
            coalesce(min(month.ahead) FILTER (WHERE to_regclass(quote_ident(
              parent.relname || to_char((now() AT TIME ZONE 'UTC') + make_interval(months => month.ahead), '"_"YYYY"_"MM'))) IS NULL),
              ${MAX_MONTHS + 1})::int - 1 AS ahead
       FROM pg_partitioned_table p
       JOIN pg_class parent ON parent.oid = p.partrelid AND pg_table_is_visible(parent.oid)
      CROSS JOIN generate_series(0, ${MAX_MONTHS}) AS month (ahead)
      WHERE p.partstrat = 'r'
      GROUP BY parent.relname
      ORDER BY 1`,
    [],
  );
}
