// The table of settings: name, rule, default, meaning. Pure: reads no file and no environment of its own.
import { createPublicKey, type KeyObject } from 'node:crypto';
import Joi from 'joi';
import { operatorPattern } from './operator-pattern';
import { parseRedisUrl } from './redis-url';

/** One setting: `T` is the type its value has once parsed. */
export interface Setting<T> {
  /** Turns the text of the environment into the value; its errors say what is allowed. */
  rule: Joi.Schema<T>;
  /** What `.env.example` shows as the default; empty where there is none. */
  example: string;
  meaning: string;
  /** The value is never printed, not even in an error. */
  secret: boolean;
}

/** What an `integer` column of PostgreSQL and a timer of Node hold. */
const MAX_INTEGER = 2 ** 31 - 1;
const MAX_PORT = 65535;

interface Options {
  secret?: boolean;
}

function setting<T>(rule: Joi.Schema, example: string, meaning: string, { secret = false }: Options = {}): Setting<T> {
  return { rule: rule.empty(''), example, meaning, secret };
}

const text = (fallback: string, meaning: string): Setting<string> => setting(Joi.string().default(fallback), fallback, meaning);

const optionalText = (meaning: string, options?: Options): Setting<string | undefined> => setting(Joi.string(), '', meaning, options);

const integer = (fallback: number, meaning: string, { min = 0, max = MAX_INTEGER } = {}): Setting<number> =>
  setting(
    Joi.number()
      .integer()
      .min(min)
      .max(max)
      .default(fallback)
      .messages({
        'any.only': `must be a whole number from ${min} to ${max}`,
        'number.base': `must be a whole number from ${min} to ${max}`,
        'number.integer': `must be a whole number from ${min} to ${max}`,
        'number.min': `must be a whole number from ${min} to ${max}`,
        'number.max': `must be a whole number from ${min} to ${max}`,
        'number.unsafe': `must be a whole number from ${min} to ${max}`,
        'number.infinity': `must be a whole number from ${min} to ${max}`,
      }),
    String(fallback),
    meaning,
  );

const optionalInteger = (meaning: string, { min = 0, max = MAX_INTEGER } = {}): Setting<number | undefined> =>
  setting(
    Joi.number()
      .integer()
      .min(min)
      .max(max)
      .messages({ '*': `must be a whole number from ${min} to ${max}` }),
    '',
    meaning,
  );

const boolean = (): Joi.BooleanSchema =>
  Joi.boolean().truthy('1', 'on', 'yes').falsy('0', 'off', 'no').messages({ 'boolean.base': 'must be true or false' });

const flag = (fallback: boolean, meaning: string): Setting<boolean> => setting(boolean().default(fallback), String(fallback), meaning);

/** A flag whose default depends on other settings. */
const optionalFlag = (meaning: string): Setting<boolean | undefined> => setting(boolean(), '', meaning);

const choice = <T extends string>(allowed: readonly T[], fallback: T, meaning: string): Setting<T> =>
  setting(
    Joi.string()
      .valid(...allowed)
      .default(fallback)
      .messages({ 'any.only': `must be one of ${allowed.join(', ')}` }),
    fallback,
    meaning,
  );

/** A URL of one of the schemes. */
const address = (schemes: readonly string[], meaning: string): Setting<string | undefined> => {
  const allowed = `must begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  return setting(
    Joi.string().custom((value: string, helpers) =>
      schemes.some((scheme) => value.startsWith(`${scheme}://`)) ? value : helpers.message({ custom: allowed }),
    ),
    '',
    meaning,
    // Such an address usually has a password in it.
    { secret: true },
  );
};

/** A Redis, in one of the forms of `redis-url.ts`. */
const redis = (meaning: string): Setting<string | undefined> =>
  setting(
    Joi.string().custom((value: string, helpers) => {
      try {
        parseRedisUrl(value);
        return value;
      } catch (error) {
        return helpers.message({ custom: error instanceof Error ? error.message : 'is not understood' });
      }
    }),
    '',
    meaning,
    { secret: true },
  );

const regularExpression = (fallback: string, meaning: string): Setting<string> =>
  setting(
    Joi.string()
      .default(fallback)
      .custom((value: string, helpers) => {
        try {
          operatorPattern(value, 'u');
          return value;
        } catch {
          return helpers.message({ custom: 'must be a regular expression' });
        }
      }),
    fallback,
    meaning,
  );

