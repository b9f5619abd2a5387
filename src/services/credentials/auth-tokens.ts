// Auth tokens: a device without an account shows one, a person with an account attaches it, the device gets a key.
import { inTransaction } from '../../infra/database';
import { AuthToken } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { issueApiKey } from './api-keys';
import { requireTokenAllowance } from './token-allowance';
import { randomText } from './secrets';
import { requireActiveAccount } from './standing';

/** Makes a token of 32 characters for the device that asks. @throws {ApiError} 429 where its address has asked for too many */
export async function createAuthToken(ip: string, userAgent: string | undefined): Promise<AuthToken> {
  await requireTokenAllowance(AuthToken, ip);
  return AuthToken.create({ token: randomText(32), ip, user_agent: userAgent ?? null });
}

/** Attaches a token to an account; of two callers one wins. @returns false where it is unknown, too old or attached */
export async function attachAuthToken(token: string, accountId: number): Promise<boolean> {
  const [attached] = await AuthToken.scope('alive').update({ account_id: accountId }, { where: { token, account_id: null } });
  return attached === 1;
}

/**
 * Uses an attached token up.
 *
 * @param host the request's Host header
 * @returns its account, null where it is unknown, too old, used or not attached
 * @throws {ApiError} 403 where the account may not act: the token stays good
 */
export async function redeemAuthToken(token: string, host: string): Promise<number | null> {
  const accountId = await AuthToken.findAccountId(token);
  if (accountId === null) return null;
  return inTransaction(async () => {
    // The account's row before the token's, as everywhere. While it is held nobody blocks the account.
    await lockAccount(accountId);
    await requireActiveAccount(accountId, host);
    return AuthToken.redeem(token);
  });
}

/** Exchanges an attached token for a fresh key of its account, once; as redeemAuthToken(). */
export async function exchangeAuthToken(token: string, ip: string, host: string): Promise<string | null> {
  return inTransaction(async () => {
    const accountId = await redeemAuthToken(token, host);
    return accountId === null ? null : issueApiKey(accountId, ip);
  });
}
