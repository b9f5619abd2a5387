// What a caller may do. That the account may act at all is said before a missing role: it is what to mend first.
import { forbidden } from '../infra/errors';
import { type Identity, mayUse, type Viewed } from '../services/credentials/identities';
import { countKeyRefusal, type KeyRefusal } from '../services/credentials/named-keys';
import { requireActive } from '../services/credentials/standing';
import type { Access, Caller, Scope } from './route';

/** Runs a check; a named key that it refuses is one that its operator hears of. @throws what the check throws */
function checked({ key_id, key_name }: Identity, reason: KeyRefusal, check: () => void): void {
  try {
    check();
  } catch (error) {
    // A person's key has a number, too, and no name.
    if (key_id !== undefined && key_name !== undefined) countKeyRefusal({ key_id, key_name }, reason);
    throw error;
  }
}

/** @throws {ApiError} 403 */
function requireRole(access: Access, admin: boolean, super_admin: boolean): void {
  if (access === 'super_admin' && !super_admin) throw forbidden(admin ? 'auth.super_admin' : 'auth.admin');
  if (access === 'admin' && !admin) throw forbidden('auth.admin');
}

/** @throws {ApiError} 403 which names the scope */
function requireScope({ scopes = null }: Identity, scope: Scope | null): void {
  if (scope !== null && !mayUse(scopes, scope)) throw forbidden('auth.scope', { scope });
}

/** Admits an authenticated caller. @param scope null: none is needed @throws {ApiError} 403 with the first reason that holds */
export function authorize(identity: Identity & Viewed, access: Access, scope: Scope | null): Caller {
  const { account_id, username, domain, admin, view, scopes = null, key_id, key_name } = identity;
  const named_key_id = key_name === undefined ? undefined : key_id;
  const super_admin = admin && identity.space_super;
  checked(identity, 'account', () => {
    requireActive(identity);
    requireRole(access, admin, super_admin);
  });
  checked(identity, 'scope', () => requireScope(identity, scope));
  return {
    account_id,
    username,
    domain,
    admin,
    super_admin,
    scopes,
    ...(named_key_id !== undefined && { named_key_id }),
    ...(view && { view }),
  };
}
