// The cookies that hold an API key: the one that API clients were given by GET /accounts/me/api_key, and the one with which people are signed in
// to the server's own pages.
import { parse, serialize } from 'cookie';
import type { Request } from 'express';
import { settings } from '../../config';
import { isSentTo } from './origin';

const API_KEY_COOKIE = 'x-api-key';

const publicUrl = new URL(settings.APP_URL);

/**
 * What a browser calls the server's root. A front that cuts a prefix off the path has it in APP_URL: a cookie for `/` would go to the other
 * applications of that host, too. Whoever came by another host, such as to `web` itself, may have come without the prefix, and has `/`, which
 * holds with one as well.
 */
const rootPath = (request: Request): string => (isSentTo(request, publicUrl) ? publicUrl.pathname : '/');

/**
 * Over TLS no other host of the domain can set it, and no page without TLS; below a prefix the second alone holds, since `__Host-` demands the
 * path `/` (RFC 6265bis, section 4.1.3). The prefix is part of the name, so that of two installations on one host neither takes the other's.
 */
function pageCookieName(request: Request): string {
  const path = rootPath(request);
  const name = path === '/' ? 'flexiapi-page' : `flexiapi-page${path.replace(/\W/g, '.')}`;
  if (!request.secure) return name;
  return path === '/' ? `__Host-${name}` : `__Secure-${name}`;
}

/** Of two of one name nobody knows which was set by this server, and which by another host of the domain: neither counts. */
function valueOf(request: Request, name: string): string | undefined {
  const values = (request.headers.cookie ?? '').split(';').flatMap((pair) => parse(pair)[name] ?? []);
  return values.length === 1 ? values[0] : undefined;
}

/** The key in the cookie of API clients. */
export const apiKeyCookieOf = (request: Request): string | undefined => valueOf(request, API_KEY_COOKIE);

/** The key in the cookie of the pages. */
export const pageCookieOf = (request: Request): string | undefined => valueOf(request, pageCookieName(request));

/** As long as the key lives unused; where it never expires, a cookie of the browser's session. */
const lifetime = (): { maxAge?: number } =>
  settings.APP_API_KEY_EXPIRATION_MINUTES === 0 ? {} : { maxAge: settings.APP_API_KEY_EXPIRATION_MINUTES * 60 };

const options = (request: Request) => ({ path: rootPath(request), httpOnly: true, secure: request.secure }) as const;

/** `Set-Cookie` that gives a fresh key to a browser, so that the server's pages know whoever has asked for it there. */
export const apiKeyCookie = (request: Request, key: string): string =>
  serialize(API_KEY_COOKIE, key, { ...lifetime(), ...options(request), sameSite: 'lax' });

/** `Set-Cookie` that signs somebody in to the pages. */
export const pageCookie = (request: Request, key: string): string =>
  serialize(pageCookieName(request), key, { ...lifetime(), ...options(request), sameSite: 'strict' });

/** `Set-Cookie` that signs out of the pages, which the cookie of API clients opens as well. */
export const noCookies = (request: Request): string[] =>
  [pageCookieName(request), API_KEY_COOKIE].map((name) => serialize(name, '', { ...options(request), maxAge: 0, sameSite: 'strict' }));
