// Who calls (api.md 2.1): the first scheme that applies decides alone. What the caller may then do is access.ts.
import type { Request } from 'express';
import { unauthorized } from '../infra/errors';
import { apiKey } from './schemes/api-key';
import { announcedBearer, jsonWebToken } from './schemes/bearer';
import { digest } from './schemes/digest';
import type { Authenticated, Scheme } from './schemes/scheme';

/** In the order of api.md 2.1. */
const SCHEMES: readonly Scheme[] = [jsonWebToken, apiKey, announcedBearer, digest];

/** Whether the request brings something that can be right or wrong; a bare `From` asks for a challenge, no more. */
export const hasCredentials = (request: Request): boolean =>
  jsonWebToken.applies(request) || apiKey.applies(request) || (digest.applies(request) && request.headers.authorization !== undefined);

/** @throws {ApiError} 401 where nobody is named, or wrongly; 404, 403, 429 in the cases of api.md 2 */
export async function authenticate(request: Request): Promise<Authenticated> {
  const scheme = SCHEMES.find((candidate) => candidate.applies(request));
  if (!scheme) throw unauthorized('auth.required');
  return scheme.identify(request);
}
