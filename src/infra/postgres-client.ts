// pg's client with limits that hold behind any pooler: PostgreSQL's own on statements and locks, ours on how long is waited for its answer, and no
// statement goes on in the server that nobody waits for.
import pg from 'pg';
import { databaseTime } from './context';
import { forgetPrepared, isStaleStatement, mayName, type Naming, newNaming, statementName } from './prepared';

/** What a pool's statements may take, in milliseconds; 0: without a limit. */
export interface Limits {
  statementMs: number;
  lockMs: number;
  /** Of work that is not bound to the time of the request around it. */
  isLong: boolean;
  /** Parameters of PostgreSQL that are set on sessions of our own. Behind a pooler they are not: nothing may depend on them. */
  parameters: Readonly<Record<string, string>>;
}

/** What a statement of our own gives back: one result, or several where the text had several statements. */
export type StatementResult = pg.QueryResult<object> | pg.QueryResult<object>[];

/** A connection of a pool, for statements of our own. */
export interface StatementClient {
  /**
   * Runs a statement, prepared where it is to be (`isPrepared`) and the session may have any. One that fails because what was prepared is out of date is done once more, outside of
   * transactions; inside one the transaction has to be.
   */
  runStatement: (sql: string, values: unknown[], isPrepared: boolean) => Promise<StatementResult>;
}

/** For PostgreSQL to say that it has cancelled a statement. One that does not within this time is silent, and its connection is dropped. */
const CANCEL_TIMEOUT_MS = 250;
/** What a transaction's end has at least, however long the rest has taken. */
const END_MIN_MS = 250;
/** PostgreSQL ends a statement before we cancel it: its way costs no second connection. */
const SERVER_LEAD_MS = 100;

const BEGINS = /^\s*(?:START\s+TRANSACTION|BEGIN)\b/i;
const ENDS = /^\s*(?:COMMIT|ROLLBACK)\b/i;
/** Errors with which a server, or a pooler, ends the session: SQLSTATE classes 08 and 57P, and its limits on idle and long transactions. */
const ENDS_SESSION = /^(08|57P|25P0[34])/;
/** PostgreSQL takes these by themselves only, without a limit before them in the same message. */
const STANDS_ALONE = /\bCONCURRENTLY\b|^\s*VACUUM\b/i;

type Callback = (error: Error | null, result?: unknown) => void;
/** What pg has and its types do not show. */
interface Internals {
  processID: number | null;
  secretKey: number | null;
  ssl: unknown;
  sslNegotiation: string;
}
interface Wire extends pg.Connection {
  ssl: unknown;
  connect: (port: number | string, host?: string) => void;
  parse: (query: { text: string }) => void;
  bind: (config: { values: string[]; valueMapper: (value: string) => string }) => void;
  execute: (config: object) => void;
}

/** The message by which Sequelize knows that a connection cannot be used any more, and isDatabaseUnavailable() that it was no refusal. */
const silence = (): Error => new Error('Query read timeout');

/** A statement with values, as pg takes it. */
interface Statement {
  text: string;
  values: unknown[];
  name?: string | undefined;
}

/**
 * A statement with values, with the limits before it in the same message: one round trip, and one transaction, so that a pooler sends both to the same
 * server and the limits end with it.
 */
class LimitedQuery extends pg.Query {
  #isPrelude = true;

