// What a request says of the client that sent it.
import type { Request } from 'express';
import type { Language } from '../i18n';
import { preferredLanguage } from './negotiation';
import { originOf } from './origin';
import type { Client } from './route';

/** The client's address as TRUST_PROXY resolves it, and its User-Agent (an empty one is none). */
export const clientOf = (request: Request): Client => ({
  ip: originOf(request).ip,
  user_agent: request.headers['user-agent'] || undefined,
});

/** The Host header, or what a trusted proxy says instead of it, without the port and the root's dot, in lower case; empty where there is none. */
export const hostOf = (request: Request): string => (request.hostname ?? '').toLowerCase().replace(/\.$/, '');

/** The language that the client likes best. */
export const languageOf = (request: Request): Language => preferredLanguage(request.headers['accept-language']);
