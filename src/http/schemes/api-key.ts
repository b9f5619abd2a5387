// The scheme of API keys: the header `x-api-key`, or a cookie of that name.
import { parse as parseCookie } from 'cookie';
import type { Request } from 'express';
import { unauthorized } from '../../infra/errors';
import { findByApiKey } from '../../services/credentials/api-keys';
import { clientOf, hostOf } from '../client';
import type { Scheme } from './scheme';

/** The header beats the cookie, also where the header is wrong and the cookie right. */
function keyOf(request: Request): string | undefined {
  const header = request.headers['x-api-key'];
  if (typeof header === 'string') return header;
  return request.headers.cookie === undefined ? undefined : parseCookie(request.headers.cookie)['x-api-key'];
}

export const apiKey: Scheme = {
  applies: (request) => keyOf(request) !== undefined,
  identify: async (request) => {
    const identity = await findByApiKey(keyOf(request) ?? '', clientOf(request).ip, hostOf(request));
    if (!identity) throw unauthorized('auth.api_key');
    return { identity };
  },
};
