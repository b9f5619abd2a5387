// How a migration is applied beside a program that runs: no lock is waited for longer than a writer may be held up, and what had to give way comes again.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sequelize } from 'sequelize';
import { log } from '../infra/log';

/** What a file of this folder exports. */
export interface Migration {
  /**
   * Changes the schema so that the release before this one goes on working (docs/decisions.md#expand-then-contract). Inside a transaction, of which the
   * record that it was applied is part; every statement gives up after LOCK_TIMEOUT_MS without its lock, and then the whole is run again.
   */
  up: (database: Sequelize) => Promise<void>;
  /**
   * false: outside of any, for statements that PostgreSQL does not take inside one (indexes.ts). It may be killed between two of them, so running it
   * a second time must do what is left.
   */
  transaction?: false;
}

/** Whoever waits for a table's lock holds up all who come after, Flexisip's events among them: not for longer than this. */
const LOCK_TIMEOUT_MS = 300;
const RETRY_INTERVAL_MS = 1000;
/** Somebody who reads for longer (`pg_dump`) is waited for by whoever runs the migration again. */
const PATIENCE_MS = 600_000;

/** 55P03: lock_timeout; 40P01: of two that waited for one another PostgreSQL ended this one. */
const GAVE_WAY = /^(55P03|40P01)$/;
const gaveWay = (error: unknown): boolean => GAVE_WAY.test((error as { original?: { code?: string } } | null)?.original?.code ?? '');

/**
 * Does `work` again and again while somebody else holds a lock that it needs.
 *
 * @param what for the log
 * @throws what `work` throws, that it gave way only once PATIENCE_MS are over
 */
async function untilFree(what: string, work: () => Promise<void>): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  for (let tries = 1; ; tries += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (!gaveWay(error) || Date.now() > end) throw error;
      if (tries === 1) log.warn({ migration: what }, 'somebody else holds a lock that this needs: it is tried again every second');
      await sleep(RETRY_INTERVAL_MS);
    }
  }
}

/** One transaction, as often as it takes; no lock in it is waited for longer than LOCK_TIMEOUT_MS. @param what for the log */
export const givingWay = (database: Sequelize, what: string, work: () => Promise<void>): Promise<void> =>
  untilFree(what, () =>
    database.transaction(async () => {
      await database.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
      await work();
    }),
  );

/** One statement that PostgreSQL takes outside of transactions only, as often as it takes. It has no lock limit: CONCURRENTLY holds nobody up. */
export const standingAlone = (database: Sequelize, what: string, work: () => Promise<unknown>): Promise<void> =>
  untilFree(what, async () => void (await work()));

/** Applies a migration, and records it. */
export async function apply(database: Sequelize, name: string, { up, transaction }: Migration): Promise<void> {
  const record = async (): Promise<void> => void (await database.query('INSERT INTO migrations (name) VALUES ($1)', { bind: [name] }));
  if (transaction === false) {
    await up(database);
    await record();
  } else
    await givingWay(database, name, async () => {
      await up(database);
      await record();
    });
}
