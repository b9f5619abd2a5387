// SIP addresses in headers and claims.
/** A SIP address in its parts; `domain` in lower case where parseSipUri() made it. */
export interface SipAddress {
  username: string;
  domain: string;
}

/**
 * Reads `sip:user@domain` (RFC 3261 19.1), percent-encoded or not, as it comes in `From` headers and claims: parameters after `;` are cut, `<…>`
 * and a name before it are tolerated. Null for anything else.
 */
export function parseSipUri(text: string): SipAddress | null {
  const uri = /<([^>]*)>/.exec(text)?.[1] ?? text;
  const match = /^sip:([^@\s]+)@([^@;\s]+)(?:;.*)?$/i.exec(uri.trim());
  if (!match?.[1] || !match[2]) return null;
  try {
    // Parameters of the user part (`;phone-context=…`) are cut, too.
    const username = decodeURIComponent(match[1].split(';')[0] ?? '');
    const domain = decodeURIComponent(match[2]).toLowerCase();
    return username === '' ? null : { username, domain };
  } catch {
    return null;
  }
}
