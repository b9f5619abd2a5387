// What a caller may do. That the account may act at all is said before a missing role: it is what to mend first.
import { forbidden } from '../infra/errors';
import { type Identity, mayUse, type Viewed } from '../services/credentials/identities';
import { countKeyRefusal } from '../services/credentials/named-keys';
import { requireActive } from '../services/credentials/standing';
import type { Access, Caller, Scope } from './route';

/** Refuses a named key without the scope, which its operator sees. @throws {ApiError} 403 which names it */
function requireScope({ scopes = null, key_id, key_name }: Identity, scope: Scope): void {
  if (mayUse(scopes, scope)) return;
  if (key_id !== undefined && key_name !== undefined) countKeyRefusal({ key_id, key_name }, 'scope');
  throw forbidden('auth.scope', { scope });
}

/** Admits an authenticated caller. @param scope null: none is needed @throws {ApiError} 403 with the first reason that holds */
export function authorize(identity: Identity & Viewed, access: Access, scope: Scope | null): Caller {
  const { account_id, username, domain, admin, view, scopes = null, key_id, key_name } = identity;
  // A person's key has a number, too, and no name.
  const named_key_id = key_name === undefined ? undefined : key_id;
  const super_admin = admin && identity.space_super;
  requireActive(identity);
  if (access === 'super_admin' && !super_admin) throw forbidden(admin ? 'auth.super_admin' : 'auth.admin');
  if (access === 'admin' && !admin) throw forbidden('auth.admin');
  if (scope !== null) requireScope(identity, scope);
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
