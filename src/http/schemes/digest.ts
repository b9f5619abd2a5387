// DIGEST (RFC 7616, qop=auth). The account is named by the From header of every request, as Linphone apps send it.
import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { settings } from '../../../config';
import { type ApiError, notFound, unauthorized } from '../../infra/errors';
import type { MessageKey } from '../../i18n';
import { type DigestAccount, findDigestAccount } from '../../services/credentials/identities';
import { acceptNonceCount, MAX_NONCE_COUNT, newNonce, NONCE_LIFETIME_MINUTES, nonceTime } from '../../services/credentials/nonces';
import { appSecret, ha1sOf, isSameSecret, type PasswordAlgorithm } from '../../services/credentials/secrets';
import { requireTellable } from '../../services/limits/wrong-secrets';
import { clientOf, hostOf } from '../client';
import { isSameUsername, parseSipUri } from '../../infra/sip-uri';
import { credentialsOf, headerOctets, headerText, parseAuthParameters, parseExtendedValue } from './credentials';
import { normaliseTarget } from './target';
import type { Authenticated, Purpose, Scheme } from './scheme';

const opaque = appSecret('opaque').toString('hex');

/**
 * One line an algorithm, all with the same nonce: belle-sip computes with the first line and answers with the nonce of the last. HA1 is of UTF-8; a
 * client is told so where it could not know (RFC 7616, section 3.3): where the realm or the name, both of which it hashes, are not ASCII.
 */
function challenges(account: DigestAccount, nonce: string, stale = false): string[] {
  const { username, realm, passwords } = account;
  const quoted = headerOctets(realm).replace(/["\\]/g, '\\$&');
  const charset = /^[ -~]*$/.test(username + realm) ? '' : ',charset=UTF-8';
  return ha1sOf(account, passwords).map(
    ([algorithm]) =>
      `Digest realm="${quoted}",qop="auth",algorithm=${algorithm},nonce="${nonce}",opaque="${opaque}"${charset}${stale ? ',stale=true' : ''}`,
  );
}

/** 401 with a nonce of its own, also for two in the same millisecond: a client begins with nc=1 each time. */
function challenge(account: DigestAccount, key: MessageKey, stale = false): ApiError {
  const lines = challenges(account, newNonce(account.account_id), stale);
  return unauthorized(key, {}, lines.length === 0 ? {} : { headers: { 'www-authenticate': lines } });
}

/** What an answer to a challenge says; but for the username each character is an octet, as they are hashed. */
interface Claim {
  username: string;
  algorithm: PasswordAlgorithm;
  qop: string;
  nonce: string;
  nc: string;
  cnonce: string;
  uri: string;
  response: string;
}

const NEEDED = ['realm', 'nonce', 'uri', 'nc', 'cnonce', 'qop', 'response', 'opaque'] as const;

/** The name of an answer, plain or extended, never both (RFC 7616, section 3.4). Hashed ones (section 3.4.4) nobody was invited to send. */
function usernameOf(directives: Map<string, string>): string | null {
  const [plain, extended] = [directives.get('username'), directives.get('username*')];
  const isHashed = (directives.get('userhash') ?? 'false').toLowerCase() !== 'false';
  if (isHashed || (plain === undefined) === (extended === undefined)) return null;
  return plain === undefined ? parseExtendedValue(extended ?? '') : headerText(plain);
}

/** What the header claims, if it is whole and fits the challenge; nothing is computed yet. */
function readClaim(value: string, request: Request, account: DigestAccount): Claim | null {
  const directives = parseAuthParameters(value);
  if (!directives || NEEDED.some((name) => !directives.has(name))) return null;
  const get = (name: (typeof NEEDED)[number]): string => directives.get(name) ?? '';
  const algorithm = (directives.get('algorithm') ?? 'MD5').toUpperCase();
  if (algorithm !== 'MD5' && algorithm !== 'SHA-256') return null;
  const count = Number.parseInt(get('nc'), 16);
  if (!/^[0-9a-f]{8}$/i.test(get('nc')) || count < 1 || count > MAX_NONCE_COUNT) return null;
  if (get('qop').toLowerCase() !== 'auth' || get('opaque') !== opaque || headerText(get('realm')) !== account.realm) return null;
  const username = usernameOf(directives);
  if (username === null || !isSameUsername(username, account.username) || !isOwnTarget(get('uri'), request)) return null;
  const [qop, nonce, nc, cnonce] = [get('qop'), get('nonce'), get('nc'), get('cnonce')];
  return { username, algorithm, qop, nonce, nc, cnonce, uri: get('uri'), response: get('response') };
}

/** The path of APP_URL, which a front may cut off the target. */
const PREFIX = normaliseTarget(new URL(settings.APP_URL).pathname.replace(/\/$/, ''));

/** `uri` names the request's target, also in absolute form, and with the path of APP_URL that a front has cut. */
function isOwnTarget(uri: string, request: Request): boolean {
  if (uri === request.originalUrl) return true;
  const [named, target] = [normaliseTarget(uri), normaliseTarget(request.originalUrl)];
  return named === target || (PREFIX !== '' && named === PREFIX + target);
}

/** Response of RFC 7616, section 3.4.1, lower-case hexadecimal. */
export function digestResponse(
  algorithm: PasswordAlgorithm,
  ha1: string,
  method: string,
  { uri, nonce, nc, cnonce, qop }: Pick<Claim, 'uri' | 'nonce' | 'nc' | 'cnonce' | 'qop'>,
): string {
  const hash = (octets: string): string =>
    createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
      .update(octets, 'latin1')
      .digest('hex');
  return hash(`${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${hash(`${method}:${uri}`)}`);
}

async function identify(request: Request, { withView }: Purpose): Promise<Authenticated> {
  const from = parseSipUri(headerText(request.headers.from ?? ''));
  if (!from) throw unauthorized('auth.required');
  // A bare From asks for a challenge, which shows nothing of the account.
  const isShown = request.headers.authorization !== undefined;
  const account = await findDigestAccount(from, hostOf(request), { withView: withView === true && isShown });
  // That tells which accounts exist; so does the public /accounts/{sip}/info.
  if (!account) throw notFound('account.not_found');
  const { scheme, value } = credentialsOf(request);
  if (scheme !== 'digest') throw challenge(account, 'auth.required');

  const claim = readClaim(value, request, account);
  if (!claim) throw challenge(account, 'auth.digest');
  const made = nonceTime(claim.nonce, account.account_id);
  if (!made) throw challenge(account, 'auth.nonce_invalid');
  // Of a name in another letter case than the account's only a password in clear text tells the hash.
  const ha1 = new Map(ha1sOf({ username: claim.username, domain: account.domain }, account.passwords)).get(claim.algorithm);
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
