// Kinds of settings: what a text must be to be a value of one, and what the value then is. Each refuses with words that say what is allowed.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { checkDatabaseUrl } from './database-url';
import { hostAndPortOf, hostOf, isHostName } from './hosts';
import { operatorPattern } from './operator-pattern';
import { parseRedisUrl } from './redis-url';
import { refuse } from './refused';

/** One setting: `T` is the type its value has once parsed. */
export interface Setting<T> {
  /** Turns the text of the environment, which is never empty, into the value. @throws {Refused} */
  parse: (text: string) => T;
  /** The value where nothing is set. */
  fallback: T;
  /** What `.env.example` shows as the default; empty where there is none. */
  example: string;
  meaning: string;
  /** The value is never printed, not even in an error. */
  secret: boolean;
}

/** What an `integer` column of PostgreSQL and a timer of Node hold. */
const MAX_INTEGER = 2 ** 31 - 1;
/** Line ends, tabs and what no keyboard types: they have no place in a header, a mail or an argument. */
const CONTROLS = /[\p{Cc}\u2028\u2029]/u;
const MAX_NAME_CHARACTERS = 255;

/** A setting without a default. */
const optional = <T>(parse: (text: string) => T, meaning: string, { secret = false } = {}): Setting<T | undefined> => ({
  parse,
  fallback: undefined,
  example: '',
  meaning,
  secret,
});

/** A setting whose default is written as an operator would write it. */
const withDefault = <T>(parse: (text: string) => T, example: string, meaning: string): Setting<T> => ({
  parse,
  fallback: parse(example),
  example,
  meaning,
  secret: false,
});

const list = <T>(parse: (text: string) => T[], meaning: string): Setting<T[]> => ({
  parse,
  fallback: [],
  example: '',
  meaning,
  secret: false,
});

/** A text in one line. */
const line = (text: string): string => (CONTROLS.test(text) ? refuse('has a line end, a tab or another control character in it') : text);

/** A text of one line that matches a pattern. */
const matching =
  (pattern: RegExp, allowed: string) =>
  (text: string): string =>
    pattern.test(text) ? text : refuse(allowed);

export const optionalText = (meaning: string): Setting<string | undefined> => optional(line, meaning);
export const secretText = (meaning: string): Setting<string | undefined> => optional(line, meaning, { secret: true });
export const pattern = (expression: RegExp, allowed: string, meaning: string): Setting<string | undefined> =>
  optional(matching(expression, allowed), meaning);
export const patternOr = (fallback: string, expression: RegExp, allowed: string, meaning: string): Setting<string> =>
  withDefault(matching(expression, allowed), fallback, meaning);

/** What people read in mails and on pages. */
function nameOf(text: string): string {
  if (text.length > MAX_NAME_CHARACTERS) refuse(`must have ${MAX_NAME_CHARACTERS} characters at most`);
  if (text.includes('${')) refuse('has ${…} in it, which nothing replaces here');
  return line(text);
}
export const displayName = (fallback: string, meaning: string): Setting<string> => withDefault(nameOf, fallback, meaning);
export const optionalDisplayName = (meaning: string): Setting<string | undefined> => optional(nameOf, meaning);

interface Bounds {
  min?: number;
  max?: number;
}

const wholeNumber =
  ({ min = 0, max = MAX_INTEGER }: Bounds) =>
  (text: string): number => {
    const value = Number(text);
    return /^\d{1,16}$/.test(text) && value >= min && value <= max ? value : refuse(`must be a whole number from ${min} to ${max}`);
  };
export const integer = (fallback: number, meaning: string, bounds: Bounds = {}): Setting<number> =>
  withDefault(wholeNumber(bounds), String(fallback), meaning);
export const optionalInteger = (meaning: string, bounds: Bounds = {}): Setting<number | undefined> =>
  optional(wholeNumber(bounds), meaning);

function booleanOf(text: string): boolean {
  if (/^(?:true|1|on|yes)$/i.test(text)) return true;
  return /^(?:false|0|off|no)$/i.test(text) ? false : refuse('must be true or false');
}
export const flag = (fallback: boolean, meaning: string): Setting<boolean> => withDefault(booleanOf, String(fallback), meaning);
/** A flag whose default depends on other settings. */
export const optionalFlag = (meaning: string): Setting<boolean | undefined> => optional(booleanOf, meaning);

