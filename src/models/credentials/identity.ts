// The account behind verified credentials. Statements of our own: every request asks for an account, its Space, the request's Space and what
// was shown at once, and pays for nothing else. Of who shows a key or a password many are looked up in one statement.
import type { Attributes } from 'sequelize';
import { settings } from '../../../config';
import { select, selectShared } from '../../infra/sequelize';
import { caselessUsernames } from '../../infra/sip-uri';
import { type Account, type AccountName, sipAddressBinds, sipAddressSql } from '../accounts/account';
import { type AccountView, type AsJson, toAccountView, VIEW_SQL } from '../accounts/account-view';
import { passwordsSql, type StoredPassword } from '../accounts/password';
import { requestSpaceSql, type Space } from '../spaces/space';
import type { ApiKey } from './api-key';
import type { NamedApiKey } from './named-api-key';
import type { Scope, Scopes } from './scopes';
import { CLEARED_BEFORE_SQL, type NonceClearing } from './nonce';

/** An account with all that decides about what it may do. */
export interface Identity extends Pick<Attributes<Account>, 'username' | 'domain' | 'admin' | 'blocked'> {
  account_id: Attributes<Account>['id'];
  /** Of the account's own Space, as the next one. */
  space_super: Attributes<Space>['super'];
  space_expire_at: Attributes<Space>['expire_at'];
  /** Of the Space that the request is for; null also where there is none. */
  request_space_expire_at: Attributes<Space>['expire_at'];
  /** Of a named key; null or absent: the credentials are a person's. */
  scopes?: Scopes;
  /** Of a named key, with its `key_id`. */
  key_name?: Attributes<NamedApiKey>['name'];
  key_id?: number;
}

/** An identity with its account's view, where that was asked for. */
export interface Viewed {
  view?: AccountView;
}

interface Columns {
  /** More columns; `a` is the account. */
  columns?: string;
  from?: string;
  where: string;
}

/** @param host of the Host header, as `fallback` of APP_SIP_DOMAIN: a placeholder or column */
const identitiesSql = ({ columns, from = 'accounts a', where }: Columns, host: string, fallback: string): string =>
  `SELECT a.id AS account_id, a.username, a.domain, a.admin, a.blocked,
          s.super AS space_super, s.expire_at AS space_expire_at, r.expire_at AS request_space_expire_at
          ${columns === undefined ? '' : `, ${columns}`}
     FROM ${from}
     JOIN spaces s ON s.domain = a.domain
     LEFT JOIN LATERAL (SELECT domain, expire_at FROM spaces ${requestSpaceSql(host, fallback)}) r ON true
    WHERE ${where}`;

/**
 * @param host the Host header, which names the request's Space; null: no request is behind it
 * @param query the placeholders of its `where` begin at $3
 */
function findIdentities<Found extends Identity>(host: string | null, query: Columns, bind: unknown[]): Promise<Found[]> {
  return select<Found>(identitiesSql(query, '$1', '$2'), [host, host === null ? null : settings.APP_SIP_DOMAIN, ...bind]);
}

/** What a request shows, with its Host header. */
interface Shown {
  host: string;
}

/**
 * A look-up for many requests in one statement. The LIMIT at the end of `where` has each of them looked up by itself, by index: without it PostgreSQL
 * might read a whole table instead.
 *
 * @param names of what each request shows; `where` has them as `q.name`
 */
function sharedSql(query: Columns, names: readonly string[], withView: boolean): string {
  const columns = [query.columns, withView ? VIEW_SQL : undefined].filter((each) => each !== undefined).join(', ');
  return `
SELECT q.n, i.* FROM unnest($2::text[]${names.map((_, index) => `, $${index + 3}::text[]`).join('')}) WITH ORDINALITY AS q (host, ${names.join(', ')}, n)
 CROSS JOIN LATERAL (${identitiesSql({ ...query, columns }, 'q.host', '$1')}) i`;
}

/** @returns what was found for each, in the same order */
async function findShared<Found extends Identity>(
  sql: string,
  shown: readonly Shown[],
  columns: (string | null)[][],
): Promise<(Found | null)[]> {
  type Row = Found & { n: number; view?: AsJson<AccountView> };
  const rows = await selectShared<Row>('look-ups', sql, [settings.APP_SIP_DOMAIN, shown.map(({ host }) => host), ...columns]);
  const found = shown.map((): Found | null => null);
  for (const { n, view, ...row } of rows)
    found[n - 1] = (view === undefined ? row : { ...row, view: toAccountView(view) }) as unknown as Found;
  return found;
}

/** An identity with the API key that showed it. */
export interface KeyIdentity extends Identity, Viewed, Pick<Attributes<ApiKey>, 'ip' | 'last_used_at'> {
  key_id: Attributes<ApiKey>['id'];
}

/** A key that a request shows, as `ApiKey.key` has it. */
export interface ShownKey extends Shown {
  hash: Attributes<ApiKey>['key'];
}

const BY_KEY: Columns = {
  columns: 'k.id AS key_id, k.ip, k.last_used_at',
  from: 'api_keys k JOIN accounts a ON a.id = k.account_id',
  where: 'k.key = q.hash LIMIT 1',
};
const FIND_BY_KEY = sharedSql(BY_KEY, ['hash'], false);
const FIND_BY_KEY_WITH_VIEW = sharedSql(BY_KEY, ['hash'], true);

