// An account's row with what every new account gets beside it.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import type { ProvisioningToken } from '../provisioning/provisioning-token';
import type { Account } from './account';
import type { StoredPassword } from './password';

/** What the row of a new account holds; the table has defaults for the rest. */
export type NewAccountRow = Pick<
  Attributes<Account>,
  | 'username'
  | 'domain'
  | 'email'
  | 'phone'
  | 'display_name'
  | 'dtmf_protocol'
  | 'admin'
  | 'activated'
  | 'confirmation_key'
  | 'key_mailed_to'
  | 'ip_address'
  | 'user_agent'
>;

/**
 * Inserts an account with its first password and provisioning token. One statement of our own, since apps create accounts all day: with
 * create() it would be three, and each of those costs the process twice as much.
 *
 * @param token the first provisioning token; it is made for the client that made the account
 * @returns the account's id
 * @throws what Sequelize throws where the name or phone is taken
 */
export async function insertNewAccount(
  account: NewAccountRow,
  { password, algorithm }: StoredPassword,
  token: NonNullable<Attributes<ProvisioningToken>['token']>,
): Promise<Attributes<Account>['id']> {
  const [inserted] = await select<Pick<Attributes<Account>, 'id'>>(
    `WITH account AS (
       INSERT INTO accounts (username, domain, email, phone, display_name, dtmf_protocol, admin, activated, confirmation_key, ip_address, user_agent, key_mailed_to, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, left($11, 256), $15, now(), now()) RETURNING id
     ), first_password AS (
       INSERT INTO passwords (account_id, password, algorithm) SELECT id, $12, $13 FROM account
     ), first_token AS (
       INSERT INTO provisioning_tokens (account_id, token, ip, user_agent, created_at, updated_at) SELECT id, $14, $10, left($11, 255), now(), now() FROM account
     )
     SELECT id FROM account`,
    [
      account.username,
      account.domain,
      account.email,
      account.phone,
      account.display_name,
      account.dtmf_protocol,
      account.admin,
      account.activated,
      account.confirmation_key,
      account.ip_address,
      account.user_agent,
      password,
      algorithm,
      token,
      account.key_mailed_to,
    ],
  );
  return (inserted as Pick<Attributes<Account>, 'id'>).id;
}
