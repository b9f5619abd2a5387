// The connections to PostgreSQL and the statements written by hand. For models and migrations alone: everything else uses a model, and finds
// transactions and what errors mean in database.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { parse } from 'pg-connection-string';
import { type Options, Sequelize } from 'sequelize';
import { settings } from '../../config';
import { inBackground } from './context';
import { log } from './log';
import { PoolLine } from './overload';
import { acquireInTime, limitedClient, type StatementClient } from './postgres-client';
import { isStaleStatement } from './prepared';

// bigint ids are far below 2^53; as strings, which is what pg makes of them, they would leave the API as strings.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const store = new AsyncLocalStorage<Map<string, unknown>>();

// Sequelize's own name for «implicit transaction» is CLS; it wants the namespace of cls-hooked, of which it calls these four functions alone.
Sequelize.useCLS({
  run: (callback: (context: Map<string, unknown>) => void) => {
    const values = new Map(store.getStore() ?? []);
    store.run(values, () => callback(values));
  },
  bind: <F extends (...args: unknown[]) => unknown>(callback: F) => callback,
  get: (key: string) => store.getStore()?.get(key),
  set: (key: string, value: unknown) => store.getStore()?.set(key, value),
});

/** Of Sequelize's transactions, what its types do not show. */
interface Transaction {
  connection: StatementClient;
  /** How it ended. */
  finished?: string;
}

/** @throws {Error} in what a transaction has begun and not waited for, once it is over: neither in it nor outside would be right */
function currentTransaction(): Transaction | undefined {
  const transaction = store.getStore()?.get('transaction') as Transaction | null | undefined;
  // Sequelize puts null there at the end.
  if (transaction === null) throw new Error('what was begun in a transaction goes on after it');
  return transaction;
}

/** True inside a transaction that is not over: what is queried now joins it. */
export function isInTransaction(): boolean {
  const transaction = currentTransaction();
  return transaction !== undefined && transaction.finished === undefined;
}

/** No statement of a request may take longer, nor all of a request together (database-time.ts): it is answered 503 within 5 s. */
const STATEMENT_TIMEOUT_MS = 4000;
/** Who waits for a lock takes up a connection that others wait for: not for all of the time that a request has. */
const LOCK_TIMEOUT_MS = 3000;
/** For a statement that no request waits for: counting a large hour, dropping a month, deleting a Space. */
const LONG_STATEMENT_TIMEOUT_MS = 600_000;
const LONG_POOL_SIZE = 2;
/**
 * Statements that many requests share have connections of their own, so that they wait for no other request's, nor others for theirs; reports have
 * others than look-ups, since who is asked for must not wait for a table that somebody has locked. Not pipelined: a Batcher has one statement under way, and
 * two of one connection would wait for one another's locks.
 */
const LANE_SIZE = 3;
/**
 * What a lane's sessions know: its statements find each row by an index, also while a table is so small that none would be taken, since the plan
 * is kept for when it is not. A scan that no index can spare counts as so dear that it would be compiled.
 */
const LANE_PARAMETERS = { plan_cache_mode: 'force_generic_plan', enable_seqscan: 'off', jit: 'off' };

/** 40P01: of two transactions that waited for one another PostgreSQL ended this one; 40001: it could not be put in one order with others. */
const LOST_CONFLICT = /^(40P01|40001)$/;

const CONFLICT_PAUSE_MS = 50;

/**
 * Does work that the database undoes as a whole where it fails, and once more where it lost a conflict with somebody else's: the other one is
 * through by then; and where what was prepared for it is out of date: it is not used any more by then. A second conflict is the caller's.
 */
export async function onceMore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { original } = (error ?? {}) as { original?: { code?: unknown } };
    const code = original?.code;
    if (isStaleStatement(original)) return work();
    if (typeof code !== 'string' || !LOST_CONFLICT.test(code)) throw error;
    log.info({ code }, 'a conflict in the database was lost: once more');
    // Else this takes what the winner is just being woken up for, and both wait for one another again.
    await sleep(CONFLICT_PAUSE_MS * (1 + Math.random()));
    return work();
  }
}

/** Of Sequelize, what its types do not show. */
interface ConnectionManager {
  connect: (config: unknown) => Promise<unknown>;
  getConnection: (options: unknown) => Promise<unknown>;
  releaseConnection: (connection: unknown) => void;
  pool: { using: number; available: number; waiting: number; maxSize: number };
}

const managerOf = (opened: Sequelize): ConnectionManager =>
  (opened as unknown as { connectionManager: ConnectionManager }).connectionManager;

