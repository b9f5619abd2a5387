// Accounts that anybody makes against a creation token; their key is sent to them. Behind the unsecure endpoints alone.
import { log, reasonOf } from '../../infra/log';
import { enqueue } from '../../queues/producer';
import { newShortCode, newToken } from '../credentials/secrets';
import { createAccountWithToken, type NewAccount } from './accounts';

/**
 * Makes an account against a creation token, and sends its key by mail, or by SMS where it has no email. A message that
 * cannot be sent does not undo the account.
 *
 * @param language of the message, as `Language` of i18n has it
 * @returns the account's id
 * @throws {ApiError} as createAccountWithToken()
 */
export async function createPublicAccount(
  account: Omit<NewAccount, 'admin' | 'activated'>,
  token: string,
  language: string,
): Promise<number> {
  const byMail = account.email !== null && account.email !== undefined;
  const id = await createAccountWithToken({ ...account, confirmation_key: byMail ? newToken() : newShortCode() }, token);
  const job = { kind: 'account_creation', account_id: id, language } as const;
  await (byMail ? enqueue('email', job) : enqueue('sms', job)).catch((error: unknown) =>
    log.warn({ reason: reasonOf(error) }, 'the key of a new account could not be queued'),
  );
  return id;
}
