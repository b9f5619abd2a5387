// Account creation tokens: who may have one, what one is good for. The only place that decides either.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { type FieldErrors, fieldError } from '../../infra/errors';
import { AccountCreationToken } from '../../models';
import { millisecondsFromNow } from '../../models/moments';
import type { PushDevice } from '../../queues/contracts';
import { newToken } from '../credentials/secrets';

/** Of a token that cannot be used for an account, whatever the reason. */
export const CREATION_TOKEN_INVALID: FieldErrors = fieldError('account_creation_token', 'creation_token.invalid');

/** The client that a token is made for. */
export interface TokenClient {
  ip: string | null;
  user_agent: string | null | undefined;
}

/** Makes a token usable again that an account has redeemed in vain. */
export async function releaseCreationToken(token: string, accountId: number): Promise<void> {
  await AccountCreationToken.update({ used: false, account_id: null }, { where: { token, account_id: accountId } });
}

/** Redeems a token for an account that exists already. @returns null where it is not usable */
export async function consumeForAccount(
  token: string,
  accountId: number,
  { ip, user_agent }: TokenClient,
): Promise<AccountCreationToken | null> {
  const [, [redeemed]] = await AccountCreationToken.scope('usable').update(
    { used: true, account_id: accountId, ip, user_agent: user_agent ?? null },
    { where: { token }, returning: true },
  );
  return redeemed ?? null;
}

/** Makes a token that needs no sending. */
export const createCreationToken = ({ ip, user_agent }: TokenClient): Promise<AccountCreationToken> =>
  AccountCreationToken.create({ token: newToken(), ip, user_agent });

/** What decideOnDevice() decided; `send`: the row of the token. */
export type Decision = { outcome: 'already_sent' | 'limit_reached' } | { outcome: 'send'; id: number; token: string };

/**
 * Decides whether a device may be sent a token, and where it may, makes the row, marked `sending`. One transaction under the device's own
 * lock: of any number of requests at once one decides at a time, and the next sees its row.
 *
 * @param milliseconds until the send's deadline
 */
export async function decideOnDevice(device: PushDevice, { ip, user_agent }: TokenClient, milliseconds: number): Promise<Decision> {
  const { provider: pn_provider, param: pn_param, prid: pn_prid } = device;
  return inTransaction(async () => {
    await AccountCreationToken.lockDevice({ pn_provider, pn_param, pn_prid });
    const { recent, today } = await AccountCreationToken.countForDevice(
      { pn_provider, pn_param, pn_prid },
      settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES,
      settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES,
    );
    const limit = settings.APP_ACCOUNT_CREATION_TOKENS_PER_DEVICE;
    if (recent > 0) return { outcome: 'already_sent' };
    if (limit > 0 && today >= limit) return { outcome: 'limit_reached' };
    const { id, token } = await AccountCreationToken.create({
      token: newToken(),
      pn_provider,
      pn_param,
      pn_prid,
      ip,
      user_agent,
      send_state: 'sending',
      send_deadline: millisecondsFromNow(milliseconds),
    });
    return { outcome: 'send', id, token };
  });
}

/** Makes a sent token usable. @returns false where its deadline has passed: the request was answered 503, and the row is deleted */
export async function markSent(id: number): Promise<boolean> {
  const [sent] = await AccountCreationToken.scope(['sending', 'in_time']).update({ send_state: 'sent' }, { where: { id } });
  if (sent === 0) await deleteUnsent(id);
  return sent === 1;
}

/** Deletes the row of a token that was not sent: it must neither be usable nor count for the device. */
export async function deleteUnsent(id: number): Promise<void> {
  await AccountCreationToken.scope('sending').destroy({ where: { id } });
}
