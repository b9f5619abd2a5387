// What a request says of the client that sent it.
import type { Request } from 'express';
import Negotiator from 'negotiator';
import { parseIpAddress } from '../infra/ip-address';
import { LANGUAGES, type Language } from '../i18n';
import type { Client } from './route';

/**
 * The client's address as TRUST_PROXY resolves it and its User-Agent (an empty one is none). Whatever a header has that is no address is
 * nobody's: then it is the address of the connection itself.
 */
export function clientOf(request: Request): Client {
  const ip = parseIpAddress(request.ip ?? '') ?? parseIpAddress(request.socket.remoteAddress ?? '') ?? '';
  return { ip, user_agent: request.headers['user-agent'] || undefined };
}

/** The Host header, or what a trusted proxy says instead of it, without the port, in lower case; empty where there is none. */
export const hostOf = (request: Request): string => (request.hostname ?? '').toLowerCase();

/** The best of the catalogues' languages for `Accept-Language`, weights and regions counted (RFC 9110 12.5.4); English where none fits. */
export function languageOf(request: Request): Language {
  const wanted = new Negotiator(request).languages().map((tag) => tag.split('-')[0]?.toLowerCase());
  for (const tag of wanted) {
    const found = LANGUAGES.find((language) => language === tag);
    if (found) return found;
    if (tag === '*') break;
  }
  return 'en';
}
