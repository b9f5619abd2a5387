// Who calls (api.md 2.1): the first scheme that applies decides alone. What the caller may then do is access.ts.
import type { Request } from 'express';
import { parse as parseCookie } from 'cookie';
import { unauthorized } from '../errors';
import { findByApiKey, type Identity } from '../services/api-keys';
import { clientOf, hostOf } from './client';

/** A way in. `applies` looks at headers only; where it does, `identify` answers or throws, and no later scheme is asked. */
interface Scheme {
  applies: (request: Request) => boolean;
  identify: (request: Request) => Promise<Identity>;
}

function apiKeyOf(request: Request): string | undefined {
  const header = request.headers['x-api-key'];
  if (typeof header === 'string') return header;
  return request.headers.cookie === undefined ? undefined : parseCookie(request.headers.cookie)['x-api-key'];
}

const apiKey: Scheme = {
  applies: (request) => apiKeyOf(request) !== undefined,
  identify: async (request) => {
    const identity = await findByApiKey(apiKeyOf(request) ?? '', clientOf(request).ip, hostOf(request));
    if (!identity) throw unauthorized('auth.api_key');
    return identity;
  },
};

/** In the order of api.md 2.1; JSON Web Tokens stand before the API key, DIGEST after it. */
const SCHEMES: readonly Scheme[] = [apiKey];

/** Whether the request tries to say who it comes from. */
export const hasCredentials = (request: Request): boolean => SCHEMES.some((scheme) => scheme.applies(request));

/** @throws {ApiError} 401 where nobody is named, or wrongly */
export async function authenticate(request: Request): Promise<Identity> {
  const scheme = SCHEMES.find((candidate) => candidate.applies(request));
  if (!scheme) throw unauthorized('auth.required');
  return scheme.identify(request);
}
