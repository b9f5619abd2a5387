// The queue `statistics`: counts the marked hours anew.
import { aggregate } from '../src/services/statistics/rollups';
import { patientDatabase } from './patient-database';

export async function aggregateStatistics(): Promise<{ buckets: number }> {
  return { buckets: await aggregate(patientDatabase()) };
}
