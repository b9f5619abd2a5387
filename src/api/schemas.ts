// Fields that several endpoints share. Rules of ours fail with `message:<key>`.
import Joi from 'joi';
import { DateTime } from 'luxon';
import { settings } from '../../config';
import { operatorPattern } from '../../config/operator-pattern';
import type { PushDevice, PushProvider } from '../queues/contracts';
import { hasInvisible, isShowable } from '../infra/characters';
import { type IpRange, parseIpRange } from '../infra/ip-address';
import { parseEmail } from '../infra/email-address';
import { type SipAddress, withoutSipScheme } from '../infra/sip-uri';
import { inPlainCharacters, normalisePhone } from '../infra/phone-number';
import { type Scope, SCOPES } from '../services/credentials/identities';
import { MAX_KEY_NAME_CHARACTERS, MAX_KEY_RANGES } from '../services/credentials/key-limits';
import type { PasswordAlgorithm } from '../services/credentials/secrets';
import { canonicalTimeZone } from '../services/statistics/time-zones';
import { parseVcard, type Vcard } from '../services/address-book/vcards';

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSTORABLE = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

/** Of a message's text in UTF-8; with its recipient it stays below the 32 KiB of a command. */
const MAX_MESSAGE_BYTES = 32_000;

/** Signs, zeros in front and digits of a whole number given as text. */
const MAX_INTEGER_CHARACTERS = 32;
/** An ISO 8601 date-time with a fraction and an offset has 35. */
const MAX_DATE_CHARACTERS = 64;
/** Of each part of a SIP address. */
const MAX_SIP_PART_CHARACTERS = 256;
/** Scopes in a body, repetitions among them. */
const MAX_SCOPE_ENTRIES = 100;
/** Of an IP address with a prefix, in its longest spelling. */
const MAX_ADDRESS_CHARACTERS = 64;
/** Of a wrong value in a message. */
const MAX_SHOWN_CHARACTERS = 64;
/** Entries of a dictionary; apps write a few. */
const MAX_DICTIONARY_ENTRIES = 1000;

/** `json` is the field's JSON Schema in the documentation where a rule of ours hides it from Joi. */
const custom = (json: object, rule: Joi.CustomValidator): Joi.AnySchema => Joi.any().custom(rule).empty(null).meta({ json });

/**
 * JSON Schema of a body that must have all members of one of these sets. Inside of `allOf`, since the types that openapi-typescript makes of an `anyOf`
 * beside `properties` allow everything.
 */
export const oneOf = (...sets: string[][]): object => ({ allOf: [{ anyOf: sets.map((required) => ({ required })) }] });

const noControls: Joi.CustomValidator<string> = (value, helpers) =>
  UNSTORABLE.test(value) ? helpers.error('message:field.characters') : value;

/** One line of text without control characters. @param max characters */
export const text = (max = 255): Joi.StringSchema => Joi.string().max(max).custom(noControls).empty(null);

/** true, false, 1 or 0, the latter also as text; becomes a boolean. */
export const boolean = (): Joi.BooleanSchema =>
  custom({ enum: [true, false, 0, 1, '0', '1'] }, (value: unknown, helpers) => {
    if (value === true || value === 1 || value === '1') return true;
    if (value === false || value === 0 || value === '0') return false;
    return helpers.error('message:field.boolean');
  }) as unknown as Joi.BooleanSchema;

/** A whole number, also as text; PostgreSQL's `integer` where no bounds are given. */
export const integer = (min = -2147483648, max = 2147483647): Joi.NumberSchema =>
  custom({ type: ['integer', 'string'], minimum: min, maximum: max, pattern: '^[+-]?[0-9]+$' }, (value: unknown, helpers) => {
    const isText = typeof value === 'string' && value.length <= MAX_INTEGER_CHARACTERS && /^[+-]?\d+$/.test(value);
    const number = isText ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) return helpers.error('message:field.integer');
    return number < min || number > max ? helpers.error('message:field.integer_range', { min, max }) : number;
  }) as unknown as Joi.NumberSchema;

/** What machines write, to the second or to the millisecond. */
const PLAIN_ISO = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?Z$/;

/** The moment of a plain text, without luxon, which takes longer than all else of such a request; null where only luxon can tell. */
function parsePlainIso(value: unknown): Date | null {
  const [, year, month, day] = (typeof value === 'string' && PLAIN_ISO.exec(value)) || [];
  if (year === undefined || year === '0000') return null;
  const moment = new Date(value as string);
  // Of the 30th of February JavaScript makes a day in March.
  return moment.getUTCMonth() + 1 === Number(month) && moment.getUTCDate() === Number(day) ? moment : null;
}

