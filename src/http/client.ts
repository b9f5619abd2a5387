// What a request says of the client that sent it.
import type { Request } from 'express';
import type { Language } from '../i18n';
import { memoized } from '../infra/memo';
import { preferredLanguage } from './negotiation';
import { originOf } from './origin';
import type { Client } from './route';

/** The client's address as TRUST_PROXY resolves it, and its User-Agent (an empty one is none). */
export const clientOf = (request: Request): Client => ({
  ip: originOf(request).ip,
  user_agent: request.headers['user-agent'] || undefined,
});

/** `[::1]:8000` → `[::1]`; in lower case, without the root's dot. */
const hostname = memoized((host) => {
  const port = host.indexOf(':', host.startsWith('[') ? host.indexOf(']') : 0);
  return (port === -1 ? host : host.slice(0, port)).toLowerCase().replace(/\.$/, '');
});

/** The Host header, or what a trusted proxy says instead of it, without the port and the root's dot, in lower case; empty where there is none. */
export const hostOf = (request: Request): string => hostname(originOf(request).host ?? '');

const language = memoized(preferredLanguage);

/** The language that the client likes best. */
export const languageOf = (request: Request): Language => language(request.headers['accept-language'] ?? '');
