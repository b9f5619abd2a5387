// The scheme of API keys: the header `x-api-key`, or a cookie.
import type { Request } from 'express';
import { unauthorized } from '../../infra/errors';
import { findByApiKey } from '../../services/credentials/api-keys';
import { findByNamedKey } from '../../services/credentials/named-keys';
import { isNamedKey } from '../../services/credentials/secrets';
import { clientOf, hostOf } from '../client';
import { apiKeyCookieOf, pageCookieOf } from '../cookies';
import { refusalOfCookie } from '../same-origin';
import type { Authenticated, Purpose, Scheme } from './scheme';

/** The header beats the cookies, also where the header is wrong and a cookie right. Where the pages' own cookie counts it beats the other one. */
function keyOf(request: Request, { page }: Purpose): { key: string; byCookie: boolean } | undefined {
  const header = request.headers['x-api-key'];
  if (typeof header === 'string') return { key: header, byCookie: false };
  const key = (page ? pageCookieOf(request) : undefined) ?? apiKeyCookieOf(request);
  return key === undefined ? undefined : { key, byCookie: true };
}

/**
 * Who a key stands for; counts as a use of it.
 *
 * @throws {ApiError} 401 where the key is unknown, expired, or made for another address; of a named key it says which
 */
export async function identifyByKey(request: Request, key: string, { withView }: Partial<Purpose> = {}): Promise<Authenticated> {
  const { ip } = clientOf(request);
  const host = hostOf(request);
  const identity = await (isNamedKey(key) ? findByNamedKey : findByApiKey)(key, ip, host, { withView });
  if (!identity) throw unauthorized('auth.api_key');
  return { identity };
}

export const apiKey: Scheme = {
  applies: (request, purpose) => {
    const found = keyOf(request, purpose);
    // Where a cookie must not act, a client that says who it is (no page of another site can add the header) goes on with DIGEST.
    const isIgnored = found?.byCookie && request.headers.from !== undefined && refusalOfCookie(request, purpose.changes) !== null;
    return found !== undefined && !isIgnored;
  },
  identify: async (request, purpose) => {
    const found = keyOf(request, purpose);
    // Before the key is looked up: what another site made does not count as a use of it.
    const refusal = found?.byCookie ? refusalOfCookie(request, purpose.changes) : null;
    if (refusal) throw refusal;
    return identifyByKey(request, found?.key ?? '', purpose);
  },
};
