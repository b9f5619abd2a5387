// Accounts as the schemes of authentication look them up; the statements are in models/credentials/identity.ts.
import { Batcher } from '../../infra/batcher';
import { log } from '../../infra/log';
import type { AccountName } from '../../models/accounts/account';
import {
  type DigestIdentity,
  findDigestIdentities,
  findIdentitiesByEmail,
  findIdentityBySipAddress,
  type Identity,
  type ShownAddress,
  type Viewed,
} from '../../models/credentials/identity';
import { realmOf } from './secrets';

export { mayUse, type Scope, type Scopes, SCOPES } from '../../models/credentials/scopes';
export type { Identity, Viewed };

/** The account that a verified claim names by SIP address; null where nobody has it. `host` is the request's Host header. */
export const identityOfSipAddress: (address: AccountName, host: string) => Promise<Identity | null> = findIdentityBySipAddress;

/** Why an email names nobody, for operators; it is not said to clients. */
const NOBODY = {
  unconfirmed: 'a token by email was refused: the address was never confirmed for the account that has it',
  several: 'a token by email was refused: several accounts have confirmed the address',
} as const;

/**
 * The account that a verified claim names by email, letter case ignored. An email counts only where somebody was shown to read mail at it: anybody who
 * may make accounts can give them any email. Accounts of the request's Space go first, so that no other Space's can stand in the way of theirs;
 * only where that has none, others count.
 *
 * @param host the request's Host header
 * @returns null where nobody has it, or several have; the log says which
 */
export async function identityOfEmail(email: string, host: string): Promise<Identity | null> {
  const [found, another] = await findIdentitiesByEmail(email, host);
  if (!found) return null;
  const rivals = another?.confirmed === true && another.in_request_space === found.in_request_space;
  if (found.confirmed && !rivals) return found;
  log.warn({ in_request_space: found.in_request_space }, found.confirmed ? NOBODY.several : NOBODY.unconfirmed);
  return null;
}

/** An account that proves its password by DIGEST. */
export interface DigestAccount extends DigestIdentity {
  realm: string;
}

const addressKey = ({ address: { username, domain }, host }: ShownAddress): string => JSON.stringify([username, domain, host]);
const digestLookUps = new Batcher((shown: ShownAddress[]) => findDigestIdentities(shown, { withView: false }), { keyOf: addressKey });
const digestLookUpsWithView = new Batcher((shown: ShownAddress[]) => findDigestIdentities(shown, { withView: true }), {
  keyOf: addressKey,
});

/**
 * The account of a SIP address with what DIGEST compares with. Requests that ask at the same time share a statement.
 *
 * @param host the request's Host header
 * @param withView whether the account's view is wanted, too: it is of the same moment
 * @returns null where nobody has the address
 */
export async function findDigestAccount(
  address: AccountName,
  host: string,
  { withView = false }: { withView?: boolean | undefined } = {},
): Promise<DigestAccount | null> {
  const found = await (withView ? digestLookUpsWithView : digestLookUps).submit({ address, host });
  return found && { ...found, realm: realmOf(found.domain) };
}
