// Who calls: the first scheme that applies decides alone, so that a wrong key is never made good by another header. What the caller may then do
// is access.ts.
import type { Request } from 'express';
import { unauthorized } from '../infra/errors';
import { apiKey } from './schemes/api-key';
import { announcedBearer, jsonWebToken } from './schemes/bearer';
import { digest } from './schemes/digest';
import type { Authenticated, Purpose, Scheme } from './schemes/scheme';

/** A JSON Web Token goes before a key, a key before DIGEST; a key works also where a Bearer server is announced instead of DIGEST. */
const SCHEMES: readonly Scheme[] = [jsonWebToken, apiKey, announcedBearer, digest];

/** What the request brings that can be right or wrong, to be told from others; undefined where there is nothing: a bare `From` asks for a challenge, no more. */
export function shownCredentials(request: Request, purpose: Purpose): string | undefined {
  const { authorization, cookie = '', from = '', 'x-api-key': key } = request.headers;
  if (jsonWebToken.applies(request, purpose)) return `bearer ${authorization}`;
  if (apiKey.applies(request, purpose)) return typeof key === 'string' ? `key ${key}` : `cookie ${cookie}`;
  // A digest is another one each time; what can be guessed is the password of an account.
  return digest.applies(request, purpose) && authorization !== undefined ? `digest ${from}` : undefined;
}

/**
 * @returns the identity, and headers that belong to the answer
 * @throws {ApiError} 401 where no scheme applies or the credentials are wrong; 403 a right token of no account, or a cookie that must
 *   not act here (same-origin.ts); 404 DIGEST for an unknown account;
 *   429 DIGEST after too many wrong passwords
 */
export async function authenticate(request: Request, purpose: Purpose): Promise<Authenticated> {
  const scheme = SCHEMES.find((candidate) => candidate.applies(request, purpose));
  if (!scheme) throw unauthorized('auth.required');
  return scheme.identify(request, purpose);
}
