// Getting back into an account by its phone: a code goes there by SMS. Behind the unsecure endpoints alone.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { notFound, unavailable, unprocessable } from '../../infra/errors';
import { Account, AccountCreationToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { isCertainlyNotSent } from '../../queues/contracts';
import { enqueueAndWait } from '../../queues/producer';
import { newShortCode } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';
import { countSend } from '../limits/codes';
import { CREATION_TOKEN_INVALID, releaseCreationToken } from '../tokens/creation-tokens';

/**
 * Sends a recovery code to the phone of an account, and uses a creation token up for it. The code is the account's confirmation key.
 *
 * @param phone E.164
 * @param request.domain of the Space that the request is for
 * @param request.host its Host header
 * @param request.ip the client's address
 * @param language of the message, as `Language` of i18n has it
 * @throws {ApiError} 422 for a token that is no good, 404 where no account has the phone, 403 where the account may not act, 429 where the number,
 *   its range or the client's address was sent too many: the token stays good; 503 where it was not sent: the token is unused again
 */
export async function recoverByPhone(
  phone: string,
  { domain, host, ip }: { domain: string; host: string; ip: string },
  token: string,
  language: string,
): Promise<void> {
  if (!(await AccountCreationToken.isUsable(token))) throw unprocessable(CREATION_TOKEN_INVALID);
  const accounts = Account.scope(visibleTo(SYSTEM));
  const account = await accounts.findOne({ attributes: ['id'], where: { phone, domain }, raw: true });
  if (!account) throw notFound('account.not_found');
  const { id } = account;
  await requireActiveAccount(id, host);
  const code = newShortCode();
  const takeBack = await countSend({ channel: 'phone', recipient: phone, ip });
  try {
    await inTransaction(async () => {
      await lockAccount(id);
      if (!(await AccountCreationToken.redeem(token, id))) throw unprocessable(CREATION_TOKEN_INVALID);
      await accounts.update({ confirmation_key: code, confirmation_key_attempts: 0, key_mailed_to: null }, { where: { id } });
    });
  } catch (error) {
    await takeBack();
    throw error;
  }
  const { outcome } = await enqueueAndWait('sms', { kind: 'account_recovery', account_id: id, language }, settings.SMS_TIMEOUT_SECONDS);
  if (outcome === 'sent') return;
  if (isCertainlyNotSent(outcome)) await takeBack();
  await inTransaction(async () => {
    await lockAccount(id);
    await releaseCreationToken(token, id);
    // A code that may have arrived stays good. Silent: for the account's owner nothing has changed.
    if (outcome !== 'unknown') await accounts.update({ confirmation_key: null }, { where: { id, confirmation_key: code }, silent: true });
  });
  throw unavailable(outcome === 'not_configured' ? 'code.not_configured' : 'code.not_sent');
}
