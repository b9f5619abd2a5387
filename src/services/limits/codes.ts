// How many messages strangers can have sent, and how many codes they can guess: by whom a message goes to, by the range of its number and by the
// address it is asked from, whatever accounts they make for it.
import { settings } from '../../../config';
import { fieldError, tooManyRequests } from '../../infra/errors';
import { networkOf } from '../../infra/ip-address';
import type { MessageKey } from '../../i18n';
import { type Claim, Limiter, takeAll } from './limiter';
import { prefixOf, type Recipient, recipientKey } from './recipients';

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

const sends = {
  recipientHour: new Limiter('codes:recipient-hour', settings.CODES_PER_RECIPIENT_PER_HOUR, HOUR_SECONDS),
  recipientDay: new Limiter('codes:recipient-day', settings.CODES_PER_RECIPIENT_PER_DAY, DAY_SECONDS),
  prefix: new Limiter('codes:prefix', settings.SMS_PER_PREFIX_PER_HOUR, HOUR_SECONDS),
  address: new Limiter('codes:address', settings.CODES_PER_ADDRESS_PER_HOUR, HOUR_SECONDS),
} as const;

const guesses = {
  recipient: new Limiter('wrong-codes:recipient', settings.WRONG_CODES_PER_RECIPIENT_PER_HOUR, HOUR_SECONDS),
  address: new Limiter('wrong-codes:address', settings.WRONG_CODES_PER_ADDRESS_PER_HOUR, HOUR_SECONDS),
} as const;

/** 429; where the number or address is at fault it is named as a field, since apps show that beside it. */
const refusal =
  (key: MessageKey, field?: string): Claim['refusal'] =>
  (seconds) => {
    const values = { minutes: Math.ceil(seconds / 60), ...(field === undefined ? {} : { attribute: field }) };
    const errors = field === undefined ? {} : { errors: fieldError(field, key, values) };
    return tooManyRequests(seconds, { key, values }, errors);
  };

/** A mail or SMS that is about to be sent. */
export interface Send extends Recipient {
  /** The client's address, as `clientOf()` gives it. */
  ip: string;
}

/**
 * Counts a mail or SMS before it is sent: of many at once so many are admitted as the limits say.
 *
 * @returns takes it back: for what was certainly not sent
 * @throws {ApiError} 429 with `retry-after`, which names what has too many
 */
export function countSend({ ip, ...to }: Send): Promise<() => Promise<void>> {
  const { channel, recipient } = to;
  const key = recipientKey(to);
  return takeAll([
    { limiter: sends.address, key: `${channel}:${networkOf(ip)}`, refusal: refusal('limit.address') },
    { limiter: sends.recipientHour, key, refusal: refusal('limit.recipient', channel) },
    { limiter: sends.recipientDay, key, refusal: refusal('limit.recipient', channel) },
    ...(channel === 'phone' ? [{ limiter: sends.prefix, key: prefixOf(recipient), refusal: refusal('limit.prefix', channel) }] : []),
  ]);
}

/**
 * Counts a guess at a code of four digits before it is compared. A code is void after five wrong ones, but a stranger makes accounts at will,
 * and each may have a code sent to the same number: so wrong ones count for the number, or mailbox, across accounts.
 *
 * @param recipients whom the codes that it may be were sent to
 * @returns takes it back: for a guess that was right, or not compared
 * @throws {ApiError} 429 with `retry-after`, whether it is right or wrong
 */
export function countGuess(recipients: readonly Recipient[], ip: string): Promise<() => Promise<void>> {
  const byKey = new Map(recipients.map((to) => [recipientKey(to), to]));
  return takeAll([
    { limiter: guesses.address, key: networkOf(ip), refusal: refusal('limit.wrong_address') },
    ...[...byKey].map(([key, { channel }]) => ({ limiter: guesses.recipient, key, refusal: refusal('limit.wrong_recipient', channel) })),
  ]);
}
