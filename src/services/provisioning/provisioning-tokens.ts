// Tokens that open remote provisioning: for whom, how long, and once.
import { settings } from '../../../config';
import { ApiError, notFound } from '../../infra/errors';
import { Account, Password, ProvisioningToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import type { ProvisioningTokenState } from '../../models/provisioning/provisioning-token';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { addPassword } from '../accounts/passwords';
import { deliverOnce, type Delivery } from '../credentials/deliveries';
import { randomText } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';
import { provisioningDocument } from './document';

const findState = (token: string): Promise<ProvisioningTokenState | null> =>
  ProvisioningToken.findState(token, settings.APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES);

const isValid = (token: ProvisioningTokenState | null): token is ProvisioningTokenState =>
  token !== null && !token.used && token.newest && !token.activation_expired;

/**
 * Whether a token could be used now; it stays unused.
 *
 * @param host the request's Host header
 * @throws {ApiError} 403 where its account may not act
 */
export async function isProvisioningTokenUsable(token: string, host: string): Promise<boolean> {
  const found = await findState(token);
  if (!isValid(found) || found.expired) return false;
  await requireActiveAccount(found.account_id, host);
  return true;
}

/**
 * Uses a provisioning token up: its account is activated, and its document made, in one transaction. Of two at once one wins; a client whose
 * document was lost on its way has it again, for a minute.
 *
 * @param client `ip`: the app's address; `host`: the request's Host header
 * @param resetPassword gives the account a password, but only where it has none: anyone who sees the address can add to it, and must not
 *   change a password by that
 * @throws {ApiError} 404 where it is unknown, used, not the newest or its account's time to be activated has passed, 410 where it is too
 *   old, 403 where the account may not act: the token stays good
 */
export async function redeemProvisioningToken(
  token: string,
  { ip, host }: { ip: string; host: string },
  resetPassword: boolean,
): Promise<Delivery<string>> {
  const redeem = async (): Promise<number | null> => {
    const found = await findState(token);
    if (!isValid(found)) return null;
    if (found.expired) throw new ApiError(410, { key: 'provisioning.expired', values: {} });
    const id = found.account_id;
    // The account's row before the token's, as everywhere. While it is held nobody blocks the account, and of two that give it a first password
    // the second sees the other's.
    await lockAccount(id);
    await requireActiveAccount(id, host);
    const [redeemed] = await ProvisioningToken.update({ used: true }, { where: { id: found.id, used: false } });
    if (redeemed === 0) return null;
    const [, [account]] = await Account.scope(visibleTo(SYSTEM)).update(
      { activated: true },
      { where: { id }, returning: ['username', 'domain'] },
    );
    const password = resetPassword ? await Password.findOne({ attributes: ['id'], where: { account_id: id }, raw: true }) : null;
    if (account && resetPassword && password === null) {
      const { username, domain } = account;
      await addPassword({ id, username, domain }, settings.ACCOUNT_DEFAULT_PASSWORD_ALGORITHM, randomText(20));
    }
    return id;
  };
  const delivery = await deliverOnce({ kind: 'provisioning', token, ip, host }, redeem, provisioningDocument);
  if (!delivery) throw notFound('provisioning.invalid');
  return delivery;
}
