// SIP addresses in headers and claims.
/** A SIP address in its parts; `domain` in lower case where parseSipUri() made it. */
export interface SipAddress {
  username: string;
  domain: string;
}

/** Enough for a user and a domain of 256 characters each, all of them percent-encoded, with a name and parameters. */
const MAX_CHARACTERS = 4096;

/**
 * Reads `sip:user@domain` (RFC 3261 19.1), percent-encoded or not, as it comes in `From` headers and claims: parameters after `;` are cut, `<…>`
 * and a name before it are tolerated. Null for anything else, and for what is longer than any address.
 */
export function parseSipUri(text: string): SipAddress | null {
  if (text.length > MAX_CHARACTERS) return null;
  const opened = text.indexOf('<');
  const closed = text.indexOf('>', opened);
  const uri = (opened >= 0 && closed >= 0 ? text.slice(opened + 1, closed) : text).trim();
  const match = /^sip:([^@\s]+)@([^@;\s]+)(?:;.*)?$/i.exec(uri);
  if (!match?.[1] || !match[2]) return null;
  try {
    // Parameters of the user part (`;phone-context=…`) are cut, too.
    const username = decodeURIComponent(match[1].split(';', 1)[0] ?? '');
    const domain = decodeURIComponent(match[2]).toLowerCase();
    return username === '' ? null : { username, domain };
  } catch {
    return null;
  }
}