/** ISO 8601 date or date-time; no zone = UTC. Years 1 to 9999: others have no ISO form that everybody reads. */
function parseIso(value: unknown): DateTime | null {
  // The library takes a zone's name in brackets (RFC 9557), and keeps every one that it is given.
  if (typeof value !== 'string' || value.length > MAX_DATE_CHARACTERS || !/^\d{4}/.test(value) || value.includes('[')) return null;
  const parsed = DateTime.fromISO(value, { zone: 'utc' });
  return parsed.isValid && parsed.year >= 1 && parsed.year <= 9999 ? parsed : null;
}
/** Date alone, weeks, days of the year: more than the format `date-time` has. */
const ISO = { type: 'string', maxLength: MAX_DATE_CHARACTERS, pattern: '^[0-9]{4}[^\\[]*$', examples: ['2030-12-31T23:59:59Z'] };
/** A moment in ISO 8601; becomes a Date. */
export const isoDate = (): Joi.DateSchema =>
  custom({ ...ISO, description: 'ISO 8601 date or date-time; no zone = UTC' }, (value: unknown, helpers) => {
    return parsePlainIso(value) ?? parseIso(value)?.toJSDate() ?? helpers.error('message:field.date');
  }) as unknown as Joi.DateSchema;

/** The same, but it stays a text: another field says which zone is meant where there is none. In a query a `+` arrives as a space. */
export const isoText = (): Joi.StringSchema =>
  custom(ISO, (value: unknown, helpers) => {
    const moment = typeof value === 'string' && value.length <= MAX_DATE_CHARACTERS ? value.trim().replace(/ (?=\d\d:?\d\d$)/, '+') : value;
    return parseIso(moment) ? moment : helpers.error('message:field.date');
  }) as unknown as Joi.StringSchema;

/** An IANA time zone. */
export const timeZone = (): Joi.StringSchema =>
  custom({ type: 'string', examples: ['Europe/Paris'] }, (value: unknown, helpers) =>
    typeof value === 'string' && canonicalTimeZone(value) !== null ? value : helpers.error('message:field.time_zone'),
  ) as unknown as Joi.StringSchema;

/** The number of a page; anything that is none means the first. */
export const pageNumber = (): Joi.NumberSchema =>
  custom({ type: ['integer', 'string'], description: 'From 1; what is none is the first' }, (value: unknown) =>
    typeof value === 'string' && /^[1-9]\d{0,8}$/.test(value) ? Number(value) : 1,
  ).default(1) as unknown as Joi.NumberSchema;

const ADDRESS = { type: 'string', pattern: '@', examples: ['alice@sip.example.org'] };

/** `user@domain`, a leading `sip:` or `sips:` tolerated, split at the last `@`; each part of at most 256 characters. */
export const sipAddress = (): Joi.ObjectSchema<SipAddress> =>
  custom({ ...ADDRESS, maxLength: 2 * MAX_SIP_PART_CHARACTERS + 'sips:@'.length }, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    if (value.length > 2 * MAX_SIP_PART_CHARACTERS + 'sips:@'.length)
      return helpers.error('message:field.max', { limit: MAX_SIP_PART_CHARACTERS });
    const address = withoutSipScheme(value.trim());
    const at = address.lastIndexOf('@');
    // A domain's letter case means nothing (RFC 3261 section 19.1.4); kept, it would split its figures.
    const [username, domain] = [address.slice(0, at), address.slice(at + 1).toLowerCase()];
    if (at < 1 || domain === '' || UNSTORABLE.test(address)) return helpers.error('message:field.sip_address');
    if (username.length > MAX_SIP_PART_CHARACTERS || domain.length > MAX_SIP_PART_CHARACTERS)
      return helpers.error('message:field.max', { limit: MAX_SIP_PART_CHARACTERS });
    return { username, domain } satisfies SipAddress;
  }) as unknown as Joi.ObjectSchema<SipAddress>;

const MAX_USERNAME_CHARACTERS = 64;
const usernamePattern = operatorPattern(settings.ACCOUNT_USERNAME_REGEX, 'u');

function asPattern(entry: string): ReturnType<typeof operatorPattern> {
  try {
    return operatorPattern(entry);
  } catch {
    return () => false;
  }
}
const blacklist = settings.ACCOUNT_BLACKLISTED_USERNAMES.map((entry) => ({ entry, matches: asPattern(entry) }));
/** A name for which a pattern takes too long is refused like one that it matches. */
const isBlacklisted = (name: string): boolean => blacklist.some(({ entry, matches }) => entry === name || matches(name) !== false);