export const choice = <T extends string>(allowed: readonly T[], fallback: T, meaning: string): Setting<T> =>
  withDefault((text) => allowed.find((one) => one === text) ?? refuse(`must be one of ${allowed.join(', ')}`), fallback, meaning);

export const host = (fallback: string, meaning: string): Setting<string> => withDefault(hostOf, fallback, meaning);
export const optionalHost = (meaning: string): Setting<string | undefined> => optional(hostOf, meaning);

/** A host, and a port if need be; kept as it is written. */
export const hostAndPort = (meaning: string): Setting<string | undefined> =>
  optional((text) => {
    hostAndPortOf(text, ': must be a host name or an address, :port behind it where it is not the usual one');
    return text;
  }, meaning);

const MAX_DOMAIN_CHARACTERS = 64;

/** What Spaces have as their domain, or an address of IPv6 in brackets, as SIP writes it (RFC 3261, section 25.1). */
function sipDomainOf(text: string): string {
  if (text !== text.toLowerCase()) refuse(`must be in small letters: ${text.toLowerCase()}`);
  const isAddress = isIPv4(text) || isIPv6(/^\[(.*)\]$/.exec(text)?.[1] ?? '');
  const isName = /^[a-z\d_.-]+$/.test(text) && !text.endsWith('.') && isHostName(text);
  if (!isAddress && !isName)
    refuse('must be a domain name, or an IP address (IPv6 in brackets), without sip: and port; international ones begin with xn--');
  return text.length <= MAX_DOMAIN_CHARACTERS ? text : refuse(`must have ${MAX_DOMAIN_CHARACTERS} characters at most`);
}
export const sipDomain = (fallback: string, meaning: string): Setting<string> => withDefault(sipDomainOf, fallback, meaning);

/** @throws {Refused} for what has more than scheme, host, port and path, or whose host is none */
function webUrl(text: string, schemes: readonly string[], allowed: string): URL {
  const known = schemes.some((scheme) => text.toLowerCase().startsWith(`${scheme}://`));
  // Those are left out, or taken for slashes, by URL's parser.
  if (!known || /[\s\\]/.test(text) || CONTROLS.test(text) || !URL.canParse(text)) return refuse(allowed);
  const url = new URL(text);
  if (url.port === '0' || !(isHostName(url.hostname) || isIPv4(url.hostname) || url.hostname.startsWith('['))) refuse(allowed);
  return url;
}

