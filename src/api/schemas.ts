// Fields that several endpoints share (api.md 1.4), and the shapes of answers. Rules of ours fail with `message:<key>`.
import Joi from 'joi';
import { DateTime } from 'luxon';
import { settings } from '../../config';
import { SPACE_FLAGS } from '../services/spaces';
import type { Address } from '../services/statistics';
import { normalisePhone } from '../services/phones';
import type { PasswordAlgorithm } from '../services/secrets';

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSTORABLE = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

/** `json` is the field's JSON Schema in the documentation where a rule of ours hides it from Joi. */
const custom = (json: object, rule: Joi.CustomValidator): Joi.AnySchema => Joi.any().custom(rule).empty(null).meta({ json });

const noControls: Joi.CustomValidator<string> = (value, helpers) =>
  UNSTORABLE.test(value) ? helpers.error('message:field.characters') : value;

export const text = (max = 255): Joi.StringSchema => Joi.string().max(max).custom(noControls).empty(null);

export const boolean = (): Joi.BooleanSchema =>
  custom({ enum: [true, false, 0, 1, '0', '1'] }, (value: unknown, helpers) => {
    if (value === true || value === 1 || value === '1') return true;
    if (value === false || value === 0 || value === '0') return false;
    return helpers.error('message:field.boolean');
  }) as unknown as Joi.BooleanSchema;

export const integer = (min = -2147483648, max = 2147483647): Joi.NumberSchema =>
  custom({ type: ['integer', 'string'], pattern: '^[+-]?[0-9]+$' }, (value: unknown, helpers) => {
    const number = typeof value === 'string' && /^[+-]?\d+$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) return helpers.error('message:field.integer');
    return number < min || number > max ? helpers.error('message:field.integer_range', { min, max }) : number;
  }) as unknown as Joi.NumberSchema;

/** ISO 8601 date or date-time; no zone = UTC. Years 1 to 9999: others have no ISO form that everybody reads. */
export const isoDate = (): Joi.DateSchema =>
  custom({ type: 'string', format: 'date-time', description: 'ISO 8601 date or date-time; no zone = UTC' }, (value: unknown, helpers) => {
    if (typeof value !== 'string' || !/^\d{4}/.test(value)) return helpers.error('message:field.date');
    const parsed = DateTime.fromISO(value, { zone: 'utc' });
    return parsed.isValid && parsed.year >= 1 && parsed.year <= 9999 ? parsed.toJSDate() : helpers.error('message:field.date');
  }) as unknown as Joi.DateSchema;

/** `user@domain`, a leading `sip:` tolerated, split at the last `@`; each part ≤ 256. */
export const sipAddress = (): Joi.ObjectSchema<Address> =>
  custom({ type: 'string', examples: ['alice@sip.example.org'] }, (value: unknown, helpers) => {
    if (typeof value !== 'string') return helpers.error('message:field.string');
    const address = value.trim().replace(/^sip:/i, '');
    const at = address.lastIndexOf('@');
    const [username, domain] = [address.slice(0, at), address.slice(at + 1)];
    if (at < 1 || domain === '' || UNSTORABLE.test(address)) return helpers.error('message:field.sip_address');
    if (username.length > 256 || domain.length > 256) return helpers.error('message:field.max', { limit: 256 });
    return { username, domain } satisfies Address;
  }) as unknown as Joi.ObjectSchema<Address>;

const usernamePattern = new RegExp(settings.ACCOUNT_USERNAME_REGEX, 'u');

function asPattern(entry: string): RegExp | undefined {
  try {
    return new RegExp(entry);
  } catch {
    return undefined;
  }
}
const blacklist = settings.ACCOUNT_BLACKLISTED_USERNAMES.map((entry) => ({ entry, pattern: asPattern(entry) }));
const isBlacklisted = (name: string): boolean => blacklist.some(({ entry, pattern }) => entry === name || pattern?.test(name) === true);

/** A phone number as a username: begins with `+`, or is nothing but 7 to 15 digits with spaces, dots, dashes between. */
const isPhoneNumber = (name: string): boolean =>
  name.startsWith('+') || (/^[\d .-]+$/.test(name) && /^\d{7,15}$/.test(name.replace(/[ .-]/g, '')));

