// Who calls, counted and admitted: rate limit, authentication, access; the same for endpoints and pages. A request that brings no credentials
// is counted by address before anything else, one that brings good ones by account after it. Wrong ones count by address before anybody asks PostgreSQL
// about them (shown-credentials.ts).
import type { Request, Response } from 'express';
import { databaseTime } from '../infra/context';
import { ApiError } from '../infra/errors';
import { networkOf } from '../infra/ip-address';
import { KnownKeyRefused } from '../services/credentials/named-keys';
import { authorize } from './access';
import { authenticate, shownCredentials } from './authentication';
import { clientOf } from './client';
import { addHeaders } from './exchange';
import { accountClient, countRequest, foreignClient, refusedKeyClient } from './rate-limit';
import type { Access, Caller, Scope } from './route';
import { refusalOfCookie } from './same-origin';
import type { Authenticated, Purpose } from './schemes/scheme';
import { lookUpShown, shownFrom } from './shown-credentials';
import { countStranger } from './stranger';

/** What is asked of whoever calls. */
export interface Demand<A extends Access = Access> extends Purpose {
  access: A;
  /** null: the caller needs none. */
  scope: Scope | null;
  unlimited?: true | undefined;
}

/**
 * authenticate(), where a known key that is refused counts for itself: what still reports with a key that has ended would use up the limit of its address,
 * and with it that of the key which takes its place.
 *
 * @throws {ApiError} as authenticate(); 429 of such a key over its limit, whose `cause` is the refusal
 */
async function authenticateKnown(purpose: Purpose, request: Request, response: Response): Promise<Authenticated> {
  try {
    return await authenticate(request, purpose);
  } catch (refused) {
    if (!(refused instanceof KnownKeyRefused)) throw refused;
    try {
      await countRequest(refusedKeyClient(refused.key_id), response);
    } catch (error) {
      throw error instanceof ApiError ? new ApiError(error.status, error.text, { ...error.details, cause: refused }) : error;
    }
    throw refused;
  }
}

/** Wrong credentials count as a stranger's request, and so does a request without any: guessing is limited by address. */
async function authenticateCounted(purpose: Purpose, request: Request, response: Response): Promise<Authenticated> {
  const credentials = shownCredentials(request, purpose);
  if (credentials === undefined) {
    await countStranger(request, response);
    return authenticate(request, purpose);
  }
  const { ip } = clientOf(request);
  const refusal = credentials.startsWith('cookie ') ? refusalOfCookie(request, purpose.changes) : null;
  if (refusal) {
    await countRequest(foreignClient(ip), response);
    throw refusal;
  }
  return lookUpShown(
    shownFrom(networkOf(ip), credentials),
    () => countStranger(request, response),
    () => authenticateKnown(purpose, request, response),
  );
}

/**
 * @param unlimited no rate limit by account: a refusal would lose data for ever
 * @param response gets the headers of rate limit and authentication, also where this throws
 * @returns the caller; undefined where the endpoint is public
 * @throws {ApiError} 401, 403, 404, 429
 */
export async function identify(
  { access, scope, unlimited, ...purpose }: Demand,
  request: Request,
  response: Response,
): Promise<Caller | undefined> {
  const time = databaseTime();
  if (unlimited && time) time.isPatient = true;
  if (access === 'public') {
    await countStranger(request, response);
    return undefined;
  }
  const authenticated = await authenticateCounted(purpose, request, response);
  const { identity, headers } = authenticated;
  if (headers) addHeaders(response, headers);
  if (!unlimited) await countRequest(accountClient(identity.account_id), response);
  return authorize(identity, access, scope);
}

/** identify() for what is not public. @throws {ApiError} 401, 403, 404, 429 */
export async function identifyCaller(demand: Demand<Exclude<Access, 'public'>>, request: Request, response: Response): Promise<Caller> {
  return (await identify(demand, request, response)) as Caller;
}
