// The texts of mails and SMS, in the language of the request that asked for them.
import { settings } from '../config';
import { escapeHtml } from '../src/infra/html';
import { LANGUAGES, render, type Language, type MessageKey } from '../src/i18n';
import type { Mail } from './providers/smtp';

const languageOf = (tag: string): Language => LANGUAGES.find((language) => language === tag) ?? 'en';

class Writer {
  constructor(readonly language: Language) {}

  say(key: MessageKey, values: Record<string, string | number> = {}): string {
    return render({ key, values: { app: settings.APP_NAME, ...values } }, this.language);
  }

  minutes(count: number): string {
    const form = new Intl.PluralRules(this.language).select(count) === 'one' ? 'minutes.one' : 'minutes.other';
    return this.say(form, { count });
  }
}

/** A mail of a few paragraphs, one of which people copy from. */
function mail(to: string, language: Language, subject: string, paragraphs: (string | { code: string })[]): Mail {
  const text = paragraphs.map((part) => (typeof part === 'string' ? part : part.code)).join('\n\n');
  const html = paragraphs
    .map((part) =>
      typeof part === 'string' ? `<p>${escapeHtml(part)}</p>` : `<p style="font:600 1.75em monospace">${escapeHtml(part.code)}</p>`,
    )
    .join('\n');
  return {
    to,
    subject,
    text: `${text}\n`,
    html: `<!doctype html>\n<html lang="${language}">\n<meta charset="utf-8">\n<body style="font-family:sans-serif">\n${html}\n</body>\n</html>\n`,
  };
}

/** The code for a new address. @param tag language of the request; English where it is not one of ours */
export function emailChangeMail(to: string, code: string, tag: string): Mail {
  const writer = new Writer(languageOf(tag));
  const minutes = settings.APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES;
  return mail(to, writer.language, writer.say('mail.email_change.subject'), [
    writer.say('mail.email_change.lead'),
    { code },
    ...(minutes === 0 ? [] : [writer.say('mail.expiry', { minutes: writer.minutes(minutes) })]),
    writer.say('mail.ignore'),
  ]);
}

interface Person {
  username: string;
  domain: string;
}
const sipOf = ({ username, domain }: Person): string => `sip:${username}@${domain}`;

/** The key that activates a new account. @param tag as of emailChangeMail() */
export function accountCreationMail(to: string, person: Person, key: string, tag: string): Mail {
  const writer = new Writer(languageOf(tag));
  return mail(to, writer.language, writer.say('mail.account_creation.subject'), [
    writer.say('mail.account_creation.lead', { sip: sipOf(person) }),
    { code: key },
    writer.say('mail.ignore'),
  ]);
}

/** The news that an account is ready to be used. @param tag as of emailChangeMail() */
export function accountReadyMail(to: string, person: Person, tag: string): Mail {
  const writer = new Writer(languageOf(tag));
  return mail(to, writer.language, writer.say('mail.account_ready.subject'), [
    writer.say('mail.account_ready.lead'),
    { code: sipOf(person) },
    writer.say('mail.account_ready.username', { username: person.username }),
    writer.say('mail.account_ready.domain', { domain: person.domain }),
  ]);
}

/** The code for a new number. @param tag as of emailChangeMail() */
export function phoneChangeSms(code: string, tag: string): string {
  const writer = new Writer(languageOf(tag));
  const minutes = settings.APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES;
  return minutes === 0
    ? writer.say('sms.phone_change', { code })
    : writer.say('sms.phone_change_expiring', { code, minutes: writer.minutes(minutes) });
}

/** The code that activates or recovers an account. @param tag as of emailChangeMail() */
export const accountSms = (kind: 'account_creation' | 'account_recovery', code: string, tag: string): string =>
  new Writer(languageOf(tag)).say(`sms.${kind}`, { code });
