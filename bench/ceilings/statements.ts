// What the ceilings with `pg` ask PostgreSQL, and how they show an account: their own, so that they owe nothing to the program that is measured.
import { createHash } from 'node:crypto';
import pg from 'pg';

/** As many connections as `web` has by default. */
export const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });

/** As `api_keys.key` has it. */
export const hashed = (key: string | undefined): string =>
  createHash('sha256')
    .update(key ?? '')
    .digest('hex');

/** Who calls. */
export interface Caller {
  key: string;
  account_id: number;
  domain: string;
  admin: boolean;
}

/** Callers by the hashes of their keys: all that decides about whether they may. A condition on `k.key` follows. */
export const CALLERS = `
  SELECT k.key, a.id AS account_id, a.domain, a.admin
    FROM api_keys k JOIN accounts a ON a.id = k.account_id JOIN spaces s ON s.domain = a.domain
   WHERE NOT a.blocked AND (s.expire_at IS NULL OR s.expire_at > now())`;

/** The caller with a key. */
export async function findCaller(key: string | undefined): Promise<Caller | undefined> {
  const { rows } = await pool.query<Caller>({ name: 'caller', text: `${CALLERS} AND k.key = $1`, values: [hashed(key)] });
  return rows[0];
}

/** What others see of the account `a` beside its columns, as JSON. */
export const RELATED = `
  (SELECT coalesce(json_agg(json_build_object('id', t.id, 'key', t.key)), '[]') FROM account_types t
     JOIN account_account_type l ON l.account_type_id = t.id WHERE l.account_id = a.id) AS types,
  (SELECT coalesce(json_agg(json_build_object('id', n.id, 'key', n.key, 'code', n.code)), '[]') FROM account_actions n
    WHERE n.account_id = a.id) AS actions,
  (SELECT coalesce(json_object_agg(d.key, d.value), '{}') FROM account_dictionary_entries d WHERE d.account_id = a.id) AS dictionary`;

/** Accounts with everything that is shown of them; what hangs on them comes as JSON. A condition on `a` follows. */
export const ACCOUNTS = `
  SELECT a.id, a.username, a.domain, a.email, a.phone, a.display_name, a.dtmf_protocol, a.activated, a.blocked, a.admin, a.ip_address,
         a.user_agent, a.created_at, a.updated_at,
         (SELECT coalesce(json_agg(json_build_object('algorithm', p.algorithm)), '[]') FROM passwords p WHERE p.account_id = a.id) AS passwords,
         (SELECT row_to_json(e) FROM (SELECT id, account_id, expires, created_at, updated_at FROM activation_expirations
           WHERE account_id = a.id) e) AS activation_expiration,
         (SELECT row_to_json(c) FROM (SELECT email, ip, user_agent, created_at, updated_at FROM email_change_codes
           WHERE account_id = a.id AND code IS NOT NULL ORDER BY id DESC LIMIT 1) c) AS email_change_code,
         (SELECT row_to_json(c) FROM (SELECT phone, ip, user_agent, created_at, updated_at FROM phone_change_codes
           WHERE account_id = a.id AND code IS NOT NULL ORDER BY id DESC LIMIT 1) c) AS phone_change_code,
         (SELECT row_to_json(t) FROM (SELECT token, created_at FROM provisioning_tokens
           WHERE account_id = a.id AND NOT used ORDER BY id DESC LIMIT 1) t) AS provisioning,
         ${RELATED}
    FROM accounts a`;

type Dated = { created_at: string; updated_at: string | null };

/** A row of ACCOUNTS. */
export interface AccountRow {
  id: number;
  username: string;
  domain: string;
  email: string | null;
  phone: string | null;
  display_name: string | null;
  dtmf_protocol: string | null;
  activated: boolean;
  blocked: boolean;
  admin: boolean;
  ip_address: string;
  user_agent: string;
  created_at: Date;
  updated_at: Date | null;
  activation_expiration: (Dated & { expires: string }) | null;
  email_change_code: Dated | null;
  phone_change_code: Dated | null;
  provisioning: { token: string; created_at: string } | null;
  dictionary: object;
  passwords: { algorithm: string }[];
  types: object[];
  actions: object[];
}

const moment = (at: Date | string): string => new Date(at).toISOString().replace('Z', '000Z');
const plain = (at: string): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');
/** A row of JSON with its dates as they are shown. */
export const dates = <Row extends Dated>(row: Row | null): Row | null =>
  row && { ...row, created_at: moment(row.created_at), updated_at: row.updated_at && moment(row.updated_at) };

/** An account as its owner sees it. */
export function present(row: AccountRow): Record<string, unknown> {
  const { activation_expiration: activation, provisioning } = row;
  return {
    id: row.id,
    username: row.username,
    domain: row.domain,
    email: row.email,
    phone: row.phone,
    display_name: row.display_name,
    dtmf_protocol: row.dtmf_protocol,
    activated: row.activated,
    blocked: row.blocked,
    admin: row.admin,
    ip_address: row.ip_address,
    user_agent: row.user_agent,
    created_at: moment(row.created_at),
    updated_at: row.updated_at && moment(row.updated_at),
    realm: null,
    confirmation_key_expires: activation && plain(activation.expires),
    provisioning_token: provisioning && provisioning.token,
    // By default they are good for ever.
    provisioning_token_expire_at: null,
    dictionary: row.dictionary,
    passwords: row.passwords,
    activation_expiration: activation && dates({ ...activation, expires: plain(activation.expires) }),
    email_change_code: dates(row.email_change_code),
    types: row.types,
    actions: row.actions,
  };
}

/** The account with a number. */
export async function findAccount(id: number): Promise<AccountRow | undefined> {
  const { rows } = await pool.query<AccountRow>({ name: 'account', text: `${ACCOUNTS} WHERE a.id = $1`, values: [id] });
  return rows[0];
}