/** A phone number as a username: begins with `+`, or is nothing but 7 to 15 digits, of any script, with spaces, dots, dashes between. */
function isPhoneNumber(name: string): boolean {
  const plain = inPlainCharacters(name);
  return plain.startsWith('+') || (/^[\d .-]+$/.test(plain) && /^\d{7,15}$/.test(plain.replace(/[ .-]/g, '')));
}

/** @param allowPhone an admin may give a phone number as username where APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API */
export const username = ({ allowPhone = false } = {}): Joi.StringSchema =>
  Joi.string()
    .min(6)
    .max(MAX_USERNAME_CHARACTERS)
    .custom((given: string, helpers) => {
      // Two that look the same are the same one, as RFC 7616, section 4, has it.
      const name = given.normalize('NFC');
      if (name.length > MAX_USERNAME_CHARACTERS) return helpers.error('string.max', { limit: MAX_USERNAME_CHARACTERS });
      if (name !== name.toLowerCase()) return helpers.error('message:username.lowercase');
      if (usernamePattern(name) !== true || UNSTORABLE.test(name)) return helpers.error('string.pattern.base');
      if (hasInvisible(name)) return helpers.error('message:field.invisible');
      if (!allowPhone && isPhoneNumber(name)) return helpers.error('message:username.phone');
      return isBlacklisted(name) ? helpers.error('message:username.refused') : name;
    })
    .empty(null)
    .required();

/** `dot-string@domain`, of any top-level domain. */
const plainEmail = Joi.string().email({ tlds: { allow: false }, minDomainSegments: 1 });
/** Octets (RFC 5321, section 4.5.3.1). */
const MAX_LOCAL_PART_OCTETS = 64;
const MAX_EMAIL_OCTETS = 254;

/** An RFC 5321 address, also with a quoted local part or an address in brackets; becomes its one spelling. */
export const email = (): Joi.StringSchema =>
  Joi.string()
    .max(255)
    .custom((entered: string, helpers) => {
      if (hasInvisible(entered) || UNSTORABLE.test(entered)) return helpers.error('message:field.invisible');
      const address = parseEmail(entered);
      if (!address) return helpers.error('string.email');
      const { local, domain, isQuoted, isLiteral } = address;
      // What Joi does not know is right by now.
      const plain = `${isQuoted ? 'quoted' : local}@${isLiteral ? 'example.org' : domain}`;
      const given = `${local}@${domain}`;
      const isLong = Buffer.byteLength(local) > MAX_LOCAL_PART_OCTETS || Buffer.byteLength(given) > MAX_EMAIL_OCTETS;
      return isLong || plainEmail.validate(plain).error ? helpers.error('string.email') : given;
    })
    .empty(null)
    .meta({
      json: {
        type: 'string',
        maxLength: 255,
        description: 'As RFC 5321 and RFC 6531 have it, without comments; no `<` and `>` in a quoted local part',
        examples: ['alice@example.org'],
      },
    });

/** How an account is shown to others. */
export const displayName = (): Joi.StringSchema =>
  text().custom((name: string, helpers) => (isShowable(name) ? name : helpers.error('message:field.invisible')));

/** An international number; becomes E.164. Its country and whether it is free are asked of the database. */
export const phone = (): Joi.StringSchema =>
  custom({ type: 'string', examples: ['+33612345678'], description: 'International phone number' }, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    return normalisePhone(value) ?? helpers.error('message:field.phone');
  }) as unknown as Joi.StringSchema;

/** An object whose values are strings, `[]` = empty; null is no dictionary. */
export const dictionary = (): Joi.ObjectSchema<Record<string, string>> =>
  Joi.any()
    .custom((value: unknown, helpers) => {
      if (Array.isArray(value) && value.length === 0) return {};
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return helpers.error('message:field.dictionary');
      if (Object.keys(value).length > MAX_DICTIONARY_ENTRIES)
        return helpers.error('message:field.dictionary_entries', { limit: MAX_DICTIONARY_ENTRIES });
      // A value that was empty is null by now (http/body.ts): it is an empty string here.
      const entries = Object.entries(value as Record<string, unknown>).map(([key, entry]) => [key, entry ?? ''] as const);
      const fits = ([key, entry]: readonly [string, unknown]): boolean =>
        typeof entry === 'string' &&
        key.length > 0 &&
        key.length <= 255 &&
        entry.length <= 255 &&
        !UNSTORABLE.test(key) &&
        !UNSTORABLE.test(entry);
      return entries.every(fits) ? Object.fromEntries(entries) : helpers.error('message:field.dictionary');
    })
    .meta({
      json: {
        anyOf: [
          { type: 'object', additionalProperties: { type: ['string', 'null'] } },
          { type: 'array', maxItems: 0 },
        ],
        description: `Up to ${MAX_DICTIONARY_ENTRIES} texts of up to 255 characters`,
      },
    }) as unknown as Joi.ObjectSchema<Record<string, string>>;

