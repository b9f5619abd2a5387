// Auth tokens: a device without an account shows one, a person with an account attaches it, the device gets a key.
import { inTransaction } from '../../infra/database';
import { AuthToken } from '../../models';
import { issueApiKey } from './api-keys';
import { randomText } from './secrets';

/** Makes a token of 32 characters for the device that asks. */
export const createAuthToken = (ip: string, userAgent: string | undefined): Promise<AuthToken> =>
  AuthToken.create({ token: randomText(32), ip, user_agent: userAgent ?? null });

/** Attaches a token to an account; of two callers one wins. @returns false where it is unknown, too old or attached */
export async function attachAuthToken(token: string, accountId: number): Promise<boolean> {
  const [attached] = await AuthToken.scope('alive').update({ account_id: accountId }, { where: { token, account_id: null } });
  return attached === 1;
}

/** Uses an attached token up. @returns its account, null where it is unknown, too old, used or not attached */
export const redeemAuthToken: (token: string) => Promise<number | null> = (token) => AuthToken.redeem(token);

/** Exchanges an attached token for a fresh key of its account, once. @returns null where redeemAuthToken() gives none */
export async function exchangeAuthToken(token: string, ip: string): Promise<string | null> {
  return inTransaction(async () => {
    const accountId = await AuthToken.redeem(token);
    return accountId === null ? null : issueApiKey(accountId, ip);
  });
}