  constructor(
    readonly limits: string[],
    { name, ...statement }: Statement,
    callback: Callback,
  ) {
    super(...([{ ...statement, name }, undefined, callback] as unknown as ConstructorParameters<typeof pg.Query>));
    const { submit } = this;
    const named = this as { name?: string | undefined };
    this.submit = (connection) => {
      const wire = connection as Wire;
      wire.stream.cork();
      try {
        wire.parse({ text: "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)" });
        wire.bind({ values: this.limits, valueMapper: String });
        wire.execute({});
        return submit.call(this, connection);
      } finally {
        wire.stream.uncork();
        // Else pg would take the limits' own parsing for this statement's, which may yet fail.
        named.name = undefined;
      }
    };
    // The limits' own row and its end come first.
    const { handleDataRow, handleCommandComplete } = this as unknown as Record<string, (...message: unknown[]) => void>;
    Object.assign(this, {
      handleDataRow: (message: unknown) => (this.#isPrelude ? undefined : handleDataRow?.call(this, message)),
      handleCommandComplete: (message: unknown, connection: unknown) => {
        if (this.#isPrelude) {
          this.#isPrelude = false;
          named.name = name;
        } else handleCommandComplete?.call(this, message, connection);
      },
    });
  }
}

/** Asks the server to end what a client's backend is doing. @returns once the server has done so, or has not answered in time */
function cancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, ssl, sslNegotiation } = client as unknown as Internals;
  return new Promise((resolve) => {
    const connection = new (pg.Connection as unknown as new (config: object) => Wire)({ ssl, sslNegotiation });
    const timer = setTimeout(() => connection.stream.destroy(), CANCEL_TIMEOUT_MS);
    const ask = (): void => (connection as unknown as { cancel: (id: unknown, key: unknown) => void }).cancel(processID, secretKey);
    connection.on('connect', () => {
      if (ssl && sslNegotiation !== 'direct') (connection as unknown as { requestSsl: () => void }).requestSsl();
      else if (!ssl) ask();
    });
    connection.on('sslconnect', ask);
    connection.on('error', () => undefined);
    // The server closes it once the backend has its signal, which then cannot hit the next statement.
    connection.on('end', () => {
      clearTimeout(timer);
      resolve();
    });
    if (client.host.startsWith('/')) connection.connect(`${client.host}/.s.PGSQL.${client.port}`);
    else connection.connect(client.port, client.host);
  });
}