const list = (meaning: string): Setting<string[]> =>
  setting(
    Joi.string()
      .custom((value: string) =>
        value
          .split(',')
          .map((entry) => entry.trim())
          .filter((entry) => entry !== ''),
      )
      .default([]),
    '',
    meaning,
  );

/** Express's `trust proxy`: a flag, a number of hops, or addresses and networks. `true` would believe anybody. */
const trustProxy = (meaning: string): Setting<boolean | number | string> =>
  setting(
    Joi.string()
      .custom((value: string) => {
        if (value === 'true') return true;
        if (value === 'false') return false;
        return /^\d+$/.test(value) ? Number(value) : value;
      })
      .default(false),
    'false',
    meaning,
  );

const QUEUE_NAMES = ['push', 'sms', 'email', 'messages', 'api-keys', 'statistics', 'maintenance', 'chores'] as const;

const queueNames = (meaning: string): Setting<string[]> =>
  setting(
    Joi.string()
      .custom((value: string, helpers) => {
        const names = value
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name !== '');
        const unknown = names.find((name) => !(QUEUE_NAMES as readonly string[]).includes(name));
        return unknown === undefined
          ? names
          : helpers.message({ custom: `must be queue names separated by commas, of ${QUEUE_NAMES.join(', ')}` });
      })
      .default([...QUEUE_NAMES]),
    QUEUE_NAMES.join(','),
    meaning,
  );

const firebaseAccounts = (meaning: string): Setting<{ project: string; file: string }[]> =>
  setting(
    Joi.string()
      .custom((value: string, helpers) => {
        const pairs = value.split(/\s+/).filter((pair) => pair !== '');
        const parsed = pairs.map((pair) => /^([a-z0-9-]+):(.+)$/.exec(pair));
        return parsed.every((match) => match !== null)
          ? parsed.map((match) => ({ project: match[1], file: match[2] }))
          : helpers.message({ custom: 'must be project_id:path/to/service-account.json pairs separated by spaces' });
      })
      .default([]),
    '',
    meaning,
  );

const rsaPublicKey = (meaning: string): Setting<KeyObject | undefined> =>
  setting(
    Joi.string().custom((value: string, helpers) => {
      try {
        const key = createPublicKey(value.replaceAll('\\n', '\n'));
        if (key.asymmetricKeyType === 'rsa') return key;
      } catch {
        // The message below says it.
      }
      return helpers.message({ custom: 'must be an RSA public key in PEM' });
    }),
    '',
    meaning,
    { secret: true },
  );

const secret: Options = { secret: true };

/**
 * Every setting of the program, in the order of `.env.example`. Names are those of Flexisip Account Manager where it has the setting, so that
 * an operator can carry a configuration over.
 */
