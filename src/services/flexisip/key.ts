// Flexisip's key: named, for what Flexisip asks alone, and without an end, since Flexisip says nothing of a key that has ended.
import { NamedApiKey, NamedApiKeySecret } from '../../models';
import { findIdentityById } from '../../models/credentials/identity';
import { type Scope, scopesLacking } from '../../models/credentials/scopes';
import { findSuperAdmins } from '../../models/spaces/super-admins';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { changeNamedKey, createNamedKey, OPERATOR, rotateNamedKey } from '../credentials/key-changes';
import { hashApiKey, isNamedKey, isWholeNamedKey } from '../credentials/secrets';

/** What Flexisip needs: to report, and to ask for the domains. */
export const FLEXISIP_SCOPES: Scope[] = ['statistics:write', 'spaces:read'];

/** What is wrong with what is no named key. */
const PERSONS_KEY = "is no key of a machine: a person's key ends when it is unused for an hour";

/** An account as a person names it: its number, or `user@domain`. */
export type AccountText = string;

/** A key for a flexisip.conf. */
export interface FlexisipKey {
  id: number;
  /** null: it is there already, and nobody can show it again. */
  api_key: string | null;
  name: string;
  account: { id: number; address: string };
  /**
   * `made`; `rotated`: it was there, and what it was before is good for a time. Not touched: `given` by an option, `kept` from the file, or `unchanged`, which
   * is one that is not known here.
   */
  what: 'made' | 'rotated' | 'given' | 'kept' | 'unchanged';
}

type Admin = Awaited<ReturnType<typeof findSuperAdmins>>[number];
const addressOf = ({ username, domain }: Pick<Admin, 'username' | 'domain'>): string => `${username}@${domain}`;

/** Who the key is for, and the key of that name, where there is one. */
export interface KeyHolder {
  account: { id: number; address: string };
  existing?: Pick<NamedApiKey, 'id' | 'last_used_at' | 'last_used_ip'>;
}

/** Super admins whose the key may be. @throws {Error} where there is none, or the account that was named is none */
async function findCandidates(account: AccountText | undefined): Promise<Admin[]> {
  const admins = await findSuperAdmins();
  if (admins.length === 0) throw new Error('there is no super admin: bin/flexiapi accounts:create-admin makes one in a super space');
  const wanted = account?.replace(/^sips?:/, '').toLowerCase();
  const candidates =
    wanted === undefined ? admins : admins.filter((each) => String(each.id) === wanted || addressOf(each).toLowerCase() === wanted);
  if (candidates.length > 0) return candidates;
  throw new Error(
    `--account: ${account} is no super admin, and only such may ask for the domains: ${admins.slice(0, 5).map(addressOf).join(', ')}`,
  );
}

/** The first of `name`, `name-2`, `name-3`, … that is not taken. */
export function firstFree(name: string, separator: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let number = 2; taken.has(free); number += 1) free = `${name}${separator}${number}`;
  return free;
}

/**
 * The first of `flexisip`, `flexisip-2`, … of which nobody uses a key: what is in use goes on.
 *
 * @throws {Error} as findKeyHolder()
 */
export async function findUnusedName(account: AccountText | undefined, name: string): Promise<string> {
  const candidates = await findCandidates(account);
  const used = NamedApiKey.scope([visibleTo(SYSTEM), 'used']);
  const keys = await used.findAll({ attributes: ['name'], where: { account_id: candidates.map(({ id }) => id) } });
  return firstFree(name, '-', new Set(keys.map((key) => key.name)));
}

/**
 * Decides whose key it is: a super admin's, since no other may ask for all domains.
 *
 * @param account undefined: the one that has a key of this name, or else the first super admin
 * @throws {Error} where there is no such account, or it is no super admin
 */
