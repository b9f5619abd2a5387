// The queue `sms`.
import { settings } from '../config';
import { Account } from '../src/models';
import { SYSTEM, visibleTo } from '../src/models/visibility';
import type { SendResult } from '../src/queues/contracts';
import { claimChangeCode, recordDeliveryOutcome } from '../src/services/accounts/change-code-delivery';
import { isActiveAccount } from '../src/services/credentials/standing';
import { twilioCallbackOf } from '../src/services/messaging/twilio-callbacks';
import { type Job, NOTHING_TO_SEND, resultOf } from './job';
import { accountSms, phoneChangeSms } from './texts';
import { doSend, sendAtOnce } from './sends';
import { load } from './providers';
import { deliver, type Delivery } from './providers/delivery';

/** For the whole of an SMS that no request waits for. */
const SEND_TIMEOUT_MS = 30_000;

/** @param row in the ledger, of which Twilio may tell later what became of it */
async function send(to: string, body: string, timeLeft: () => number, row?: number): Promise<Delivery> {
  const callback = row === undefined ? undefined : twilioCallbackOf(row);
  const { sendTwilio } = await load('twilio', () => import('./providers/twilio.js'));
  return deliver({ provider: 'twilio', recipient: to }, timeLeft, SEND_TIMEOUT_MS, (signal) => sendTwilio(to, body, signal, callback));
}

/** Does a job of the queue `sms`: a change code, or the key of an account that is new or to be recovered. */
export async function handleSms({ payload, timeLeft, queuedMs, requestId }: Job<'sms'>): Promise<SendResult> {
  const by = { provider: 'twilio', queuedMs, requestId };
  const configured = settings.TWILIO_ACCOUNT_SID !== undefined;
  const missing: SendResult = { outcome: 'not_configured', reason_word: 'not_configured', reason: 'TWILIO_ACCOUNT_SID is not set' };
  if (payload.kind === 'phone_change') {
    const code = await claimChangeCode('phone', payload.id, by);
    if (!code) return NOTHING_TO_SEND;
    const result = configured ? await send(code.recipient, phoneChangeSms(code.code, code.language), timeLeft, code.send) : missing;
    await recordDeliveryOutcome('phone', code, result);
    return resultOf(result);
  }
  if (payload.kind === 'send') {
    return doSend('sms', payload.id, by, configured ? null : missing, ({ row, kind, recipient, key, language }) =>
      send(recipient, accountSms(kind === 'account_recovery' ? kind : 'account_creation', key, language), timeLeft, row.id),
    );
  }
  // Of the last release's web.
  if (!(await isActiveAccount(payload.account_id))) return NOTHING_TO_SEND;
  const account = await Account.scope(visibleTo(SYSTEM)).findByPk(payload.account_id, {
    attributes: ['phone', 'confirmation_key'],
    raw: true,
  });
  const { phone = null, confirmation_key: key = null } = account ?? {};
  if (phone === null || key === null) return NOTHING_TO_SEND;
  const { kind, account_id, language } = payload;
  const begun = { channel: 'sms', kind, account_id, recipient: phone, ...by } as const;
  return sendAtOnce(begun, configured ? null : missing, () => send(phone, accountSms(kind, key, language), timeLeft));
}
