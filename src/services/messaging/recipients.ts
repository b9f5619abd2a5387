// Whom a send goes to, as the ledger keeps it: enough for a person to recognise, and to be found by whoever knows it; never the whole.
import { createHmac } from 'node:crypto';
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import type { Channel, LedgerRecipient } from '../../models/messaging/send';
import { appSecret } from '../credentials/secrets';
import { mailboxOf, prefixOf } from '../limits/recipients';

const HIDDEN = '•••';
const secret = appSecret('ledger of sends: recipients');

/** By which all sends to the same recipient are found, however it was written. @param recipient an address, a number in E.164, a SIP address, a device token */
export function recipientHash(channel: Channel, recipient: string): string {
  const text = channel === 'email' ? mailboxOf(recipient) : channel === 'message' ? recipient.toLowerCase() : recipient;
  return createHmac('sha256', secret).update(`${channel}:${text}`).digest('base64url');
}

const characters = (text: string): string[] => Array.from(text);

/** So much of both ends as leaves more than half hidden. */
function maskEnds(text: string, first: number, last: number): string {
  const all = characters(text);
  if (all.length < 2 * (first + last)) return HIDDEN;
  return `${all.slice(0, first).join('')}${HIDDEN}${all.slice(all.length - last).join('')}`;
}

/** Of an address its first character and its domain. */
function maskAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const local = characters(address.slice(0, at));
  return `${local.length > 1 ? (local[0] ?? '') : ''}${HIDDEN}${address.slice(at)}`;
}

/** What people are shown: `j•••@example.org`, `+33•••78`, `a1b2•••e5f6`. */
function maskRecipient(channel: Channel, recipient: string): string {
  if (channel === 'email' || channel === 'message') return maskAddress(recipient);
  if (channel === 'push') return maskEnds(recipient, 4, 4);
  const parsed = parsePhoneNumberFromString(recipient);
  return parsed ? `+${parsed.countryCallingCode}${HIDDEN}${recipient.slice(-2)}` : maskEnds(recipient, 3, 2);
}

/** @param recipient an address, a number in E.164, a SIP address (`user@domain`), a device token */
export function ledgerRecipient(channel: Channel, recipient: string): LedgerRecipient {
  const phone = channel === 'sms' ? parsePhoneNumberFromString(recipient) : undefined;
  return {
    recipient_mask: maskRecipient(channel, recipient).slice(0, 255),
    recipient_hash: recipientHash(channel, recipient),
    country: phone?.country ?? null,
    phone_prefix: channel === 'sms' ? prefixOf(recipient) : null,
  };
}
