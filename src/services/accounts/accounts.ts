// Accounts: the rules that hold whoever makes or changes one.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { conflict, fieldError, forbidden, unprocessable } from '../../infra/errors';
import {
  Account,
  AccountCount,
  AccountDictionaryEntry,
  AccountTombstone,
  ActivationExpiration,
  NamedApiKey,
  ProvisioningToken,
  Space,
} from '../../models';
import { findProspect, type Prospect, redeemForNew } from '../../models/accounts/creation-by-token';
import { insertNewAccount, type NewAccountRow } from '../../models/accounts/new-account';
import { removeLinksAcrossSpaces } from '../../models/address-book/links';
import { NO_KEY_UPDATE } from '../../models/moments';
import { isNoSuperAdminLeft } from '../../models/spaces/super-admins';
import { SYSTEM, type Viewer, visibleTo } from '../../models/visibility';
import { issueApiKey } from '../credentials/api-keys';
import { newToken, randomText, type PasswordAlgorithm } from '../credentials/secrets';
import { requireOpenSpace } from '../credentials/standing';
import { CREATION_TOKEN_INVALID } from '../tokens/creation-tokens';
import { claimEmail, requireFields, USERNAME_TAKEN, writeAccount } from './fields';
import { hashedPassword, replacePassword } from './passwords';

/** What whoever makes or changes an account may say of it; what is absent is none. */
export interface AccountFields extends Partial<Pick<Account, 'email' | 'phone' | 'display_name' | 'dtmf_protocol' | 'admin'>> {
  username: Account['username'];
  password: string;
  algorithm: PasswordAlgorithm;
  /** In the order in which it is to be shown. */
  dictionary?: Record<string, string> | undefined;
  user_agent: Account['user_agent'];
}

/** An account that is to be made. */
export interface NewAccount extends AccountFields {
  domain: Account['domain'];
  activated?: Account['activated'];
  /** What activates it; 13 characters where none is given. */
  confirmation_key?: string | undefined;
  /** The address to which the key is mailed, and shown to nobody else. */
  key_mailed_to?: string | undefined;
  /** Until when the account can be activated; kept only where it is not yet. */
  expires?: Date | undefined;
  ip_address: Account['ip_address'];
}

/** For whom an account is made, or moved: an admin or operator, whose own standing was looked at, or somebody who is not signed in. */
type Maker = 'admin' | 'anybody';

/**
 * Refuses where the Space has no room, and where it has expired and would act by itself. Where it has a limit its row is locked until the
 * transaction ends, so that the limit is exact under any concurrency.
 *
 * @param given the Space's terms, where they were just read
 * @throws {ApiError} 403
 */
async function requireRoom(domain: string, maker: Maker, given?: Prospect['terms']): Promise<void> {
  const terms = given === undefined ? await Space.findTerms(domain) : given;
  if (maker === 'anybody') requireOpenSpace(terms);
  if (!terms || terms.max_accounts === 0) return;
  const space = await Space.findOne({ attributes: ['max_accounts'], where: { domain }, lock: NO_KEY_UPDATE, raw: true });
  const maxAccounts = space?.max_accounts ?? 0;
  if (maxAccounts === 0) return;
  if ((await AccountCount.ofDomain(domain)) >= maxAccounts) throw forbidden('space.full');
}

/** Makes a fresh provisioning token for an account; the newest unused one is the one that counts, and only a few older ones are kept. */
export async function createProvisioningToken(accountId: number, ip: string, userAgent: string | undefined): Promise<void> {
  await ProvisioningToken.create({ account_id: accountId, token: newToken(), ip, user_agent: userAgent ?? null }, { returning: false });
  await ProvisioningToken.trim(accountId);
}

async function addDictionary(accountId: number, dictionary: Record<string, string>): Promise<void> {
  await AccountDictionaryEntry.bulkCreate(
    Object.entries(dictionary).map(([key, value]) => ({ account_id: accountId, key, value })),
    { returning: false },
  );
}

