// The queue `statistics`: counts the marked hours anew.
import type { Sequelize } from 'sequelize';
import { settings } from '../config';
import { openDatabase } from '../src/database';
import { aggregate } from '../src/services/rollups';

const TEN_MINUTES = 600_000;
let patient: Sequelize | undefined;

export async function aggregateStatistics(): Promise<{ buckets: number }> {
  // A pool of its own: counting a large hour may take longer than any query of a request may.
  patient ??= openDatabase({ url: settings.DATABASE_URL ?? '', poolSize: 1, queryTimeout: TEN_MINUTES });
  return { buckets: await aggregate(patient) };
}

export async function closeStatisticsDatabase(): Promise<void> {
  await patient?.close();
}
