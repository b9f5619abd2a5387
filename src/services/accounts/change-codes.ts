// Changing email and phone by a code that is sent to the new one (api.md 4, «Accounts email, Accounts phone number»).
import { randomInt } from 'node:crypto';
import { settings } from '../../../config';
import { inTransaction, violatedConstraint } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { ApiError, forbidden, notFound, unavailable, unprocessable } from '../../infra/errors';
import { type NoAnswer, type SendResult } from '../../queues/contracts';
import { enqueueAndWait, rowJobId } from '../../queues/producer';
import { claimEmail, faultsOf } from './fields';
import { isSameSecret } from '../credentials/secrets';

export type Channel = 'email' | 'phone';

const TABLES = { email: 'email_change_codes', phone: 'phone_change_codes' } as const;
const MOST_TRIES = 5;

const expiryOf = (channel: Channel): number =>
  channel === 'email' ? settings.APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES : settings.APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES;
const patienceOf = (channel: Channel): number => (channel === 'email' ? settings.EMAIL_TIMEOUT_SECONDS : settings.SMS_TIMEOUT_SECONDS);

/**
 * Counts what the account asked for lately; at the limit it is blocked (api.md 2.5). @throws {ApiError} 403
 *
 * The account's own last change counts as one, so a fresh account begins at one.
 */
async function refuseTooMany(accountId: number): Promise<void> {
  const limit = settings.BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD;
  if (limit === 0) return;
  const recent = (table: string): string =>
    `(SELECT count(*) FROM ${table} WHERE account_id = a.id AND created_at > now() - make_interval(mins => $2))`;
  const [account] = await select<{ events: number }>(
    `SELECT (${recent('email_change_codes')} + ${recent('phone_change_codes')} + ${recent('recovery_codes')}
             + (coalesce(a.updated_at > now() - make_interval(mins => $2), false))::integer)::integer AS events FROM accounts a WHERE a.id = $1`,
    [accountId, settings.BLOCKING_TIME_PERIOD_CHECK],
  );
  if ((account?.events ?? 0) < limit) return;
  await execute('UPDATE accounts SET blocked = true WHERE id = $1', [accountId]);
  throw forbidden('auth.blocked');
}

/** Before anything in the request is looked at: not too often, and only with a creation token used for the account. @throws {ApiError} 403 */
export async function requireMayRequest(accountId: number): Promise<void> {
  await refuseTooMany(accountId);
  const used = await select('SELECT 1 AS one FROM account_creation_tokens WHERE account_id = $1 AND used LIMIT 1', [accountId]);
  if (used.length === 0) throw forbidden('code.no_token');
}

export interface CodeRequest {
  account_id: number;
  recipient: string;
  language: string;
  ip: string;
  user_agent: string | undefined;
}

/** The row of a request, once it may be made; several at once count one another. @throws {ApiError} 403, 422 */
async function insertRequest(
  channel: Channel,
  { account_id: id, recipient, language, ip, user_agent: agent }: CodeRequest,
): Promise<number> {
  const refused = await inTransaction(async () => {
    const [account] = await select<{ current: string | null }>(
      `SELECT ${channel} AS current FROM accounts WHERE id = $1 FOR NO KEY UPDATE`,
      [id],
    );
    const same = channel === 'email' ? account?.current?.toLowerCase() === recipient.toLowerCase() : account?.current === recipient;
    if (same) throw unprocessable({ [channel]: [{ key: 'field.same', values: { attribute: channel } }] });
    const faults = await faultsOf({ [channel]: recipient }, id);
    if (Object.keys(faults).length > 0) throw unprocessable(faults);
    try {
      await refuseTooMany(id);
    } catch (error) {
      // The blocking itself must be committed.
      if (error instanceof ApiError) return error;
      throw error;
    }
    const [row] = await select<{ id: number }>(
      `INSERT INTO ${TABLES[channel]} (account_id, code, ${channel}, language, ip, user_agent, send_state, send_deadline, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, left($6, 255), 'due', now() + make_interval(secs => $7), now(), now()) RETURNING id`,
      [id, String(randomInt(10_000)).padStart(4, '0'), recipient, language, ip, agent ?? null, patienceOf(channel)],
    );
    return row?.id ?? 0;
  });
  if (refused instanceof ApiError) throw refused;
  return refused;
}

