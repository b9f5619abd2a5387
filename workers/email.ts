// The queue `email`.
import { settings } from '../config';
import { select } from '../src/infra/sequelize';
import type { SendResult } from '../src/queues/contracts';
import { claimCode, settleCode } from '../src/services/accounts/code-sending';
import type { Job } from './job';
import { accountCreationMail, accountReadyMail, emailChangeMail } from './texts';
import { load } from './providers';
import { deliver } from './providers/delivery';
import type { Mail } from './providers/smtp';

const LIMIT = 60_000;
const GONE: SendResult = { outcome: 'expired', reason: 'the row is gone, spent or another worker has it' };

async function send(mail: Mail, timeLeft: () => number): Promise<SendResult> {
  const { sendSmtp } = await load(
    'smtp',
    () => import('./providers/smtp.js'),
    ({ closeSmtp }) => closeSmtp(),
  );
  return deliver('smtp', timeLeft, LIMIT, (signal) => sendSmtp(mail, signal));
}

interface Recipient {
  username: string;
  domain: string;
  email: string;
  confirmation_key: string | null;
}

export async function sendEmail({ payload, timeLeft }: Job<'email'>): Promise<SendResult> {
  const configured = settings.MAIL_HOST !== undefined;
  const missing: SendResult = { outcome: 'not_configured', reason: 'MAIL_HOST is not set' };
  if (payload.kind === 'email_change') {
    const code = await claimCode('email_change', payload.id);
    if (!code) return GONE;
    const result = configured ? await send(emailChangeMail(code.recipient, code.code, code.language), timeLeft) : missing;
    await settleCode('email_change', code, result.outcome);
    return result;
  }
  if (!configured) return missing;
  const [account] = await select<Recipient>(
    'SELECT username, domain, email, confirmation_key FROM accounts WHERE id = $1 AND email IS NOT NULL',
    [payload.account_id],
  );
  if (!account) return GONE;
  if (payload.kind === 'account_ready') return send(accountReadyMail(account.email, account, payload.language), timeLeft);
  if (account.confirmation_key === null) return GONE;
  return send(accountCreationMail(account.email, account, account.confirmation_key, payload.language), timeLeft);
}
