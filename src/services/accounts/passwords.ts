// Passwords of accounts: replaced, and changed by their owner.
import { inTransaction } from '../../infra/database';
import { ApiError, fieldError, notFound, unprocessable } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { Account, Password } from '../../models';
import { ACCOUNT_FOR_UPDATE, type AccountName } from '../../models/accounts/account';
import type { StoredPassword } from '../../models/accounts/password';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { ha1sOf, hashPassword, isSameSecret, type PasswordAlgorithm, realmOf } from '../credentials/secrets';
import { countSend } from '../limits/codes';
import { countPasswordAttempt, type PasswordAttempt } from '../limits/wrong-secrets';
import { enqueueSend, insertSend, type MadeSend } from './sends';

/** An account that a password is computed for: HA1 has the name in it. */
export type PasswordOwner = AccountName & { id: number };

/** A password as it is stored, computed for the name and realm that the account has now. */
export const hashedPassword = ({ username, domain }: AccountName, algorithm: PasswordAlgorithm, password: string): StoredPassword => ({
  algorithm,
  password: hashPassword(algorithm, username, realmOf(domain), password),
});

/** Gives an account that has no password one. */
export async function addPassword(owner: PasswordOwner, algorithm: PasswordAlgorithm, password: string): Promise<void> {
  await Password.create({ account_id: owner.id, ...hashedPassword(owner, algorithm, password) }, { returning: false });
}

/** Replaces all passwords of an account by one. Inside a transaction. */
export async function replacePassword(owner: PasswordOwner, algorithm: PasswordAlgorithm, password: string): Promise<void> {
  await Password.destroy({ where: { account_id: owner.id } });
  await addPassword(owner, algorithm, password);
}

/** Whether a password is one of the account's. All are compared, so that the time does not tell which is. */
function hasPassword(account: Account, given: string): boolean {
  const right = ha1sOf(account, account.passwords ?? []).map(([algorithm, ha1]) =>
    isSameSecret(ha1, hashPassword(algorithm, account.username, realmOf(account.domain), given)),
  );
  return right.includes(true);
}

/** A mail that there is room for. */
interface CountedMail {
  email: string;
  takeBack: () => Promise<void>;
}

/** Counts the mail about a first password, where that is what an account is about to get. @returns null where there is none to send */
async function countReadyMail({ account_id, ip }: PasswordAttempt): Promise<CountedMail | null> {
  const account = await Account.scope(visibleTo(SYSTEM)).findByPk(account_id, {
    attributes: ['email'],
    include: { association: 'passwords', attributes: ['id'] },
  });
  if (!account || account.email === null || account.passwords?.length !== 0) return null;
  const { email } = account;
  try {
    return { email, takeBack: await countSend({ channel: 'email', recipient: email, ip }) };
  } catch (error) {
    // Nothing depends on the mail.
    log.warn({ reason: reasonOf(error) }, 'a mail about a first password is not sent');
    return null;
  }
}

/**
 * Changes the own password, or sets the first one, of which its owner is told by mail; the account is activated.
 *
 * @param caller.account_id the account
 * @param caller.ip the client's address
 * @param old the password until now; needed where there is one
 * @param language of the mail
 * @throws {ApiError} 422 under old_password where there is a password and the old one is missing or wrong; 429 after too many wrong ones, DIGEST's
 *   among them; 404 where the account was deleted meanwhile; nothing has changed then
 */
export async function changePassword(
  caller: PasswordAttempt,
  algorithm: PasswordAlgorithm,
  password: string,
  old: string | undefined,
  language: string,
): Promise<void> {
  const giveBack = old === undefined ? undefined : await countPasswordAttempt(caller);
  // Counted before the transaction: no row is locked while Redis is asked.
  const mail = old === undefined ? await countReadyMail(caller) : null;
  let send: MadeSend | null = null;
  try {
    send = await replaceOwnPassword(caller.account_id, algorithm, password, old, { email: mail?.email ?? null, language });
    await giveBack?.();
  } catch (error) {
    if (!(error instanceof ApiError && error.text.key === 'password.wrong')) await giveBack?.();
    throw error;
  } finally {
    if (!send) await mail?.takeBack();
  }
  if (send) await enqueueSend(send);
}

/** @returns the mail that is due about it, where `to.email` is the account's and this is its first password */
async function replaceOwnPassword(
  id: number,
  algorithm: PasswordAlgorithm,
  password: string,
  old: string | undefined,
  to: { email: string | null; language: string },
): Promise<MadeSend | null> {
  return inTransaction(async () => {
    const account = await Account.scope(visibleTo(SYSTEM)).findByPk(id, {
      attributes: ['id', 'username', 'domain', 'email'],
      include: { association: 'passwords', attributes: ['algorithm', 'password'] },
      lock: ACCOUNT_FOR_UPDATE,
    });
    if (!account) throw notFound('account.not_found');
    const first = account.passwords?.length === 0;
    if (!first) {
      if (old === undefined) throw unprocessable(fieldError('old_password', 'field.required'));
      if (!hasPassword(account, old)) throw unprocessable(fieldError('old_password', 'password.wrong'));
    }
    await replacePassword(account, algorithm, password);
    await Account.scope(visibleTo(SYSTEM)).update({ activated: true }, { where: { id } });
    if (!first || to.email === null || account.email !== to.email) return null;
    return insertSend({ channel: 'email', kind: 'account_ready', account_id: id, recipient: to.email, language: to.language });
  });
}
