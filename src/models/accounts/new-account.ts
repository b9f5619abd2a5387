// What every new account gets beside its own row.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import type { ProvisioningToken } from '../provisioning/provisioning-token';
import type { Account, AccountName } from './account';
import type { StoredPassword } from './password';

/**
 * Stores the first password and provisioning token of an account that this transaction has inserted, and looks for a tombstone of its name.
 *
 * One statement of our own, since every creation of an account pays for it. It comes after the account's row: the insert of that may have
 * waited for the deletion of an account of this name, whose tombstone only a later statement sees.
 *
 * @returns whether there is a tombstone: the name is taken
 */
export async function equipNewAccount(
  { id, username, domain }: AccountName & Pick<Attributes<Account>, 'id'>,
  { password, algorithm }: StoredPassword,
  { token, ip, user_agent }: Pick<Attributes<ProvisioningToken>, 'token' | 'ip' | 'user_agent'>,
): Promise<boolean> {
  const [found] = await select<{ tombstone: boolean }>(
    `WITH first_password AS (
       INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, $3)
     ), first_token AS (
       INSERT INTO provisioning_tokens (account_id, token, ip, user_agent, created_at, updated_at) VALUES ($1, $4, $5, left($6, 255), now(), now())
     )
     SELECT EXISTS (SELECT 1 FROM accounts_tombstones WHERE username = $7 AND domain = $8) AS tombstone`,
    [id, password, algorithm, token, ip, user_agent, username, domain],
  );
  return found?.tombstone === true;
}
