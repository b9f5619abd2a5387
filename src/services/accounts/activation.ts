// Public look-ups and activation by key, as older apps do it.
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { forbidden, notFound } from '../../infra/errors';
import { isSameSecret } from '../credentials/secrets';

/** A key of 4 digits is void after so many wrong tries (api.md 9, row 6). */
const MOST_TRIES = 5;

export async function findAccountInfo(username: string, domain: string): Promise<{ activated: boolean } | null> {
  const [account] = await select<{ activated: boolean }>('SELECT activated FROM accounts WHERE username = $1 AND domain = $2', [
    username,
    domain,
  ]);
  return account ?? null;
}

/**
 * Spends an account's confirmation key: activated, once.
 *
 * @param name username, or phone where `byPhone`
 * @returns the account's id
 * @throws {ApiError} 404 for an unknown account or a wrong key, 403 where its time to be activated has passed
 */
export async function spendConfirmationKey(name: string, domain: string, key: string, byPhone = false): Promise<number> {
  const outcome = await inTransaction(async () => {
    const [account] = await select<{ id: number; confirmation_key: string | null; expired: boolean }>(
      `SELECT a.id, a.confirmation_key, coalesce(x.expires <= now(), false) AS expired
         FROM accounts a LEFT JOIN activation_expirations x ON x.account_id = a.id
        WHERE (a.username = $1 OR ($3 AND a.phone = $1)) AND a.domain = $2 ORDER BY (a.username = $1) DESC LIMIT 1 FOR UPDATE OF a`,
      [name, domain, byPhone],
    );
    if (!account?.confirmation_key) return null;
    const { id, confirmation_key: kept } = account;
    if (!isSameSecret(kept, key)) {
      await execute(
        `UPDATE accounts SET confirmation_key_attempts = confirmation_key_attempts + 1,
                confirmation_key = CASE WHEN length(confirmation_key) = 4 AND confirmation_key_attempts + 1 >= $2 THEN NULL ELSE confirmation_key END
          WHERE id = $1`,
        [id, MOST_TRIES],
      );
      return null;
    }
    if (account.expired) return 'expired';
    await execute(
      'UPDATE accounts SET activated = true, confirmation_key = NULL, confirmation_key_attempts = 0, updated_at = now() WHERE id = $1',
      [id],
    );
    return id;
  });
  if (outcome === null) throw notFound('account.not_found');
  if (outcome === 'expired') throw forbidden('activation.expired');
  return outcome;
}
