// What a browser sends with somebody's cookie though nobody meant it: because a page of another site, of a sibling subdomain or of another port of
// the same host made it, or because somebody opened a link. `SameSite` knows neither subdomains nor ports, and lets links through. Browsers say
// where a request comes from in Sec-Fetch-Site, and to origins that are not trustworthy (http) at least in Origin (Fetch, «HTTP-network-or-cache
// fetch»; Fetch Metadata).
import type { Request } from 'express';
import { type ApiError, forbidden } from '../infra/errors';
import { mediaTypeOf } from './body';
import { isSentTo } from './origin';

/** `none`: a person's own doing, such as an address that was typed, or a link in a mail program. */
const OWN_SITES = new Set(['same-origin', 'none']);

/** Whether the Origin header names the address at which the request arrived, as TRUST_PROXY resolves it, its port included. */
function isOwnOrigin(request: Request, origin: string): boolean {
  // «null», and two headers in one, are no URL: another origin.
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  // Where TLS ends at a front that nobody trusts, the request came without it and the page by https.
  if (url.protocol !== 'https:' && (request.secure || url.protocol !== 'http:')) return false;
  return isSentTo(request, url);
}

/** Whether a browser says that another origin made the request. */
function isForeign(request: Request): boolean {
  const { 'sec-fetch-site': site, origin } = request.headers;
  return (site !== undefined && !OWN_SITES.has(site)) || (origin !== undefined && !isOwnOrigin(request, origin));
}

/** A link, an address that was typed, a form, a frame. */
const isNavigation = (request: Request): boolean => request.headers['sec-fetch-mode'] === 'navigate';

/**
 * Why a request must not act in the name of whoever the cookie belongs to; null where it may.
 *
 * @param changes whether it would change anything
 */
export function refusalOfCookie(request: Request, changes: boolean): ApiError | null {
  if (isForeign(request)) return forbidden('auth.origin');
  if (!changes) return null;
  const { 'sec-fetch-site': site, origin } = request.headers;
  // A browser sends neither header to http, if it is a link or an old one; it sends this type to nobody who was not asked before.
  const isUnknown = site === undefined && origin === undefined && mediaTypeOf(request) !== 'application/json';
  return isNavigation(request) || isUnknown ? forbidden('auth.cookie') : null;
}

/** For what is done without a credential yet, such as signing in and out. @throws {ApiError} 403 where another origin made the request */
export function requireSameOrigin(request: Request): void {
  const refusal = refusalOfCookie(request, false);
  if (refusal) throw refusal;
}

/** Whether an answer may give the browser a cookie: by a link anybody could put somebody else into an account that is not theirs. */
export const maySetCookie = (request: Request): boolean => !isForeign(request) && !isNavigation(request);
