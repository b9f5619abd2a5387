// Account creation request tokens: a person shows to be one on a page, then the app exchanges the token.
import { inTransaction } from '../../infra/database';
import { networkOf } from '../../infra/ip-address';
import { AccountCreationRequestToken, type AccountCreationToken } from '../../models';
import { newToken } from '../credentials/secrets';
import { requireTokenAllowance } from '../credentials/token-allowance';
import { createCreationToken, type TokenClient } from './creation-tokens';

/** Makes a token that nobody has validated yet. @throws {ApiError} 429 where its address has asked for too many */
export async function createRequestToken({ ip, user_agent }: TokenClient): Promise<AccountCreationRequestToken> {
  if (ip !== null) await requireTokenAllowance(AccountCreationRequestToken, ip);
  return AccountCreationRequestToken.create({ token: newToken(), ip, network: ip === null ? null : networkOf(ip), user_agent });
}

/** Exchanges a validated token for a creation token, once. @returns null where it is unknown, used, expired, or not validated */
export async function exchangeRequestToken(token: string, client: TokenClient): Promise<AccountCreationToken | null> {
  return inTransaction(async () => {
    const [, [redeemed]] = await AccountCreationRequestToken.scope(['alive', 'validated']).update(
      { used: true },
      { where: { token }, returning: true },
    );
    if (!redeemed) return null;
    const made = await createCreationToken(client);
    await AccountCreationRequestToken.update({ acc_creation_token_id: made.id }, { where: { id: redeemed.id } });
    return made;
  });
}
