// The migrations in order, and running them once however many processes start.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Sequelize } from 'sequelize';
import { Umzug, type UmzugStorage } from 'umzug';
import { openDatabase } from '../infra/sequelize';
import { ensurePartitions } from '../services/statistics/partitions';
import * as initial from './0001-initial';
import * as nonceClearings from './0002-nonce-clearings';
import * as accountCounts from './0003-account-counts';
import * as messages from './0004-messages';
import * as statisticsReading from './0005-statistics-reading';

/** Forward only; a migration that has landed is never edited. */
const MIGRATIONS: readonly { name: string; up: (database: Sequelize) => Promise<void> }[] = [
  { name: '0001-initial', up: initial.up },
  { name: '0002-nonce-clearings', up: nonceClearings.up },
  { name: '0003-account-counts', up: accountCounts.up },
  { name: '0004-messages', up: messages.up },
  { name: '0005-statistics-reading', up: statisticsReading.up },
];

/** Key of the transaction-level advisory lock under which migrations run. */
const LOCK = 7_060_501;
const BETWEEN_TRIES = 100;

/**
 * Brings the schema up to date and makes the partitions of the coming months.
 *
 * The lock is held by a connection of its own in an open transaction, and is tried, not waited for: a waiter's snapshot
 * would block CREATE INDEX CONCURRENTLY, and a session lock does not survive a pooler (pitfalls B6.56).
 *
 * @returns the names of the migrations that this call applied
 */
export async function migrate(url: string): Promise<string[]> {
  const holder = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  await holder.connect();
  try {
    for (;;) {
      await holder.query('BEGIN');
      const { rows } = await holder.query<{ got: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS got', [LOCK]);
      if (rows[0]?.got) break;
      await holder.query('COMMIT');
      await sleep(BETWEEN_TRIES);
    }
    const database = openDatabase({ url, poolSize: 2, statementTimeoutMs: 3_600_000 });
    try {
      const umzug = new Umzug({
        migrations: MIGRATIONS.map(({ name, up }) => ({
          name,
          up: () =>
            database.transaction(async () => {
              await up(database);
              await database.query('INSERT INTO migrations (name) VALUES ($1)', { bind: [name] });
            }),
        })),
        storage: storage(database),
        logger: undefined,
      });
      const applied = await umzug.up();
      await ensurePartitions(database);
      return applied.map(({ name }) => name);
    } finally {
      await database.close();
    }
  } finally {
    await holder.end();
  }
}

/** Reads what was applied; writing it is part of the migration's own transaction, so that a kill leaves both or neither. */
function storage(database: Sequelize): UmzugStorage {
  return {
    executed: async () => {
      await database.query('CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)');
      const [applied] = (await database.query('SELECT name FROM migrations ORDER BY name')) as [{ name: string }[], unknown];
      return applied.map(({ name }) => name);
    },
    logMigration: () => Promise.resolve(),
    unlogMigration: () => Promise.resolve(),
  };
}

/** Whether the schema is the one this program was built for. */
export async function isMigrated(database: Sequelize): Promise<boolean> {
  const [found] = (await database.query("SELECT to_regclass('migrations') IS NOT NULL AS there")) as [{ there: boolean }[], unknown];
  if (!found[0]?.there) return false;
  const [applied] = (await database.query('SELECT name FROM migrations')) as [{ name: string }[], unknown];
  return MIGRATIONS.every(({ name }) => applied.some((row) => row.name === name));
}
