// How many tokens a network has asked for lately, of the two kinds that anybody may ask for without an account.
import { select } from '../../infra/sequelize';
import { AuthToken } from '../credentials/auth-token';
import { AccountCreationRequestToken } from './account-creation-request-token';

/**
 * When a network may ask for the next token. A statement of our own, since it counts no further than the limit, by index.
 * The column rounds to whole seconds, and so may lie ahead.
 *
 * @param limit tokens that it may have of the last hour
 * @returns seconds until then; 0: now
 */
export async function secondsUntilAllowed(
  kind: typeof AuthToken | typeof AccountCreationRequestToken,
  network: string,
  limit: number,
): Promise<number> {
  const [found] = await select<{ seconds: number }>(
    `SELECT least(3600, ceil(extract(epoch FROM created_at + interval '1 hour' - now())))::integer AS seconds FROM ${kind.tableName}
      WHERE network = $1 AND created_at > now() - interval '1 hour' ORDER BY created_at DESC OFFSET $2 LIMIT 1`,
    [network, limit - 1],
  );
  return Math.max(0, found?.seconds ?? 0);
}