/** Exactly `YYYY-MM-DD HH:MM:SS`, a real date, UTC. */
export const dateTime = (): Joi.DateSchema =>
  custom(
    {
      type: 'string',
      pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$',
      description: 'UTC',
      examples: ['2030-12-31 23:59:59'],
    },
    (value: unknown, helpers) => {
      const isText = typeof value === 'string' && value.length <= MAX_DATE_CHARACTERS;
      const parsed = isText ? DateTime.fromFormat(value, 'yyyy-MM-dd HH:mm:ss', { zone: 'utc' }) : undefined;
      return parsed?.isValid && parsed.year >= 1 ? parsed.toJSDate() : helpers.error('message:field.date_time');
    },
  ) as unknown as Joi.DateSchema;

const MIN_PASSWORD_CHARACTERS = 6;
/** Any Unicode, not trimmed, hashed as UTF-8; the limit only bounds the work. */
export const password = (): Joi.StringSchema =>
  Joi.string()
    .max(1024)
    // Joi's own rule counts UTF-16 code units: three emojis are six of them.
    .custom((value: string, helpers) =>
      Array.from(value).length < MIN_PASSWORD_CHARACTERS ? helpers.error('string.min', { limit: MIN_PASSWORD_CHARACTERS }) : value,
    )
    .empty(null)
    .required()
    .meta({ json: { minLength: MIN_PASSWORD_CHARACTERS } });

/** Of a password's hash. */
export const algorithm = (): Joi.StringSchema<PasswordAlgorithm> =>
  Joi.string().valid('SHA-256', 'MD5').empty(null).required() as Joi.StringSchema<PasswordAlgorithm>;

/** How a device is sent the code of an action. */
export const dtmfProtocol = (): Joi.StringSchema => Joi.string().valid('sipinfo', 'sipmessage', 'rfc2833').empty(null);

/** A device as apps and the SIP proxy name it. */
export interface PushTarget {
  pn_provider: PushProvider;
  pn_param?: string;
  pn_prid?: string;
}
export const pushTarget = {
  pn_provider: Joi.string().valid('apns.dev', 'apns', 'fcm').empty(null).required() as Joi.StringSchema<PushProvider>,
  pn_param: Joi.string()
    .max(255)
    .pattern(/^[A-Za-z0-9_.-]+$/)
    .empty(null),
  pn_prid: Joi.string()
    .max(255)
    .pattern(/^[A-Za-z0-9_:-]+$/)
    .empty(null),
};
/** The device of a body, as jobs name it. */
export const deviceOf = ({ pn_provider: provider, pn_param: param, pn_prid: prid }: PushTarget): PushDevice => ({
  provider,
  param: param ?? null,
  prid: prid ?? null,
});

/** A SIP Call-ID: of the characters that RFC 3261 section 25.1 allows, those that real ones have. */
export const callId = (): Joi.StringSchema =>
  Joi.string()
    .max(255)
    .pattern(/^[A-Za-z0-9_~@.-]+$/)
    .empty(null);

/** Text of several lines. */
export const prose = (max: number): Joi.StringSchema =>
  Joi.string()
    .max(max)
    .custom((value: string, helpers) =>
      UNSTORABLE.test(value.replace(/[\r\n\t]/g, '')) ? helpers.error('message:field.characters') : value,
    )
    .empty(null);

/** Letters and digits, no upper case; of a type's or action's key also `-` and `_`. */
const lowerCase = (max: number, allowed: RegExp): Joi.StringSchema =>
  Joi.string()
    .max(max)
    .custom((value: string, helpers) => {
      if (/[A-Z]/.test(value)) return helpers.error('message:username.lowercase');
      return allowed.test(value) ? value : helpers.error('string.pattern.base');
    })
    .empty(null)
    .required();
/** Of a type or an action. */
export const key = (): Joi.StringSchema => lowerCase(64, /^[a-z0-9_-]+$/);
/** What an action sends. */
export const actionCode = (): Joi.StringSchema => lowerCase(255, /^[a-z0-9]+$/);

