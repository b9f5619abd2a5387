// Who calls, counted and admitted: rate limit, authentication, access, in the order of api.md 1.2; the same for rows and pages.
import type { Request, Response } from 'express';
import { ApiError } from '../infra/errors';
import { authorize } from './access';
import { authenticate, hasCredentials } from './authentication';
import { clientOf } from './client';
import { countRequest } from './rate-limit';
import type { Access, Caller } from './route';

/**
 * @param unlimited no limit by account: a refusal would lose data for ever
 * @returns the caller; undefined where nobody is asked
 * @throws {ApiError} 401, 403, 404, 429
 */
export async function identify(
  { access, unlimited }: { access: Access; unlimited?: true },
  request: Request,
  response: Response,
): Promise<Caller | undefined> {
  const count = async (client: string): Promise<void> => {
    for (const [name, value] of Object.entries(await countRequest(client))) response.setHeader(name, value);
  };
  const byAddress = `ip:${clientOf(request).ip}`;
  if (access === 'public') {
    await count(byAddress);
    return undefined;
  }
  if (!hasCredentials(request)) await count(byAddress);
  let authenticated;
  try {
    authenticated = await authenticate(request);
  } catch (error) {
    // Wrong credentials count as a stranger's request: guessing is limited by address.
    if (error instanceof ApiError && error.status < 500 && hasCredentials(request)) await count(byAddress);
    throw error;
  }
  const { identity, headers = {} } = authenticated;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!unlimited) await count(`account:${identity.account_id}`);
  return authorize(identity, access);
}

/** identify() where somebody must be named. */
export async function identifyCaller(access: Exclude<Access, 'public'>, request: Request, response: Response): Promise<Caller> {
  return (await identify({ access }, request, response)) as Caller;
}
