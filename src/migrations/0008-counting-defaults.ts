// A worker of the release before 0005 counts hours without the columns of 0005: while it runs beside this one, they need a value of their own.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    ALTER TABLE statistics_message_rollups ALTER COLUMN delays SET DEFAULT '{}';
    ALTER TABLE statistics_call_rollups ALTER COLUMN missed SET DEFAULT 0, ALTER COLUMN durations SET DEFAULT '{}', ALTER COLUMN rings SET DEFAULT '{}';
  `);
}