type SharedValues = Pick<NewAccountRow, 'username' | 'email' | 'phone' | 'display_name' | 'dtmf_protocol' | 'admin' | 'user_agent'>;

/** What new and changed accounts have in common; what is absent is none. */
const valuesOf = ({ username, email, phone, display_name, dtmf_protocol, admin, user_agent }: AccountFields): SharedValues => ({
  username,
  email: email ?? null,
  phone: phone ?? null,
  display_name: display_name ?? null,
  dtmf_protocol: dtmf_protocol ?? null,
  admin: admin ?? false,
  user_agent,
});

/** Inserts an account with its password and provisioning token. Inside a transaction. @returns its id */
function insertRow(account: NewAccount): Promise<number> {
  const { username, domain, activated = false } = account;
  return insertNewAccount(
    {
      ...valuesOf(account),
      domain,
      activated,
      confirmation_key: activated ? null : (account.confirmation_key ?? newToken()),
      key_mailed_to: account.key_mailed_to ?? null,
      ip_address: account.ip_address,
    },
    hashedPassword({ username, domain }, account.algorithm, account.password),
    newToken(),
  );
}

/** Adds to a new account what else it brings. @throws {ApiError} 422 where its email is taken */
async function addBelongings(id: number, { email, dictionary, expires, activated = false }: NewAccount): Promise<void> {
  await claimEmail(email, id);
  if (dictionary) await addDictionary(id, dictionary);
  if (expires && !activated)
    await ActivationExpiration.create({ account_id: id, expires }, { returning: false, validate: false, hooks: false });
}

/**
 * Inserts an account with its password, provisioning token and what else it brings. Inside a transaction.
 *
 * @returns its id
 * @throws {ApiError} 403 where the Space is full, or has expired; 422 where the name is taken
 */
async function insertAccount(account: NewAccount, maker: Maker): Promise<number> {
  await requireRoom(account.domain, maker);
  const id = await insertRow(account);
  if (await AccountTombstone.has({ username: account.username, domain: account.domain })) throw unprocessable(USERNAME_TAKEN);
  await addBelongings(id, account);
  return id;
}

/**
 * Makes an account as an admin wants it.
 *
 * @returns its id
 * @throws {ApiError} 422 with every fault, 403 where the Space is full
 */
export async function createAccount(account: NewAccount): Promise<number> {
  await requireFields({ username: { name: account.username, domain: account.domain }, email: account.email, phone: account.phone });
  return writeAccount(() => insertAccount(account, 'admin'));
}

/**
 * Makes an account against a creation token, which is used up with it: both or neither.
 *
 * @returns its id
 * @throws {ApiError} 422 for a taken name or a token that is no good, 403 where the Space is full, or has expired
 */
export async function createAccountWithToken(account: NewAccount, token: string): Promise<number> {
  return writeAccount(async () => {
    const { isTaken, isUsable, terms } = await findProspect(account, token);
    if (isTaken || !isUsable) throw unprocessable({ ...(isTaken ? USERNAME_TAKEN : {}), ...(isUsable ? {} : CREATION_TOKEN_INVALID) });
    await requireRoom(account.domain, 'anybody', terms);
    const id = await insertRow(account);
    await addBelongings(id, account);
    const { isRedeemed, isBuried } = await redeemForNew(token, { ...account, id });
    if (isBuried) throw unprocessable(USERNAME_TAKEN);
    if (!isRedeemed) throw unprocessable(CREATION_TOKEN_INVALID);
    return id;
  });
}

/** What an account is to become. */
export interface ChangedAccount extends AccountFields {
  /** Absent: the account stays where it is. */
  domain?: Account['domain'] | undefined;
}

/**
 * Changes an account as an admin wants it: what is absent is reset, but for domain, dictionary, activation and blocking. One that moves to another
 * Space takes along what is its own (dictionary, actions, types, vCards, the person's key and tokens), and leaves its contacts, lists and keys of machines behind.
 *
 * @param viewer who changes it
 * @returns whether the viewer sees such an account
 * @throws {ApiError} 422 with every fault, and where no super admin would be left; 403 where the Space it moves to is full
 */