export const table = {
  NODE_ENV: choice(
    ['development', 'production', 'test'],
    'development',
    'production refuses to start without DATABASE_URL, REDIS_URL and APP_KEY',
  ),
  PORT: integer(8000, 'port on which web listens', { max: MAX_PORT }),
  HOST: text('0.0.0.0', 'address on which web listens'),
  DATABASE_URL: address(['postgres', 'postgresql'], 'PostgreSQL; unset, npm start brings its own'),
  DATABASE_READ_URL: address(
    ['postgres', 'postgresql'],
    'a read replica, which is asked for figures of statistics; DATABASE_URL where unset',
  ),
  DATABASE_POOL_SIZE: integer(10, 'PostgreSQL connections of one process', { min: 1, max: 1000 }),
  REDIS_URL: redis(
    "the queues' and rate limits' Redis; several hosts separated by commas mean a Redis Cluster, redis+sentinel://host:port,host:port/master-name a Sentinel; unset, npm start brings its own",
  ),
  QUEUE_PREFIX: text('flexiapi', 'first part of the keys in Redis; installations that share one Redis need one each'),
  FLEXISIP_REDIS_URL: redis("the Redis of Flexisip's registrar, where devices are read"),
  APP_KEY: optionalText('secret from which DIGEST nonces and their opaque are derived; npm start makes one and keeps it', secret),
  APP_NAME: text('FlexiAPI', 'name of the service in messages'),
  APP_URL: optionalText('the public address, used in links; http://localhost:$PORT where unset, https where web serves TLS'),
  APP_SIP_DOMAIN: text('sip.example.org', "the default space's domain"),
  ACCOUNT_REALM: optionalText("DIGEST realm; the account's domain where unset"),
  TRUST_PROXY: trustProxy('from which hops X-Forwarded-For is believed: a number of hops, or addresses and networks'),
  RATE_LIMIT_PER_MINUTE: integer(600, "a client's requests a minute, by account where authenticated, by IP otherwise; 0 turns it off"),
  CODES_PER_RECIPIENT_PER_HOUR: integer(5, 'mails and SMS that one mailbox or phone number may be sent in an hour; 0 = no limit'),
  CODES_PER_RECIPIENT_PER_DAY: integer(10, 'the same in 24 hours; 0 = no limit'),
  CODES_PER_ADDRESS_PER_HOUR: integer(
    60,
    'SMS that clients at one address may have sent in an hour, and mails as many; many people may share an address; 0 = no limit',
  ),
  SMS_PER_PREFIX_PER_HOUR: integer(
    100,
    'SMS to numbers with the same calling code and three digits behind it in an hour; more suggests SMS fraud; 0 = no limit',
  ),
  WRONG_CODES_PER_RECIPIENT_PER_HOUR: integer(
    10,
    'wrong codes for one mailbox or phone number in an hour, whatever accounts ask; 0 = no limit',
  ),
  WRONG_CODES_PER_ADDRESS_PER_HOUR: integer(50, 'wrong codes from one address in an hour; 0 = no limit'),
  APP_API_KEY_EXPIRATION_MINUTES: integer(60, "an unused API key's life in minutes; 0 = never expires"),
  APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES: integer(
    60,
    'minutes after one push token during which no other is sent to the same device; 0 = no wait',
  ),
  APP_ACCOUNT_CREATION_TOKENS_PER_DEVICE: integer(3, 'push tokens a device may be sent in 24 hours; 0 = no limit'),
  APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES: integer(0, "an account creation token's life in minutes; 0 = never expires"),
  APP_TOKENS_PER_ADDRESS: integer(
    1000,
    'account creation request tokens that one address may ask for in an hour, and auth tokens as many; 0 = no limit',
  ),
  APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES: integer(10, "an email change code's life in minutes; 0 = never expires"),
  APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES: integer(10, "a phone change code's life in minutes; 0 = never expires"),
  APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES: integer(0, "a provisioning token's life in minutes; 0 = never expires"),
  VCARDS_PER_ACCOUNT: integer(5000, 'vCards that an account may store; 0 = no limit'),
  VCARD_BYTES_PER_ACCOUNT: integer(67_108_864, 'size of all vCards of an account together, in bytes; 0 = no limit'),
  ACCOUNT_EMAIL_UNIQUE: flag(false, 'no two accounts may have the same email'),
  ACCOUNT_USERNAME_REGEX: regularExpression('^[a-z0-9+_.-]*$', 'what a username may look like'),
  ACCOUNT_BLACKLISTED_USERNAMES: list('usernames nobody may take: names or regular expressions, separated by commas'),
  ACCOUNT_DEFAULT_PASSWORD_ALGORITHM: choice(['SHA-256', 'MD5'], 'SHA-256', 'hash of the passwords that the program makes'),
  ACCOUNT_AUTHENTICATION_BEARER: optionalText('value of the WWW-Authenticate: Bearer header; set, it turns DIGEST off'),
  JWT_RSA_PUBLIC_KEY_PEM: rsaPublicKey('public key that JSON Web Tokens are checked with: PEM, line ends as they are or written \\n'),
  JWT_SIP_IDENTIFIER: text('sip_identity', 'claim that holds the SIP address'),
  APP_DANGEROUS_ENDPOINTS: flag(false, 'turns the four unsecure endpoints on'),
  APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API: flag(false, 'admins may give a phone number as username'),
  BLOCKING_TIME_PERIOD_CHECK: integer(30, 'minutes in which code requests are counted'),
  BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: integer(5, 'code requests in that time that block an account; 0 turns blocking off'),
  ACCOUNT_PROVISIONING_RC_FILE: optionalText(
    'linphonerc file with general settings for remote provisioning; read again when it has changed',
  ),
  ACCOUNT_PROVISIONING_OVERWRITE_ALL: flag(false, 'remote provisioning puts overwrite="true" on every entry'),
  ACCOUNT_PROVISIONING_USE_X_LINPHONE_PROVISIONING_HEADER: flag(true, 'remote provisioning asks for the x-linphone-provisioning header'),
  COTURN_SERVER_HOST: optionalText('TURN server told to apps'),
  COTURN_SESSION_TTL_MINUTES: integer(1440, "a TURN credential's life in minutes"),
  COTURN_STATIC_AUTH_SECRET: optionalText('secret shared with the TURN server', secret),
  APP_LINPHONE_DAEMON_UNIX_PATH: optionalText('UNIX socket of linphone-daemon; unset, POST /messages answers 404'),
  HCAPTCHA_SECRET: optionalText('hCaptcha secret', secret),
  HCAPTCHA_SITEKEY: optionalText('hCaptcha site key'),
  MAIL_HOST: optionalText('SMTP server'),
  MAIL_PORT: integer(
    587,
    'SMTP port; 465 means TLS from the first byte, others STARTTLS where the server offers it, or MAIL_REQUIRE_TLS asks',
    {
      min: 1,
      max: MAX_PORT,
    },
  ),
  MAIL_USERNAME: optionalText('SMTP user'),
  MAIL_PASSWORD: optionalText('SMTP password', secret),
  MAIL_REQUIRE_TLS: optionalFlag('send nothing, no password either, to an SMTP server without TLS; unset, on where MAIL_PASSWORD is set'),
  MAIL_FROM_ADDRESS: optionalText("sender's address"),
  MAIL_FROM_NAME: optionalText("sender's name; APP_NAME where unset"),
  MAIL_ALLOW_SELF_SIGNED: flag(false, 'accept an SMTP certificate that no authority signed'),
  TWILIO_ACCOUNT_SID: optionalText('Twilio account'),
  TWILIO_AUTH_TOKEN: optionalText('Twilio secret', secret),
  TWILIO_FROM: optionalText('number or name that SMS come from'),
  TWILIO_MESSAGING_SERVICE_SID: optionalText('Twilio messaging service, instead of TWILIO_FROM'),
  APNS_KEY_FILE: optionalText('.p8 file of an APNs key'),
  APNS_KEY_ID: optionalText('id of that key'),
  APNS_TEAM_ID: optionalText('team of that key'),
  APNS_CERT_FILE: optionalText('APNs client certificate, instead of a key'),
  APNS_CERT_KEY_FILE: optionalText('key of that certificate'),
  APNS_TOPIC: optionalText('APNs topic; unset, what follows the first dot of pn_param'),
  FIREBASE_SERVICE_ACCOUNTS: firebaseAccounts(
    'project_id:path/to/service-account.json pairs separated by spaces; pn_param picks the project, a single pair serves all',
  ),
  HTTPS_PROXY: address(['http'], 'HTTP CONNECT proxy through which APNs, FCM and Twilio are reached'),
  PUSH_TIMEOUT_SECONDS: integer(4, "how long a request waits for its push's result before it answers 503", { min: 1, max: 60 }),
  SMS_TIMEOUT_SECONDS: integer(10, 'the same for an SMS', { min: 1, max: 60 }),
  EMAIL_TIMEOUT_SECONDS: integer(10, 'the same for an email', { min: 1, max: 60 }),
  TLS_CERT_FILE: optionalText(
    'certificate with its chain, PEM; with TLS_KEY_FILE set, web serves TLS itself, HTTP/2 and HTTP/1.1, and takes a renewed one without a restart',
  ),
  TLS_KEY_FILE: optionalText('key of that certificate'),
  STATISTICS_RETENTION_MONTHS: optionalInteger(
    'whole months for which raw statistics events are kept beside the current one; figures by hour are kept for ever; unset, all is kept',
    // A century: a month so many before now must be one that exists.
    { min: 1, max: 1200 },
  ),
  WORKER_QUEUES: queueNames('queues that a worker serves'),
  WORKER_CONCURRENCY: integer(50, 'sends of one kind that a worker has under way at once', { min: 1, max: 1000 }),
  SHUTDOWN_GRACE_SECONDS: integer(25, 'how long SIGTERM waits for what is under way', { max: 3600 }),
  LOG_LEVEL: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info', 'least severe log lines written'),
};

