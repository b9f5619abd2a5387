// Whether an account or a Space may act at all. The only place that decides: the guard of the authenticated endpoints asks it, and so does
// whatever lets somebody act as an account by a token or a code.
import { forbidden, notFound } from '../../infra/errors';
import type { MessageKey } from '../../i18n';
import { findIdentityById, type Identity } from '../../models/credentials/identity';
import type { RequestSpace } from '../../models/spaces/space';

/** What decides about an account. */
export type Standing = Pick<Identity, 'admin' | 'blocked' | 'space_super' | 'space_expire_at' | 'request_space_expire_at'>;

const isPast = (moment: Date | null): boolean => moment !== null && moment.getTime() <= Date.now();

function refusalOf({ admin, blocked, space_super, space_expire_at, request_space_expire_at }: Standing): MessageKey | null {
  if (blocked) return 'auth.blocked';
  return !(admin && space_super) && (isPast(space_expire_at) || isPast(request_space_expire_at)) ? 'auth.space_expired' : null;
}

/**
 * Refuses a blocked account, and one whose Space, or that of the request, has expired; super admins are exempt from expiry. Blocked is said
 * first: it is what to mend first. @throws {ApiError} 403
 */
export function requireActive(standing: Standing): void {
  const refusal = refusalOf(standing);
  if (refusal) throw forbidden(refusal);
}

/**
 * The same for an account that a token, a code or a job names. Asked before those are used up, or in the same transaction, so that a refusal
 * leaves them as they are.
 *
 * @param host the request's Host header; null: no request is behind it
 * @throws {ApiError} 403; 404 where the account was deleted meanwhile
 */
export async function requireActiveAccount(accountId: number, host: string | null): Promise<void> {
  const identity = await findIdentityById(accountId, host);
  if (!identity) throw notFound('account.not_found');
  requireActive(identity);
}

/** Whether an account may act, for jobs: what was asked for before it was blocked may come to its turn after that. */
export async function isActiveAccount(accountId: number): Promise<boolean> {
  const identity = await findIdentityById(accountId, null);
  return identity !== null && refusalOf(identity) === null;
}

/**
 * Refuses an expired Space that would act by itself, for somebody who is not signed in: make an account, or give a token for one.
 *
 * @param space null where not even the default one was ever made
 * @throws {ApiError} 403
 */
export function requireOpenSpace(space: Pick<RequestSpace, 'expire_at'> | null): void {
  if (space && isPast(space.expire_at)) throw forbidden('auth.space_expired');
}
