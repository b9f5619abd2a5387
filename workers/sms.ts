// The queue `sms`.
import { settings } from '../config';
import { select } from '../src/infra/sequelize';
import type { SendResult } from '../src/queues/contracts';
import { claimCode, settleCode } from '../src/services/accounts/code-sending';
import type { Job } from './job';
import { accountSms, phoneChangeSms } from './texts';
import { load } from './providers';
import { deliver } from './providers/delivery';

const LIMIT = 30_000;
const GONE: SendResult = { outcome: 'expired', reason: 'the row is gone, spent or another worker has it' };

async function send(to: string, body: string, timeLeft: () => number): Promise<SendResult> {
  const { sendTwilio } = await load('twilio', () => import('./providers/twilio.js'));
  return deliver('twilio', timeLeft, LIMIT, () => sendTwilio(to, body));
}

export async function sendSms({ payload, timeLeft }: Job<'sms'>): Promise<SendResult> {
  const configured = settings.TWILIO_ACCOUNT_SID !== undefined;
  const missing: SendResult = { outcome: 'not_configured', reason: 'TWILIO_ACCOUNT_SID is not set' };
  if (payload.kind === 'phone_change') {
    const code = await claimCode('phone_change', payload.id);
    if (!code) return GONE;
    const result = configured ? await send(code.recipient, phoneChangeSms(code.code, code.language), timeLeft) : missing;
    await settleCode('phone_change', code, result.outcome);
    return result;
  }
  if (!configured) return missing;
  const [account] = await select<{ phone: string; confirmation_key: string }>(
    'SELECT phone, confirmation_key FROM accounts WHERE id = $1 AND phone IS NOT NULL AND confirmation_key IS NOT NULL',
    [payload.account_id],
  );
  return account ? send(account.phone, accountSms(payload.kind, account.confirmation_key, payload.language), timeLeft) : GONE;
}
