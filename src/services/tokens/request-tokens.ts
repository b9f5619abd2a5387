// Account creation request tokens: a person shows to be one on a page, then the app exchanges the token (api.md 4, 6).
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { select } from '../../infra/sequelize';
import { createCreationToken, type CreationTokenRow } from './creation-tokens';
import { newToken } from '../credentials/secrets';

export interface RequestToken {
  token: string;
  validated_at: Date | null;
}

/** The same life as creation tokens have (api.md 9, row 38); `$life` in minutes, 0 = never expires. */
const alive = (life: string): string => `NOT used AND (${life} = 0 OR created_at > now() - make_interval(mins => ${life}))`;
const life = (): number => settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES;

export async function createRequestToken(ip: string, userAgent: string | undefined): Promise<RequestToken> {
  const [row] = await select<RequestToken>(
    `INSERT INTO account_creation_request_tokens (token, ip, user_agent, created_at, updated_at)
     VALUES ($1, $2, left($3, 255), now(), now()) RETURNING token, validated_at`,
    [newToken(), ip, userAgent ?? null],
  );
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return row;
}

/** A token that may still be validated or exchanged. */
export async function findRequestToken(token: string): Promise<RequestToken | null> {
  const [row] = await select<RequestToken>(
    `SELECT token, validated_at FROM account_creation_request_tokens WHERE token = $1 AND ${alive('$2::integer')}`,
    [token, life()],
  );
  return row ?? null;
}

/** Repeating it is harmless: the first moment counts. @returns false where the token is unknown, used or expired */
export async function validateRequestToken(token: string): Promise<boolean> {
  const validated = await select(
    `UPDATE account_creation_request_tokens SET validated_at = coalesce(validated_at, now()), updated_at = now() WHERE token = $1 AND ${alive('$2::integer')} RETURNING id`,
    [token, life()],
  );
  return validated.length === 1;
}

/** Exchanges a validated token for a creation token, once. @returns null where it is not valid */
export async function exchangeRequestToken(token: string, ip: string, userAgent: string | undefined): Promise<CreationTokenRow | null> {
  return inTransaction(async () => {
    const [used] = await select<{ id: number }>(
      `UPDATE account_creation_request_tokens SET used = true, updated_at = now()
        WHERE token = $1 AND validated_at IS NOT NULL AND ${alive('$2::integer')} RETURNING id`,
      [token, life()],
    );
    if (!used) return null;
    const made = await createCreationToken(ip, userAgent);
    await select(
      'UPDATE account_creation_request_tokens SET acc_creation_token_id = (SELECT id FROM account_creation_tokens WHERE token = $2) WHERE id = $1 RETURNING id',
      [used.id, made.token],
    );
    return made;
  });
}
