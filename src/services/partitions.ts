// The months of the raw statistics tables.
import { DateTime } from 'luxon';
import type { Sequelize } from 'sequelize';

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
