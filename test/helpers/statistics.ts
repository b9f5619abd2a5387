// The statistics worker: waiting for it, and running what it does in the test's own process.
import { eventually, type System } from './system';

/** Resolves once every event that was reported is counted; at most `seconds`. */
export async function noMarks(system: System, seconds?: number): Promise<void> {
  await eventually(
    () => system.rows('SELECT 1 FROM statistics_dirty_buckets LIMIT 1'),
    (rows) => rows.length === 0,
    seconds,
  );
}

export interface StatisticsJobs {
  aggregate: typeof import('../../src/services/statistics/rollups').aggregate;
  dropPartitions: typeof import('../../src/services/statistics/retention').dropPartitions;
  /** Of raw statistics. */
  ensurePartitions: (now?: Date, connection?: undefined, since?: Date) => Promise<import('../../src/models/partitions').MadePartitions>;
  /** Closes their connections. */
  close: () => Promise<void>;
}

/** What a worker does, over the database of a system. Each call gives one with connections of its own, as another process would have. */
export async function loadStatisticsJobs(system: System): Promise<StatisticsJobs> {
  Object.assign(process.env, system.environment);
  jest.resetModules();
  const { aggregate } = await import('../../src/services/statistics/rollups.js');
  const { dropPartitions } = await import('../../src/services/statistics/retention.js');
  const { ensurePartitions, STATISTICS } = await import('../../src/models/partitions.js');
  const { closeDatabase, inLongTransaction } = await import('../../src/infra/database.js');
  // Sequelize loads its dialect with the first pool that is made: it has to come from this set of modules, before the next is loaded.
  await inLongTransaction(() => Promise.resolve());
  return { aggregate, dropPartitions, ensurePartitions: (...given) => ensurePartitions(STATISTICS, ...given), close: closeDatabase };
}
