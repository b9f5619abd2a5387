// What the unsecure endpoints do (api.md 4, «Unsecure endpoints»); off unless APP_DANGEROUS_ENDPOINTS.
import { randomInt } from 'node:crypto';
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { notFound, unavailable, unprocessable } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { enqueueAndWait, enqueue } from '../../queues/producer';
import { createAccountWithToken, type NewAccount } from './accounts';
import { consumeCreationToken, isCreationTokenUsable, releaseCreationToken } from '../tokens/creation-tokens';
import { newToken } from '../credentials/secrets';

const fourDigits = (): string => String(randomInt(10_000)).padStart(4, '0');

/**
 * Makes an account against a creation token, and sends its key by mail, or by SMS where it has no email. A message that
 * cannot be sent does not undo the account.
 */
export async function createPublicAccount(
  account: Omit<NewAccount, 'admin' | 'activated'>,
  token: string,
  language: string,
): Promise<number> {
  const byMail = account.email !== null && account.email !== undefined;
  const id = await createAccountWithToken({ ...account, confirmation_key: byMail ? newToken() : fourDigits() }, token);
  const job = { kind: 'account_creation', account_id: id, language } as const;
  await (byMail ? enqueue('email', job) : enqueue('sms', job)).catch((error: unknown) =>
    log.warn({ reason: reasonOf(error) }, 'the key of a new account could not be queued'),
  );
  return id;
}

export interface PhoneInfo {
  activated: boolean;
  phone: boolean;
}

/** The account of a Space whose phone or username is the number. */
export async function findAccountByPhone(phone: string, domain: string): Promise<(PhoneInfo & { id: number }) | null> {
  const [account] = await select<PhoneInfo & { id: number }>(
    `SELECT id, activated, phone IS NOT NULL AS phone FROM accounts WHERE domain = $2 AND (phone = $1 OR username = $1) ORDER BY (phone = $1) DESC NULLS LAST LIMIT 1`,
    [phone, domain],
  );
  return account ?? null;
}

/**
 * Sends a recovery code to the phone of an account, and uses a creation token up for it.
 *
 * @throws {ApiError} 422 for a token that is no good, 404 for a phone of nobody, 503 where it was not sent: the token is unused again
 */
export async function recoverByPhone(phone: string, domain: string, token: string, language: string): Promise<void> {
  const invalid = unprocessable({
    account_creation_token: [{ key: 'creation_token.invalid', values: { attribute: 'account_creation_token' } }],
  });
  if (!(await isCreationTokenUsable(token))) throw invalid;
  const [account] = await select<{ id: number }>('SELECT id FROM accounts WHERE phone = $1 AND domain = $2', [phone, domain]);
  if (!account) throw notFound('account.not_found');
  const key = fourDigits();
  await inTransaction(async () => {
    if (!(await consumeCreationToken(token, account.id))) throw invalid;
    await execute('UPDATE accounts SET confirmation_key = $2, confirmation_key_attempts = 0, updated_at = now() WHERE id = $1', [
      account.id,
      key,
    ]);
  });
  const { outcome } = await enqueueAndWait(
    'sms',
    { kind: 'account_recovery', account_id: account.id, language },
    settings.SMS_TIMEOUT_SECONDS,
  );
  if (outcome === 'sent') return;
  await inTransaction(async () => {
    await releaseCreationToken(token, account.id);
    // A code that may have arrived stays good.
    if (outcome !== 'unknown')
      await execute('UPDATE accounts SET confirmation_key = NULL WHERE id = $1 AND confirmation_key = $2', [account.id, key]);
  });
  throw unavailable(outcome === 'not_configured' ? 'code.not_configured' : 'code.not_sent');
}

/** Hashes of an account, which the caller has just proven to own. */
export const findPasswordHashes = (accountId: number): Promise<{ algorithm: string; password: string }[]> =>
  select('SELECT algorithm, password FROM passwords WHERE account_id = $1 ORDER BY id', [accountId]);
