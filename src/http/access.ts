// What a caller may do. That the account may act at all is said before a missing role: it is what to mend first.
import { forbidden } from '../infra/errors';
import { type Identity, mayUse, type Viewed } from '../services/credentials/identities';
import { countKeyRefusal, type KeyRefusal } from '../services/credentials/named-keys';
import { requireActive } from '../services/credentials/standing';
import type { Access, Caller, Scope } from './route';

/** @throws {ApiError} 403 */
function requireRole(access: Access, admin: boolean, super_admin: boolean): void {
  if (access === 'super_admin' && !super_admin) throw forbidden(admin ? 'auth.super_admin' : 'auth.admin');
  if (access === 'admin' && !admin) throw forbidden('auth.admin');
}

/** @throws {ApiError} 403 which names the scope */
function requireScope({ scopes = null }: Identity, scope: Scope | null): void {
  if (scope !== null && !mayUse(scopes, scope)) throw forbidden('auth.scope', { scope });
}

const lacking = new WeakMap<object, Caller>();

/** Whose key lacks a scope, of an error of authorize(); undefined where it is another one. */
export const callerLackingScope = (error: unknown): Caller | undefined =>
  typeof error === 'object' && error !== null ? lacking.get(error) : undefined;

/**
 * Admits an authenticated caller. A named key that is refused is one that its operator hears of.
 *
 * @param scope null: none is needed
 * @throws {ApiError} 403 with the first reason that holds
 */
export function authorize(identity: Identity & Viewed, access: Access, scope: Scope | null): Caller {
  const { account_id, username, domain, admin, view, scopes = null, key_id, key_name } = identity;
  const super_admin = admin && identity.space_super;
  // A person's key has a number, too, and no name.
  const named = key_id === undefined || key_name === undefined ? undefined : { key_id, key_name };
  const caller: Caller = {
    account_id,
    username,
    domain,
    admin,
    super_admin,
    scopes,
    ...(named && { named_key_id: named.key_id }),
    ...(view && { view }),
  };
  let reason: KeyRefusal = 'account';
  try {
    requireActive(identity);
    requireRole(access, admin, super_admin);
    reason = 'scope';
    requireScope(identity, scope);
  } catch (error) {
    if (named) countKeyRefusal(named, reason);
    if (reason === 'scope' && error instanceof Error) lacking.set(error, caller);
    throw error;
  }
  return caller;
}
