// Passwords of accounts: replaced, and changed by their owner.
import { inTransaction } from '../../infra/database';
import { ApiError, fieldError, notFound, unprocessable } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { Account, Password } from '../../models';
import { ACCOUNT_FOR_UPDATE, type AccountName } from '../../models/accounts/account';
import type { StoredPassword } from '../../models/accounts/password';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { enqueue } from '../../queues/producer';
import { ha1sOf, hashPassword, isSameSecret, type PasswordAlgorithm, realmOf } from '../credentials/secrets';
import { countSend } from '../limits/codes';
import { countPasswordAttempt, type PasswordAttempt } from '../limits/wrong-secrets';

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

/**
 * Changes the own password, or sets the first one; the account is activated.
 *
 * @param caller.account_id the account
 * @param caller.ip the client's address
 * @param old the password until now; needed where there is one
 * @returns whether it is the first one, and where a mail about it goes
 * @throws {ApiError} 422 under old_password where there is a password and the old one is missing or wrong; 429 after too many wrong ones, DIGEST's
 *   among them; 404 where the account was deleted meanwhile; nothing has changed then
 */
export async function changePassword(
  caller: PasswordAttempt,
  algorithm: PasswordAlgorithm,
  password: string,
  old: string | undefined,
): Promise<{ first: boolean; email: string | null }> {
  const giveBack = old === undefined ? undefined : await countPasswordAttempt(caller);
  try {
    const changed = await replaceOwnPassword(caller.account_id, algorithm, password, old);
    await giveBack?.();
    return changed;
  } catch (error) {
    if (!(error instanceof ApiError && error.text.key === 'password.wrong')) await giveBack?.();
    throw error;
  }
}

async function replaceOwnPassword(
  id: number,
  algorithm: PasswordAlgorithm,
  password: string,
  old: string | undefined,
): Promise<{ first: boolean; email: string | null }> {
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
    return { first, email: account.email };
  });
}

/** Tells the owner of an account by mail that it can be used. Nobody waits for it, and nothing depends on it: it never throws. */
export async function sendAccountReady(mail: { account_id: number; email: string; language: string; ip: string }): Promise<void> {
  const { account_id, email, language, ip } = mail;
  try {
    const takeBack = await countSend({ channel: 'email', recipient: email, ip });
    await enqueue('email', { kind: 'account_ready', account_id, language }).catch(async (error: unknown) => {
      await takeBack();
      throw error;
    });
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'the mail about a first password could not be queued');
  }
}
