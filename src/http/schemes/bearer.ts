// JSON Web Tokens (RFC 7519) as Bearer tokens (RFC 6750), and the challenge where a server that gives such tokens is announced instead of DIGEST.
import type { Request } from 'express';
import { settings } from '../../../config';
import { canonicalEmail } from '../../infra/email-address';
import { type ApiError, forbidden, unauthorized } from '../../infra/errors';
import { identityOfEmail, identityOfSipAddress } from '../../services/credentials/identities';
import { hostOf } from '../client';
import { parseSipUri } from '../../infra/sip-uri';
import { credentialsOf } from './credentials';
import type { Authenticated, Scheme } from './scheme';

const ALGORITHMS = ['RS256', 'RS384', 'RS512'];
/** How far the clock of the token's issuer may be ahead of ours. */
const NOT_BEFORE_TOLERANCE_SECONDS = 60;

function invalidToken(description: string): ApiError {
  const announced = settings.ACCOUNT_AUTHENTICATION_BEARER;
  const error = `error="invalid_token", error_description="${description}"`;
  return unauthorized(
    'auth.bearer',
    {},
    { headers: { 'www-authenticate': `Bearer ${announced === undefined ? '' : `${announced}, `}${error}` } },
  );
}

/** The claims of a token whose signature and times are right. @throws {ApiError} 401 */
async function verify(token: string): Promise<Record<string, unknown>> {
  // An ES module, and of no use to installations without tokens: loaded where one comes.
  const { errors, jwtVerify } = await import('jose');
  const key = settings.JWT_RSA_PUBLIC_KEY_PEM;
  if (!key) throw invalidToken('No key is configured');
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ALGORITHMS,
      clockTolerance: NOT_BEFORE_TOLERANCE_SECONDS,
      requiredClaims: ['exp'],
    });
    // The tolerance is for `nbf` alone.
    if ((payload.exp ?? 0) * 1000 <= Date.now()) throw invalidToken('The token has expired');
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw invalidToken('The token has expired');
    if (error instanceof errors.JWTClaimValidationFailed) throw invalidToken(`The claim ${error.claim} is missing or not valid`);
    if (error instanceof errors.JWSSignatureVerificationFailed) throw invalidToken('The signature is wrong');
    if (error instanceof errors.JOSEAlgNotAllowed) throw invalidToken('The algorithm is not allowed');
    if (error instanceof errors.JOSEError || error instanceof TypeError) throw invalidToken('This is not a JSON Web Token');
    throw error;
  }
}

/** The email of a token; null where it has none, or the issuer says that it never saw it work (OpenID Connect Core 1.0, section 5.1). */
function emailOf({ email, email_verified: verified }: Record<string, unknown>): string | null {
  // A character that no column can hold names nobody.
  return typeof email === 'string' && verified !== false && !email.includes('\u0000') ? email : null;
}

/** @throws {ApiError} 403 where the claims name no account, or several */
async function identify(request: Request): Promise<Authenticated> {
  const claims = await verify(credentialsOf(request).value);
  const host = hostOf(request);
  const sip = claims[settings.JWT_SIP_IDENTIFIER];
  let identity = null;
  if (sip !== undefined) {
    const address = typeof sip === 'string' ? parseSipUri(sip) : null;
    if (address) identity = await identityOfSipAddress(address, host);
  } else {
    const email = emailOf(claims);
    if (email !== null) identity = await identityOfEmail(canonicalEmail(email), host);
  }
  if (!identity) throw forbidden('auth.bearer_account');
  return { identity };
}

export const jsonWebToken: Scheme = {
  applies: (request) => settings.JWT_RSA_PUBLIC_KEY_PEM !== undefined && credentialsOf(request).scheme === 'bearer',
  identify,
};

/** Where ACCOUNT_AUTHENTICATION_BEARER is set, the answer to no credentials. DIGEST is off then; keys still work: their scheme comes first. */
export const announcedBearer: Scheme = {
  applies: () => settings.ACCOUNT_AUTHENTICATION_BEARER !== undefined,
  identify: () =>
    Promise.reject(
      unauthorized('auth.required', {}, { headers: { 'www-authenticate': `Bearer ${settings.ACCOUNT_AUTHENTICATION_BEARER ?? ''}` } }),
    ),
};