/** The class of clients of a pool: `dialectModule` of Sequelize makes them with `new`. */
export function limitedClient({ statementMs, lockMs, isLong, parameters }: Limits): typeof pg.Client {
  const serverMs = statementMs === 0 ? 0 : Math.max(1, statementMs - SERVER_LEAD_MS);
  const asText = [serverMs, lockMs].map(String);
  const asSettings = Object.entries({ statement_timeout: asText[0], lock_timeout: asText[1], ...parameters });
  const asSql = `SET LOCAL statement_timeout = ${serverMs}; SET LOCAL lock_timeout = ${lockMs}`;

  return class LimitedClient extends pg.Client implements StatementClient {
    /** Of a session that may have prepared statements. */
    #naming: Naming | undefined;
    /** Whether the backend is this client's alone, so that the limits are set on it once. Behind a pooler they go with each transaction. */
    #isOwnSession = false;

    constructor(config?: pg.ClientConfig) {
      super(config);
      const connect = super.connect.bind(this) as (callback: (error?: Error | null) => void) => void;
      this.connect = ((callback: (error?: Error | null) => void) =>
        connect((error) => (error ? callback(error) : this.#setUp(callback)))) as typeof this.connect;
      this.query = ((text: unknown, values?: unknown, callback?: Callback) => {
        const done = typeof values === 'function' ? (values as Callback) : callback;
        const bound = Array.isArray(values) ? values : [];
        if (typeof text !== 'string') throw new TypeError('a statement is a string');
        const statement = { text, values: bound };
        if (done) return this.#run(statement, done);
        return this.#ran(statement);
      }) as typeof this.query;
    }

    async runStatement(text: string, values: unknown[], isPrepared: boolean): Promise<StatementResult> {
      try {
        return await this.#ran({ text, values, name: isPrepared && values.length > 0 ? this.#nameOf(text) : undefined });
      } catch (error) {
        if (!this.#naming || !isStaleStatement(error)) throw error;
        forgetPrepared(this.#naming);
        this.#endNaming();
        if (this.getTransactionStatus() !== 'I') throw error;
        return this.#ran({ text, values });
      }
    }

    #nameOf(text: string): string | undefined {
      if (!this.#naming) return undefined;
      if (mayName(this.#naming)) return statementName(text);
      this.#endNaming();
      return undefined;
    }

    /** By this mark of Sequelize's nobody is given a session whose statements are out of date any more; the next one prepares them anew. */
    #endNaming(): void {
      if (this.#naming?.isOwn) Object.assign(this, { _invalid: true });
      this.#naming = undefined;
    }

    /** A pooler in transaction mode makes up the backend's id that it tells; a connection that tells the true one is no pooler's. */
    #setUp(callback: (error?: Error | null) => void): void {
      const { processID } = this as unknown as Internals;
      const set = asSettings.map(([name], index) => `set_config('${name}', $${index + 1}, false)`).join(', ');
      const text = `SELECT ${set} WHERE pg_backend_pid() = ${processID ?? 0}`;
      this.#limited({ text, values: asSettings.map(([, value]) => value) }, (error, result) => {
        this.#isOwnSession = (result as pg.QueryResult | undefined)?.rowCount === 1;
        // What runs for minutes is planned for the values that it has.
        if (!isLong) this.#naming = newNaming(this.#isOwnSession);
        callback(error);
      });
    }

    #run(statement: Statement, callback: Callback): void {
      this.#limited(statement, callback, this.#isOwnSession || this.getTransactionStatus() !== 'I');
    }

    #ran(statement: Statement): Promise<StatementResult> {
      return new Promise((resolve, reject) =>
        this.#run(statement, (error, result) => (error ? reject(error) : resolve(result as StatementResult))),
      );
    }

    /** Sends a statement, and calls back in time whatever the server does. */
    #limited(statement: Statement, callback: Callback, areSet = true): void {
      const time = isLong ? undefined : databaseTime();
      const left = Math.min(statementMs || Infinity, time?.left ?? Infinity);
      const limit = ENDS.test(statement.text) ? Math.max(left, END_MIN_MS) : left;
      if (limit <= 0) {
        process.nextTick(callback, silence());
        return;
      }
      const waited = time?.wait();
      let timer: NodeJS.Timeout | undefined;
      let cancelled: Promise<void> | undefined;
      let isDone = false;
      const finish: Callback = (error, result) => {
        if (isDone) return;
        isDone = true;
        clearTimeout(timer);
        waited?.();
        if (ENDS_SESSION.test((error as { code?: string } | null)?.code ?? '')) {
          // The socket's end comes later than the error: by this mark of Sequelize's nobody is given the connection meanwhile.
          Object.assign(this, { _invalid: true });
          this.connection.stream.destroy();
        }
        callback(error, result);
      };
      if (limit !== Infinity)
        timer = setTimeout(() => {
          cancelled = cancel(this);
          timer = setTimeout(() => {
            Object.assign(this, { _invalid: true });
            finish(silence());
            this.connection.stream.destroy();
          }, CANCEL_TIMEOUT_MS);
        }, limit);
      const answered = async (error: Error | null, result?: unknown): Promise<void> => {
        // Else the signal could hit what the connection does next.
        if (cancelled) await cancelled;
        finish(error, result);
      };
      this.#send(statement, (error, result) => void answered(error, result), areSet);
    }

    #send(statement: Statement, callback: Callback, areSet: boolean): void {
      const send = super.query.bind(this) as (query: unknown, callback?: Callback) => void;
      const { text, values } = statement;
      if (values.length > 0) {
        if (areSet) send(statement, callback);
        else send(new LimitedQuery(asText, statement, callback));
      } else if (areSet || STANDS_ALONE.test(text)) send(text, callback);
      else if (BEGINS.test(text)) send(`${text.replace(/;\s*$/, '')}; ${asSql}`, callback);
      // An answer for each statement: the first two are the limits'.
      else
        send(`${asSql}; ${text}`, (error: Error | null, results?: unknown) => {
          const [, , ...own] = (results ?? []) as unknown[];
          callback(error, own.length === 1 ? own[0] : own);
        });
    }
  };
}

/**
 * Waits for a connection of a pool, no longer than the request around it has time.
 *
 * @param release what is done with one that comes later
 */
export async function acquireInTime<T>(acquiring: Promise<T>, release: (late: T) => void): Promise<T> {
  const time = databaseTime();
  if (time === undefined || time.left === Infinity) return acquiring;
  const waited = time.wait();
  let timer: NodeJS.Timeout | undefined;
  let isLate = false;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        isLate = true;
        reject(silence());
      },
      Math.max(0, time.left),
    );
  });
  acquiring.then((connection) => (isLate ? release(connection) : undefined)).catch(() => undefined);
  return Promise.race([acquiring, late]).finally(() => {
    clearTimeout(timer);
    waited();
  });
}
