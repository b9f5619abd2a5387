// Measurements of services in a process of their own, which has the environment of its database from main.ts: settings are read once, with
// the first module that wants them. Named parts as arguments.
import { closeDatabase } from '../src/infra/database';
import { benchAccountPages } from './account-pages';
import { benchSpaceDeletion } from './space-deletion';
import { closeSql } from './sql';
import { benchStatistics } from './statistics';
import { benchStatisticsReading } from './statistics-reading';

const parts: Record<string, () => Promise<string[]>> = {
  batching: benchStatistics,
  reading: benchStatisticsReading,
  'space-deletion': benchSpaceDeletion,
  'account-pages': benchAccountPages,
};

async function main(): Promise<void> {
  try {
    for (const name of process.argv.slice(2)) for (const line of (await parts[name]?.()) ?? []) process.stdout.write(`${line}\n`);
  } finally {
    await closeSql();
    await closeDatabase();
  }
}

void main();
