// Names that are no settings of this program: those of Flexisip Account Manager that have no meaning here, and names with a slip in them.
import { table } from './settings';

/** Of Flexisip Account Manager, with what does the same here; empty where nothing does. */
const ORIGINAL: readonly (readonly [names: string, instead: string])[] = [
  [
    'DB_CONNECTION DB_DRIVER DB_HOST DB_PORT DB_DATABASE DB_USERNAME DB_PASSWORD DB_SOCKET DB_FOREIGN_KEYS DB_EXTERNAL_DRIVER DB_EXTERNAL_HOST DB_EXTERNAL_PORT DB_EXTERNAL_DATABASE DB_EXTERNAL_USERNAME DB_EXTERNAL_PASSWORD DB_EXTERNAL_SOCKET',
    'DATABASE_URL',
  ],
  [
    'REDIS_CLIENT REDIS_HOST REDIS_PORT REDIS_PASSWORD REDIS_DB REDIS_CACHE_DB REDIS_CLUSTER REDIS_SENTINEL_HOST REDIS_SENTINEL_PORT REDIS_SENTINEL_SERVICE REDIS_SENTINEL_PASSWORD',
    'REDIS_URL and FLEXISIP_REDIS_URL',
  ],
  ['REDIS_PREFIX', 'QUEUE_PREFIX'],
  ['APP_FLEXISIP_PUSHER_PATH', 'APNS_KEY_FILE and FIREBASE_SERVICE_ACCOUNTS'],
  ['APP_FLEXISIP_PUSHER_FIREBASE_KEY APP_FLEXISIP_PUSHER_FIREBASE_KEYSMAP', 'FIREBASE_SERVICE_ACCOUNTS'],
  [
    'OVH_APP_KEY OVH_APP_SECRET OVH_APP_ENDPOINT OVH_APP_CONSUMER_KEY OVH_APP_SENDER',
    'TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM',
  ],
  ['NOCAPTCHA_SECRET NOCAPTCHA_SITEKEY', 'HCAPTCHA_SECRET and HCAPTCHA_SITEKEY'],
  ['MAIL_DRIVER MAIL_MAILER', 'MAIL_HOST'],
  ['MAIL_ENCRYPTION', 'MAIL_PORT and MAIL_REQUIRE_TLS'],
  ['MAIL_VERIFY_PEER MAIL_VERIFY_PEER_NAME', 'MAIL_ALLOW_SELF_SIGNED'],
  ['APP_ENV', 'NODE_ENV'],
  ['APP_DEBUG LOG_CHANNEL MAIL_LOG_CHANNEL', 'LOG_LEVEL'],
  ['APP_ROOT_HOST', 'APP_URL and APP_SIP_DOMAIN'],
  ['APP_ADMINS_MANAGE_MULTI_DOMAINS APP_SUPER_ADMINS_SIP_DOMAINS', 'bin/flexiapi spaces:create-update --super'],
  [
    'APP_EVERYONE_IS_ADMIN APP_FLEXISIP_PROXY_PID APP_PROJECT_URL APP_ACCOUNT_RECOVERY_TOKEN_EXPIRATION_MINUTES ASSET_URL TERMS_OF_USE_URL PRIVACY_POLICY_URL ACCOUNT_PROXY_REGISTRAR_ADDRESS ACCOUNT_TRANSPORT_PROTOCOL_TEXT ACCOUNT_CONSUME_EXTERNAL_ACCOUNT_ON_CREATE INSTANCE_COPYRIGHT INSTANCE_INTRO_REGISTRATION INSTANCE_CUSTOM_THEME INSTANCE_CONFIRMED_REGISTRATION_TEXT WEB_PANEL NEWSLETTER_REGISTRATION_ADDRESS PUBLIC_REGISTRATION PHONE_AUTHENTICATION DEVICES_MANAGEMENT INTERCOM_FEATURES MAIL_SIGNATURE BROADCAST_DRIVER CACHE_DRIVER QUEUE_CONNECTION SESSION_DRIVER SESSION_LIFETIME',
    '',
  ],
];
const INSTEAD = new Map(ORIGINAL.flatMap(([names, instead]) => names.split(' ').map((name) => [name, instead] as const)));

const isSetting = (name: string): boolean => name in table;
/** Words that settings begin with, and hardly anything else does. */
const OURS = new Set(
  Object.keys(table)
    .map((name) => name.split('_')[0] ?? '')
    .filter((word) => !['NODE', 'HOST', 'PORT', 'HTTPS', 'LOG', 'DATABASE', 'REDIS'].includes(word)),
);

/** Letters to add, leave out, change or swap (optimal string alignment) to make one of the other. */
function distance(one: string, other: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: other.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const cost = one[i - 1] === other[j - 1] ? 0 : 1;
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1])
        next[j] = Math.min(next[j] ?? 0, (before[j - 2] ?? 0) + 1);
    }
    [before, row] = [row, next];
  }
  return row[other.length] ?? 0;
}

const MAX_SLIPS = 2;
/** What other programs read, and looks like a slip. */
const OTHERS = new Set(['HTTP_PROXY']);
const MAX_NAME_CHARACTERS = 80;

/** The setting that was meant. */
function nearest(name: string): string | undefined {
  if (name.length > MAX_NAME_CHARACTERS || OTHERS.has(name.toUpperCase())) return undefined;
  const [first] = Object.keys(table)
    // Two slips in four letters make anything of anything.
    .map((setting) => ({ setting, slips: distance(name.toUpperCase(), setting), allowed: setting.length < 8 ? 1 : MAX_SLIPS }))
    .filter(({ slips, allowed }) => slips <= allowed)
    .toSorted((a, b) => a.slips - b.slips);
  return first?.setting;
}

/** Kubernetes and Docker give containers such variables by themselves: REDIS_PORT=tcp://10.0.0.1:6379 */
const isServiceLink = (value: string): boolean => /^(?:tcp|udp):\/\//.test(value);

/** Names with the same remark, once with it. */
function grouped(remarks: readonly (readonly [name: string, remark: string])[]): string {
  const groups = new Map<string, string[]>();
  for (const [name, remark] of remarks) groups.set(remark, [...(groups.get(remark) ?? []), name]);
  return [...groups].map(([remark, names]) => names.join(', ') + remark).join('; ');
}

/**
 * One line about names that mean nothing here, though somebody seems to believe that they do.
 *
 * @param environment all that this process was given
 * @param inFile the names that `.env` has
 * @returns undefined where there are none
 */
export function foreignNames(environment: Readonly<Record<string, string>>, inFile: readonly string[]): string | undefined {
  const remarks: [string, string][] = [];
  for (const name of new Set([...inFile, ...Object.keys(environment)])) {
    const value = environment[name];
    if (value === undefined || isSetting(name)) continue;
    const instead = INSTEAD.get(name);
    if (instead !== undefined) {
      if (inFile.includes(name) || !isServiceLink(value)) remarks.push([name, instead === '' ? '' : ` (here: ${instead})`]);
    } else if (inFile.includes(name)) {
      // The rest of the environment is anybody's.
      const meant = nearest(name);
      if (meant !== undefined) remarks.push([name, ` (is ${meant} meant?)`]);
      else if (OURS.has(name.split('_')[0] ?? '')) remarks.push([name, '']);
    }
  }
  return remarks.length === 0 ? undefined : `settings that do nothing here: ${grouped(remarks)}`;
}
