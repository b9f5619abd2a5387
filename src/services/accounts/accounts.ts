// Accounts: the rules that hold whoever makes one.
import { settings } from '../../../config';
import { inTransaction, violatedConstraint } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { forbidden, unprocessable } from '../../infra/errors';
import { claimEmail, faultsOf, requireFields } from './fields';
import { issueApiKey } from '../credentials/api-keys';
import { hashPassword, newToken, randomText, type PasswordAlgorithm } from '../credentials/secrets';
import { consumeCreationToken, isCreationTokenUsable } from '../tokens/creation-tokens';

export interface AccountFields {
  email?: string | null | undefined;
  phone?: string | null | undefined;
  display_name?: string | null | undefined;
  dtmf_protocol?: string | null | undefined;
  dictionary?: Record<string, string> | undefined;
}

export interface NewAccount extends AccountFields {
  username: string;
  password: string;
  algorithm: PasswordAlgorithm;
  domain: string;
  admin?: boolean | undefined;
  activated?: boolean | undefined;
  /** What activates it; 13 characters where none is given. */
  confirmation_key?: string | undefined;
  /** Until when the account can be activated; kept only where it is not yet. */
  expires?: Date | undefined;
  ip_address: string;
  user_agent: string;
}

const usernameTaken = { key: 'username.taken', values: { attribute: 'username' } } as const;
const tokenInvalid = { key: 'creation_token.invalid', values: { attribute: 'account_creation_token' } } as const;

/** The realm of hashes and DIGEST (data-model.md, «Derived»). */
export const realmOf = (domain: string): string => settings.ACCOUNT_REALM ?? domain;

/**
 * Refuses where the Space has no room. Where it has a limit its row is locked until the transaction ends, so that the limit
 * is exact under any concurrency. @throws {ApiError} 403
 */
async function requireRoom(domain: string): Promise<void> {
  const [space] = await select<{ max_accounts: number }>('SELECT max_accounts FROM spaces WHERE domain = $1', [domain]);
  if (!space || space.max_accounts === 0) return;
  const [locked] = await select<{ max_accounts: number }>('SELECT max_accounts FROM spaces WHERE domain = $1 FOR NO KEY UPDATE', [domain]);
  const limit = locked?.max_accounts ?? 0;
  if (limit === 0) return;
  const [count] = await select<{ accounts: number }>(
    'SELECT count(*)::integer AS accounts FROM (SELECT 1 FROM accounts WHERE domain = $1 LIMIT $2) AS counted',
    [domain, limit],
  );
  if ((count?.accounts ?? 0) >= limit) throw forbidden('space.full');
}

/** Replaces all passwords by one, computed for the name and realm that the account has now. Inside a transaction. */
export async function replacePassword(
  account: { id: number; username: string; domain: string },
  algorithm: PasswordAlgorithm,
  password: string,
): Promise<void> {
  const hash = hashPassword(algorithm, account.username, realmOf(account.domain), password);
  await execute('DELETE FROM passwords WHERE account_id = $1', [account.id]);
  await execute('INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, $3)', [account.id, hash, algorithm]);
}

/** A fresh provisioning token; the newest unused one is the one that counts (api.md 7). */
export async function createProvisioningToken(accountId: number, ip: string, userAgent: string | undefined): Promise<void> {
  await execute(
    'INSERT INTO provisioning_tokens (account_id, token, ip, user_agent, created_at, updated_at) VALUES ($1, $2, $3, left($4, 255), now(), now())',
    [accountId, newToken(), ip, userAgent ?? null],
  );
}

async function replaceDictionary(accountId: number, dictionary: Record<string, string>): Promise<void> {
  await execute('DELETE FROM account_dictionary_entries WHERE account_id = $1', [accountId]);
  await execute(
    `INSERT INTO account_dictionary_entries (account_id, key, value, created_at, updated_at)
     SELECT $1, key, value, now(), now() FROM unnest($2::text[], $3::text[]) AS t (key, value)`,
    [accountId, Object.keys(dictionary), Object.values(dictionary)],
  );
}

const phoneTaken = { key: 'field.taken', values: { attribute: 'phone' } } as const;

/** Runs a write; a name or phone that another account took in the same moment is a 422 that names the field. */
async function unique<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await inTransaction(write);
  } catch (error) {
    const constraint = violatedConstraint(error);
    if (constraint === 'accounts_username_domain_key') throw unprocessable({ username: [usernameTaken] });
    if (constraint === 'accounts_phone_key') throw unprocessable({ phone: [phoneTaken] });
    throw error;
  }
}

/**
 * Inserts an account with its password, provisioning token and what else it brings. Inside a transaction.
 *
 * @throws {ApiError} 403 where the Space is full, 422 where the name is taken
 */
