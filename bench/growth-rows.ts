// Rows of which many are made, by SQL, in the shapes that requests would have left them in.
import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Client } from './load';

export const DOMAIN = 'bench-growth.invalid';
const SUPER_DOMAIN = 'bench-super.invalid';
/** An admin of the Space that has the many accounts, and a super admin, who sees those of all Spaces. */
export const ADMIN = 'bench-admin';
export const SUPER_ADMIN = 'bench-super-admin';
const PASSWORD = createHash('sha256').update('bench').digest('hex');
/** What one statement inserts. */
const CHUNK = 50_000;

/** Headers of an account that was made here. */
export const authorized = (username: string): Record<string, string> => ({ 'x-api-key': `key-of-${username}` });
const get =
  (path: () => string, username: () => string): Client =>
  () => ({ method: 'GET', path: path(), headers: authorized(username()) });

/** Makes a client that gets a path as somebody; both may be other ones each time. */
export const getting = (path: string | (() => string), username: string | (() => string)): Client =>
  get(typeof path === 'string' ? () => path : path, typeof username === 'string' ? () => username : username);

/** Creates an account each time, without a mail. */
export const creating: Client = () => ({
  method: 'POST',
  path: '/api/accounts',
  headers: authorized(ADMIN),
  body: { username: `new-${randomBytes(8).toString('hex')}`, password: 'bench-password', algorithm: 'SHA-256' },
});

/** Accounts named by a statement's rows `name` (username, domain, admin), each with a password and a key. */
const INSERT = `
WITH made AS (
  INSERT INTO accounts (username, domain, admin, activated, email, ip_address, user_agent, created_at, updated_at)
  SELECT username, domain, admin, true, username || '@mail.invalid', '192.0.2.1', 'bench', now(), now() FROM name RETURNING id, username
), keys AS (
  INSERT INTO api_keys (account_id, key, last_used_at) SELECT id, encode(sha256(convert_to('key-of-' || username, 'UTF8')), 'hex'), now() FROM made
)
INSERT INTO passwords (account_id, password, algorithm) SELECT id, '${PASSWORD}', 'SHA-256' FROM made`;

/** Makes the Spaces, whose number of accounts is limited so that it is counted, and the admins. */
export async function fillBasics(db: pg.Pool): Promise<void> {
  await db.query(
    `INSERT INTO spaces (domain, host, super, max_accounts, created_at, updated_at)
     VALUES ($1, '127.0.0.1', false, 100000000, now(), now()), ($2, $2, true, 0, now(), now())`,
    [DOMAIN, SUPER_DOMAIN],
  );
  await db.query(
    INSERT.replace('WITH', 'WITH name (username, domain, admin) AS (VALUES ($1::text, $2::text, true), ($3::text, $4::text, true)),'),
    [ADMIN, DOMAIN, SUPER_ADMIN, SUPER_DOMAIN],
  );
}

/** The name of the nth of the accounts that fillAccounts() makes. */
export const usernameOf = (n: number): string => `bench${n}`;

/** Makes accounts by their numbers, and has PostgreSQL know of them what it knows once they have been there for a while. */
export async function fillAccounts(db: pg.Pool, count: number): Promise<void> {
  const insert = INSERT.replace(
    'WITH',
    `WITH name AS (SELECT 'bench' || n AS username, $1 AS domain, false AS admin FROM generate_series($2::integer, $3::integer) n),`,
  );
  for (let first = 0; first < count; first += CHUNK) await db.query(insert, [DOMAIN, first, Math.min(first + CHUNK, count) - 1]);
  // As the worker does it every ten seconds.
  await db.query(
    `WITH taken AS (DELETE FROM account_count_changes RETURNING domain, block, accounts)
     INSERT INTO account_counts AS c (domain, block, accounts) SELECT domain, block, sum(accounts) FROM taken GROUP BY 1, 2
     ON CONFLICT (domain, block) DO UPDATE SET accounts = c.accounts + excluded.accounts`,
  );
  await db.query('VACUUM ANALYZE');
  await db.query('CHECKPOINT').catch(() => undefined); // Not every user may; it only makes what follows steadier.
}