type Value<S> = S extends Setting<infer T> ? T : never;

/** All settings, parsed. `APP_URL` is always there, without a slash at its end. */
export type Settings = Readonly<{ [K in keyof typeof table]: Value<(typeof table)[K]> } & { APP_URL: string }>;

/** Refused settings: `faults` has one line a fault, each with the name, the value (hidden where it is a secret) and what is allowed. */
export class SettingsError extends Error {
  constructor(readonly faults: string[]) {
    super(`Settings refused:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

const NEEDED_IN_PRODUCTION = ['DATABASE_URL', 'REDIS_URL', 'APP_KEY'] as const;

const PAIRS: readonly (readonly [keyof typeof table, keyof typeof table])[] = [
  ['APNS_KEY_FILE', 'APNS_KEY_ID'],
  ['APNS_KEY_FILE', 'APNS_TEAM_ID'],
  ['APNS_CERT_FILE', 'APNS_CERT_KEY_FILE'],
  ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'],
  ['HCAPTCHA_SECRET', 'HCAPTCHA_SITEKEY'],
  ['TLS_CERT_FILE', 'TLS_KEY_FILE'],
  ['MAIL_HOST', 'MAIL_FROM_ADDRESS'],
];

function withoutSlashes(url: string): string {
  let end = url.length;
  while (url[end - 1] === '/') end -= 1;
  return url.slice(0, end);
}

/**
 * Parses an environment into settings. Values are trimmed; an empty one is an absent one.
 *
 * @throws {SettingsError} with all faults at once
 */
export function parseSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const faults: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, { rule, secret: hidden }] of Object.entries(table)) {
    const raw = env[name]?.trim();
    const { value, error } = rule.validate(raw, { errors: { label: false } }) as { value: unknown; error?: Error };
    if (error) faults.push(`${name}=${hidden ? '(hidden)' : raw}: ${error.message}`);
    else values[name] = value;
  }
  for (const [one, other] of PAIRS) {
    if ((values[one] === undefined) !== (values[other] === undefined)) {
      const [there, missing] = values[one] === undefined ? [other, one] : [one, other];
      // A missing partner of a value that was itself refused is not a second fault.
      if (!faults.some((fault) => fault.startsWith(`${missing}=`))) faults.push(`${missing} is missing: ${there} needs it`);
    }
  }
  if (values['APNS_CERT_FILE'] !== undefined && values['APNS_KEY_FILE'] !== undefined) {
    faults.push('APNS_CERT_FILE and APNS_KEY_FILE are both set: APNs takes one of them');
  }
  if (values['APNS_CERT_FILE'] !== undefined && values['HTTPS_PROXY'] !== undefined) {
    faults.push('APNS_CERT_FILE does not work through HTTPS_PROXY: use APNS_KEY_FILE');
  }
  if (
    values['TWILIO_ACCOUNT_SID'] !== undefined &&
    values['TWILIO_FROM'] === undefined &&
    values['TWILIO_MESSAGING_SERVICE_SID'] === undefined
  ) {
    faults.push('TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is missing: TWILIO_ACCOUNT_SID needs one of them');
  }
  if (values['NODE_ENV'] === 'production') {
    for (const name of NEEDED_IN_PRODUCTION) {
      if (values[name] === undefined && !faults.some((fault) => fault.startsWith(`${name}=`))) {
        faults.push(`${name} is missing: NODE_ENV=production needs it`);
      }
    }
  }
  if (faults.length > 0) throw new SettingsError(faults);
  const scheme = values['TLS_CERT_FILE'] === undefined ? 'http' : 'https';
  const appUrl = (values['APP_URL'] as string | undefined) ?? `${scheme}://localhost:${String(values['PORT'])}`;
  values['APP_URL'] = withoutSlashes(appUrl);
  return Object.freeze(values) as Settings;
}

/** The text of `.env.example`: every setting with its meaning, all commented out. */
export function envExample(): string {
  const lines = Object.entries(table).map(([name, { example, meaning }]) => `# ${meaning}\n# ${name}=${example}\n`);
  return ['# Copy to .env and uncomment what differs from the default.\n', ...lines].join('\n');
}
