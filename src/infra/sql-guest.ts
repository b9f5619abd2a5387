// A connection to PostgreSQL as somebody else: what another program's database user may do is found out as that user. Apart from the pools of this program,
// whose users, limits and types are its own.
import pg from 'pg';
import { parse } from 'pg-connection-string';
import { withTimeout } from './timeout';

/** Where and as whom, by libpq's names. */
export interface SqlAddress {
  host?: string | undefined;
  port?: number | undefined;
  user?: string | undefined;
  password?: string | undefined;
  dbname?: string | undefined;
  /** As libpq has it; `prefer` where undefined. */
  sslmode?: string | undefined;
}

/** Asks something; every value comes back as PostgreSQL's text for it. */
export type AskSql = (statement: string, values?: readonly unknown[]) => Promise<{ columns: string[]; rows: (string | null)[][] }>;

/** For connecting, and for each answer. */
const ANSWER_TIMEOUT_MS = 5000;
const END_TIMEOUT_MS = 500;

/** libpq's meaning of it; certificates are the business of who connects for good. */
const wantsTls = (sslmode: string | undefined): boolean => sslmode !== undefined && !['disable', 'allow', 'prefer'].includes(sslmode);

/** @throws what pg throws, and where the time is over */
async function connected({ host, port, user, password, dbname }: SqlAddress, withTls: boolean): Promise<pg.Client> {
  const client = new pg.Client({
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(dbname === undefined ? {} : { database: dbname }),
    ssl: withTls ? { rejectUnauthorized: false } : false,
    application_name: 'flexisip-account-api-check',
    // Ends the socket, behind the time that is waited.
    connectionTimeoutMillis: ANSWER_TIMEOUT_MS + END_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    types: { getTypeParser: () => String },
  });
  client.on('error', () => undefined);
  try {
    await withTimeout(client.connect(), ANSWER_TIMEOUT_MS, 'PostgreSQL');
    return client;
  } catch (error) {
    await withTimeout(client.end(), END_TIMEOUT_MS, 'PostgreSQL').catch(() => undefined);
    throw error;
  }
}

/** By default libpq speaks TLS where the server does, and not where it does not. */
async function connectedAsLibpq(address: SqlAddress): Promise<pg.Client> {
  if (wantsTls(address.sslmode)) return connected(address, true);
  if (address.sslmode === 'disable' || address.host?.startsWith('/')) return connected(address, false);
  try {
    return await connected(address, true);
  } catch (error) {
    if (error instanceof Error && /does not support SSL/.test(error.message)) return connected(address, false);
    throw error;
  }
}

/**
 * Connects, does `work`, and hangs up whatever happens. Each statement is a transaction that reads only and is rolled back: a setting of the session would
 * stay with others behind a pooler.
 *
 * @throws what pg throws; an error with words of ours where no answer comes in time
 */
export async function withSqlGuest<T>(address: SqlAddress, work: (ask: AskSql) => Promise<T>): Promise<T> {
  const client = await connectedAsLibpq(address);
  let silence: Error | undefined;
  try {
    return await work(async (text, values = []) => {
      // What comes behind a statement that is not answered would wait as long again.
      if (silence) throw silence;
      try {
        await client.query('BEGIN READ ONLY');
        const { fields, rows } = await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' });
        return { columns: fields.map(({ name }) => name), rows };
      } catch (error) {
        if (error instanceof Error && /timeout/i.test(error.message) && !('code' in error))
          silence = new Error(`PostgreSQL: no answer within ${ANSWER_TIMEOUT_MS} ms`, { cause: error });
        throw silence ?? error;
      } finally {
        if (!silence) await client.query('ROLLBACK');
      }
    });
  } finally {
    await withTimeout(client.end(), END_TIMEOUT_MS, 'PostgreSQL').catch(() => undefined);
  }
}

/** libpq's word for what pg's URLs say of TLS: of those that demand it, the one that needs no file with authorities beside it. */
function sslmodeOf(url: string, ssl: unknown): string | undefined {
  const given = /[?&]sslmode=([a-z-]+)/.exec(url)?.[1];
  if (given === 'disable' || given === 'prefer') return given;
  return given !== undefined || ssl ? 'require' : undefined;
}

/** The parts of a `postgres://` URL, as those that connect by it have them. */
export function sqlAddressOf(url: string): SqlAddress {
  const { host, port, user, password, database, ssl } = parse(url);
  return {
    host: host ?? undefined,
    port: port ? Number(port) : undefined,
    user,
    password,
    dbname: database ?? undefined,
    sslmode: sslmodeOf(url, ssl),
  };
}
