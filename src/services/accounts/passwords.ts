// Changing the own password (api.md 4).
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { unprocessable } from '../../infra/errors';
import { realmOf, replacePassword } from './accounts';
import { hashPassword, isSameSecret, type PasswordAlgorithm } from '../credentials/secrets';

interface Row {
  username: string;
  domain: string;
  email: string | null;
  passwords: { password: string; algorithm: PasswordAlgorithm | 'CLRTXT' }[];
}

function matches({ username, domain, passwords }: Row, given: string): boolean {
  const right = passwords.map(({ password, algorithm }) =>
    algorithm === 'CLRTXT'
      ? isSameSecret(password, given)
      : isSameSecret(password.toLowerCase(), hashPassword(algorithm, username, realmOf(domain), given)),
  );
  return right.includes(true);
}

/** @throws {ApiError} 422 under old_password where there is a password and the old one is missing or wrong; nothing has changed then */
export async function changePassword(
  id: number,
  algorithm: PasswordAlgorithm,
  password: string,
  old: string | undefined,
): Promise<{ first: boolean; email: string | null }> {
  return inTransaction(async () => {
    const [account] = await select<Row>(
      `SELECT a.username, a.domain, a.email,
              coalesce((SELECT json_agg(json_build_object('password', p.password, 'algorithm', p.algorithm)) FROM passwords p WHERE p.account_id = a.id), '[]') AS passwords
         FROM accounts a WHERE a.id = $1 FOR UPDATE OF a`,
      [id],
    );
    if (!account) throw new Error('the caller’s account is gone');
    const first = account.passwords.length === 0;
    if (!first) {
      if (old === undefined) throw unprocessable({ old_password: [{ key: 'field.required', values: { attribute: 'old_password' } }] });
      if (!matches(account, old)) throw unprocessable({ old_password: [{ key: 'password.wrong', values: { attribute: 'old_password' } }] });
    }
    await replacePassword({ id, username: account.username, domain: account.domain }, algorithm, password);
    await execute('UPDATE accounts SET activated = true, updated_at = now() WHERE id = $1', [id]);
    return { first, email: account.email };
  });
}
