// Getting back into an account by its phone: a code goes there by SMS. Behind the unsecure endpoints alone.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { notFound, unprocessable } from '../../infra/errors';
import { Account, AccountCreationToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { isCertainlyNotSent, reasonWordOf } from '../../queues/contracts';
import { enqueueAndWait, rowJobId } from '../../queues/producer';
import { newShortCode } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';
import { countSend } from '../limits/codes';
import { notSent } from '../messaging/refusals';
import { CREATION_TOKEN_INVALID, releaseCreationToken } from '../tokens/creation-tokens';
import { insertSend, type MadeSend, withdrawSend } from './sends';

/**
 * Sends a recovery code to the phone of an account, and uses a creation token up for it. Once it was sent it is the account's confirmation key; until
 * then the key, or code, of before stays good.
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
  const takeBack = await countSend({ channel: 'phone', recipient: phone, ip });
  let send: MadeSend;
  try {
    send = await inTransaction(async () => {
      await lockAccount(id);
      if (!(await AccountCreationToken.redeem(token, id))) throw unprocessable(CREATION_TOKEN_INVALID);
      return insertSend({
        channel: 'sms',
        kind: 'account_recovery',
        account_id: id,
        recipient: phone,
        language,
        code: newShortCode(),
        milliseconds: settings.SMS_TIMEOUT_SECONDS * 1000,
      });
    });
  } catch (error) {
    await takeBack();
    throw error;
  }
  const job = { kind: 'send', id: send.id } as const;
  const result = await enqueueAndWait('sms', job, settings.SMS_TIMEOUT_SECONDS, rowJobId('sms', 'send', send.id));
  const { outcome } = result;
  if (outcome === 'sent') return;
  if (isCertainlyNotSent(outcome)) await takeBack();
  await inTransaction(async () => {
    await lockAccount(id);
    await releaseCreationToken(token, id);
    // One that a worker has may arrive: what came of it is the worker's to say.
    await withdrawSend(send, reasonWordOf(result) ?? 'timeout');
  });
  throw notSent(outcome === 'not_configured' ? 'code.not_configured' : 'code.not_sent', result);
}
