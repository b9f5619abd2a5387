// Activation by key, as older apps do it.
import { inTransaction } from '../../infra/database';
import { forbidden, notFound } from '../../infra/errors';
import { Account, ActivationExpiration } from '../../models';
import { ACCOUNT_FOR_UPDATE } from '../../models/accounts/account';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { isSameSecret } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';

/** A key of four digits can be guessed: it is void after so many wrong attempts. */
const MAX_SHORT_KEY_ATTEMPTS = 5;
const SHORT_KEY_LENGTH = 4;

/** Counts a wrong key; silent, since nothing that the account's owner did has changed it. */
async function recordWrongKey(account: Account, key: string): Promise<void> {
  const attempts = account.confirmation_key_attempts + 1;
  const isVoid = key.length === SHORT_KEY_LENGTH && attempts >= MAX_SHORT_KEY_ATTEMPTS;
  await account.update({ confirmation_key_attempts: attempts, ...(isVoid ? { confirmation_key: null } : {}) }, { silent: true });
}

/**
 * Redeems an account's confirmation key: activated, once.
 *
 * @param name username, or phone where `byPhone`; the account with that username comes first
 * @param host the request's Host header
 * @returns the account's id
 * @throws {ApiError} 404 for an unknown account or a wrong key; 403 where the account may not act, or its time to be activated has passed: the
 *   key stays good
 */
export async function redeemConfirmationKey(name: string, domain: string, key: string, host: string, byPhone = false): Promise<number> {
  const outcome = await inTransaction(async () => {
    const accounts = byPhone ? [visibleTo(SYSTEM), { method: ['called', name, 'username'] as [string, ...unknown[]] }] : visibleTo(SYSTEM);
    // The row is locked: attempts at once are counted one by one.
    const account = await Account.scope(accounts).findOne({
      attributes: ['id', 'confirmation_key', 'confirmation_key_attempts'],
      where: byPhone ? { domain } : { username: name, domain },
      // Included only where it has passed.
      include: { model: ActivationExpiration.scope('passed'), as: 'activation_expiration', attributes: ['id'], required: false },
      lock: ACCOUNT_FOR_UPDATE,
    });
    if (!account?.confirmation_key) return null;
    if (!isSameSecret(account.confirmation_key, key)) {
      await recordWrongKey(account, account.confirmation_key);
      return null;
    }
    // Only whoever has the key hears that the account is blocked.
    await requireActiveAccount(account.id, host);
    if (account.activation_expiration) return 'expired';
    await Account.scope(visibleTo(SYSTEM)).update(
      { activated: true, confirmation_key: null, confirmation_key_attempts: 0 },
      { where: { id: account.id } },
    );
    return account.id;
  });
  if (outcome === null) throw notFound('account.not_found');
  if (outcome === 'expired') throw forbidden('activation.expired');
  return outcome;
}
