// Rows for measurements: SQL through a connection of the bench's own, without the time limits of the program's.
import pg from 'pg';

// One, so that every statement sees what the one before it did to the session.
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 1 });

/** Runs a statement. @returns its rows */
export async function query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
  return (await pool.query<Row>(sql, values)).rows;
}

/** Makes a Space. */
export async function createSpace(domain: string): Promise<void> {
  await pool.query('INSERT INTO spaces (domain, host, created_at, updated_at) VALUES ($1, $1, now(), now())', [domain]);
}

/** Closes the connection. */
export const closeSql = (): Promise<void> => pool.end();
