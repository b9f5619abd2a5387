// The account behind verified credentials. Statements of our own: every request asks for an account, its Space, the request's Space and what
// was shown at once, and pays for nothing else.
import type { Attributes } from 'sequelize';
import { settings } from '../../../config';
import { select } from '../../infra/sequelize';
import { type Account, type AccountName, sipAddressBinds, sipAddressSql } from '../accounts/account';
import { passwordsSql, type StoredPassword } from '../accounts/password';
import { requestSpaceSql, type Space } from '../spaces/space';
import type { ApiKey } from './api-key';
import { CLEARED_BEFORE_SQL, type NonceClearing } from './nonce';

/** An account with all that decides about what it may do. */
export interface Identity extends Pick<Attributes<Account>, 'username' | 'domain' | 'admin' | 'blocked'> {
  account_id: Attributes<Account>['id'];
  /** Of the account's own Space, as the next one. */
  space_super: Attributes<Space>['super'];
  space_expire_at: Attributes<Space>['expire_at'];
  /** Of the Space that the request is for; null also where there is none. */
  request_space_expire_at: Attributes<Space>['expire_at'];
}

interface Query {
  /** The Host header, which names the request's Space; null: no request is behind it. */
  host: string | null;
  /** More columns; `a` is the account. */
  columns?: string;
  from?: string;
  /** Its placeholders begin at $3. */
  where: string;
  bind: unknown[];
}

function findIdentities<Found extends Identity>({ host, columns, from = 'accounts a', where, bind }: Query): Promise<Found[]> {
  return select<Found>(
    `SELECT a.id AS account_id, a.username, a.domain, a.admin, a.blocked,
            s.super AS space_super, s.expire_at AS space_expire_at, r.expire_at AS request_space_expire_at
            ${columns === undefined ? '' : `, ${columns}`}
       FROM ${from}
       JOIN spaces s ON s.domain = a.domain
       LEFT JOIN LATERAL (SELECT domain, expire_at FROM spaces ${requestSpaceSql('$1', '$2')}) r ON true
      WHERE ${where}`,
    [host, host === null ? null : settings.APP_SIP_DOMAIN, ...bind],
  );
}

/** An identity with the API key that showed it. */
export interface KeyIdentity extends Identity, Pick<Attributes<ApiKey>, 'ip' | 'last_used_at'> {
  key_id: Attributes<ApiKey>['id'];
}

/**
 * The account of an API key, by the index on its hash.
 *
 * @param hash as `ApiKey.key` has it
 * @param host the request's Host header
 */
export async function findIdentityByApiKey(hash: Attributes<ApiKey>['key'], host: string): Promise<KeyIdentity | null> {
  const [found] = await findIdentities<KeyIdentity>({
    host,
    columns: 'k.id AS key_id, k.ip, k.last_used_at',
    from: 'api_keys k JOIN accounts a ON a.id = k.account_id',
    where: 'k.key = $3',
    bind: [hash],
  });
  return found ?? null;
}

/** The account with a number; `host` is the request's Host header, null where no request is behind it. */
export async function findIdentityById(id: Attributes<Account>['id'], host: string | null): Promise<Identity | null> {
  const [found] = await findIdentities({ host, where: 'a.id = $3', bind: [id] });
  return found ?? null;
}

/** The account of a SIP address, in whatever Space; `host` is the request's Host header. */
export async function findIdentityBySipAddress(address: AccountName, host: string): Promise<Identity | null> {
  const [found] = await findIdentities({ host, where: sipAddressSql('$3', '$4', '$5'), bind: sipAddressBinds(address) });
  return found ?? null;
}

/** An account with an email that was asked for. */
export interface EmailIdentity extends Identity {
  /** Whether somebody was shown to read mail at the address that it has now. */
  confirmed: boolean;
  /** Whether it is in the Space that the request is for. */
  in_request_space: boolean;
}

/**
 * Accounts with an email, letter case ignored, confirmed ones first, and of those the ones in the request's Space: at most two, which is enough to
 * know that it names nobody alone.
 */
export const findIdentitiesByEmail = (email: string, host: string): Promise<EmailIdentity[]> =>
  findIdentities<EmailIdentity>({
    host,
    columns: `coalesce(lower(a.confirmed_email) = lower(a.email), false) AS confirmed, coalesce(a.domain = r.domain, false) AS in_request_space`,
    where: 'lower(a.email) = lower($3) ORDER BY confirmed DESC, in_request_space DESC LIMIT 2',
    bind: [email],
  });

/** An identity with what DIGEST compares with. */
export interface DigestIdentity extends Identity {
  /** In the order stored. */
  passwords: StoredPassword[];
  /** Nonces made before it count no more; null: all do. */
  cleared_before: Attributes<NonceClearing>['cleared_before'] | null;
}

/** The account of a SIP address with its passwords; `host` is the request's Host header. */
export async function findDigestIdentity(address: AccountName, host: string): Promise<DigestIdentity | null> {
  const [found] = await findIdentities<DigestIdentity>({
    host,
    columns: `${passwordsSql('algorithm', 'password')}, ${CLEARED_BEFORE_SQL} AS cleared_before`,
    where: sipAddressSql('$3', '$4', '$5'),
    bind: sipAddressBinds(address),
  });
  return found ?? null;
}
