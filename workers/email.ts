// The queue `email`.
import { settings } from '../config';
import { Account } from '../src/models';
import { SYSTEM, visibleTo } from '../src/models/visibility';
import type { SendResult } from '../src/queues/contracts';
import { claimChangeCode, recordDeliveryOutcome } from '../src/services/accounts/change-code-delivery';
import { isActiveAccount } from '../src/services/credentials/standing';
import { recipientKey } from '../src/services/limits/recipients';
import { type Job, NOTHING_TO_SEND, resultOf } from './job';
import { accountCreationMail, accountReadyMail, emailChangeMail } from './texts';
import { doSend, sendAtOnce } from './sends';
import { load } from './providers';
import { deliver, type Delivery } from './providers/delivery';
import type { Mail } from './providers/smtp';

/** For the whole of a mail that no request waits for. */
const SEND_TIMEOUT_MS = 60_000;

async function send(mail: Mail, timeLeft: () => number): Promise<Delivery> {
  const { sendSmtp } = await load(
    'smtp',
    () => import('./providers/smtp.js'),
    ({ closeSmtp }) => closeSmtp(),
  );
  return deliver(
    { provider: 'smtp', recipient: recipientKey({ channel: 'email', recipient: mail.to }) },
    timeLeft,
    SEND_TIMEOUT_MS,
    (signal) => sendSmtp(mail, signal),
  );
}

/** Does a job of the queue `email`: a change code, the key of a new account, or the news that an account is ready. */
export async function handleEmail({ payload, timeLeft, queuedMs, requestId }: Job<'email'>): Promise<SendResult> {
  const by = { provider: 'smtp', queuedMs, requestId };
  const configured = settings.MAIL_HOST !== undefined;
  const missing: SendResult = { outcome: 'not_configured', reason_word: 'not_configured', reason: 'MAIL_HOST is not set' };
  if (payload.kind === 'email_change') {
    const code = await claimChangeCode('email', payload.id, by);
    if (!code) return NOTHING_TO_SEND;
    const result = configured ? await send(emailChangeMail(code.recipient, code.code, code.language), timeLeft) : missing;
    await recordDeliveryOutcome('email', code, result);
    return resultOf(result);
  }
  if (payload.kind === 'send') {
    return doSend('email', payload.id, by, configured ? null : missing, ({ kind, recipient, person, key, language }) =>
      send(
        kind === 'account_ready' ? accountReadyMail(recipient, person, language) : accountCreationMail(recipient, person, key, language),
        timeLeft,
      ),
    );
  }
  // Of the last release's web.
  if (!(await isActiveAccount(payload.account_id))) return NOTHING_TO_SEND;
  const account = await Account.scope(visibleTo(SYSTEM)).findByPk(payload.account_id, {
    attributes: ['username', 'domain', 'email', 'confirmation_key'],
    raw: true,
  });
  if (!account || account.email === null) return NOTHING_TO_SEND;
  const { email, confirmation_key: key } = account;
  const { kind, account_id, language } = payload;
  if (kind !== 'account_ready' && key === null) return NOTHING_TO_SEND;
  const mail =
    kind === 'account_ready' ? accountReadyMail(email, account, language) : accountCreationMail(email, account, key ?? '', language);
  const begun = { channel: 'email', kind, account_id, recipient: email, ...by } as const;
  return sendAtOnce(begun, configured ? null : missing, () => send(mail, timeLeft));
}
