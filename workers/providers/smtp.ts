// Mail through an SMTP server.
import { createTransport, type Transporter } from 'nodemailer';
import { settings } from '../../config';
import { neverConnected, type Attempt } from './delivery';

export interface Mail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

let transport: Transporter | undefined;

function open(): Transporter {
  const timeoutMs = settings.EMAIL_TIMEOUT_SECONDS * 1000;
  return createTransport({
    pool: true,
    // One for each mail that the worker sends at once: a mail behind a hung one would wait for its timeout as well (https://github.com/nodemailer/nodemailer/issues/511).
    maxConnections: settings.WORKER_CONCURRENCY,
    host: settings.MAIL_HOST,
    port: settings.MAIL_PORT,
    secure: settings.MAIL_PORT === 465,
    ...(settings.MAIL_USERNAME === undefined ? {} : { auth: { user: settings.MAIL_USERNAME, pass: settings.MAIL_PASSWORD } }),
    tls: { rejectUnauthorized: !settings.MAIL_ALLOW_SELF_SIGNED },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  });
}

interface SmtpError {
  code?: string;
  command?: string;
  responseCode?: number;
}

function explain({ code, command, responseCode }: SmtpError): Attempt {
  const reason = `SMTP ${responseCode ?? code ?? 'error'}`;
  // Whatever fails once the text is on its way may have been delivered.
  const written = command === 'DATA' && responseCode === undefined;
  if (responseCode !== undefined) {
    return responseCode < 500 ? { outcome: 'failed', reason, trouble: true, again: {} } : { outcome: 'refused', reason };
  }
  if (code === 'EABORT' || written) return { outcome: 'unknown', reason, trouble: true };
  const unsent = neverConnected(code) || code === 'ECONNECTION' || code === 'ESOCKET' || code === 'EDNS';
  return { outcome: 'failed', reason, trouble: true, ...(unsent && command === 'CONN' ? { again: {} } : {}) };
}

/** One attempt. Never throws for what the server does. */
export async function sendSmtp(mail: Mail, signal: AbortSignal): Promise<Attempt> {
  transport ??= open();
  try {
    await transport.sendMail({
      ...mail,
      from: { name: settings.MAIL_FROM_NAME ?? settings.APP_NAME, address: settings.MAIL_FROM_ADDRESS ?? '' },
      signal,
    });
    return { outcome: 'sent' };
  } catch (error) {
    return explain(error as SmtpError);
  }
}

/** Closes the connections to the server. */
export function closeSmtp(): void {
  transport?.close();
}
