// Waiting for the statistics worker.
import { eventually, type System } from './system';

/** Resolves once every event that was reported is counted; at most `seconds`. */
export async function noMarks(system: System, seconds?: number): Promise<void> {
  await eventually(
    () => system.rows('SELECT 1 FROM statistics_dirty_buckets LIMIT 1'),
    (rows) => rows.length === 0,
    seconds,
  );
}
