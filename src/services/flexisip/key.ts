// Flexisip's key: named, for what Flexisip asks alone, and without an end, since Flexisip says nothing of a key that has ended.
import { NamedApiKey, NamedApiKeySecret } from '../../models';
import { type Scope, scopesLacking } from '../../models/credentials/scopes';
import { findSuperAdmins } from '../../models/spaces/super-admins';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { changeNamedKey, createNamedKey, OPERATOR, rotateNamedKey } from '../credentials/key-changes';
import { hashApiKey, isNamedKey, isWholeNamedKey } from '../credentials/secrets';

/** What Flexisip needs: to report, and to ask for the domains. */
export const FLEXISIP_SCOPES: Scope[] = ['statistics:write', 'spaces:read'];

/** An account as a person names it: its number, or `user@domain`. */
export type AccountText = string;

/** A key for a flexisip.conf. */
export interface FlexisipKey {
  id: number;
  api_key: string;
  name: string;
  account: { id: number; address: string };
  /** `made`; `rotated`: it was there, and what it was before is good for a time; `given`: it was not touched. */
  what: 'made' | 'rotated' | 'given';
}

type Admin = Awaited<ReturnType<typeof findSuperAdmins>>[number];
const addressOf = ({ username, domain }: Pick<Admin, 'username' | 'domain'>): string => `${username}@${domain}`;

/** Who the key is for, and the key of that name, where there is one. */
export interface KeyHolder {
  account: { id: number; address: string };
  existing?: number;
}

/**
 * Decides whose key it is: a super admin's, since no other may ask for all domains.
 *
 * @param account undefined: the one that has a key of this name, or else the first super admin
 * @throws {Error} where there is no such account, or it is no super admin
 */
export async function findKeyHolder(account: AccountText | undefined, name: string): Promise<KeyHolder> {
  const admins = await findSuperAdmins();
  if (admins.length === 0) throw new Error('there is no super admin: bin/flexiapi accounts:create-admin makes one in a super space');
  const wanted = account?.replace(/^sips?:/, '').toLowerCase();
  const candidates =
    wanted === undefined ? admins : admins.filter((each) => String(each.id) === wanted || addressOf(each).toLowerCase() === wanted);
  if (candidates.length === 0)
    throw new Error(
      `--account: ${account} is no super admin, and only such may ask for the domains: ${admins.slice(0, 5).map(addressOf).join(', ')}`,
    );
  const keys = await NamedApiKey.scope(visibleTo(SYSTEM)).findAll({
    attributes: ['id', 'account_id'],
    where: { name, account_id: candidates.map(({ id }) => id) },
    order: [['id', 'ASC']],
  });
  const [key] = keys;
  const holder = candidates.find(({ id }) => id === key?.account_id) ?? candidates[0];
  if (!holder) throw new Error('there is no super admin');
  return { account: { id: holder.id, address: addressOf(holder) }, ...(key ? { existing: key.id } : {}) };
}

/**
 * Makes the key, or gives the one of that name a new secret, its scopes, and no end.
 *
 * @param graceMinutes how long the secret before stays good
 */
export async function freshKey({ account, existing }: KeyHolder, name: string, graceMinutes: number): Promise<FlexisipKey> {
  if (existing === undefined) {
    const made = await createNamedKey({ account_id: account.id, name, scopes: FLEXISIP_SCOPES });
    return { ...made, name, account, what: 'made' };
  }
  await changeNamedKey(existing, { scopes: FLEXISIP_SCOPES, expires_at: null, expires_after_last_used_minutes: null }, OPERATOR);
  const rotated = await rotateNamedKey(existing, graceMinutes, OPERATOR);
  return { ...rotated, name, account, what: 'rotated' };
}

/**
 * Looks at a key that somebody gives, without using it.
 *
 * @throws {Error} which says why Flexisip could not work with it
 */
export async function requireUsableKey(text: string): Promise<FlexisipKey> {
  const refuse = (why: string): never => {
    throw new Error(`--key: ${why}; without --key one is made`);
  };
  if (!isNamedKey(text)) refuse("is no key of a machine: a person's key ends an hour after its last use");
  if (!isWholeNamedKey(text)) refuse('is not whole: its last characters are a checksum of the others');
  const secret = await NamedApiKeySecret.findByPk(hashApiKey(text));
  if (!secret) return refuse('is not known');
  if (secret.expires_at !== null) refuse('is an older secret of a key that was rotated');
  const key = await NamedApiKey.scope(visibleTo(SYSTEM)).findByPk(secret.key_id);
  if (!key) return refuse('is not known');
  const lacking = scopesLacking(key.scopes, FLEXISIP_SCOPES);
  if (lacking.length > 0) refuse(`has not the scope ${lacking.join(' and ')}`);
  if (key.expires_at !== null || key.expires_after_last_used_minutes !== null)
    refuse('has an end, and Flexisip says nothing when it comes');
  const admins = await findSuperAdmins();
  const holder = admins.find(({ id }) => id === key.account_id);
  if (!holder) return refuse('is of an account that is no super admin, or is blocked');
  return { id: key.id, api_key: text, name: key.name, account: { id: holder.id, address: addressOf(holder) }, what: 'given' };
}
