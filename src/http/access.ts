// What a caller may do. Blocked is said before an expired Space, and that before a missing role: the first names what to mend first.
import { forbidden } from '../infra/errors';
import type { Identity } from '../services/credentials/identities';
import type { Access, Caller } from './route';

/** Admits an authenticated caller. @throws {ApiError} 403 with the first reason that holds */
export function authorize(identity: Identity, access: Access): Caller {
  const { account_id, username, domain, admin } = identity;
  const super_admin = admin && identity.space_super;
  if (identity.blocked) throw forbidden('auth.blocked');
  if (!super_admin && (isPast(identity.space_expire_at) || isPast(identity.request_space_expire_at))) throw forbidden('auth.space_expired');
  if (access === 'super_admin' && !super_admin) throw forbidden(admin ? 'auth.super_admin' : 'auth.admin');
  if (access === 'admin' && !admin) throw forbidden('auth.admin');
  return { account_id, username, domain, admin, super_admin };
}

const isPast = (moment: Date | null): boolean => moment !== null && moment.getTime() <= Date.now();