/** As openDatabase() takes them. */
export interface DatabaseOptions {
  url: string;
  poolSize?: number;
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
  parameters?: Readonly<Record<string, string>>;
}

/**
 * Opens a pool; nothing is connected before the first query.
 *
 * @param url `postgres://…`
 * @param poolSize connections at most; DATABASE_POOL_SIZE where left out
 * @param statementTimeoutMs after which a statement is ended, in the server as well; one longer than the default is not bound to a request's time
 * @param lockTimeoutMs after which a statement that waits for a lock is ended; 0: never
 * @param parameters of PostgreSQL, set on sessions that no pooler gives to others
 */
export function openDatabase({
  url,
  poolSize = settings.DATABASE_POOL_SIZE,
  statementTimeoutMs = STATEMENT_TIMEOUT_MS,
  lockTimeoutMs = LOCK_TIMEOUT_MS,
  parameters: ofSessions = {},
}: DatabaseOptions): Sequelize {
  const isLong = statementTimeoutMs > STATEMENT_TIMEOUT_MS;
  const limits = { statementMs: statementTimeoutMs, lockMs: lockTimeoutMs, isLong, parameters: ofSessions };
  // By pg's own parser, which migrations go through, too: Sequelize's takes neither `?user=` nor `%2Fvar%2Frun%2Fpostgresql` for what they are, and leaves
  // the name of a database encoded.
  const { host, port, user, password, database: name, ...parameters } = parse(url);
  // PgBouncer in transaction mode gives each transaction another connection, so nothing may be SET on one without asking whose it is (postgres-client.ts);
  // the types lack the option.
  const options: Options & { keepDefaultTimezone: true } = {
    dialect: 'postgres',
    host: host ?? undefined,
    port: port ? Number(port) : undefined,
    username: user,
    password,
    database: name ?? undefined,
    dialectModule: Object.create(pg, { Client: { value: limitedClient(limits) } }) as object,
    logging: false,
    keepDefaultTimezone: true,
    pool: { max: poolSize, acquire: 4000, idle: 30_000 },
    // Where a query names a column that its scope names, too, both conditions hold: by default the query's would replace the scope's, and
    // `Account.scope(visibleTo(caller)).findAll({ where: { domain } })` would show another Space's accounts.
    define: { underscored: false, timestamps: false, freezeTableName: true, whereMergeStrategy: 'and' },
    dialectOptions: {
      application_name: 'flexisip-account-api',
      clientMinMessages: 'ignore',
      connectionTimeoutMillis: 3000,
      keepAlive: true,
      ...parameters,
    },
  };
  const opened = new Sequelize(options);
  const manager = managerOf(opened);
  const [connect, getConnection] = [manager.connect.bind(manager), manager.getConnection.bind(manager)];
  // Who asks first makes a connection that others wait for, too: the time of its own request does not bind it.
  manager.connect = (config) => inBackground(() => connect(config));
  const line = new PoolLine();
  manager.getConnection = (given) => line.wait(() => acquireInTime(getConnection(given), (late) => manager.releaseConnection(late)));
  // A statement of its own is a transaction of its own; one inside a transaction falls with it.
  const query = opened.query.bind(opened) as (sql: unknown, given?: { transaction?: unknown }) => Promise<unknown>;
  opened.query = ((sql: unknown, given?: { transaction?: unknown }) =>
    given?.transaction || isInTransaction() ? query(sql, given) : onceMore(() => query(sql, given))) as Sequelize['query'];
  return opened;
}

/** The process's database. Every process but the embedded start has `DATABASE_URL`; without it the first query says so. */
export const database: Sequelize = openDatabase({ url: settings.DATABASE_URL ?? 'postgres://database-url-is-not-set/' });

/** Where figures are read that may be some seconds old: a replica, or where none is named, the database itself. */
const replica: Sequelize = settings.DATABASE_READ_URL === undefined ? database : openDatabase({ url: settings.DATABASE_READ_URL });

let long: Sequelize | undefined;

/** The same database through a small pool whose statements may take ten minutes; opened when first asked for. */
export function longDatabase(): Sequelize {
  return (long ??= openDatabase({
    url: settings.DATABASE_URL ?? '',
    poolSize: LONG_POOL_SIZE,
    statementTimeoutMs: LONG_STATEMENT_TIMEOUT_MS,
  }));
}

/** What many requests share: who shows an API key or a password, or what Flexisip reports; and what waits behind nobody's: looking whether all is well. */
export type Lane = 'look-ups' | 'reports' | 'health';
const lanes = new Map<Lane, Sequelize>();

