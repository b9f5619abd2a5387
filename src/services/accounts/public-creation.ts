// Accounts that anybody makes against a creation token; their key is sent to them. Behind the unsecure endpoints alone.
import { inTransaction } from '../../infra/database';
import { newShortCode, newToken } from '../credentials/secrets';
import { countSend } from '../limits/codes';
import { createAccountWithToken, type NewAccount } from './accounts';
import { enqueueSend, insertSend, type MadeSend } from './sends';

/**
 * Makes an account against a creation token, and sends its key by mail, or by SMS where it has no email: for hours, if need be. A message that
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
  const key = to.channel === 'email' ? newToken() : newShortCode();
  const mailed = to.channel === 'email' ? { key_mailed_to: to.recipient } : {};
  let made: MadeSend & { account_id: number };
  try {
    made = await inTransaction(async () => {
      const account_id = await createAccountWithToken({ ...account, ...mailed, confirmation_key: key }, token);
      const channel = to.channel === 'email' ? 'email' : 'sms';
      return {
        account_id,
        ...(await insertSend({ channel, kind: 'account_creation', account_id, recipient: to.recipient, language, key })),
      };
    });
  } catch (error) {
    await takeBack();
    throw error;
  }
  await enqueueSend(made);
  return made.account_id;
}