/** One vCard, parsed. */
export const vcard = (): Joi.ObjectSchema<Vcard> =>
  custom({ type: 'string', examples: ['BEGIN:VCARD\nVERSION:4.0\nFN:Alice\nUID:1\nEND:VCARD\n'] }, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    if (value.trim() === '') return helpers.error('any.required');
    const card = parseVcard(value);
    return 'refused' in card ? helpers.error(`message:${card.refused.key}`, card.refused.values) : card;
  }) as unknown as Joi.ObjectSchema<Vcard>;

/** Whom a message goes to: `user@domain`, a leading `sip:` or `sips:` tolerated, nothing that ends a word of the daemon's command line. */
export const messageRecipient = (): Joi.StringSchema =>
  custom(ADDRESS, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    if (value.length > 255 + 'sips:'.length) return helpers.error('string.max', { limit: 255 });
    const address = withoutSipScheme(value);
    if (/\s/.test(address) || UNSTORABLE.test(address) || !/^[^@]+@[^@]+$/.test(address)) return helpers.error('message:field.sip_address');
    return address.length > 255 ? helpers.error('string.max', { limit: 255 }) : address;
  }) as unknown as Joi.StringSchema;

/** A message's text: one line, each line break a space. The daemon reads a command of 32 KiB at most at once. */
export const messageBody = (): Joi.StringSchema =>
  custom({ type: 'string', maxLength: MAX_MESSAGE_BYTES }, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    if (value.length > MAX_MESSAGE_BYTES) return helpers.error('message:field.octets', { limit: MAX_MESSAGE_BYTES });
    const line = value.replace(/\r\n|[\r\n\u2028\u2029\u0085]/g, ' ');
    if (UNSTORABLE.test(line)) return helpers.error('message:field.characters');
    return Buffer.byteLength(line) > MAX_MESSAGE_BYTES ? helpers.error('message:field.octets', { limit: MAX_MESSAGE_BYTES }) : line;
  }) as unknown as Joi.StringSchema;

/** What a key may be called: one line that people can read. */
export const keyName = (): Joi.StringSchema =>
  text(MAX_KEY_NAME_CHARACTERS).custom((name: string, helpers) => (hasInvisible(name) ? helpers.error('message:field.invisible') : name));

const isScope = (value: unknown): value is Scope => (SCOPES as readonly unknown[]).includes(value);

/** What a key may do: a list without repetitions, in the order of SCOPES. */
export const scopes = (): Joi.ArraySchema<Scope[]> =>
  custom(
    { type: 'array', items: { type: 'string', enum: SCOPES }, minItems: 1, maxItems: MAX_SCOPE_ENTRIES, examples: [['statistics:write']] },
    (value: unknown, helpers) => {
      if (!Array.isArray(value) || value.length === 0 || value.length > MAX_SCOPE_ENTRIES) return helpers.error('message:field.scopes');
      const unknown: unknown = value.find((each) => !isScope(each));
      if (value.some((each) => !isScope(each)))
        return helpers.error('message:field.scope', { text: shown(unknown), allowed: SCOPES.join(', ') });
      return SCOPES.filter((scope) => value.includes(scope));
    },
  ) as unknown as Joi.ArraySchema<Scope[]>;

/** What is wrong in a list, as far as a message shows it. */
const shown = (value: unknown): string =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, MAX_SHOWN_CHARACTERS);

/** From where a key may be used: IP addresses and ranges, each once, in one spelling; null where the list is empty. */
export const addressRanges = (): Joi.ArraySchema<string[]> =>
  custom(
    {
      type: 'array',
      items: { type: 'string', maxLength: MAX_ADDRESS_CHARACTERS },
      maxItems: MAX_KEY_RANGES,
      description: 'IPv4 and IPv6 addresses, and ranges with their prefix; none: from anywhere',
      examples: [['203.0.113.7', '2001:db8::/32']],
    },
    (value: unknown, helpers) => {
      if (!Array.isArray(value) || value.length > MAX_KEY_RANGES) return helpers.error('message:field.addresses');
      const ranges: string[] = [];
      for (const each of value as unknown[]) {
        const parsed: IpRange =
          typeof each === 'string' && each.length <= MAX_ADDRESS_CHARACTERS ? parseIpRange(each) : { fault: 'malformed' };
        if ('fault' in parsed)
          return helpers.error(parsed.fault === 'malformed' ? 'message:field.address' : 'message:field.address_bits', {
            text: shown(each),
          });
        ranges.push(parsed.range);
      }
      return ranges.length === 0 ? null : [...new Set(ranges)];
    },
  ) as unknown as Joi.ArraySchema<string[]>;