/** The accounts of API keys, each by the index on hashes. @returns those of each, in the same order; null: there is no such key */
export const findIdentitiesByApiKey = (shown: readonly ShownKey[], { withView }: { withView: boolean }): Promise<(KeyIdentity | null)[]> =>
  findShared(withView ? FIND_BY_KEY_WITH_VIEW : FIND_BY_KEY, shown, [shown.map(({ hash }) => hash)]);

/** An identity with the named key that showed it. */
export interface NamedKeyIdentity
  extends Identity, Viewed, Pick<Attributes<NamedApiKey>, 'scopes' | 'last_used_at' | 'expires_after_last_used_minutes'> {
  scopes: Scope[];
  key_id: Attributes<NamedApiKey>['id'];
  key_name: Attributes<NamedApiKey>['name'];
  /** Its latest use, or the making of its newest secret. */
  last_used_at: Date;
  /** Whether its own end is past; that of unused time is the caller's to tell, who knows of uses that are not written yet. */
  is_expired: boolean;
  /** Whether the secret was replaced, and its grace period is over. */
  is_rotated: boolean;
  /** Whether it may be used from the address. */
  is_admitted: boolean;
}

/** A named key that a request shows, as `NamedApiKeySecret.key_hash` has it. */
export interface ShownNamedKey extends ShownKey {
  /** As parseIpAddress() gives it; what is no address is in no range. */
  ip: string | null;
}

const BY_NAMED_KEY: Columns = {
  columns: `k.id AS key_id, k.name AS key_name, k.scopes, k.expires_after_last_used_minutes, greatest(k.last_used_at, k.secret_made_at) AS last_used_at,
          coalesce(k.expires_at <= now(), false) AS is_expired, coalesce(x.expires_at <= now(), false) AS is_rotated,
          k.allowed_addresses IS NULL OR coalesce(q.ip::inet <<= ANY (k.allowed_addresses), false) AS is_admitted`,
  from: 'named_api_key_secrets x JOIN named_api_keys k ON k.id = x.key_id JOIN accounts a ON a.id = k.account_id',
  where: 'x.key_hash = q.hash LIMIT 1',
};
const NAMED_COLUMNS = ['hash', 'ip'];
const FIND_BY_NAMED_KEY = sharedSql(BY_NAMED_KEY, NAMED_COLUMNS, false);
const FIND_BY_NAMED_KEY_WITH_VIEW = sharedSql(BY_NAMED_KEY, NAMED_COLUMNS, true);

/** The accounts of named keys, as findIdentitiesByApiKey(). */
export const findIdentitiesByNamedKey = (
  shown: readonly ShownNamedKey[],
  { withView }: { withView: boolean },
): Promise<(NamedKeyIdentity | null)[]> =>
  findShared(withView ? FIND_BY_NAMED_KEY_WITH_VIEW : FIND_BY_NAMED_KEY, shown, [shown.map(({ hash }) => hash), shown.map(({ ip }) => ip)]);

/** The account with a number; `host` is the request's Host header, null where no request is behind it. */
export async function findIdentityById(id: Attributes<Account>['id'], host: string | null): Promise<Identity | null> {
  const [found] = await findIdentities(host, { where: 'a.id = $3' }, [id]);
  return found ?? null;
}

/** The account of a SIP address, in whatever Space; `host` is the request's Host header. */
export async function findIdentityBySipAddress(address: AccountName, host: string): Promise<Identity | null> {
  const [found] = await findIdentities(host, { where: sipAddressSql('$3', '$4', '$5') }, sipAddressBinds(address));
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
  findIdentities<EmailIdentity>(
    host,
    {
      columns: `coalesce(lower(a.confirmed_email) = lower(a.email), false) AS confirmed, coalesce(a.domain = r.domain, false) AS in_request_space`,
      where: 'lower(a.email) = lower($3) ORDER BY confirmed DESC, in_request_space DESC LIMIT 2',
    },
    [email],
  );

/** An identity with what DIGEST compares with. */
export interface DigestIdentity extends Identity, Viewed {
  /** In the order stored. */
  passwords: StoredPassword[];
  /** Nonces made before it count no more; null: all do. */
  cleared_before: Attributes<NonceClearing>['cleared_before'] | null;
}

/** A SIP address that a request shows. */
export interface ShownAddress extends Shown {
  address: AccountName;
}

const BY_ADDRESS: Columns = {
  columns: `${passwordsSql('algorithm', 'password')}, ${CLEARED_BEFORE_SQL} AS cleared_before`,
  where: sipAddressSql('q.username', 'ARRAY[q.caseless, q.caseless_too]', 'q.domain'),
};
const ADDRESS_COLUMNS = ['username', 'caseless', 'caseless_too', 'domain'];
const FIND_BY_ADDRESS = sharedSql(BY_ADDRESS, ADDRESS_COLUMNS, false);
const FIND_BY_ADDRESS_WITH_VIEW = sharedSql(BY_ADDRESS, ADDRESS_COLUMNS, true);

/** The accounts of SIP addresses with their passwords. @returns those of each, in the same order; null: nobody has the address */
export function findDigestIdentities(
  shown: readonly ShownAddress[],
  { withView }: { withView: boolean },
): Promise<(DigestIdentity | null)[]> {
  const caseless = shown.map(({ address }) => caselessUsernames(address.username));
  return findShared(withView ? FIND_BY_ADDRESS_WITH_VIEW : FIND_BY_ADDRESS, shown, [
    shown.map(({ address }) => address.username),
    caseless.map(([first = '']) => first),
    caseless.map((spellings) => spellings.at(-1) ?? ''),
    shown.map(({ address }) => address.domain),
  ]);
}