/** @param allowPhone an admin may give a phone number as username where APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API */
export const username = ({ allowPhone = false } = {}): Joi.StringSchema =>
  Joi.string()
    .min(6)
    .max(64)
    .custom((name: string, helpers) => {
      if (/[A-Z]/.test(name)) return helpers.error('message:username.lowercase');
      if (!usernamePattern.test(name) || UNSTORABLE.test(name)) return helpers.error('string.pattern.base');
      if (!allowPhone && isPhoneNumber(name)) return helpers.error('message:username.phone');
      return isBlacklisted(name) ? helpers.error('message:username.refused') : name;
    })
    .empty(null)
    .required();

/** RFC 5321/5322 address, of any top-level domain. */
export const email = (): Joi.StringSchema =>
  Joi.string()
    .max(255)
    .email({ tlds: { allow: false }, minDomainSegments: 1 })
    .custom(noControls)
    .empty(null);

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
    .meta({ json: { type: 'object', additionalProperties: { type: 'string', maxLength: 255 } } }) as unknown as Joi.ObjectSchema<
    Record<string, string>
  >;

/** Exactly `YYYY-MM-DD HH:MM:SS`, a real date, UTC. */
export const dateTime = (): Joi.DateSchema =>
  custom({ type: 'string', examples: ['2030-12-31 23:59:59'] }, (value: unknown, helpers) => {
    const parsed = typeof value === 'string' ? DateTime.fromFormat(value, 'yyyy-MM-dd HH:mm:ss', { zone: 'utc' }) : undefined;
    return parsed?.isValid && parsed.year >= 1 ? parsed.toJSDate() : helpers.error('message:field.date_time');
  }) as unknown as Joi.DateSchema;

/** Any Unicode, not trimmed, hashed as UTF-8; the limit only bounds the work. */
export const password = (): Joi.StringSchema => Joi.string().min(6).max(1024).empty(null).required();

export const algorithm = (): Joi.StringSchema<PasswordAlgorithm> =>
  Joi.string().valid('SHA-256', 'MD5').empty(null).required() as Joi.StringSchema<PasswordAlgorithm>;

export const dtmfProtocol = (): Joi.StringSchema => Joi.string().valid('sipinfo', 'sipmessage', 'rfc2833').empty(null);

export const pnProvider = (): Joi.StringSchema<'apns' | 'apns.dev' | 'fcm'> =>
  Joi.string().valid('apns.dev', 'apns', 'fcm').empty(null).required() as Joi.StringSchema<'apns' | 'apns.dev' | 'fcm'>;
export const pnParam = (): Joi.StringSchema =>
  Joi.string()
    .max(255)
    .pattern(/^[A-Za-z0-9_.-]+$/)
    .empty(null);
export const pnPrid = (): Joi.StringSchema =>
  Joi.string()
    .max(255)
    .pattern(/^[A-Za-z0-9_:-]+$/)
    .empty(null);

// Shapes of answers: what the documentation shows and the tests hold every answer against.
const date = Joi.string().pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
const maybe = (schema: Joi.Schema): Joi.Schema => schema.allow(null).required();
const account = Joi.object({
  id: Joi.number().integer().required(),
  username: Joi.string().required(),
  domain: Joi.string().required(),
  email: maybe(Joi.string()),
  phone: maybe(Joi.string()),
  display_name: maybe(Joi.string()),
  dtmf_protocol: maybe(Joi.string()),
  activated: Joi.boolean().required(),
  blocked: Joi.boolean().required(),
  admin: Joi.boolean().required(),
  ip_address: Joi.string().required(),
  user_agent: Joi.string().required(),
  created_at: date.required(),
  updated_at: maybe(date),
  realm: maybe(Joi.string()),
  confirmation_key_expires: maybe(Joi.string().pattern(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)),
  provisioning_token: maybe(Joi.string().length(13)),
  provisioning_token_expire_at: maybe(date),
  dictionary: Joi.object().pattern(Joi.string(), Joi.string().allow('')).required(),
  passwords: Joi.array()
    .items(Joi.object({ algorithm: Joi.string().required() }))
    .required(),
  activation_expiration: maybe(Joi.object()),
  email_change_code: maybe(Joi.object()),
  types: Joi.array()
    .items(Joi.object({ id: Joi.number().required(), key: Joi.string().required() }))
    .required(),
  actions: Joi.array()
    .items(Joi.object({ id: Joi.number().required(), key: Joi.string().required(), code: Joi.string().required() }))
    .required(),
});
const pendingCode = (field: string, code: boolean): Joi.Schema =>
  maybe(
    Joi.object({
      [field]: Joi.string().required(),
      ...(code ? { code: Joi.string().required() } : {}),
      ip: maybe(Joi.string()),
      user_agent: maybe(Joi.string()),
      created_at: date.required(),
      updated_at: maybe(date),
    }),
  );
