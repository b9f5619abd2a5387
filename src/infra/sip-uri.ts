// SIP addresses in headers and claims.
/** A SIP address in its parts; `domain` in lower case where parseSipUri() made it. */
export interface SipAddress {
  username: string;
  domain: string;
}

/** Enough for a user and a domain of 256 characters each, all of them percent-encoded, with a name and parameters. */
const MAX_CHARACTERS = 4096;

/**
 * Reads `sip:user@domain` (RFC 3261 19.1; `sips:` names the same account), percent-encoded or not, as it comes in `From` headers and claims:
 * port, parameters and headers behind the domain are cut, `<…>` and a name before it are tolerated. Null for anything else, and for what is longer
 * than any address.
 */
export function parseSipUri(text: string): SipAddress | null {
  if (text.length > MAX_CHARACTERS) return null;
  // A name in quotes may have brackets of its own (RFC 3261 25.1).
  const unnamed = text.replace(/^\s*"(?:[^"\\]|\\.)*"/s, '');
  const opened = unnamed.indexOf('<');
  const closed = unnamed.indexOf('>', opened);
  const uri = (opened >= 0 && closed >= 0 ? unnamed.slice(opened + 1, closed) : unnamed).trim();
  const match = /^sips?:([^@\s]+)@([^@;?\s]+)(?:[;?].*)?$/i.exec(uri);
  if (!match?.[1] || !match[2]) return null;
  try {
    // Parameters of the user part (`;phone-context=…`) are cut, too.
    const username = decodeURIComponent(match[1].split(';', 1)[0] ?? '');
    const domain = decodeURIComponent(match[2].replace(/:\d{1,5}$/, '')).toLowerCase();
    // A character that no column can hold names nobody.
    return username === '' || domain === '' || `${username}${domain}`.includes('\u0000') ? null : { username, domain };
  } catch {
    return null;
  }
}

/** `user@domain` of a text that may have a scheme before it. `sips:` names the same account. */
export const withoutSipScheme = (text: string): string => text.replace(/^sips?:/i, '');

/** Only ASCII letters change, as by PostgreSQL's `lower(… COLLATE "C")`: both agree, whatever the locale of the server is. */
const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/**
 * What a username is looked for as where letter case is ignored: its spellings in lower case, of ASCII letters alone and of all, each to be compared
 * with `lower(username COLLATE "C")`. Of all letters in Unicode's normal form C as well, which people's keyboards and RFC 7616, section 4, agree on.
 */
export const caselessUsernames = (username: string): string[] => [
  ...new Set([lowerAscii(username), username.normalize('NFC').toLowerCase()]),
];

/** Whether a client means by `given` the account whose username is `stored`. */
export const isSameUsername = (given: string, stored: string): boolean =>
  given === stored || caselessUsernames(given).includes(lowerAscii(stored));
