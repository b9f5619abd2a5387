// DIGEST (RFC 7616, qop=auth). The account is named by the From header of every request, as Linphone apps send it.
import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { settings } from '../../../config';
import { type ApiError, notFound, unauthorized } from '../../infra/errors';
import type { MessageKey } from '../../i18n';
import { type DigestAccount, findDigestAccount } from '../../services/credentials/identities';
import { acceptNonceCount, MAX_NONCE_COUNT, newNonce, NONCE_LIFETIME_MINUTES, nonceTime } from '../../services/credentials/nonces';
import { appSecret, isSameSecret, type PasswordAlgorithm } from '../../services/credentials/secrets';
import { requireTellable } from '../../services/limits/wrong-secrets';
import { clientOf, hostOf } from '../client';
import { parseSipUri } from '../../infra/sip-uri';
import type { Authenticated, Scheme } from './scheme';

const opaque = appSecret('opaque').toString('hex');

/** One line an algorithm, all with the same nonce: belle-sip computes with the first line and answers with the nonce of the last. */
function challenges(account: DigestAccount, nonce: string, stale = false): string[] {
  const quoted = account.realm.replace(/["\\]/g, '\\$&');
  return [...account.ha1s.keys()].map(
    (algorithm) =>
      `Digest realm="${quoted}",qop="auth",algorithm=${algorithm},nonce="${nonce}",opaque="${opaque}"${stale ? ',stale=true' : ''}`,
  );
}

/** 401 with a nonce of its own, also for two in the same millisecond: a client begins with nc=1 each time. */
function challenge(account: DigestAccount, key: MessageKey, stale = false): ApiError {
  const lines = challenges(account, newNonce(account.account_id), stale);
  return unauthorized(key, {}, lines.length === 0 ? {} : { headers: { 'www-authenticate': lines } });
}

const DIRECTIVE = /\s*([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/gy;

/** Directives of an Authorization header, quoted or not, in any order; null where it is malformed or names one twice. */
export function parseDirectives(header: string): Map<string, string> | null {
  const text = header.replace(/^Digest\s+/i, '');
  const directives = new Map<string, string>();
  DIRECTIVE.lastIndex = 0;
  while (DIRECTIVE.lastIndex < text.length) {
    const match = DIRECTIVE.exec(text);
    if (!match?.[1]) return null;
    const name = match[1].toLowerCase();
    if (directives.has(name)) return null;
    directives.set(name, match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '');
  }
  return directives;
}

interface Claim {
  algorithm: PasswordAlgorithm;
  nonce: string;
  nc: string;
  cnonce: string;
  uri: string;
  response: string;
}

const NEEDED = ['username', 'realm', 'nonce', 'uri', 'nc', 'cnonce', 'qop', 'response', 'opaque'] as const;

/** What the header claims, if it is whole and fits the challenge; nothing is computed yet. */
function readClaim(request: Request, account: DigestAccount): Claim | null {
  const directives = parseDirectives(request.headers.authorization ?? '');
  if (!directives || NEEDED.some((name) => !directives.has(name))) return null;
  const get = (name: string): string => directives.get(name) ?? '';
  const algorithm = (directives.get('algorithm') ?? 'MD5').toUpperCase();
  if (algorithm !== 'MD5' && algorithm !== 'SHA-256') return null;
  const count = Number.parseInt(get('nc'), 16);
  if (!/^[0-9a-f]{8}$/i.test(get('nc')) || count < 1 || count > MAX_NONCE_COUNT) return null;
  if (get('qop') !== 'auth' || get('opaque') !== opaque || get('realm') !== account.realm) return null;
  if (get('username') !== account.username || !isOwnTarget(get('uri'), request)) return null;
  return { algorithm, nonce: get('nonce'), nc: get('nc'), cnonce: get('cnonce'), uri: get('uri'), response: get('response') };
}

/** `uri` is the request's target as sent; its absolute form, or with the path of APP_URL that a front has cut, names the same. */
function isOwnTarget(uri: string, request: Request): boolean {
  const target = request.originalUrl;
  const prefix = new URL(settings.APP_URL).pathname.replace(/\/$/, '');
  const path = /^https?:\/\/[^/]*(\/.*)$/i.exec(uri)?.[1] ?? uri;
  return path === target || (prefix !== '' && path === prefix + target);
}

/** Response of RFC 7616, section 3.4.1, lower-case hexadecimal. */
export function digestResponse(
  algorithm: PasswordAlgorithm,
  ha1: string,
  method: string,
  { uri, nonce, nc, cnonce }: Omit<Claim, 'algorithm' | 'response'>,
): string {
  const hash = (text: string): string =>
    createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
      .update(text, 'utf8')
      .digest('hex');
  return hash(`${ha1}:${nonce}:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`);
}

async function identify(request: Request): Promise<Authenticated> {
  const from = parseSipUri(request.headers.from ?? '');
  if (!from) throw unauthorized('auth.required');
  const account = await findDigestAccount(from, hostOf(request));
  // That tells which accounts exist; so does the public /accounts/{sip}/info.
  if (!account) throw notFound('account.not_found');
  if (!/^Digest\s/i.test(request.headers.authorization ?? '')) throw challenge(account, 'auth.required');

  const claim = readClaim(request, account);
  if (!claim) throw challenge(account, 'auth.digest');
  const made = nonceTime(claim.nonce, account.account_id);
  if (!made) throw challenge(account, 'auth.nonce_invalid');
  const ha1 = account.ha1s.get(claim.algorithm);
  const isRight =
    ha1 !== undefined && isSameSecret(digestResponse(claim.algorithm, ha1, request.method, claim), claim.response.toLowerCase());
  // Before anything that tells the verdict, `stale` among it.
  await requireTellable({ account_id: account.account_id, ip: clientOf(request).ip }, isRight);
  const isOld =
    made.getTime() + NONCE_LIFETIME_MINUTES * 60_000 < Date.now() || (account.cleared_before !== null && made < account.cleared_before);
  // stale=true tells the client to go on with the same password: only where that is right (RFC 7616, section 3.3).
  if (isOld) throw challenge(account, 'auth.nonce_invalid', isRight);
  if (!isRight) throw challenge(account, 'auth.digest');
  if (!(await acceptNonceCount(account.account_id, claim.nonce, Number.parseInt(claim.nc, 16))))
    throw challenge(account, 'auth.nonce_replayed');
  return { identity: account, headers: { 'www-authenticate': challenges(account, claim.nonce) } };
}

export const digest: Scheme = {
  applies: (request) => request.headers.from !== undefined,
  identify,
};
