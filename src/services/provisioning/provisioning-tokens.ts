// Tokens that open remote provisioning: for whom, how long, and once.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { ApiError, notFound } from '../../infra/errors';
import { Account, Password, ProvisioningToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import type { ProvisioningTokenState } from '../../models/provisioning/provisioning-token';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { addPassword } from '../accounts/passwords';
import { randomText } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';

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
 * Uses a provisioning token up: its account is activated. Of two at once one wins.
 *
 * @param host the request's Host header
 * @param resetPassword gives the account a password, but only where it has none: anyone who sees the address can add to it, and must not
 *   change a password by that
 * @returns the account's id
 * @throws {ApiError} 404 where it is unknown, used, not the newest or its account's time to be activated has passed, 410 where it is too
 *   old, 403 where the account may not act: the token stays good
 */
export async function redeemProvisioningToken(token: string, host: string, resetPassword: boolean): Promise<number> {
  const found = await findState(token);
  if (!isValid(found)) throw notFound('provisioning.invalid');
  if (found.expired) throw new ApiError(410, { key: 'provisioning.expired', values: {} });
  const id = found.account_id;
  const won = await inTransaction(async () => {
    // The account's row before the token's, as everywhere. While it is held nobody blocks the account, and of two that give it a first password
    // the second sees the other's.
    await lockAccount(id);
    await requireActiveAccount(id, host);
    const [redeemed] = await ProvisioningToken.update({ used: true }, { where: { id: found.id, used: false } });
    if (redeemed === 0) return false;
    const [, [account]] = await Account.scope(visibleTo(SYSTEM)).update(
      { activated: true },
      { where: { id }, returning: ['username', 'domain'] },
    );
    const password = resetPassword ? await Password.findOne({ attributes: ['id'], where: { account_id: id }, raw: true }) : null;
    if (account && resetPassword && password === null) {
      const { username, domain } = account;
      await addPassword({ id, username, domain }, settings.ACCOUNT_DEFAULT_PASSWORD_ALGORITHM, randomText(20));
    }
    return true;
  });
  if (!won) throw notFound('provisioning.invalid');
  return id;
}
