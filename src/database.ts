// PostgreSQL: one pool a process, transactions that every query inside joins by itself, and what counts as «the database is away».
import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import { ConnectionError, type Options, QueryTypes, Sequelize, TimeoutError } from 'sequelize';
import { settings } from '../config';

// bigint ids are far below 2^53; as strings they would leave the API as strings (pitfalls B6.50).
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const store = new AsyncLocalStorage<Map<string, unknown>>();

// Sequelize's own name for «implicit transaction» is CLS; it needs these four functions and no cls-hooked (pitfalls B6.45).
Sequelize.useCLS({
  run: (callback: (context: Map<string, unknown>) => void) => {
    const values = new Map(store.getStore() ?? []);
    store.run(values, () => callback(values));
  },
  bind: <F extends (...args: unknown[]) => unknown>(callback: F) => callback,
  get: (key: string) => store.getStore()?.get(key),
  set: (key: string, value: unknown) => store.getStore()?.set(key, value),
});

/** No query of a request may take longer; a request that meets a dead database answers 503 within 5 s. */
const QUERY_TIMEOUT = 4500;

export interface DatabaseOptions {
  url: string;
  poolSize?: number;
  /** Milliseconds; only migrations need more than the default. */
  queryTimeout?: number;
}

/** Opens a pool; nothing is connected before the first query. */
export function openDatabase({ url, poolSize = settings.DATABASE_POOL_SIZE, queryTimeout = QUERY_TIMEOUT }: DatabaseOptions): Sequelize {
  // Transaction-mode poolers lose what a connection sets about itself (pitfalls B6.55); the types lack the option.
  const options: Options & { keepDefaultTimezone: true } = {
    dialect: 'postgres',
    dialectModule: pg,
    logging: false,
    keepDefaultTimezone: true,
    pool: { max: poolSize, acquire: 4000, idle: 30_000 },
    define: { underscored: false, timestamps: false, freezeTableName: true },
    dialectOptions: {
      application_name: 'flexisip-account-api',
      clientMinMessages: 'ignore',
      connectionTimeoutMillis: 3000,
      query_timeout: queryTimeout,
      keepAlive: true,
    },
  };
  return new Sequelize(url, options);
}

/** The process's database. Every process but the embedded start has `DATABASE_URL`; without it the first query says so. */
export const database: Sequelize = openDatabase({ url: settings.DATABASE_URL ?? 'postgres://database-url-is-not-set/' });

/** Where figures are read that may be some seconds old: a replica, or where none is named, the database itself. */
const replica: Sequelize = settings.DATABASE_READ_URL === undefined ? database : openDatabase({ url: settings.DATABASE_READ_URL });

/**
 * Runs `work` in one transaction (READ COMMITTED): committed when it returns, rolled back when it throws.
 * Queries inside join it without being told; two of them must not overlap. Inside another transaction it is part of that.
 */
export function inTransaction<T>(work: () => Promise<T>): Promise<T> {
  return isInTransaction() ? work() : database.transaction(work);
}

/** True inside inTransaction(): adding a job there would let it outrun the commit. */
export function isInTransaction(): boolean {
  const transaction = store.getStore()?.get('transaction') as { finished?: string } | undefined;
  return transaction !== undefined && transaction.finished === undefined;
}

/** Rows of a SELECT, or of a statement with RETURNING. `$1…` are bound. */
export async function rows<Row extends object>(sql: string, bind: unknown[] = []): Promise<Row[]> {
  return database.query<Row>(sql, { bind, type: QueryTypes.SELECT });
}

/** The same from the replica; outside of any transaction. */
export async function replicaRows<Row extends object>(sql: string, bind: unknown[] = []): Promise<Row[]> {
  return replica.query<Row>(sql, { bind, type: QueryTypes.SELECT, transaction: null });
}

/** Runs a statement whose rows nobody wants; gives how many it changed. */
export async function execute(sql: string, bind: unknown[] = []): Promise<number> {
  // Of an INSERT Sequelize gives the number itself.
  const [, result] = (await database.query(sql, { bind })) as [unknown, { rowCount?: number } | number | undefined];
  return typeof result === 'number' ? result : (result?.rowCount ?? 0);
}

// Classes 08 connection, 53 resources (too many connections), 57P0x shutdown or starting up, 58 system error; 25006: a standby.
const AWAY = /^(08...|53...|57P0.|58...|25006)$/;
const AWAY_MESSAGES =
  /Query read timeout|Connection terminated|terminating connection|Client has encountered a connection error|not queryable/i;

/** Whether an error means that PostgreSQL did not answer, as opposed to having refused something. */
export function isDatabaseAway(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = (current as { parent?: unknown }).parent ?? current.cause) {
    if (current instanceof ConnectionError || current instanceof TimeoutError) return true;
    const code = (current as { code?: unknown }).code;
    if (typeof code === 'string' && (AWAY.test(code) || /^E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_AGAIN)/.test(code))) return true;
    if (AWAY_MESSAGES.test(current.message)) return true;
    if ((current as { parent?: unknown }).parent === current) return false;
  }
  return false;
}

/** Name of the unique constraint or index that a write ran into, if that is what the error says. */
export function violatedConstraint(error: unknown): string | undefined {
  const original = (error as { original?: { code?: string; constraint?: string } } | undefined)?.original;
  return original?.code === '23505' ? original.constraint : undefined;
}

/** Whether a write named a row that was deleted in the same moment. */
export const isForeignKeyViolation = (error: unknown): boolean =>
  (error as { original?: { code?: string } } | undefined)?.original?.code === '23503';

/** Closes the pool; queries under way end first. */
export async function closeDatabase(): Promise<void> {
  await database.close();
  if (replica !== database) await replica.close();
}
