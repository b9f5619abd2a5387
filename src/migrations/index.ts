// The migrations in order, and running them once however many processes start.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Sequelize } from 'sequelize';
import { Umzug, type UmzugStorage } from 'umzug';
import { openDatabase } from '../infra/sequelize';
import { addPhoneCountries } from '../models/accounts/phone-country';
import { ensurePartitions, isDivided, SENDS, STATISTICS } from '../models/partitions';
import * as initial from './0001-initial';
import * as nonceClearings from './0002-nonce-clearings';
import * as accountCounts from './0003-account-counts';
import * as messages from './0004-messages';
import * as statisticsReading from './0005-statistics-reading';
import * as endsOfLife from './0006-ends-of-life';
import * as confirmedEmails from './0007-confirmed-emails';
import * as countingDefaults from './0008-counting-defaults';
import * as deletions from './0009-deletions';
import * as counters from './0010-counters';
import * as sends from './0011-sends';
import * as aYearOfLife from './0012-a-year-of-life';
import * as taskRuns from './0013-task-runs';
import * as sweepIndexes from './0014-sweep-indexes';
import * as nameIndexes from './0015-names';
import * as creationTokensAtOnce from './0016-creation-tokens-at-once';
import * as accountCountGroups from './0017-account-count-groups';
import * as namedApiKeys from './0018-named-api-keys';
import * as sipCredentialsView from './0019-sip-credentials-view';
import * as ledgerOfSends from './0020-ledger-of-sends';
import * as decideCreationTokens from './0021-decide-creation-tokens';
import * as queueActions from './0022-queue-actions';
import * as alerts from './0023-alerts';
import { apply, type Migration } from './apply';
import { MIGRATION_NAMES, type MigrationName } from './state';

const MIGRATIONS: Record<MigrationName, Migration> = {
  '0001-initial': { up: initial.up },
  '0002-nonce-clearings': { up: nonceClearings.up },
  '0003-account-counts': { up: accountCounts.up },
  '0004-messages': { up: messages.up },
  '0005-statistics-reading': { up: statisticsReading.up },
  '0006-ends-of-life': { up: endsOfLife.up },
  '0007-confirmed-emails': { up: confirmedEmails.up },
  '0008-counting-defaults': { up: countingDefaults.up },
  '0009-deletions': { up: deletions.up },
  '0010-counters': { up: counters.up, transaction: false },
  '0011-sends': { up: sends.up },
  '0012-a-year-of-life': { up: aYearOfLife.up },
  '0013-task-runs': { up: taskRuns.up },
  '0014-sweep-indexes': { up: sweepIndexes.up, transaction: false },
  '0015-names': { up: nameIndexes.up, transaction: false },
  '0016-creation-tokens-at-once': { up: creationTokensAtOnce.up },
  '0017-account-count-groups': { up: accountCountGroups.up },
  '0018-named-api-keys': { up: namedApiKeys.up },
  '0019-sip-credentials-view': { up: sipCredentialsView.up },
  '0020-ledger-of-sends': { up: ledgerOfSends.up },
  '0021-decide-creation-tokens': { up: decideCreationTokens.up },
  '0022-queue-actions': { up: queueActions.up },
  '0023-alerts': { up: alerts.up },
};

/** Id of the transaction-level advisory lock under which migrations run. */
const MIGRATION_LOCK_ID = 7_060_501;
const LOCK_RETRY_DELAY_MS = 100;
const CONNECT_TIMEOUT_MS = 5000;
/** A migration may write every row of a large table. */
const STATEMENT_TIMEOUT_MS = 3_600_000;

/**
 * Brings the schema up to date, makes the partitions of the coming months, and adds countries that the phone library has come to know.
 *
 * The lock is held by a connection of its own in an open transaction, and is tried, not waited for: a waiter's snapshot
 * would block CREATE INDEX CONCURRENTLY, and a session lock is lost behind a pooler in transaction mode, which gives each
 * transaction another connection.
 *
 * @param url of the database, with a user who may create tables
 * @param names which migrations, in their order: all there are
 * @returns the names of the migrations that this call applied; empty where there were none to apply
 * @throws what pg or Sequelize throw where the server does not answer or a statement fails. That migration is rolled back then, or is one that is run
 *   again from its beginning (apply.ts); those before it stay applied
 */
export async function migrate(url: string, names: readonly MigrationName[] = MIGRATION_NAMES): Promise<string[]> {
  const holder = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  await holder.connect();
  try {
    for (;;) {
      // Somebody's limit on idle transactions would end the lock under a migration that takes long.
      await holder.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0');
      // Without parameters: those make a portal, which would keep its snapshot, and every CREATE INDEX CONCURRENTLY waiting, to the end of the transaction.
      const { rows } = await holder.query<{ got: boolean }>(`SELECT pg_try_advisory_xact_lock(${MIGRATION_LOCK_ID}) AS got`);
      if (rows[0]?.got) break;
      await holder.query('COMMIT');
      await sleep(LOCK_RETRY_DELAY_MS);
    }
    const database = openDatabase({ url, poolSize: 2, statementTimeoutMs: STATEMENT_TIMEOUT_MS, lockTimeoutMs: 0 });
    try {
      const umzug = new Umzug({
        migrations: names.map((name) => ({ name, up: () => apply(database, name, MIGRATIONS[name]) })),
        storage: storage(database),
        logger: undefined,
      });
      const applied = await umzug.up();
      for (const family of [STATISTICS, SENDS]) if (await isDivided(family, database)) await ensurePartitions(family, new Date(), database);
      await addPhoneCountries(database);
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
