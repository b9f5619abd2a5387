// The header Authorization, taken apart by the grammar of RFC 9110, section 11.4. Node gives each octet of a header as one character
// (Latin-1): so it stays here, since DIGEST hashes octets; headerText() makes text of them.
import type { Request } from 'express';
import { linesOf } from '../head';

/** What a client shows. */
export interface Credentials {
  /** In lower case; empty where there are none. */
  scheme: string;
  /** What follows the scheme and the spaces behind it. */
  value: string;
}

const NONE: Credentials = { scheme: '', value: '' };

/** Several header lines are one list (RFC 9110, section 5.3), which is no credentials of any scheme: Node would give the first of them alone. */
export function credentialsOf(request: Pick<Request, 'headers' | 'rawHeaders'>): Credentials {
  if (request.headers.authorization === undefined) return NONE;
  const text = linesOf(request, 'authorization').join(', ');
  const [before = '', scheme = ''] = /^([^ \t]*)[ \t]*/.exec(text) ?? [];
  return { scheme: scheme.toLowerCase(), value: text.slice(before.length) };
}

/**
 * An element of a list (RFC 9110, section 5.6.1), which may be empty: `token BWS "=" BWS ( token / quoted-string )`. A value without quotes may have
 * what is no token, since clients leave them out.
 */
const ELEMENT = /[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,"]+))[ \t]*)?(?:,|$)/gy;

/**
 * Parameters of a scheme by their names in lower case, whose values have neither quotes nor backslashes in front of what is quoted any more.
 *
 * @returns null where the text is malformed, or has a name twice (RFC 9110, section 11.2)
 */
export function parseAuthParameters(text: string): Map<string, string> | null {
  const parameters = new Map<string, string>();
  ELEMENT.lastIndex = 0;
  while (ELEMENT.lastIndex < text.length) {
    const match = ELEMENT.exec(text);
    if (!match) return null;
    const [, name, quoted, bare = ''] = match;
    if (name === undefined) continue;
    if (parameters.has(name.toLowerCase())) return null;
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare);
  }
  return parameters;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text that a header's octets are: UTF-8, or Latin-1 where they cannot be that. */
export function headerText(octets: string): string {
  try {
    return utf8.decode(Buffer.from(octets, 'latin1'));
  } catch {
    return octets;
  }
}

/** A text as Node writes it into a header in UTF-8; a control character, which no header may have, becomes a question mark. */
export const headerOctets = (text: string): string => Buffer.from(text.replace(/\p{Cc}/gu, '?'), 'utf8').toString('latin1');

/** The text of an extended value in UTF-8 (RFC 8187, section 3.2.1); null where it is none. */
export function parseExtendedValue(value: string): string | null {
  const encoded = /^UTF-8'[a-z0-9-]*'((?:[\w!#$&+.^`|~-]|%[0-9a-f]{2})*)$/i.exec(value)?.[1];
  try {
    return encoded === undefined ? null : decodeURIComponent(encoded);
  } catch {
    return null;
  }
}
