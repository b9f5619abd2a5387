// What Twilio tells of an SMS after it has taken it (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status): asked for with the
// SMS, by an address that names its row in the ledger, and signed.
import { createHmac } from 'node:crypto';
import { settings } from '../../../config';
import { Send } from '../../models';
import { isSameSecret } from '../credentials/secrets';

/** The path of the callback, below APP_URL. */
export const TWILIO_CALLBACK_PATH = '/api/hooks/twilio';

/** Of the statuses that Twilio names, those after which no other comes. `read`: of other channels than SMS, after `delivered`. */
const FINAL: ReadonlyMap<string, 'delivered' | 'undelivered'> = new Map([
  ['delivered', 'delivered'],
  ['read', 'delivered'],
  ['undelivered', 'undelivered'],
  ['failed', 'undelivered'],
  ['canceled', 'undelivered'],
]);
const ERROR_CODE = /^\d{1,10}$/;
const MESSAGE_SID = /^(?:SM|MM)[\da-f]{32}$/i;
const ROW = /^[1-9]\d{0,15}$/;

/** Where Twilio is to tell of the SMS of a row; undefined where it may not: it would send the answer in clear text, or to nobody. @param send its row */
export const twilioCallbackOf = (send: number): string | undefined =>
  settings.APP_URL.startsWith('https://') ? `${settings.APP_URL}${TWILIO_CALLBACK_PATH}?send=${send}` : undefined;

/** An address with its port and without it, where it is the scheme's own: Twilio signs the one or the other. */
function spellingsOf(address: string): string[] {
  const [, scheme = '', host = '', port, rest = ''] = /^(https?):\/\/([^/?:]+|\[[^\]]*\])(?::(\d+))?([/?].*)?$/.exec(address) ?? [];
  const own = scheme === 'https' ? '443' : '80';
  return [address, `${scheme}://${host}:${port ?? own}${rest}`, `${scheme}://${host}${rest}`];
}

/**
 * Whether Twilio has signed a request: HMAC-SHA1, by the account's secret, of the whole address followed by all fields in the order of their names
 * (https://www.twilio.com/docs/usage/security#validating-requests). By ourselves: its package takes most of a second to load.
 *
 * @param query of the request, with its `?`
 */
export function isSignedByTwilio(signature: string | undefined, query: string, fields: Readonly<Record<string, string>>): boolean {
  const { TWILIO_AUTH_TOKEN: secret, APP_URL: url } = settings;
  if (secret === undefined || signature === undefined) return false;
  const values = Object.keys(fields)
    .toSorted((one, other) => (one < other ? -1 : 1))
    .map((name) => name + (fields[name] ?? ''))
    .join('');
  const right = (address: string): string =>
    createHmac('sha1', secret)
      .update(address + values)
      .digest('base64');
  return spellingsOf(`${url}${TWILIO_CALLBACK_PATH}${query}`)
    .map((address) => isSameSecret(right(address), signature))
    .includes(true);
}

/**
 * Writes down what Twilio tells of an SMS; nothing where it is not final, or there is no such row any more.
 *
 * @param row as the address names it
 * @param fields of a request that Twilio has signed
 */
export async function recordTwilioStatus(row: string | undefined, fields: Readonly<Record<string, string>>): Promise<void> {
  const { MessageSid: sid = '', MessageStatus: status = '', ErrorCode: code } = fields;
  const delivery = FINAL.get(status);
  if (delivery === undefined || row === undefined || !ROW.test(row) || !MESSAGE_SID.test(sid)) return;
  await Send.recordDelivery(Number(row), sid, delivery, code !== undefined && ERROR_CODE.test(code) ? code : null);
}
