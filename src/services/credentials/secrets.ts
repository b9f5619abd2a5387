// Everything random or hashed.
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { settings } from '../../../config';
import type { AccountName } from '../../models/accounts/account';
import type { StoredPassword } from '../../models/accounts/password';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** So many letters and digits from the cryptographic generator, each equally likely. */
export const randomText = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');

/** A creation, request or provisioning token, or an activation key: 13 characters, as clients of older servers expect. */
export const newToken = (): string => randomText(13);
/** An API key: 40 characters, 238 random bits. */
export const newApiKey = (): string => randomText(40);
const NAMED_KEY_PREFIX = 'flexiapi_';
const NAMED_KEY = /^flexiapi_([A-Za-z0-9]{40})([A-Za-z0-9]{6})$/;

/** CRC-32 in letters and digits: what looks for lost secrets knows a key from a text that merely looks like one, without asking anybody. */
function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let place = 0; place < 6; place += 1) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}

/** A named key: a prefix by which it is found where it does not belong, 40 characters as newApiKey() makes them, and their checksum. */
export function newNamedKey(): string {
  const secret = newApiKey();
  return NAMED_KEY_PREFIX + secret + checksumOf(secret);
}
/** Whether a key is shown for a named one; a person's has no underscore. */
export const isNamedKey = (key: string): boolean => key.startsWith(NAMED_KEY_PREFIX);
/** Whether it could be one, by its form and checksum: no other needs to be looked for. */
export function isWholeNamedKey(key: string): boolean {
  const [, secret = '', checksum] = NAMED_KEY.exec(key) ?? [];
  return checksum !== undefined && checksumOf(secret) === checksum;
}
/** Four digits, which a person types off a message; only good where wrong attempts are counted. */
export const newShortCode = (): string => String(randomInt(10_000)).padStart(4, '0');

/** What the database keeps of an API key: SHA-256 in hexadecimal. A slow hash would gain nothing, since nobody guesses a key. */
export const hashApiKey = (key: string): string => createHash('sha256').update(key).digest('hex');

/** Compares two secrets in a time that tells nothing about either, whatever their lengths: both are hashed first. */
export function isSameSecret(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

/** Algorithms of new passwords. */
export type PasswordAlgorithm = Exclude<StoredPassword['algorithm'], 'CLRTXT'>;
const ALGORITHMS: readonly PasswordAlgorithm[] = ['MD5', 'SHA-256'];

/** The realm of a domain's password hashes and of DIGEST; one for all domains where ACCOUNT_REALM is set. */
export const realmOf = (domain: string): string => settings.ACCOUNT_REALM ?? domain;

/** HA1 of RFC 7616, section 3.4.2, in lower-case hexadecimal, as a SIP server reads it from the same table. */
export function hashPassword(algorithm: PasswordAlgorithm, username: string, realm: string, password: string): string {
  return createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
    .update(`${username}:${realm}:${password}`, 'utf8')
    .digest('hex');
}

/**
 * What an account's passwords are compared by.
 *
 * @returns HA1 in lower-case hexadecimal with its algorithm, in the order stored; of a password in clear text one an algorithm, MD5 first
 */
export function ha1sOf({ username, domain }: AccountName, passwords: readonly StoredPassword[]): [PasswordAlgorithm, string][] {
  return passwords.flatMap(({ algorithm, password }): [PasswordAlgorithm, string][] =>
    algorithm === 'CLRTXT'
      ? ALGORITHMS.map((each) => [each, hashPassword(each, username, realmOf(domain), password)])
      : [[algorithm, password.toLowerCase()]],
  );
}

// Without APP_KEY, which production demands, a process has a secret of its own: what it signed another one refuses.
const root = settings.APP_KEY ?? randomBytes(32).toString('hex');

/** A secret for one purpose, derived one-way from APP_KEY: no purpose's secret tells another's. */
export const appSecret = (purpose: string): Buffer => createHmac('sha256', root).update(purpose).digest();
