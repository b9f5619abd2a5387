// When recurring tasks were last done. Those of the queue `chores` begin with the migration, so that an installation whose workers do not serve it is told.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    CREATE TABLE task_runs (task text PRIMARY KEY, done_at timestamptz NOT NULL);
    INSERT INTO task_runs (task, done_at) VALUES ('clean', now()), ('partitions', now());
  `);
}
