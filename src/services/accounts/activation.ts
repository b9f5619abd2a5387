// Activation by key, as older apps do it.
import { inTransaction } from '../../infra/database';
import { forbidden, notFound } from '../../infra/errors';
import { Account, ActivationExpiration, Send } from '../../models';
import { ACCOUNT_FOR_UPDATE } from '../../models/accounts/account';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { isSameSecret } from '../credentials/secrets';
import { requireActiveAccount } from '../credentials/standing';
import { countGuess } from '../limits/codes';

/** A key of four digits can be guessed: it is void after so many wrong attempts. */
const MAX_SHORT_KEY_ATTEMPTS = 5;
const SHORT_KEY_LENGTH = 4;
/** What the column holds. */
const MAX_ATTEMPTS_COUNTED = 32_767;

const isShort = (key: string): boolean => key.length === SHORT_KEY_LENGTH;

/** Counts a wrong key for each that it could have been; silent, since nothing that the account's owner did has changed it. */
async function recordWrongKey(account: Account, codes: readonly Send[]): Promise<void> {
  const { confirmation_key: key } = account;
  if (key !== null) {
    const attempts = Math.min(account.confirmation_key_attempts + 1, MAX_ATTEMPTS_COUNTED);
    const isVoid = isShort(key) && attempts >= MAX_SHORT_KEY_ATTEMPTS;
    await account.update({ confirmation_key_attempts: attempts, ...(isVoid ? { confirmation_key: null } : {}) }, { silent: true });
  }
  const ids = codes.map(({ id }) => id);
  if (ids.length > 0) await Send.countWrongGuess(ids, MAX_SHORT_KEY_ATTEMPTS);
}

/** What an account may redeem: its key, and recovery codes that may have arrived while a newer key had not yet taken the older one's place. */
const keysOf = (account: Pick<Account, 'confirmation_key'>, codes: readonly Send[]): string[] =>
  [account.confirmation_key, ...codes.map(({ code }) => code)].filter((key): key is string => key !== null && key !== '');

/** Whose key is redeemed. */
export interface KeyHolder {
  /** Username, letter case ignored where nobody is spelled so, or phone where `byPhone`; the account with that username comes first. */
  name: string;
  domain: string;
  byPhone: boolean;
}

const accountsOf = ({ name, byPhone }: KeyHolder): typeof Account =>
  Account.scope([visibleTo(SYSTEM), { method: byPhone ? ['called', name, 'username'] : ['named', name] }]);

/** Counts a guess at a key of four digits for the phone that it was sent to. @returns takes it back; undefined where the key cannot be guessed */
async function countShortGuess(holder: KeyHolder, given: string, ip: string): Promise<(() => Promise<void>) | undefined> {
  if (!isShort(given)) return undefined;
  const account = await accountsOf(holder).findOne({
    attributes: ['id', 'phone', 'confirmation_key'],
    where: { domain: holder.domain },
    raw: true,
  });
  if (!account || !keysOf(account, await Send.findPendingCodes(account.id)).some(isShort)) return undefined;
  return countGuess([{ channel: 'phone', recipient: account.phone ?? `account ${account.id}` }], ip);
}

/**
 * Redeems an account's confirmation key: activated, once.
 *
 * @param request.host its Host header
 * @param request.ip the client's address
 * @returns the account's id
 * @throws {ApiError} 404 for an unknown account or a wrong key; 403 where the account may not act, or its time to be activated has passed: the
 *   key stays good; 429 where too many wrong keys of four digits were tried for its phone or from the client's address
 */
export async function redeemConfirmationKey(holder: KeyHolder, key: string, { host, ip }: { host: string; ip: string }): Promise<number> {
  const takeBack = await countShortGuess(holder, key, ip);
  let outcome;
  try {
    outcome = await compareConfirmationKey(holder, key, { host, counted: takeBack !== undefined });
  } catch (error) {
    await takeBack?.();
    throw error;
  }
  if (outcome === null) throw notFound('account.not_found');
  await takeBack?.();
  if (outcome === 'expired') throw forbidden('activation.expired');
  return outcome;
}

/**
 * @param counted whether a guess at a key of four digits was counted; where it was not none is compared
 * @returns null for a wrong key
 * @throws {ApiError} 403 where the account may not act
 */
async function compareConfirmationKey(
  holder: KeyHolder,
  key: string,
  { host, counted }: { host: string; counted: boolean },
): Promise<number | 'expired' | null> {
  return inTransaction(async () => {
    // The row is locked: attempts at once are counted one by one.
    const account = await accountsOf(holder).findOne({
      attributes: ['id', 'confirmation_key', 'confirmation_key_attempts', 'key_mailed_to'],
      where: { domain: holder.domain },
      // Included only where it has passed.
      include: { model: ActivationExpiration.scope('passed'), as: 'activation_expiration', attributes: ['id'], required: false },
      lock: ACCOUNT_FOR_UPDATE,
    });
    if (!account) return null;
    const codes = await Send.findPendingCodes(account.id);
    const keys = keysOf(account, codes);
    if (keys.length === 0) return null;
    // One became a short one in this moment.
    if (isShort(key) && keys.some(isShort) && !counted) return null;
    if (!keys.map((right) => isSameSecret(right, key)).includes(true)) {
      await recordWrongKey(account, codes);
      return null;
    }
    // Only whoever has the key hears that the account is blocked.
    await requireActiveAccount(account.id, host);
    if (account.activation_expiration) return 'expired';
    await Send.convertKey(
      account.id,
      codes.find(({ code }) => code !== null && isSameSecret(code, key)),
    );
    await Send.voidCodes(account.id);
    const isMailed = account.key_mailed_to !== null && account.confirmation_key !== null && isSameSecret(account.confirmation_key, key);
    await Account.scope(visibleTo(SYSTEM)).update(
      {
        activated: true,
        confirmation_key: null,
        confirmation_key_attempts: 0,
        // Whoever has the key reads the mailbox that it was sent to, and no other way leads to it.
        ...(isMailed ? { confirmed_email: account.key_mailed_to } : {}),
        key_mailed_to: null,
      },
      { where: { id: account.id } },
    );
    return account.id;
  });
}