export async function findKeyHolder(account: AccountText | undefined, name: string): Promise<KeyHolder> {
  const candidates = await findCandidates(account);
  const keys = await NamedApiKey.scope(visibleTo(SYSTEM)).findAll({
    attributes: ['id', 'account_id', 'last_used_at', 'last_used_ip'],
    where: { name, account_id: candidates.map(({ id }) => id) },
    order: [['id', 'ASC']],
  });
  const [key] = keys;
  const holder = candidates.find(({ id }) => id === key?.account_id) ?? candidates[0];
  if (!holder) throw new Error('there is no super admin');
  return { account: { id: holder.id, address: addressOf(holder) }, ...(key ? { existing: key } : {}) };
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
  await changeNamedKey(existing.id, { scopes: FLEXISIP_SCOPES, expires_at: null, expires_after_last_used_minutes: null }, OPERATOR);
  const rotated = await rotateNamedKey(existing.id, graceMinutes, OPERATOR);
  return { ...rotated, name, account, what: 'rotated' };
}

/** Why Flexisip could not work with a key for good; `excess`: it works, and could do more than Flexisip needs. */
export interface KeyFault {
  kind: 'person' | 'broken' | 'unknown' | 'replaced' | 'lacking' | 'end' | 'holder' | 'excess';
  /** Behind «the key». */
  why: string;
}

/** A key as it is found. */
export interface KeyLook {
  faults: KeyFault[];
  /** Undefined where it is not known, or no super admin's. */
  key?: FlexisipKey & { api_key: string };
}

const moment = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

/** When a key ends, in words. @param key with the scope `shown` */
function endOf(key: NamedApiKey): string {
  const end = moment(key.get('ends_at') as Date);
  return key.expires_at === null ? `when it is unused for ${key.expires_after_last_used_minutes} min (now: ${end})` : end;
}

/** Looks at a key in the database, without using it. */
export async function lookAtKey(text: string): Promise<KeyLook> {
  const only = (kind: KeyFault['kind'], why: string): KeyLook => ({ faults: [{ kind, why }] });
  if (!isNamedKey(text)) return only('person', PERSONS_KEY);
  if (!isWholeNamedKey(text)) return only('broken', 'is not whole: its last characters are a checksum of the others');
  const secret = await NamedApiKeySecret.findByPk(hashApiKey(text));
  const key = secret && (await NamedApiKey.scope([visibleTo(SYSTEM), 'shown']).findByPk(secret.key_id));
  if (!key) return only('unknown', 'is not known');
  const faults: KeyFault[] = [];
  if (secret.expires_at !== null)
    faults.push({
      kind: 'replaced',
      why: `is an older secret: ${key.name} was rotated, and this one ${secret.expires_at.getTime() > Date.now() ? 'ends' : 'ended'} at ${moment(secret.expires_at)}`,
    });
  const lacking = scopesLacking(key.scopes, FLEXISIP_SCOPES);
  if (lacking.length > 0) faults.push({ kind: 'lacking', why: `has not the scope ${lacking.join(' and ')}` });
  if (key.get('ends_at') !== null) faults.push({ kind: 'end', why: `has an end, and Flexisip says nothing when it comes: ${endOf(key)}` });
  const excess = scopesLacking(FLEXISIP_SCOPES, key.scopes);
  if (excess.length > 0) faults.push({ kind: 'excess', why: `may do more than Flexisip needs: ${excess.join(', ')}` });
  const holder = await findIdentityById(key.account_id, null);
  if (!holder?.admin || !holder.space_super || holder.blocked)
    return { faults: [...faults, { kind: 'holder', why: 'is of an account that is no super admin, or is blocked' }] };
  return {
    faults,
    key: { id: key.id, api_key: text, name: key.name, account: { id: holder.account_id, address: addressOf(holder) }, what: 'given' },
  };
}

/** Whether Flexisip can work with it for good. */
export const isUsable = ({ faults }: KeyLook): boolean => faults.every(({ kind }) => kind === 'excess');

/**
 * Looks at a key that somebody gives, without using it.
 *
 * @throws {Error} which says why Flexisip could not work with it
 */
export async function requireUsableKey(text: string): Promise<FlexisipKey> {
  const { faults, key } = await lookAtKey(text);
  const fault = faults.find(({ kind }) => kind !== 'excess');
  if (fault || !key) throw new Error(`--key: ${fault?.why ?? 'is not known'}; without --key one is made`);
  return key;
}
