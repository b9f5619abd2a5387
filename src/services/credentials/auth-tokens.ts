// Auth tokens: a device without an account shows one, a person with an account attaches it, the device gets a key.
import { inTransaction } from '../../infra/database';
import { select } from '../../infra/sequelize';
import { issueApiKey } from './api-keys';
import { randomText } from './secrets';

export interface AuthTokenRow {
  id: number;
  token: string;
  account_id: number | null;
  ip: string | null;
  user_agent: string | null;
  created_at: Date;
  updated_at: Date;
}

/** From its making, attached or not (api.md 4). */
const ALIVE = "created_at > now() - interval '5 minutes'";

export async function createAuthToken(ip: string, userAgent: string | undefined): Promise<AuthTokenRow> {
  const [row] = await select<AuthTokenRow>(
    `INSERT INTO auth_tokens (token, ip, user_agent, created_at, updated_at) VALUES ($1, $2, left($3, 255), now(), now())
     RETURNING id, token, account_id, ip, user_agent, created_at, updated_at`,
    [randomText(32), ip, userAgent ?? null],
  );
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return row;
}

/** Attaches a token to an account; of two callers one wins. @returns false where it is unknown, too old or attached */
export async function attachAuthToken(token: string, accountId: number): Promise<boolean> {
  const attached = await select(
    `UPDATE auth_tokens SET account_id = $2, updated_at = now() WHERE token = $1 AND account_id IS NULL AND ${ALIVE} RETURNING id`,
    [token, accountId],
  );
  return attached.length === 1;
}

/** Uses an attached token up. @returns its account, null where it is unknown, too old, used or not attached */
export async function takeAuthToken(token: string): Promise<number | null> {
  const [row] = await select<{ account_id: number }>(
    `DELETE FROM auth_tokens WHERE token = $1 AND account_id IS NOT NULL AND ${ALIVE} RETURNING account_id`,
    [token],
  );
  return row?.account_id ?? null;
}

/** Exchanges an attached token for a fresh key of its account, once. @returns null where takeAuthToken() gives none */
export async function exchangeAuthToken(token: string, ip: string): Promise<string | null> {
  return inTransaction(async () => {
    const accountId = await takeAuthToken(token);
    return accountId === null ? null : issueApiKey(accountId, ip);
  });
}
