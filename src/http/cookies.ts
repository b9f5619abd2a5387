// The cookies that hold an API key: the one that API clients were given by GET /accounts/me/api_key, and the one with which people are signed in
// to the server's own pages.
import { parse, serialize } from 'cookie';
import type { Request } from 'express';

const API_KEY_COOKIE = 'x-api-key';

/** Over TLS no other host of the domain can set it, and no page without TLS (RFC 6265bis, section 4.1.3.2). */
const pageCookieName = (request: Request): string => (request.secure ? '__Host-flexiapi-page' : 'flexiapi-page');

/** Of two of one name nobody knows which was set by this server, and which by another host of the domain: neither counts. */
function valueOf(request: Request, name: string): string | undefined {
  const values = (request.headers.cookie ?? '').split(';').flatMap((pair) => parse(pair)[name] ?? []);
  return values.length === 1 ? values[0] : undefined;
}

/** The key in the cookie of API clients. */
export const apiKeyCookieOf = (request: Request): string | undefined => valueOf(request, API_KEY_COOKIE);

/** The key in the cookie of the pages. */
export const pageCookieOf = (request: Request): string | undefined => valueOf(request, pageCookieName(request));

const options = (request: Request) => ({ path: '/', httpOnly: true, sameSite: 'strict', secure: request.secure }) as const;

/**
 * `Set-Cookie` that signs somebody in to the pages.
 *
 * @param maxAgeSeconds how long it lives; undefined: as long as the browser's session
 */
export const pageCookie = (request: Request, key: string, maxAgeSeconds: number | undefined): string =>
  serialize(pageCookieName(request), key, { ...options(request), ...(maxAgeSeconds === undefined ? {} : { maxAge: maxAgeSeconds }) });

/** `Set-Cookie` that signs out of the pages, which the cookie of API clients opens as well. */
export const noCookies = (request: Request): string[] =>
  [pageCookieName(request), API_KEY_COOKIE].map((name) => serialize(name, '', { ...options(request), maxAge: 0 }));
