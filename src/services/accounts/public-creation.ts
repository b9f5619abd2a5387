// Accounts that anybody makes against a creation token; their key is sent to them. Behind the unsecure endpoints alone.
import { log, reasonOf } from '../../infra/log';
import { enqueue } from '../../queues/producer';
import { newShortCode, newToken } from '../credentials/secrets';
import { countSend } from '../limits/codes';
import { createAccountWithToken, type NewAccount } from './accounts';

/**
 * Makes an account against a creation token, and sends its key by mail, or by SMS where it has no email. A message that
 * cannot be sent does not undo the account.
 *
 * @param language of the message, as `Language` of i18n has it
 * @returns the account's id
 * @throws {ApiError} as createAccountWithToken(); 429 where the mailbox or number, its range or the client's address was sent too many: no account is
 *   made then, and the token stays good
 */
export async function createPublicAccount(
  account: Omit<NewAccount, 'admin' | 'activated'>,
  token: string,
  language: string,
): Promise<number> {
  const { email = null, phone = null, ip_address: ip } = account;
  const to = email === null ? ({ channel: 'phone', recipient: phone ?? '' } as const) : ({ channel: 'email', recipient: email } as const);
  const takeBack = await countSend({ ...to, ip });
  let id: number;
  try {
    const key =
      to.channel === 'email' ? { confirmation_key: newToken(), key_mailed_to: to.recipient } : { confirmation_key: newShortCode() };
    id = await createAccountWithToken({ ...account, ...key }, token);
  } catch (error) {
    await takeBack();
    throw error;
  }
  const job = { kind: 'account_creation', account_id: id, language } as const;
  await (to.channel === 'email' ? enqueue('email', job) : enqueue('sms', job)).catch(async (error: unknown) => {
    await takeBack();
    log.warn({ reason: reasonOf(error) }, 'the key of a new account could not be queued');
  });
  return id;
}