function laneOf(lane: Lane): Sequelize {
  const known = lanes.get(lane);
  if (known) return known;
  const opened = openDatabase({ url: settings.DATABASE_URL ?? '', poolSize: LANE_SIZE, parameters: LANE_PARAMETERS });
  // Else its first connection would ask for what types of its own the database has, for models: none reads through this.
  Object.assign(managerOf(opened), { _refreshDynamicOIDs: () => Promise.resolve() });
  lanes.set(lane, opened);
  return opened;
}

type Bind = readonly unknown[];
interface Outcome {
  rows: object[];
  rowCount: number;
}

/** No text in PostgreSQL has a NUL: what Sequelize makes of one in its own statements. */
function withoutNul(value: unknown): unknown {
  if (typeof value === 'string') return value.includes('\0') ? value.replaceAll('\0', '\\0') : value;
  return Array.isArray(value) && value.some((each) => typeof each === 'string' && each.includes('\0')) ? value.map(withoutNul) : value;
}

/** Runs a statement by pg's client itself: on its way through Sequelize it would cost this process as much again. @throws what Sequelize would throw */
async function runOn(client: StatementClient, opened: Sequelize, sql: string, bind: Bind, isPrepared = true): Promise<Outcome> {
  const parameters = bind.map(withoutNul);
  let result;
  try {
    result = await client.runStatement(sql, parameters, isPrepared);
  } catch (error) {
    const { Query } = (opened as unknown as { dialect: { Query: new (...given: unknown[]) => { formatError: (error: unknown) => Error } } })
      .dialect;
    throw new Query(client, opened, {}).formatError(Object.assign(error as Error, { sql, parameters }));
  }
  if (!Array.isArray(result)) return { rows: result.rows, rowCount: result.rowCount ?? 0 };
  return { rows: result.flatMap(({ rows }) => rows), rowCount: result.reduce((count, each) => count + (each.rowCount ?? 0), 0) };
}

/** Runs a statement on a connection of a pool, in no transaction. */
function runIn(opened: Sequelize, sql: string, bind: Bind, isPrepared = true): Promise<Outcome> {
  const manager = managerOf(opened);
  return onceMore(async () => {
    const client = (await manager.getConnection({})) as StatementClient;
    try {
      return await runOn(client, opened, sql, bind, isPrepared);
    } finally {
      manager.releaseConnection(client);
    }
  });
}

/** Runs a statement in the transaction around it, or else on a connection of the pool. */
async function run(sql: string, bind: Bind): Promise<Outcome> {
  const transaction = currentTransaction();
  if (transaction === undefined) return runIn(database, sql, bind);
  if (transaction.finished === undefined) return runOn(transaction.connection, database, sql, bind);
  throw new Error(`a statement came after its transaction's ${transaction.finished}`);
}

/** Rows of a SELECT, or of a statement with RETURNING; `$1…` are bound. Joins the transaction around it, whichever pool that has. */
export async function select<Row extends object>(sql: string, bind: Bind = []): Promise<Row[]> {
  return (await run(sql, bind)).rows as Row[];
}

/** The same from the replica; outside of any transaction, and planned each time, since figures are of a day or of years. */
export async function selectFromReplica<Row extends object>(sql: string, bind: Bind = []): Promise<Row[]> {
  return (await runIn(replica, sql, bind, false)).rows as Row[];
}

/** The same on a lane, for what many requests share (`Batcher` of batcher.ts); outside of any transaction. */
export async function selectShared<Row extends object>(lane: Lane, sql: string, bind: Bind): Promise<Row[]> {
  return (await runIn(laneOf(lane), sql, bind)).rows as Row[];
}

/** Runs a statement whose rows are of no interest. @returns how many rows it changed */
export async function execute(sql: string, bind: Bind = []): Promise<number> {
  return (await run(sql, bind)).rowCount;
}

/** Of a pool, in connections; `waiting`: how many ask for one. */
export interface PoolUse {
  pool: string;
  used: number;
  idle: number;
  waiting: number;
  limit: number;
}

/** How the pools are used that this process has opened. */
export function poolUse(): PoolUse[] {
  const opened: [string, Sequelize | undefined][] = [
    ['main', database],
    ['replica', replica === database ? undefined : replica],
    ['long', long],
    ...lanes,
  ];
  return opened.flatMap(([pool, of]) => {
    if (!of) return [];
    const { using, available, waiting, maxSize } = managerOf(of).pool;
    return [{ pool, used: using, idle: available, waiting, limit: maxSize }];
  });
}

/** Closes the pools; queries under way end first. */
export async function closeDatabase(): Promise<void> {
  const others = [long, replica === database ? undefined : replica, ...lanes.values()];
  await Promise.all([database, ...others].map(async (opened) => opened?.close()));
}
