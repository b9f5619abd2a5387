// Mail through an SMTP server.
import type { Readable } from 'node:stream';
import { createTransport, type Transporter } from 'nodemailer';
import { settings } from '../../config';
import type { SendReason } from '../../src/queues/contracts';
import { providerCode } from '../../src/queues/provider-code';
import type { Attempt } from './delivery';

export interface Mail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

let transport: Transporter | undefined;

/** The texts of a mail, by the signal that it was sent with: one for each connection that was to carry it. */
const texts = new WeakMap<AbortSignal, Readable[]>();
/** Without an answer: a certificate that is not believed, a login that cannot be tried, an address that is none; another try ends the same. */
const NOT_AGAIN = new Set(['ETLS', 'EAUTH', 'EENVELOPE', 'EMESSAGE', 'EABORT']);
/** Of these the words; of all others the server was not reached, or hung up. */
const WORDS: Partial<Record<string, SendReason>> = {
  ETLS: 'provider_refused',
  EAUTH: 'provider_refused',
  EENVELOPE: 'recipient_refused',
  EMESSAGE: 'error',
  EABORT: 'timeout',
  ETIMEDOUT: 'timeout',
};

function open(): Transporter {
  const timeoutMs = settings.EMAIL_TIMEOUT_SECONDS * 1000;
  const opened = createTransport({
    pool: true,
    // One for each mail that the worker sends at once: a mail behind a hung one would wait for its timeout as well (https://github.com/nodemailer/nodemailer/issues/511).
    maxConnections: settings.WORKER_CONCURRENCY,
    host: settings.MAIL_HOST,
    port: settings.MAIL_PORT,
    secure: settings.MAIL_PORT === 465,
    // Else whoever strikes the server's offer of TLS out on the way is given the password in clear text.
    requireTLS: settings.MAIL_REQUIRE_TLS ?? settings.MAIL_PASSWORD !== undefined,
    ...(settings.MAIL_USERNAME === undefined ? {} : { auth: { user: settings.MAIL_USERNAME, pass: settings.MAIL_PASSWORD } }),
    tls: { rejectUnauthorized: !settings.MAIL_ALLOW_SELF_SIGNED },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  });
  // nodemailer reads a text only once the server has asked for it (354), so one that was never read was never sent.
  opened.use('stream', ({ message, data: { signal } }, done) => {
    const create = message.createReadStream.bind(message);
    message.createReadStream = (...options) => {
      const text = create(...options);
      if (signal) texts.set(signal, [...(texts.get(signal) ?? []), text]);
      return text;
    };
    done();
  });
  return opened;
}

interface SmtpError {
  code?: string;
  /** At which command it happened: `CONN` until the greeting, `RCPT TO`, … */
  command?: string;
  response?: string;
  responseCode?: number;
}

/** The server is about to hang up, at whatever command (RFC 5321, section 3.8). */
const CLOSING = 421;
/** Enhanced codes about an address, a mailbox or a policy, greylisting among them (RFC 3463, section 3); others are about the server. */
const OF_RECIPIENT = /^4\d\d[ -]4\.[127]\.\d/;
const ENHANCED = /^4\d\d[ -]4\.\d+\.\d/;
/** An answer's code, with an enhanced one where there is one. */
const ANSWER = /^([45]\d\d)(?:[ -]([45]\.\d{1,3}\.\d{1,3}))?/;

/** What an error is called: `550-5.1.1`, `ECONNREFUSED`. */
function codeOf({ code, response = '', responseCode }: SmtpError): { code?: string } {
  if (responseCode === undefined) return providerCode(code);
  const [, answered, enhanced] = ANSWER.exec(response) ?? [];
  return providerCode(answered !== undefined && enhanced !== undefined ? `${answered}-${enhanced}` : responseCode);
}

/**
 * Whether a temporary refusal is about whom the mail is for: so it is where a recipient is named, and where the text that follows is refused for
 * the recipient's sake; before that the server speaks of itself, or of us.
 */
function isOfRecipient({ command, response = '', responseCode }: SmtpError): boolean {
  if (responseCode === CLOSING) return false;
  if (command === 'RCPT TO') return OF_RECIPIENT.test(response) || !ENHANCED.test(response);
  return command === 'DATA' && OF_RECIPIENT.test(response);
}

/**
 * What an error means. nodemailer calls a connection that ended before the greeting and one that ended after the final dot the same
 * (`ECONNECTION` at `CONN`), so how far it came is asked of the text itself.
 *
 * @param begun the server was given some of the text, or all of it
 */
function explain(error: SmtpError, begun: boolean): Attempt {
  const { code, command, responseCode } = error;
  const known = { reason: `SMTP ${responseCode ?? code ?? 'error'}`, ...codeOf(error) };
  const { reason } = known;
  // Neither the password nor an address has been sent. Asked for where it is not offered: whoever reads on the line may have struck it out.
  if (command === 'STARTTLS') {
    const wanted = responseCode === undefined ? reason : `${reason}: no STARTTLS, which MAIL_REQUIRE_TLS asks for`;
    const again = responseCode !== undefined && responseCode < 500 ? { again: {} } : {};
    return { ...known, outcome: 'failed', reason_word: 'provider_refused', reason: wanted, trouble: true, ...again };
  }
  // The server's own word, at whatever command: what it refuses it has not taken, and will not deliver (RFC 5321, section 4.2.5).
  if (responseCode !== undefined && responseCode >= 400) {
    if (responseCode >= 500)
      return { ...known, outcome: 'refused', reason_word: command === 'RCPT TO' ? 'recipient_refused' : 'provider_refused' };
    if (isOfRecipient(error)) return { ...known, outcome: 'failed', reason_word: 'recipient_refused', again: {} };
    return { ...known, outcome: 'failed', reason_word: 'provider_failing', trouble: true, again: {} };
  }
  // An end without an answer. Before the final dot the server must forget the text, after it it may have taken it; which of the two it saw nobody
  // knows here.
  const reason_word = WORDS[code ?? ''] ?? 'provider_unreachable';
  if (begun) return { ...known, outcome: 'unknown', reason_word, trouble: true };
  return { ...known, outcome: 'failed', reason_word, trouble: true, ...(code === undefined || NOT_AGAIN.has(code) ? {} : { again: {} }) };
}

/** One attempt. Never throws for what the server does. */
export async function sendSmtp(mail: Mail, signal: AbortSignal): Promise<Attempt> {
  transport ??= open();
  try {
    await transport.sendMail({
      ...mail,
      // Not as text, which would be read as a list of addresses: what is quoted in a local part may look like another one (GHSA-mm7p-fcc7-pg87).
      to: { name: '', address: mail.to },
      from: { name: settings.MAIL_FROM_NAME ?? settings.APP_NAME, address: settings.MAIL_FROM_ADDRESS ?? '' },
      signal,
    });
    return { outcome: 'sent' };
  } catch (error) {
    const begun = texts.get(signal)?.some((text) => text.readableDidRead) ?? false;
    return explain(error as SmtpError, begun);
  }
}

/** Closes the connections to the server. */
export function closeSmtp(): void {
  transport?.close();
}
