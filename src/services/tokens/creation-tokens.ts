// Account creation tokens: who may have one, what one is good for. The only place that decides either.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import type { PushDevice } from '../../queues/contracts';
import { newToken } from '../credentials/secrets';

export interface CreationTokenRow {
  token: string;
  pn_provider: string | null;
  pn_param: string | null;
  pn_prid: string | null;
  used: boolean;
  account_id: number | null;
  ip: string | null;
  user_agent: string | null;
  created_at: Date;
}

const COLUMNS = 'token, pn_provider, pn_param, pn_prid, used, account_id, ip, user_agent, created_at';

/** Only a token that was sent, or needs no sending, may be used (data-model.md, «Tokens»). `$life` is in minutes, 0 = never expires. */
const usable = (life: string): string =>
  `NOT used AND account_id IS NULL AND (send_state IS NULL OR send_state = 'sent')
   AND (${life} = 0 OR created_at > now() - make_interval(mins => ${life}))`;

const life = (): number => settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES;

export async function isCreationTokenUsable(token: string): Promise<boolean> {
  return (
    (await select(`SELECT 1 AS one FROM account_creation_tokens WHERE token = $1 AND ${usable('$2::integer')}`, [token, life()])).length ===
    1
  );
}

/** Uses a token up for an account, in one conditional statement: of two callers one wins. @returns whether it was usable */
export async function consumeCreationToken(token: string, accountId: number): Promise<boolean> {
  return (
    (await execute(
      `UPDATE account_creation_tokens SET used = true, account_id = $3, updated_at = now() WHERE token = $1 AND ${usable('$2::integer')}`,
      [token, life(), accountId],
    )) === 1
  );
}

/** Makes a token usable again that an account has used up in vain. */
export async function releaseCreationToken(token: string, accountId: number): Promise<void> {
  await execute(
    'UPDATE account_creation_tokens SET used = false, account_id = NULL, updated_at = now() WHERE token = $1 AND account_id = $2',
    [token, accountId],
  );
}

/** Uses a token up for an account that exists already. @returns null where it is not usable */
export async function consumeForAccount(
  token: string,
  accountId: number,
  ip: string,
  userAgent: string | undefined,
): Promise<CreationTokenRow | null> {
  const [row] = await select<CreationTokenRow>(
    `UPDATE account_creation_tokens SET used = true, account_id = $3, ip = $4, user_agent = left($5, 255), updated_at = now()
      WHERE token = $1 AND ${usable('$2::integer')} RETURNING ${COLUMNS}`,
    [token, life(), accountId, ip, userAgent ?? null],
  );
  return row ?? null;
}

/** Makes a token that needs no sending. */
export async function createCreationToken(ip: string, userAgent: string | undefined): Promise<CreationTokenRow> {
  const [row] = await select<CreationTokenRow>(
    `INSERT INTO account_creation_tokens (token, ip, user_agent, created_at, updated_at) VALUES ($1, $2, left($3, 255), now(), now()) RETURNING ${COLUMNS}`,
    [newToken(), ip, userAgent ?? null],
  );
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return row;
}

export type Decision = { outcome: 'already_sent' | 'limit_reached' } | { outcome: 'send'; id: number; token: string };

/**
 * Decides whether a device may be sent a token, and where it may, makes the row, marked `sending`. One transaction under the
 * device's own lock: of any number of requests at once one decides at a time, and the next sees its row.
 *
 * A row counts where it was sent, or is being sent and its deadline has not passed: what a killed worker left behind counts
 * no longer than its send could have taken.
 *
 * @param milliseconds until the send's deadline
 */
export async function decideOnDevice(
  device: PushDevice,
  client: { ip: string | null; user_agent: string | null },
  milliseconds: number,
): Promise<Decision> {
  const { provider, param, prid } = device;
  return inTransaction(async () => {
    await select(`SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array($1::text, $2::text, $3::text)::text, 0))`, [
      provider,
      param,
      prid,
    ]);
    const [counted] = await select<{ recent: number; today: number }>(
      `SELECT count(*) FILTER (WHERE NOT used AND created_at > now() - make_interval(mins => $4)
                                 AND ($5 = 0 OR created_at > now() - make_interval(mins => $5)))::integer AS recent,
              count(*) FILTER (WHERE created_at > now() - interval '24 hours')::integer AS today
         FROM account_creation_tokens
        WHERE pn_provider = $1 AND pn_param IS NOT DISTINCT FROM $2 AND pn_prid IS NOT DISTINCT FROM $3
          AND (send_state = 'sent' OR (send_state = 'sending' AND send_deadline > clock_timestamp()))
          AND created_at > now() - greatest(interval '24 hours', make_interval(mins => $4))`,
      [provider, param, prid, settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES, life()],
    );
    const limit = settings.APP_ACCOUNT_CREATION_TOKENS_PER_DEVICE;
    if ((counted?.recent ?? 0) > 0) return { outcome: 'already_sent' };
    if (limit > 0 && (counted?.today ?? 0) >= limit) return { outcome: 'limit_reached' };
    const [row] = await select<{ id: number; token: string }>(
      `INSERT INTO account_creation_tokens (token, pn_provider, pn_param, pn_prid, ip, user_agent, send_state, send_deadline, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, left($6, 255), 'sending', clock_timestamp() + $7 * interval '1 millisecond', now(), now()) RETURNING id, token`,
      [newToken(), provider, param, prid, client.ip, client.user_agent, milliseconds],
    );
    if (!row) throw new Error('INSERT … RETURNING gave no row');
    return { outcome: 'send', ...row };
  });
}

/** Makes a sent token usable. @returns false where its deadline has passed: whoever asked was told 503, and the row is gone */
export async function markSent(id: number): Promise<boolean> {
  const sent = await execute(
    `UPDATE account_creation_tokens SET send_state = 'sent', updated_at = now() WHERE id = $1 AND send_state = 'sending' AND send_deadline > now()`,
    [id],
  );
  if (sent === 0) await forgetUnsent(id);
  return sent === 1;
}

/** Removes the row of a token that was not sent: it must neither be usable nor count for the device. */
export async function forgetUnsent(id: number): Promise<void> {
  await execute(`DELETE FROM account_creation_tokens WHERE id = $1 AND send_state = 'sending'`, [id]);
}

/** Removes what killed workers left behind. @returns how many rows */
export async function forgetOverdue(): Promise<number> {
  return execute(`DELETE FROM account_creation_tokens WHERE send_state = 'sending' AND send_deadline < now() - interval '1 minute'`);
}
