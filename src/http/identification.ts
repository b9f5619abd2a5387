// Who calls, counted and admitted: rate limit, authentication, access; the same for endpoints and pages. A request that brings no credentials
// is counted by address before anything else, one that brings good ones by account after it.
import type { Request, Response } from 'express';
import { ApiError } from '../infra/errors';
import { authorize } from './access';
import { authenticate, hasCredentials } from './authentication';
import { countRequest } from './rate-limit';
import type { Access, Caller } from './route';
import type { Purpose } from './schemes/scheme';
import { countStranger } from './stranger';

/** What is asked of whoever calls. */
interface Demand<A extends Access = Access> extends Purpose {
  access: A;
  unlimited?: true | undefined;
}

/**
 * @param unlimited no rate limit by account: a refusal would lose data for ever
 * @param response gets the headers of rate limit and authentication, also where this throws
 * @returns the caller; undefined where the endpoint is public
 * @throws {ApiError} 401, 403, 404, 429
 */
export async function identify(
  { access, unlimited, ...purpose }: Demand,
  request: Request,
  response: Response,
): Promise<Caller | undefined> {
  if (access === 'public') {
    await countStranger(request, response);
    return undefined;
  }
  if (!hasCredentials(request, purpose)) await countStranger(request, response);
  let authenticated;
  try {
    authenticated = await authenticate(request, purpose);
  } catch (error) {
    // Wrong credentials count as a stranger's request: guessing is limited by address.
    if (error instanceof ApiError && error.status < 500 && hasCredentials(request, purpose)) await countStranger(request, response);
    throw error;
  }
  const { identity, headers = {} } = authenticated;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!unlimited) await countRequest(`account:${identity.account_id}`, response);
  return authorize(identity, access);
}

/** identify() for what is not public. @throws {ApiError} 401, 403, 404, 429 */
export async function identifyCaller(demand: Demand<Exclude<Access, 'public'>>, request: Request, response: Response): Promise<Caller> {
  return (await identify(demand, request, response)) as Caller;
}