/**
 * Sends a code to a new address or number and waits until it is sent. What was not sent leaves no row: a code that was
 * delivered before stays valid, and nothing counts towards blocking.
 *
 * @throws {ApiError} 403, 422; 503 where it was not sent
 */
export async function requestCode(channel: Channel, request: CodeRequest): Promise<void> {
  const id = await insertRequest(channel, request);
  const result: SendResult | NoAnswer =
    channel === 'email'
      ? await enqueueAndWait('email', { kind: 'email_change', id }, patienceOf(channel), rowJobId('email', 'email_change', id))
      : await enqueueAndWait('sms', { kind: 'phone_change', id }, patienceOf(channel), rowJobId('sms', 'phone_change', id));
  if (result.outcome === 'sent') return;
  // Nobody has begun it, and now nobody will; a send under way keeps its row.
  await execute(`DELETE FROM ${TABLES[channel]} WHERE id = $1 AND send_state = 'due'`, [id]);
  throw unavailable(result.outcome === 'not_configured' ? 'code.not_configured' : 'code.not_sent');
}

interface Pending {
  id: number;
  code: string;
  recipient: string;
  attempts: number;
  expired: boolean;
}

/**
 * Spends a code: the address or number becomes the account's, which is activated.
 *
 * @throws {ApiError} 404 where none is pending, 410 where it is too old, 403 where it is wrong (the fifth time it is void), 422
 *   where the address or number was taken meanwhile
 */
export async function confirmCode(channel: Channel, accountId: number, code: string): Promise<void> {
  const table = TABLES[channel];
  const refused = await inTransaction(async () => {
    // One try at a time.
    await select('SELECT 1 AS one FROM accounts WHERE id = $1 FOR NO KEY UPDATE', [accountId]);
    const pending = await select<Pending>(
      `SELECT id, code, ${channel} AS recipient, attempts, ($2 > 0 AND created_at <= now() - make_interval(mins => $2)) AS expired
         FROM ${table} WHERE account_id = $1 AND code IS NOT NULL AND send_state IS DISTINCT FROM 'due' ORDER BY id DESC LIMIT 2`,
      [accountId, expiryOf(channel)],
    );
    const [newest] = pending;
    if (!newest) return notFound('code.none');
    if (newest.expired) return new ApiError(410, { key: 'code.expired', values: {} });
    // While a newer one is under way the one before it is still good.
    const matching = pending.filter((row) => isSameSecret(row.code, code)).find((row) => !row.expired);
    if (!matching) {
      await execute(
        `UPDATE ${table} SET attempts = attempts + 1, code = CASE WHEN attempts + 1 >= $2 THEN NULL ELSE code END, updated_at = now() WHERE id = ANY ($1::integer[])`,
        [pending.map(({ id }) => id), MOST_TRIES],
      );
      return forbidden('code.wrong');
    }
    const faults = await faultsOf({ [channel]: matching.recipient }, accountId);
    // A country that was deactivated since is no reason: the number was accepted when it was asked for.
    if (faults[channel]?.[0]?.key === 'field.taken') throw unprocessable(faults);
    if (channel === 'email') await claimEmail(matching.recipient, accountId);
    await execute(`UPDATE ${table} SET code = NULL, updated_at = now() WHERE account_id = $1 AND code IS NOT NULL`, [accountId]);
    await execute(`UPDATE accounts SET ${channel} = $2, activated = true, updated_at = now() WHERE id = $1`, [
      accountId,
      matching.recipient,
    ]);
    return null;
  }).catch((error: unknown) => {
    if (violatedConstraint(error) === 'accounts_phone_key')
      throw unprocessable({ phone: [{ key: 'field.taken', values: { attribute: 'phone' } }] });
    throw error;
  });
  if (refused) throw refused;
}
