// Email addresses as RFC 5321, section 4.1.2, writes them (with RFC 6531's characters beyond ASCII): the forms beside `dot-string@domain`.
import { isIPv4, isIPv6 } from 'node:net';

/** An address in its two parts, each in its one spelling. */
export interface EmailAddress {
  /** As it stands before the `@`, in quotes where it must be. */
  local: string;
  /** A name, or an address in brackets. */
  domain: string;
  isQuoted: boolean;
  isLiteral: boolean;
}

const ATEXT = "[\\w!#$%&'*+/=?^`{|}~\\u0080-\\u{10ffff}-]+";
const DOT_STRING = new RegExp(`^${ATEXT}(?:\\.${ATEXT})*$`, 'u');
/** `"` *( qtextSMTP / quoted-pairSMTP ) `"`, but for the brackets that end an address in SMTP: nodemailer would write to another one. */
const QUOTED_STRING = /^"((?:[ !#-;=?-[\]-~\u0080-\u{10ffff}]|\\[ -;=?-~])*)"$/u;

/** The IPv4 or IPv6 address of an address-literal in one spelling; no other kind was ever registered. */
function parseLiteral(literal: string): string | null {
  const content = literal.slice(1, -1);
  if (isIPv4(content)) return literal;
  const address = /^IPv6:(.*)$/i.exec(content)?.[1] ?? '';
  return isIPv6(address) && !address.includes('%') ? `[IPv6:${new URL(`http://[${address}]`).hostname.slice(1, -1)}]` : null;
}

/**
 * Reads an address whose local part may be quoted, and whose domain may be an address. Quoting is not part of a name (`"jane"@x`, `"j\ane"@x` and
 * `jane@x` are one mailbox), so it is left where the name needs it alone. A local part without quotes and a domain that is a name are given as
 * they are: whether they are right is not looked at here.
 *
 * @returns null where there is no `@`, or what is quoted or in brackets is malformed
 */
export function parseEmail(text: string): EmailAddress | null {
  const composed = text.normalize('NFC');
  const at = composed.lastIndexOf('@');
  if (at < 1) return null;
  const [local, domain] = [composed.slice(0, at), composed.slice(at + 1)];
  const isLiteral = domain.startsWith('[') && domain.endsWith(']');
  const host = isLiteral ? parseLiteral(domain) : domain;
  if (host === null) return null;
  if (!local.startsWith('"')) return { local, domain: host, isQuoted: false, isLiteral };
  const name = QUOTED_STRING.exec(local)?.[1]?.replace(/\\(.)/g, '$1');
  if (name === undefined) return null;
  const isQuoted = !DOT_STRING.test(name);
  return { local: isQuoted ? `"${name.replace(/["\\]/g, '\\$&')}"` : name, domain: host, isQuoted, isLiteral };
}

/** An address in its one spelling, as it is stored; what is none stays as it is. */
export function canonicalEmail(text: string): string {
  const address = parseEmail(text);
  return address ? `${address.local}@${address.domain}` : text;
}
