// Accounts: the rules that hold whoever makes one.
import { settings } from '../../config';
import { inTransaction, rows } from '../database';
import { forbidden, unprocessable, type FieldErrors } from '../errors';
import { issueApiKey } from './api-keys';
import { hashPassword, newToken, randomText, type PasswordAlgorithm } from './secrets';
import { consumeCreationToken, isCreationTokenUsable } from './creation-tokens';

export interface NewAccount {
  username: string;
  password: string;
  algorithm: PasswordAlgorithm;
  domain: string;
  dtmf_protocol?: string;
  admin?: boolean;
  activated?: boolean;
  ip_address: string;
  user_agent: string;
}

const usernameTaken = { key: 'username.taken', values: { attribute: 'username' } } as const;
const tokenInvalid = { key: 'creation_token.invalid', values: { attribute: 'account_creation_token' } } as const;

/** The realm of hashes and DIGEST (data-model.md, «Derived»). */
export const realmOf = (domain: string): string => settings.ACCOUNT_REALM ?? domain;

/** Whether an account or a tombstone has the name. */
async function isNameTaken(username: string, domain: string): Promise<boolean> {
  const [found] = await rows<{ taken: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM accounts WHERE username = $1 AND domain = $2)
         OR EXISTS (SELECT 1 FROM accounts_tombstones WHERE username = $1 AND domain = $2) AS taken`,
    [username, domain],
  );
  return found?.taken === true;
}

/**
 * Refuses where the Space has no room. Where it has a limit its row is locked until the transaction ends, so that the limit
 * is exact under any concurrency. @throws {ApiError} 403
 */
async function requireRoom(domain: string): Promise<void> {
  const [space] = await rows<{ max_accounts: number }>('SELECT max_accounts FROM spaces WHERE domain = $1', [domain]);
  if (!space || space.max_accounts === 0) return;
  const [locked] = await rows<{ max_accounts: number }>('SELECT max_accounts FROM spaces WHERE domain = $1 FOR NO KEY UPDATE', [domain]);
  const limit = locked?.max_accounts ?? 0;
  if (limit === 0) return;
  const [count] = await rows<{ accounts: number }>(
    'SELECT count(*)::integer AS accounts FROM (SELECT 1 FROM accounts WHERE domain = $1 LIMIT $2) AS counted',
    [domain, limit],
  );
  if ((count?.accounts ?? 0) >= limit) throw forbidden('space.full');
}

/**
 * Inserts an account with its password and provisioning token. Inside a transaction.
 *
 * @throws {ApiError} 403 where the Space is full, 422 where the name is taken
 */
async function insertAccount(account: NewAccount): Promise<number> {
  await requireRoom(account.domain);
  const [inserted] = await rows<{ id: number }>(
    `INSERT INTO accounts (username, domain, dtmf_protocol, admin, activated, confirmation_key, ip_address, user_agent, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, left($8, 256), now(), now()) ON CONFLICT (username, domain) DO NOTHING RETURNING id`,
    [
      account.username,
      account.domain,
      account.dtmf_protocol ?? null,
      account.admin ?? false,
      account.activated ?? false,
      account.activated ? null : newToken(),
      account.ip_address,
      account.user_agent,
    ],
  );
  // After the insert, not before: it may have waited for a deletion that leaves a tombstone.
  const [buried] = await rows('SELECT 1 AS one FROM accounts_tombstones WHERE username = $1 AND domain = $2', [
    account.username,
    account.domain,
  ]);
  if (!inserted || buried) throw unprocessable({ username: [usernameTaken] });
  const hash = hashPassword(account.algorithm, account.username, realmOf(account.domain), account.password);
  await rows(
    `WITH password AS (INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, $3))
     INSERT INTO provisioning_tokens (account_id, token, ip, user_agent, created_at, updated_at) VALUES ($1, $4, $5, left($6, 255), now(), now())
     RETURNING id`,
    [inserted.id, hash, account.algorithm, newToken(), account.ip_address, account.user_agent],
  );
  return inserted.id;
}

/**
 * Makes an account against a creation token, which is used up with it: both or neither.
 *
 * @returns the account's id
 * @throws {ApiError} 422 for a taken name or a token that is no good, 403 where the Space is full
 */
export async function createAccountWithToken(account: Omit<NewAccount, 'user_agent'>, token: string): Promise<number> {
  const errors: FieldErrors = {};
  if (await isNameTaken(account.username, account.domain)) errors['username'] = [usernameTaken];
  if (!(await isCreationTokenUsable(token))) errors['account_creation_token'] = [tokenInvalid];
  if (Object.keys(errors).length > 0) throw unprocessable(errors);

  return inTransaction(async () => {
    const id = await insertAccount({ ...account, user_agent: settings.APP_NAME });
    if (!(await consumeCreationToken(token, id))) throw unprocessable({ account_creation_token: [tokenInvalid] });
    return id;
  });
}

export interface NewAdmin {
  id: number;
  username: string;
  domain: string;
  password: string;
  api_key: string;
}

/** Makes an activated admin and its API key. @throws {ApiError} 403, 422 as insertAccount() */
export async function createAdmin({
  username,
  password,
  domain,
  ip,
}: {
  username: string;
  password?: string;
  domain: string;
  ip: string | null;
}): Promise<NewAdmin> {
  const secret = password ?? randomText(20);
  return inTransaction(async () => {
    const id = await insertAccount({
      username,
      domain,
      password: secret,
      algorithm: settings.ACCOUNT_DEFAULT_PASSWORD_ALGORITHM,
      admin: true,
      activated: true,
      ip_address: ip ?? '127.0.0.1',
      user_agent: settings.APP_NAME,
    });
    return { id, username, domain, password: secret, api_key: await issueApiKey(id, ip) };
  });
}

/** Gives the admin role. @returns whether there is such an account */
export async function setAdmin(id: number): Promise<boolean> {
  const changed = await rows('UPDATE accounts SET admin = true, updated_at = now() WHERE id = $1 RETURNING id', [id]);
  return changed.length === 1;
}
