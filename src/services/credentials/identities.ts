// Accounts as the schemes of authentication look them up; the statements are in models/credentials/identity.ts.
import type { AccountName } from '../../models/accounts/account';
import {
  type DigestIdentity,
  findDigestIdentity,
  findIdentitiesByEmail,
  findIdentityBySipAddress,
  type Identity,
} from '../../models/credentials/identity';
import { ha1sOf, type PasswordAlgorithm, realmOf } from './secrets';

export type { Identity };

/** The account that a verified claim names by SIP address; null where nobody has it. `host` is the request's Host header. */
export const identityOfSipAddress: (address: AccountName, host: string) => Promise<Identity | null> = findIdentityBySipAddress;

/** The account that a verified claim names by email, letter case ignored; null where nobody has it, or several. */
export async function identityOfEmail(email: string, host: string): Promise<Identity | null> {
  const [found, another] = await findIdentitiesByEmail(email, host);
  return found !== undefined && another === undefined ? found : null;
}

/** An account that proves its password by DIGEST. */
export interface DigestAccount extends Omit<DigestIdentity, 'passwords'> {
  realm: string;
  /** HA1 in lower-case hexadecimal, the algorithms in the order in which they are offered. */
  ha1s: Map<PasswordAlgorithm, string>;
}

/** The account of a SIP address with what DIGEST compares with; null where nobody has the address. `host` is the request's Host header. */
export async function findDigestAccount(address: AccountName, host: string): Promise<DigestAccount | null> {
  const found = await findDigestIdentity(address, host);
  if (!found) return null;
  const { passwords, ...identity } = found;
  return { ...identity, realm: realmOf(identity.domain), ha1s: new Map(ha1sOf(identity, passwords)) };
}
