// The table of settings: name, kind, default, meaning. Pure: reads no file and no environment of its own.
import {
  challenge,
  choice,
  displayName,
  emailAddress,
  firebaseAccounts,
  flag,
  host,
  hostAndPort,
  integer,
  namesOf,
  optionalDisplayName,
  optionalFlag,
  optionalHost,
  optionalInteger,
  optionalText,
  pattern,
  patternOr,
  postgres,
  proxyUrl,
  publicUrl,
  realm,
  redis,
  regularExpression,
  rsaPublicKey,
  secretText,
  sipDomain,
  smsSender,
  trustProxy,
  unixSocket,
  usernames,
  webhookUrl,
  type Setting,
} from './kinds';
import { Refused } from './refused';

const QUEUE_NAMES = ['push', 'sms', 'email', 'messages', 'api-keys', 'statistics', 'maintenance', 'chores'] as const;
const MAX_PORT = 65535;
/** An identifier that Apple gives. */
const APPLE_ID = [/^[A-Z0-9]{10}$/, 'must have 10 capital letters and digits'] as const;
const CLAIM_NAME = [/^[!-~]{1,255}$/, 'must have printable ASCII characters without blanks, 255 at most'] as const;

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
  HOST: host('0.0.0.0', 'address on which web listens'),
  DATABASE_URL: postgres('PostgreSQL; unset, npm start brings its own'),
  DATABASE_READ_URL: postgres('a read replica, which is asked for figures of statistics; DATABASE_URL where unset'),
  DATABASE_POOL_SIZE: integer(10, 'PostgreSQL connections of one process', { min: 1, max: 1000 }),
  DATABASE_PREPARED_STATEMENTS: choice(
    ['auto', 'on', 'off'],
    'auto',
    'whether statements are prepared by name; auto: where no pooler such as PgBouncer is in between, on: behind one as well, which must keep them (max_prepared_statements)',
  ),
  REDIS_URL: redis(
    "the queues' and rate limits' Redis; several hosts separated by commas mean a Redis Cluster, redis+sentinel://host:port,host:port/master-name a Sentinel; unset, npm start brings its own",
  ),
  QUEUE_PREFIX: patternOr(
    'flexiapi',
    /^[\w.-]{1,64}$/,
    'must have letters, digits, _, . and - alone, 64 at most',
    'first part of the keys in Redis; installations that share one Redis need one each',
  ),
  FLEXISIP_REDIS_URL: redis("the Redis of Flexisip's registrar, where devices are read"),
  APP_KEY: secretText(
    'secret from which DIGEST nonces and their opaque are derived, of 32 characters or more in production; npm start makes one and keeps it',
  ),
  APP_NAME: displayName('FlexiAPI', 'name of the service in messages'),
  APP_URL: publicUrl('the public address, used in links; http://localhost:$PORT where unset, https where web serves TLS'),
  APP_SIP_DOMAIN: sipDomain('sip.example.org', "the default space's domain"),
  ACCOUNT_REALM: realm("DIGEST realm; the account's domain where unset"),
  TRUST_PROXY: trustProxy('from which hops X-Forwarded-For is believed: a number of hops, or addresses and networks'),
  RATE_LIMIT_PER_MINUTE: integer(600, "a client's requests a minute, by account where authenticated, by IP otherwise; 0 turns it off"),
  RATE_LIMIT_IPV6_PREFIX: integer(
    64,
    'bits of an IPv6 address that limits count as one client, for requests, wrong passwords, keys and codes, messages and tokens; 128 is each address by itself',
    { min: 32, max: 128 },
  ),
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
  ACCOUNT_BLACKLISTED_USERNAMES: usernames('usernames nobody may take: names or regular expressions, separated by commas'),
  ACCOUNT_DEFAULT_PASSWORD_ALGORITHM: choice(['SHA-256', 'MD5'], 'SHA-256', 'hash of the passwords that the program makes'),
  ACCOUNT_AUTHENTICATION_BEARER: challenge('value of the WWW-Authenticate: Bearer header; set, it turns DIGEST off'),
  JWT_RSA_PUBLIC_KEY_PEM: rsaPublicKey('public key that JSON Web Tokens are checked with: PEM, line ends as they are or written \\n'),
  JWT_SIP_IDENTIFIER: patternOr('sip_identity', ...CLAIM_NAME, 'claim that holds the SIP address'),
  APP_DANGEROUS_ENDPOINTS: flag(false, 'turns the four unsecure endpoints on'),
  APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API: flag(false, 'admins may give a phone number as username'),
  BLOCKING_TIME_PERIOD_CHECK: integer(30, 'minutes in which code requests are counted'),
  BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: integer(5, 'code requests in that time that block an account; 0 turns blocking off'),
  ACCOUNT_PROVISIONING_RC_FILE: optionalText(
    'linphonerc file with general settings for remote provisioning; read again when it has changed',
  ),
  ACCOUNT_PROVISIONING_OVERWRITE_ALL: flag(false, 'remote provisioning puts overwrite="true" on every entry'),
  ACCOUNT_PROVISIONING_USE_X_LINPHONE_PROVISIONING_HEADER: flag(true, 'remote provisioning asks for the x-linphone-provisioning header'),
  COTURN_SERVER_HOST: hostAndPort('TURN server told to apps'),
  COTURN_SESSION_TTL_MINUTES: integer(1440, "a TURN credential's life in minutes"),
  COTURN_STATIC_AUTH_SECRET: secretText('secret shared with the TURN server'),
  APP_LINPHONE_DAEMON_UNIX_PATH: unixSocket('UNIX socket of linphone-daemon; unset, POST /messages answers 404'),
  HCAPTCHA_SECRET: secretText('hCaptcha secret'),
  HCAPTCHA_SITEKEY: pattern(...CLAIM_NAME, 'hCaptcha site key'),
  MAIL_HOST: optionalHost('SMTP server'),
  MAIL_PORT: integer(
    587,
    'SMTP port; 465 means TLS from the first byte, others STARTTLS where the server offers it, or MAIL_REQUIRE_TLS asks',
    {
      min: 1,
      max: MAX_PORT,
    },
  ),
  MAIL_USERNAME: optionalText('SMTP user'),
  MAIL_PASSWORD: secretText('SMTP password'),
  MAIL_REQUIRE_TLS: optionalFlag('send nothing, no password either, to an SMTP server without TLS; unset, on where MAIL_PASSWORD is set'),
  MAIL_FROM_ADDRESS: emailAddress("sender's address"),
  MAIL_FROM_NAME: optionalDisplayName("sender's name; APP_NAME where unset"),
  MAIL_ALLOW_SELF_SIGNED: flag(false, 'accept an SMTP certificate that no authority signed'),
  TWILIO_ACCOUNT_SID: pattern(/^AC[\da-f]{32}$/i, 'must be AC and 32 hexadecimal digits', 'Twilio account'),
  TWILIO_AUTH_TOKEN: secretText('Twilio secret'),
  TWILIO_FROM: smsSender('number or name that SMS come from'),
  TWILIO_MESSAGING_SERVICE_SID: pattern(
    /^MG[\da-f]{32}$/i,
    'must be MG and 32 hexadecimal digits',
    'Twilio messaging service, instead of TWILIO_FROM',
  ),
  APNS_KEY_FILE: optionalText('.p8 file of an APNs key'),
  APNS_KEY_ID: pattern(...APPLE_ID, 'id of that key'),
  APNS_TEAM_ID: pattern(...APPLE_ID, 'team of that key'),
  APNS_CERT_FILE: optionalText('APNs client certificate, instead of a key'),
  APNS_CERT_KEY_FILE: optionalText('key of that certificate'),
  APNS_TOPIC: pattern(
    /^[A-Za-z\d.-]{1,155}$/,
    'must have letters, digits, . and - alone, as bundle ids have',
    'APNs topic; unset, what follows the first dot of pn_param',
  ),
  FIREBASE_SERVICE_ACCOUNTS: firebaseAccounts(
    'project_id:path/to/service-account.json pairs separated by spaces; pn_param picks the project, a single pair serves all',
  ),
  HTTPS_PROXY: proxyUrl('HTTP CONNECT proxy through which APNs, FCM and Twilio are reached'),
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
  SENDS_RETENTION_DAYS: integer(90, 'days for which the ledger of sends keeps a push, SMS, mail or message', { min: 1, max: 36_500 }),
  WORKER_QUEUES: namesOf(QUEUE_NAMES, 'queues that a worker serves'),
  WORKER_PORT: optionalInteger(
    'port on which a worker answers /metrics and /health/ without authentication, on HOST; unset, on none; npm start takes a free one',
    { min: 1, max: MAX_PORT },
  ),
  WORKER_CONCURRENCY: integer(50, 'sends of one kind that a worker has under way at once', { min: 1, max: 1000 }),
  SHUTDOWN_DELAY_SECONDS: integer(
    0,
    'how long web goes on after SIGTERM before it ends, with /health/ready at 503, so that balancers take it out first; 0 where none is before it',
    { max: 600 },
  ),
  SHUTDOWN_GRACE_SECONDS: integer(25, 'how long SIGTERM waits for what is under way', { max: 3600 }),
  ALERT_WEBHOOK_URL: webhookUrl(
    'address that is told by POST when something begins that operators should know of, and when it is over; unset, nobody is',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: publicUrl(
    'OpenTelemetry collector to which traces of requests, jobs and sends go, by OTLP over HTTP (/v1/traces is added); unset, nothing is traced',
  ),
  LOG_REQUESTS: choice(
    ['off', 'errors', 'all'],
    'all',
    'which requests have a line in the log: all, those answered from 500 on or not to the end, or none',
  ),
  LOG_LEVEL: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info', 'least severe log lines written'),
};

