// Auth tokens: a device without an account shows one, a person with an account attaches it, the device gets a key.
import { networkOf } from '../../infra/ip-address';
import { AuthToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { issueApiKey } from './api-keys';
import { deliverOnce, type Delivery } from './deliveries';
import { randomText } from './secrets';
import { requireActiveAccount } from './standing';
import { requireTokenAllowance } from './token-allowance';

/** Makes a token of 32 characters for the device that asks. @throws {ApiError} 429 where its address has asked for too many */
export async function createAuthToken(ip: string, userAgent: string | undefined): Promise<AuthToken> {
  await requireTokenAllowance(AuthToken, ip);
  return AuthToken.create({ token: randomText(32), ip, network: networkOf(ip), user_agent: userAgent ?? null });
}

/** Attaches a token to an account; of two callers one wins. @returns false where it is unknown, too old or attached */
export async function attachAuthToken(token: string, accountId: number): Promise<boolean> {
  const [attached] = await AuthToken.scope('alive').update({ account_id: accountId }, { where: { token, account_id: null } });
  return attached === 1;
}

/**
 * Uses an attached token up for an answer of its account, once; a client whose answer was lost has it again.
 *
 * @param client `ip`: of the device that shows the token; `host`: the request's Host header
 * @param make the answer, in the same transaction: where it cannot be made, the token stays good
 * @returns null where it is unknown, too old, used or not attached
 * @throws {ApiError} 403 where the account may not act: the token stays good
 */
export async function redeemAuthToken<T>(
  kind: 'auth_token_provisioning' | 'auth_token_key',
  token: string,
  { ip, host }: { ip: string; host: string },
  make: (accountId: number) => Promise<T>,
): Promise<Delivery<T> | null> {
  const redeem = async (): Promise<number | null> => {
    const accountId = await AuthToken.findAccountId(token);
    if (accountId === null) return null;
    // The account's row before the token's, as everywhere. While it is held nobody blocks the account.
    await lockAccount(accountId);
    await requireActiveAccount(accountId, host);
    return AuthToken.redeem(token);
  };
  return deliverOnce({ kind, token, ip, host }, redeem, make);
}

/** Exchanges an attached token for a fresh key of its account, once; as redeemAuthToken(). */
export const exchangeAuthToken = (token: string, ip: string, host: string): Promise<Delivery<string> | null> =>
  redeemAuthToken('auth_token_key', token, { ip, host }, (accountId) => issueApiKey(accountId, ip));
