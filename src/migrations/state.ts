// Which migrations there are and whether the database has them all: what a running process asks, without the migrations themselves.
import { selectShared } from '../infra/sequelize';

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
  '0016-creation-tokens-at-once',
  '0017-account-count-groups',
  '0018-named-api-keys',
  '0019-sip-credentials-view',
  '0020-ledger-of-sends',
  '0021-decide-creation-tokens',
  '0022-queue-actions',
  '0023-alerts',
] as const;
export type MigrationName = (typeof MIGRATION_NAMES)[number];

let migrated = false;

/** On connections of their own: who looks whether PostgreSQL answers does not wait behind those who use it. */
const ask = <Row extends object>(sql: string): Promise<Row[]> => selectShared<Row>('health', sql, []);

/**
 * Whether the schema is the one this program was built for. Once it was, it stays so, and later calls merely see that PostgreSQL answers.
 *
 * @throws what Sequelize throws where PostgreSQL does not answer
 */
export async function isMigrated(): Promise<boolean> {
  if (migrated) {
    await ask('SELECT 1');
    return true;
  }
  const [found] = await ask<{ there: boolean }>("SELECT to_regclass('migrations') IS NOT NULL AS there");
  if (!found?.there) return false;
  const applied = new Set((await ask<{ name: string }>('SELECT name FROM migrations')).map(({ name }) => name));
  migrated = MIGRATION_NAMES.every((name) => applied.has(name));
  return migrated;
}