export async function updateAccount(id: number, account: ChangedAccount, viewer: Viewer): Promise<boolean> {
  const accounts = Account.scope(visibleTo(viewer));
  const current = await accounts.findByPk(id, { attributes: ['domain', 'admin', 'blocked'], raw: true });
  if (!current) return false;
  const { username, domain = current.domain } = account;
  await requireFields({ username: { name: username, domain }, email: account.email, phone: account.phone }, id);
  return writeAccount(async () => {
    if (domain !== current.domain) await requireRoom(domain, 'admin');
    const [changed] = await accounts.update(
      // The answer shows the key to the admin: redeeming it says nothing about the mailbox any more.
      { ...valuesOf(account), domain, key_mailed_to: null },
      // Nowhere, if it was moved or deleted in the meantime.
      { where: { id, domain: current.domain } },
    );
    if (changed === 0) return false;
    const isStillAdmin = account.admin === true && domain === current.domain;
    if (current.admin && !current.blocked && !isStillAdmin && (await isNoSuperAdminLeft(current.domain)))
      throw unprocessable(fieldError(account.admin ? 'domain' : 'admin', 'space.last_super'));
    if (domain !== current.domain) {
      await removeLinksAcrossSpaces({ id, domain });
      // Admins of the Space that it leaves made them, and have them still: in a super Space they would open all that the account may do there.
      await NamedApiKey.scope(visibleTo(SYSTEM)).destroy({ where: { account_id: id } });
    }
    await claimEmail(account.email, id);
    await replacePassword({ id, username, domain }, account.algorithm, account.password);
    if (account.dictionary) {
      await AccountDictionaryEntry.scope(visibleTo(SYSTEM)).destroy({ where: { account_id: id } });
      await addDictionary(id, account.dictionary);
    }
    return true;
  });
}

/**
 * Activates or blocks an account that the viewer sees, or undoes it.
 *
 * @returns whether there was one
 * @throws {ApiError} 409 where no super admin would be left
 */
export async function setAccountFlag(id: number, flag: 'activated' | 'blocked', value: boolean, viewer: Viewer): Promise<boolean> {
  const accounts = Account.scope(visibleTo(viewer));
  if (flag === 'activated' || !value) return (await accounts.update({ [flag]: value }, { where: { id } }))[0] > 0;
  return inTransaction(async () => {
    const [, [blocked]] = await accounts.update({ blocked: true }, { where: { id }, returning: ['admin', 'domain'] });
    if (blocked?.admin && (await isNoSuperAdminLeft(blocked.domain))) throw conflict('space.last_super');
    return blocked !== undefined;
  });
}

/** An admin who was just made, with what signs it in. */
export interface NewAdmin {
  id: number;
  username: string;
  domain: string;
  password: string;
  api_key: string;
}

/**
 * Makes an activated admin and its API key.
 *
 * @param admin `password`: 20 characters are made where it is absent; `ip`: the only address from which the key works, null: any
 * @throws {ApiError} 403 where the Space is full, 422 where the name is taken
 */
export async function createAdmin(admin: { username: string; password?: string; domain: string; ip: string | null }): Promise<NewAdmin> {
  const { username, password = randomText(20), domain, ip } = admin;
  await requireFields({ username: { name: username, domain } });
  return writeAccount(async () => {
    const id = await insertAccount(
      {
        username,
        domain,
        password,
        algorithm: settings.ACCOUNT_DEFAULT_PASSWORD_ALGORITHM,
        admin: true,
        activated: true,
        ip_address: ip ?? '127.0.0.1',
        user_agent: settings.APP_NAME,
      },
      'admin',
    );
    return { id, username, domain, password, api_key: await issueApiKey(id, ip) };
  });
}
