// Which migrations there are and whether the database has them all: what a running process asks, without the migrations themselves.
import { database, select } from '../infra/sequelize';

/** In the order in which they run. Forward only; a migration that has landed is never edited. */
export const MIGRATION_NAMES = [
  '0001-initial',
  '0002-nonce-clearings',
  '0003-account-counts',
  '0004-messages',
  '0005-statistics-reading',
  '0006-ends-of-life',
  '0007-confirmed-emails',
  '0008-counting-defaults',
  '0009-deletions',
  '0010-counters',
  '0011-sends',
  '0012-a-year-of-life',
  '0013-task-runs',
  '0014-sweep-indexes',
  '0015-names',
  '0016-account-count-groups',
] as const;
export type MigrationName = (typeof MIGRATION_NAMES)[number];

let migrated = false;

/**
 * Whether the schema is the one this program was built for. Once it was, it stays so, and later calls merely see that PostgreSQL answers.
 *
 * @throws what Sequelize throws where PostgreSQL does not answer
 */
export async function isMigrated(): Promise<boolean> {
  if (migrated) {
    await database.authenticate();
    return true;
  }
  const [found] = await select<{ there: boolean }>("SELECT to_regclass('migrations') IS NOT NULL AS there");
  if (!found?.there) return false;
  const applied = new Set((await select<{ name: string }>('SELECT name FROM migrations')).map(({ name }) => name));
  migrated = MIGRATION_NAMES.every((name) => applied.has(name));
  return migrated;
}
