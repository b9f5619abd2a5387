// When each recurring task was last done. In PostgreSQL, since a Redis that comes back empty is what it is to tell of.
import { type InferAttributes, type InferCreationAttributes, Model, TEXT } from 'sequelize';
import { database, execute, selectShared } from '../../infra/sequelize';
import { DATE, required } from '../columns';

/** How long ago a task was done. */
export interface TaskAge {
  task: string;
  seconds: number;
}

export class TaskRun extends Model<InferAttributes<TaskRun>, InferCreationAttributes<TaskRun>> {
  /** What its job's payload calls it. */
  declare task: string;
  declare done_at: Date;

  /** Records that a task was done. A statement of our own: the time is the database's, and Sequelize's `upsert` knows no condition. */
  static async record(task: string): Promise<void> {
    await execute(
      `INSERT INTO task_runs (task, done_at) VALUES ($1, now())
       ON CONFLICT (task) DO UPDATE SET done_at = EXCLUDED.done_at WHERE task_runs.done_at < EXCLUDED.done_at`,
      [task],
    );
  }

  /**
   * Takes a task that one process at a time is to do, and records it as done; a statement of our own, as above.
   *
   * @param seconds that must have gone by since anybody took it
   * @returns false where somebody did it within that time
   */
  static async claim(task: string, seconds: number): Promise<boolean> {
    const taken = await execute(
      `INSERT INTO task_runs (task, done_at) VALUES ($1, now())
       ON CONFLICT (task) DO UPDATE SET done_at = now() WHERE task_runs.done_at <= now() - make_interval(secs => $2)`,
      [task, seconds],
    );
    return taken > 0;
  }

  /** How long ago every task was done, by the database's clock. For those who look whether all is well, on their own connections. */
  static ages(): Promise<TaskAge[]> {
    return selectShared<TaskAge>(
      'health',
      'SELECT task, greatest(0, round(extract(epoch FROM now() - done_at)))::int AS seconds FROM task_runs ORDER BY task',
      [],
    );
  }
}
TaskRun.init(
  { task: { type: TEXT, primaryKey: true }, done_at: required(DATE) },
  { sequelize: database, tableName: 'task_runs', timestamps: false },
);
