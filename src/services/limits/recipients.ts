// Whom a code goes to, as limits count: one key for each phone and mailbox, however it is written.
import { createHash } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';

/** A phone number in E.164, or an email address. */
export interface Recipient {
  channel: 'email' | 'phone';
  recipient: string;
}

const IGNORES_DOTS = new Set(['gmail.com', 'googlemail.com']);

/**
 * The mailbox that an address most likely means: letter case ignored, without a sub-address (RFC 5233) and, where the provider ignores them, without
 * dots. Two that are one here share a limit, no more: mail goes to the address as it was given.
 */
export function mailboxOf(email: string): string {
  const at = email.lastIndexOf('@');
  const given = email.slice(at + 1).toLowerCase();
  const domain = domainToASCII(given) || given;
  const [local = ''] = email.slice(0, at).toLowerCase().split('+');
  // What begins with a plus sign has no other part.
  const mailbox = local === '' ? email.slice(0, at).toLowerCase() : local;
  return `${IGNORES_DOTS.has(domain) ? mailbox.replaceAll('.', '') : mailbox}@${domain}`;
}

/** A key that names nobody to whoever reads Redis: those who pay for SMS to a range of numbers need not learn them there. */
export function recipientKey({ channel, recipient }: Recipient): string {
  const text = channel === 'email' ? mailboxOf(recipient) : recipient;
  return `${channel}:${createHash('sha256').update(text).digest('base64url').slice(0, 22)}`;
}

const PREFIX_DIGITS = 3;

/**
 * The range that a number belongs to: its calling code and the first three digits behind it. Whoever earns from SMS rents numbers by the block,
 * and one of these has a million numbers in France, an area code in North America, ten thousand in a small country.
 */
export function prefixOf(phone: string): string {
  const parsed = parsePhoneNumberFromString(phone);
  return parsed ? `${parsed.countryCallingCode}-${parsed.nationalNumber.slice(0, PREFIX_DIGITS)}` : phone.slice(0, 6);
}
