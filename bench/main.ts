// npm run bench: ratios within one run, since machines are noisy. Needs DATABASE_URL, or an npm start in this folder.
import { closeDatabase } from '../src/infra/database';
import { benchAccountPages } from './account-pages';
import { benchSpaceDeletion } from './space-deletion';
import { benchStatistics } from './statistics';
import { benchStatisticsReading } from './statistics-reading';

async function main(): Promise<void> {
  try {
    for (const bench of [benchStatistics, benchStatisticsReading, benchSpaceDeletion, benchAccountPages])
      for (const line of await bench()) process.stdout.write(`${line}\n`);
  } finally {
    await closeDatabase();
  }
}

void main();
