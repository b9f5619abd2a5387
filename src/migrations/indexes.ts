// Indexes on tables that are written all the time: built without holding up a writer, for migrations with `transaction = false`.
import { QueryTypes, type Sequelize } from 'sequelize';
import { givingWay, standingAlone } from './apply';

/** An index to be built. */
export interface Index {
  name: string;
  table: string;
  /** SQL behind the table's name: `(sent_at)`, `USING brin (sent_at)`, `(id) WHERE NOT used`. */
  on: string;
  unique?: true;
}

const rowsOf = <Row extends object>(database: Sequelize, sql: string, bind: unknown[]): Promise<Row[]> =>
  database.query<Row>(sql, { bind, type: QueryTypes.SELECT });

/** undefined: there is none; false: a build that was ended left it, and it is of no use. */
async function isValid(database: Sequelize, name: string): Promise<boolean | undefined> {
  const [found] = await rowsOf<{ valid: boolean }>(
    database,
    'SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)',
    [name],
  );
  return found?.valid;
}

async function build(database: Sequelize, { name, table, on, unique }: Index): Promise<void> {
  await standingAlone(database, name, async () => {
    const valid = await isValid(database, name);
    if (valid === true) return;
    if (valid === false) await database.query(`DROP INDEX CONCURRENTLY ${name}`);
    await database.query(`CREATE ${unique ? 'UNIQUE ' : ''}INDEX CONCURRENTLY ${name} ON ${table} ${on}`);
  });
}

/** Partitions of a table without their part of an index. */
const partitionsWithout = (database: Sequelize, table: string, name: string): Promise<{ partition: string }[]> =>
  rowsOf(
    database,
    `SELECT t.inhrelid::regclass::text AS partition FROM pg_inherits t WHERE t.inhparent = $1::regclass AND NOT EXISTS (
       SELECT 1 FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid WHERE i.inhparent = $2::regclass AND x.indrelid = t.inhrelid)
     ORDER BY 1`,
    [table, name],
  );

/**
 * Builds an index while others write, of a partitioned table partition by partition. What is there already stays, what a build that was ended left
 * behind is built again: it may be run any number of times.
 */
export async function createIndexConcurrently(database: Sequelize, index: Index): Promise<void> {
  const { name, table, on, unique } = index;
  const [found] = await rowsOf<{ partitioned: boolean }>(
    database,
    "SELECT relkind = 'p' AS partitioned FROM pg_class WHERE oid = $1::regclass",
    [table],
  );
  if (found?.partitioned !== true) return build(database, index);
  // CONCURRENTLY is not for partitioned tables: the parent's own index is empty and made at once; it is valid when the last partition has its part.
  await givingWay(database, name, async () => {
    await database.query(`CREATE ${unique ? 'UNIQUE ' : ''}INDEX IF NOT EXISTS ${name} ON ONLY ${table} ${on}`);
  });
  for (const { partition } of await partitionsWithout(database, table, name)) {
    const part = { ...index, table: partition, name: `${partition}_${name.slice(table.length + 1)}` };
    await build(database, part);
    await givingWay(database, name, async () => void (await database.query(`ALTER INDEX ${name} ATTACH PARTITION ${part.name}`)));
  }
}
