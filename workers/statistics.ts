// The queue `statistics`: counts the marked hours anew.
import { aggregate } from '../src/services/statistics/rollups';

/** @returns how many hours of a domain were counted */
export async function aggregateStatistics(): Promise<{ buckets: number }> {
  return { buckets: await aggregate() };
}