const listedAccount = account.keys({ phone_change_code: pendingCode('phone', false) });
const accountToAdmin = account.keys({ phone_change_code: pendingCode('phone', true), email_change_code: pendingCode('email', true) });
const confirmationKey = maybe(Joi.string());
const url = Joi.string();

export const shapes = {
  empty: Joi.object({}).required(),
  account,
  accountToAdmin,
  createdAccount: account.keys({ confirmation_key: confirmationKey }),
  changedAccount: accountToAdmin.keys({ confirmation_key: confirmationKey }),
  recoveredAccount: account.keys({
    passwords: Joi.array()
      .items(Joi.object({ algorithm: Joi.string().required(), password: Joi.string().required() }))
      .required(),
  }),
  accountPage: Joi.object({
    current_page: Joi.number().integer().required(),
    data: Joi.array().items(listedAccount).required(),
    first_page_url: url.required(),
    from: maybe(Joi.number().integer()),
    last_page: Joi.number().integer().required(),
    last_page_url: url.required(),
    links: Joi.array()
      .items(Joi.object({ url: maybe(url), label: Joi.string().required(), active: Joi.boolean().required() }))
      .required(),
    next_page_url: maybe(url),
    path: url.required(),
    per_page: Joi.number().integer().required(),
    prev_page_url: maybe(url),
    to: maybe(Joi.number().integer()),
    total: Joi.number().integer().required(),
  }),
  accountInfo: Joi.object({ activated: Joi.boolean().required(), realm: maybe(Joi.string()) }),
  turn: Joi.object({
    username: Joi.string().required(),
    password: Joi.string().required(),
    ttl: Joi.number().integer().required(),
    uris: Joi.array().items(Joi.string()).required(),
  }),
  phoneCountry: Joi.object({
    code: Joi.string().length(2).required(),
    country_code: Joi.string().required(),
    activated: Joi.boolean().required(),
  }),
  requestToken: Joi.object({ token: Joi.string().length(13).required(), validation_url: maybe(Joi.string().uri()) }),
  creationToken: Joi.object({
    token: Joi.string().length(13).required(),
    ip: maybe(Joi.string()),
    user_agent: maybe(Joi.string()),
    expire_at: maybe(date),
    pn_provider: maybe(Joi.string()),
    pn_param: maybe(Joi.string()),
    pn_prid: maybe(Joi.string()),
    used: Joi.boolean().required(),
    account_id: maybe(Joi.number().integer()),
  }),
  authToken: Joi.object({
    id: Joi.number().integer().required(),
    token: Joi.string().length(32).required(),
    account_id: maybe(Joi.number().integer()),
    ip: maybe(Joi.string()),
    user_agent: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  space: Joi.object({
    domain: Joi.string().required(),
    host: Joi.string().required(),
    ...Object.fromEntries(SPACE_FLAGS.map((flag) => [flag, Joi.boolean().required()])),
    max_account: Joi.number().integer().required(),
    max_accounts: Joi.number().integer().required(),
    expire_at: maybe(date),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  messageDevice: Joi.object({
    id: Joi.number().integer().required(),
    message_id: Joi.string().required(),
    to_username: Joi.string().required(),
    to_domain: Joi.string().required(),
    device_id: Joi.string().required(),
    last_status: Joi.number().integer().required(),
    received_at: date.required(),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  callDevice: Joi.object({
    id: Joi.number().integer().required(),
    call_id: Joi.string().required(),
    device_id: Joi.string().required(),
    rang_at: maybe(date),
    invite_terminated_at: maybe(date),
    invite_terminated_state: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  call: Joi.object({
    id: Joi.string().required(),
    from_username: Joi.string().required(),
    from_domain: Joi.string().required(),
    to_username: Joi.string().required(),
    to_domain: Joi.string().required(),
    initiated_at: date.required(),
    ended_at: maybe(date),
    conference_id: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  error: Joi.object({
    message: Joi.string().required(),
    errors: Joi.object().pattern(Joi.string(), Joi.array().items(Joi.string())),
  }),
};