async function insertAccount(account: NewAccount): Promise<number> {
  await requireRoom(account.domain);
  const [inserted] = await select<{ id: number }>(
    `INSERT INTO accounts (username, domain, email, phone, display_name, dtmf_protocol, admin, activated, confirmation_key, ip_address, user_agent, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, left($11, 256), now(), now()) RETURNING id`,
    [
      account.username,
      account.domain,
      account.email ?? null,
      account.phone ?? null,
      account.display_name ?? null,
      account.dtmf_protocol ?? null,
      account.admin ?? false,
      account.activated ?? false,
      account.activated ? null : (account.confirmation_key ?? newToken()),
      account.ip_address,
      account.user_agent,
    ],
  );
  if (!inserted) throw new Error('INSERT … RETURNING gave no row');
  // After the insert, not before: it may have waited for a deletion that leaves a tombstone.
  const [buried] = await select('SELECT 1 AS one FROM accounts_tombstones WHERE username = $1 AND domain = $2', [
    account.username,
    account.domain,
  ]);
  if (buried) throw unprocessable({ username: [usernameTaken] });
  const { id } = inserted;
  await claimEmail(account.email, id);
  await replacePassword({ ...account, id }, account.algorithm, account.password);
  await createProvisioningToken(id, account.ip_address, account.user_agent);
  if (account.dictionary) await replaceDictionary(id, account.dictionary);
  if (account.expires && !account.activated) {
    await execute('INSERT INTO activation_expirations (account_id, expires, created_at, updated_at) VALUES ($1, $2, now(), now())', [
      id,
      account.expires,
    ]);
  }
  return id;
}

/** Makes an account as an admin wants it. @throws {ApiError} 422 with every fault, 403 where the Space is full */
export async function createAccount(account: NewAccount): Promise<number> {
  await requireFields({ username: { name: account.username, domain: account.domain }, email: account.email, phone: account.phone });
  return unique(() => insertAccount(account));
}

export type ChangedAccount = Omit<NewAccount, 'domain' | 'activated' | 'expires' | 'ip_address'> & {
  /** Absent: the account stays where it is. */
  domain?: string | undefined;
};

/**
 * Changes an account as an admin wants it: what is absent is reset, but for the dictionary (api.md 4, `PUT /accounts/{id}`).
 *
 * @param scope domain to which the caller is confined; null: none
 * @returns whether there is such an account
 * @throws {ApiError} 422 with every fault, 403 where the Space it moves to is full
 */
export async function updateAccount(id: number, account: ChangedAccount, scope: string | null): Promise<boolean> {
  const [current] = await select<{ domain: string }>('SELECT domain FROM accounts WHERE id = $1 AND ($2::text IS NULL OR domain = $2)', [
    id,
    scope,
  ]);
  if (!current) return false;
  const domain = account.domain ?? current.domain;
  await requireFields({ username: { name: account.username, domain }, email: account.email, phone: account.phone }, id);
  return unique(async () => {
    if (domain !== current.domain) await requireRoom(domain);
    const changed = await select(
      `UPDATE accounts SET username = $2, domain = $3, email = $4, phone = $5, display_name = $6, dtmf_protocol = $7, admin = $8, user_agent = left($9, 256),
              updated_at = now() WHERE id = $1 AND domain = $10 RETURNING id`,
      [
        id,
        account.username,
        domain,
        account.email ?? null,
        account.phone ?? null,
        account.display_name ?? null,
        account.dtmf_protocol ?? null,
        account.admin ?? false,
        account.user_agent,
        current.domain,
      ],
    );
    if (changed.length === 0) return false;
    await claimEmail(account.email, id);
    await replacePassword({ id, username: account.username, domain }, account.algorithm, account.password);
    if (account.dictionary) await replaceDictionary(id, account.dictionary);
    return true;
  });
}

export interface ScopedAccount {
  id: number;
  username: string;
  domain: string;
}

/** @param scope domain to which the caller is confined; null: none */
export async function findAccountInScope(id: number, scope: string | null): Promise<ScopedAccount | null> {
  const [account] = await select<ScopedAccount>(
    'SELECT id, username, domain FROM accounts WHERE id = $1 AND ($2::text IS NULL OR domain = $2)',
    [id, scope],
  );
  return account ?? null;
}

export type AccountFlag = 'activated' | 'blocked';

/** Activates, blocks, or the contrary. @returns whether there is such an account in the scope */
export async function setFlag(id: number, flag: AccountFlag, value: boolean, scope: string | null): Promise<boolean> {
  const changed = await select(
    `UPDATE accounts SET ${flag} = $2, updated_at = now() WHERE id = $1 AND ($3::text IS NULL OR domain = $3) RETURNING id`,
    [id, value, scope],
  );
  return changed.length === 1;
}

/**
 * Makes an account against a creation token, which is used up with it: both or neither.
 *
 * @returns the account's id
 * @throws {ApiError} 422 for a taken name or a token that is no good, 403 where the Space is full
 */
export async function createAccountWithToken(account: NewAccount, token: string): Promise<number> {
  const errors = await faultsOf({ username: { name: account.username, domain: account.domain } });
  if (!(await isCreationTokenUsable(token))) errors['account_creation_token'] = [tokenInvalid];
  if (Object.keys(errors).length > 0) throw unprocessable(errors);

  return unique(async () => {
    const id = await insertAccount(account);
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
  return unique(async () => {
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
  const changed = await select('UPDATE accounts SET admin = true, updated_at = now() WHERE id = $1 RETURNING id', [id]);
  return changed.length === 1;
}