type Value<S> = S extends Setting<infer T> ? T : never;

/** All settings, parsed. `APP_URL` is always there, without a slash at its end. */
export type Settings = Readonly<{ [K in keyof typeof table]: Value<(typeof table)[K]> } & { APP_URL: string }>;

type Values = { -readonly [K in keyof Settings]?: Settings[K] };
type Name = keyof typeof table;

/** Refused settings: `faults` has one line a fault, each with the name, the value (hidden where it is a secret) and what is allowed. */
export class SettingsError extends Error {
  constructor(readonly faults: string[]) {
    super(`Settings refused:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

const NEEDED_IN_PRODUCTION = ['DATABASE_URL', 'REDIS_URL', 'APP_KEY'] as const;
const MIN_KEY_CHARACTERS = 32;

/** The first needs the second. */
const NEEDS: readonly (readonly [Name, Name])[] = [
  ['APNS_KEY_FILE', 'APNS_KEY_ID'],
  ['APNS_KEY_FILE', 'APNS_TEAM_ID'],
  ['APNS_KEY_ID', 'APNS_KEY_FILE'],
  ['APNS_TEAM_ID', 'APNS_KEY_FILE'],
  ['APNS_CERT_FILE', 'APNS_CERT_KEY_FILE'],
  ['APNS_CERT_KEY_FILE', 'APNS_CERT_FILE'],
  ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'],
  ['TWILIO_AUTH_TOKEN', 'TWILIO_ACCOUNT_SID'],
  ['TWILIO_FROM', 'TWILIO_ACCOUNT_SID'],
  ['TWILIO_MESSAGING_SERVICE_SID', 'TWILIO_ACCOUNT_SID'],
  ['HCAPTCHA_SECRET', 'HCAPTCHA_SITEKEY'],
  ['HCAPTCHA_SITEKEY', 'HCAPTCHA_SECRET'],
  ['TLS_CERT_FILE', 'TLS_KEY_FILE'],
  ['TLS_KEY_FILE', 'TLS_CERT_FILE'],
  ['COTURN_SERVER_HOST', 'COTURN_STATIC_AUTH_SECRET'],
  ['COTURN_STATIC_AUTH_SECRET', 'COTURN_SERVER_HOST'],
  ['MAIL_HOST', 'MAIL_FROM_ADDRESS'],
  ['MAIL_USERNAME', 'MAIL_PASSWORD'],
  ['MAIL_PASSWORD', 'MAIL_USERNAME'],
];

const MAX_SHOWN_CHARACTERS = 200;

/** A value as it can stand in a line; what looks like a user and a password of a URL is left out. */
function shown(text: string): string {
  const line = text
    .replace(/\/\/[^/\s]*@/g, '//(hidden)@')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
  return line.length > MAX_SHOWN_CHARACTERS ? `${line.slice(0, MAX_SHOWN_CHARACTERS)}…` : line;
}

/** Flexisip Account Manager reads these as «not set», and its own example has one. */
const NOTHING = /^(?:null|\(null\))$/i;

function valueOf<T>({ parse, fallback, secret }: Setting<T>, given: string | undefined): T {
  const text = given?.trim() ?? '';
  if (text === '' || (!secret && NOTHING.test(text))) return fallback;
  // What Node makes of bytes that are no UTF-8.
  if (text.includes('\uFFFD')) throw new Refused('has bytes in it that are no UTF-8');
  return parse(text);
}

function togetherFaults(values: Values, isRefused: (name: Name) => boolean): string[] {
  const faults: string[] = [];
  const isSet = (name: Name): boolean => values[name] !== undefined;
  // A missing partner of a value that was itself refused is not a second fault.
  const isMissing = (name: Name): boolean => !isSet(name) && !isRefused(name);
  for (const [one, other] of NEEDS) if (isSet(one) && isMissing(other)) faults.push(`${other} is missing: ${one} needs it`);
  if (isSet('APNS_CERT_FILE') && isSet('APNS_KEY_FILE'))
    faults.push('APNS_CERT_FILE and APNS_KEY_FILE are both set: APNs takes one of them');
  if (isSet('APNS_CERT_FILE') && isSet('HTTPS_PROXY')) faults.push('APNS_CERT_FILE does not work through HTTPS_PROXY: use APNS_KEY_FILE');
  if (isSet('APNS_KEY_FILE') && values.HTTPS_PROXY?.includes('@'))
    faults.push('APNS_KEY_FILE does not work through an HTTPS_PROXY that asks for a password');
  if (isSet('TWILIO_ACCOUNT_SID') && isMissing('TWILIO_FROM') && isMissing('TWILIO_MESSAGING_SERVICE_SID'))
    faults.push('TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is missing: TWILIO_ACCOUNT_SID needs one of them');
  if (values.NODE_ENV === 'production') {
    for (const name of NEEDED_IN_PRODUCTION) if (isMissing(name)) faults.push(`${name} is missing: NODE_ENV=production needs it`);
    if (values.APP_KEY !== undefined && values.APP_KEY.length < MIN_KEY_CHARACTERS)
      faults.push(`APP_KEY=(hidden): must have ${MIN_KEY_CHARACTERS} characters or more where NODE_ENV=production`);
  }
  return [...new Set(faults)];
}

/**
 * Reads an environment. Values are trimmed; an empty one is an absent one.
 *
 * @returns what is right of it, and a line for each fault
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): { values: Values; faults: string[] } {
  const faults: string[] = [];
  const refused = new Set<string>();
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting<unknown>>(table)) {
    try {
      values[name] = valueOf(setting, env[name]);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused.add(name);
      faults.push(`${name}=${setting.secret ? '(hidden)' : shown(env[name] ?? '')}: ${error.message}`);
    }
  }
  faults.push(...togetherFaults(values, (name) => refused.has(name)));
  const scheme = values['TLS_CERT_FILE'] === undefined ? 'http' : 'https';
  values['APP_URL'] ??= `${scheme}://localhost:${String(values['PORT'])}`;
  return { values, faults };
}

/** The same, of an environment that is right. @throws {SettingsError} with all faults at once */
export function parseSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const { values, faults } = readSettings(env);
  if (faults.length > 0) throw new SettingsError(faults);
  return Object.freeze(values) as Settings;
}

/** The text of `.env.example`: every setting with its meaning, all commented out. */
export function envExample(): string {
  const lines = Object.entries(table).map(([name, { example, meaning }]) => `# ${meaning}\n# ${name}=${example}\n`);
  return ['# Copy to .env and uncomment what differs from the default.\n', ...lines].join('\n');
}