/** The address of the server for the world; without a slash at its end. */
export const publicUrl = (meaning: string): Setting<string | undefined> =>
  optional((text) => {
    const allowed = 'must be http://host or https://host, with a port and a path if need be, and nothing else';
    const url = webUrl(text, ['http', 'https'], allowed);
    if (url.username !== '' || url.password !== '' || /[?#@]/.test(text)) refuse(allowed);
    let path = url.pathname;
    while (path.endsWith('/')) path = path.slice(0, -1);
    return url.origin + path;
  }, meaning);

/** A proxy that is asked by CONNECT. */
export const proxyUrl = (meaning: string): Setting<string | undefined> =>
  optional(
    (text) => {
      const allowed = 'must be http://host:port, with user:password@ before it if need be';
      const url = webUrl(text, ['http'], allowed);
      for (const part of [url.username, url.password])
        if (/%(?![\da-f]{2})/i.test(part)) refuse('has a % that no two hexadecimal digits follow: write it as %25');
      return url.pathname === '/' && !/[?#]/.test(text) ? text : refuse(allowed);
    },
    meaning,
    // Such an address may have a password in it, as those below have.
    { secret: true },
  );

/** An address that is asked by POST. Its path and query may be what authorises whoever asks. */
export const webhookUrl = (meaning: string): Setting<string | undefined> =>
  optional(
    (text) => {
      const allowed = 'must be http://host or https://host, with a port, a path and a query if need be, without a user and a fragment';
      const url = webUrl(text, ['http', 'https'], allowed);
      return url.username === '' && url.password === '' && !text.includes('#') ? text : refuse(allowed);
    },
    meaning,
    { secret: true },
  );

export const postgres = (meaning: string): Setting<string | undefined> =>
  optional(
    (text) => {
      checkDatabaseUrl(text);
      return text;
    },
    meaning,
    { secret: true },
  );

/** A Redis, in one of the forms of `redis-url.ts`. */
export const redis = (meaning: string): Setting<string | undefined> =>
  optional(
    (text) => {
      parseRedisUrl(text);
      return text;
    },
    meaning,
    { secret: true },
  );

export const regularExpression = (fallback: string, meaning: string): Setting<string> =>
  withDefault(
    (text) => {
      try {
        operatorPattern(text, 'u');
        return text;
      } catch {
        return refuse('must be a regular expression');
      }
    },
    fallback,
    meaning,
  );

function isPattern(text: string): boolean {
  try {
    operatorPattern(text);
    return true;
  } catch {
    return false;
  }
}

/** Usernames or regular expressions, separated by commas. */
export const usernames = (meaning: string): Setting<string[]> =>
  list((text) => {
    const entries = line(text)
      .split(',')
      .map((entry) => entry.trim());
    if (entries.includes('')) refuse('has an empty entry');
    // «+33» is no expression, but a name; «*admin*» is neither, and would keep nobody off.
    if (!entries.every((entry) => /^[\w+.-]*$/.test(entry) || isPattern(entry)))
      refuse('must be names or regular expressions, separated by commas');
    return entries;
  }, meaning);

/** Some of the names, separated by commas. */
export const namesOf = (known: readonly string[], meaning: string): Setting<string[]> =>
  withDefault(
    (text) => {
      const names = text.split(',').map((name) => name.trim());
      if (names.some((name) => !known.includes(name))) refuse(`must be queue names separated by commas, of ${known.join(', ')}`);
      return new Set(names).size === names.length ? names : refuse('has a name twice');
    },
    known.join(','),
    meaning,
  );

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal'];
/** More proxies than anybody has one behind the other: a larger number would believe what clients write. */
const MAX_HOPS = 32;
/** A mask of ones, then zeros. */
const isMask = (text: string): boolean => {
  if (!isIPv4(text)) return false;
  const bits = text
    .split('.')
    .map((byte) => Number(byte).toString(2).padStart(8, '0'))
    .join('');
  return /^1+0*$/.test(bits);
};

/** An address, or a network as proxy-addr takes it: with a length, which is not 0, or a mask. */
function isNetwork(text: string): boolean {
  const [, address = '', range] = /^([^/]*)(?:\/([^/]+))?$/.exec(text) ?? [];
  if (address.includes('%') || !(isIPv4(address) || isIPv6(address))) return false;
  if (range === undefined) return true;
  const length = /^\d{1,3}$/.test(range) ? Number(range) : 0;
  return isIPv4(address) ? (length >= 1 && length <= 32) || isMask(range) : length >= 1 && length <= 128;
}

/** Express's `trust proxy`: a flag, a number of hops, or addresses and networks. `true` would believe anybody. */
export const trustProxy = (meaning: string): Setting<boolean | number | string> =>
  withDefault<boolean | number | string>(
    (text) => {
      if (/^(?:true|false)$/i.test(text)) return text.toLowerCase() === 'true';
      if (/^\d{1,2}$/.test(text) && Number(text) <= MAX_HOPS) return Number(text);
      const entries = text.split(',').map((entry) => entry.trim());
      return entries.every((entry) => NAMED_NETWORKS.includes(entry) || isNetwork(entry))
        ? entries.join(',')
        : refuse(
            `must be false, a number of proxies (up to ${MAX_HOPS}), or addresses, networks (10.0.0.0/8) and ${NAMED_NETWORKS.join(', ')}, separated by commas`,
          );
    },
    'false',
    meaning,
  );

/** RFC 9110, section 11.2: what may follow the scheme of a challenge; a quoted text has no backslash before a quote, since few clients undo that. */
const TOKEN = String.raw`[\w!#$%&'*+.^\`|~-]+`;
const PARAMETER = String.raw`${TOKEN}[ \t]*=[ \t]*(?:${TOKEN}|"[ !#-[\]-~]*")`;
const PARAMETERS = new RegExp(String.raw`^${PARAMETER}(?:[ \t]*,[ \t]*${PARAMETER})*$`);

/** The value of a header `WWW-Authenticate`, without the scheme. */
export const challenge = (meaning: string): Setting<string | undefined> =>
  optional(
    (text) =>
      PARAMETERS.test(text)
        ? text
        : refuse('must be name="value" pairs separated by commas (RFC 9110, section 11.2); in .env put all of it in single quotes'),
    meaning,
  );

/** It stands in a quoted text of a header, which is Latin-1, and in the hash that clients compute. */
export const realm = (meaning: string): Setting<string | undefined> =>
  optional((text) => {
    if (!/^[ -~\u00a0-\u00ff]*$/.test(text)) refuse('must have characters of Latin-1 alone: it is sent in a header');
    if (/["\\]/.test(text)) refuse('has a quotation mark or a backslash, which clients read in different ways');
    return text.length <= MAX_NAME_CHARACTERS ? text : refuse(`must have ${MAX_NAME_CHARACTERS} characters at most`);
  }, meaning);

/** RFC 5321, section 4.1.2: whom mails come from. */
function senderOf(text: string): string {
  const at = text.lastIndexOf('@');
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)];
  const literal = /^\[(?:IPv6:)?(.*)\]$/i.exec(domain)?.[1];
  const isDomain = literal === undefined ? isHostName(domain) && !domain.endsWith('.') : isIPv4(literal) || isIPv6(literal);
  const isLocal =
    local.length <= 64 && /^(?:[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*|"(?:[ !#-[\]-~]|\\[ -~])*")$/.test(local);
  return at > 0 && isDomain && isLocal ? text : refuse('must be an email address, such as no-reply@example.org, and nothing else');
}
export const emailAddress = (meaning: string): Setting<string | undefined> => optional(senderOf, meaning);

/** Where SMS come from: https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id */
export const smsSender = (meaning: string): Setting<string | undefined> =>
  optional((text) => {
    const isNumber = /^\+[1-9]\d{6,14}$/.test(text) || /^\d{3,8}$/.test(text);
    const isName = /^[A-Za-z\d +_&-]{1,11}$/.test(text) && /[A-Za-z]/.test(text);
    return isNumber || isName
      ? text
      : refuse('must be a number like +15005550006, a short code of 3 to 8 digits, or a name of at most 11 letters, digits and spaces');
  }, meaning);

/** sockaddr_un has 108 bytes, the last of which ends it. */
const MAX_SOCKET_PATH_BYTES = 107;

export const unixSocket = (meaning: string): Setting<string | undefined> =>
  optional((text) => {
    if (Buffer.byteLength(line(text)) > MAX_SOCKET_PATH_BYTES)
      refuse(`must have ${MAX_SOCKET_PATH_BYTES} bytes at most, as paths of UNIX sockets have`);
    return text.startsWith('/') ? text : refuse('must be a path that begins with /');
  }, meaning);

export const firebaseAccounts = (meaning: string): Setting<{ project: string; file: string }[]> =>
  list((text) => {
    const pairs = line(text)
      .split(/ +/)
      .map((pair) => /^([a-z0-9-]+):(.+)$/.exec(pair));
    const accounts = pairs.map((match) => ({ project: match?.[1] ?? '', file: match?.[2] ?? '' }));
    if (pairs.includes(null)) refuse('must be project_id:path/to/service-account.json pairs separated by spaces');
    return new Set(accounts.map(({ project }) => project)).size === accounts.length ? accounts : refuse('has a project twice');
  }, meaning);

/** RFC 7518, section 3.3: RS256 has no smaller keys. */
const MIN_RSA_BITS = 2048;

export const rsaPublicKey = (meaning: string): Setting<KeyObject | undefined> =>
  optional(
    (text) => {
      let key: KeyObject | undefined;
      try {
        key = createPublicKey(text.replaceAll('\\n', '\n'));
      } catch {
        // The message below says it.
      }
      if (key?.asymmetricKeyType !== 'rsa') return refuse('must be an RSA public key in PEM');
      return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS ? key : refuse(`must have ${MIN_RSA_BITS} bits or more`);
    },
    meaning,
    { secret: true },
  );
