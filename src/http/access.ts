// What a caller may do. That the account may act at all is said before a missing role: it is what to mend first.
import { forbidden } from '../infra/errors';
import type { Identity, Viewed } from '../services/credentials/identities';
import { requireActive } from '../services/credentials/standing';
import type { Access, Caller } from './route';

/** Admits an authenticated caller. @throws {ApiError} 403 with the first reason that holds */
export function authorize(identity: Identity & Viewed, access: Access): Caller {
  const { account_id, username, domain, admin, view } = identity;
  const super_admin = admin && identity.space_super;
  requireActive(identity);
  if (access === 'super_admin' && !super_admin) throw forbidden(admin ? 'auth.super_admin' : 'auth.admin');
  if (access === 'admin' && !admin) throw forbidden('auth.admin');
  return { account_id, username, domain, admin, super_admin, ...(view && { view }) };
}
