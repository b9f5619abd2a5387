// Everything random or hashed.
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { settings } from '../../../config';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Letters and digits from the cryptographic generator, each equally likely. */
export const randomText = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');

/** Creation, request and provisioning tokens, activation keys: 13 characters (api.md 3.2, 7). */
export const newToken = (): string => randomText(13);
/** 40 characters (api.md 2.2). */
export const newApiKey = (): string => randomText(40);

/** What the database keeps of an API key. */
export const hashApiKey = (key: string): string => createHash('sha256').update(key).digest('hex');

/** Compares two secrets in a time that tells nothing about either, whatever their lengths: both are hashed first. */
export function isSameSecret(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

export type PasswordAlgorithm = 'MD5' | 'SHA-256';

/** HA1 of RFC 7616 3.4.2 in lower-case hexadecimal, as a SIP server reads it from the same table. */
export function hashPassword(algorithm: PasswordAlgorithm, username: string, realm: string, password: string): string {
  return createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
    .update(`${username}:${realm}:${password}`, 'utf8')
    .digest('hex');
}

// Without APP_KEY, which production demands, a process has a secret of its own: what it signed another one refuses.
const root = settings.APP_KEY ?? randomBytes(32).toString('hex');

/** A secret for one purpose, derived one-way from APP_KEY (api.md 9, row 2). */
export const appSecret = (purpose: string): Buffer => createHmac('sha256', root).update(purpose).digest();
