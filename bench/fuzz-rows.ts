// Who asks, and what is there to ask for. The run deletes, blocks and renames whatever it meets, its own accounts as well: between two rounds they
// are put right again, and the rows that the run has made so far are read anew.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type pg from 'pg';
import { hashApiKey } from '../src/services/credentials/secrets';

/** Not super; the Space of requests to 127.0.0.1. */
const DOMAIN = 'fuzz.invalid';
/** APP_SIP_DOMAIN. */
export const SUPER_DOMAIN = 'super.invalid';
const EXPIRED_DOMAIN = 'expired.invalid';
export const PASSWORD = 'a-good-password';

export const ROLES = ['stranger', 'user', 'admin', 'super', 'digest', 'bearer', 'cookie', 'blocked', 'expired'] as const;
export type Role = (typeof ROLES)[number];

/** An account of the run. */
export interface Member {
  role: Role;
  username: string;
  domain: string;
  admin: boolean;
  key: string;
  token: string;
  /** Set by restore(). */
  id: number;
}

type Kind = readonly [domain: string, admin: boolean];
const [USER, ADMIN, SUPER, EXPIRED]: readonly Kind[] = [
  [DOMAIN, false],
  [DOMAIN, true],
  [SUPER_DOMAIN, true],
  [EXPIRED_DOMAIN, false],
] as const;
/** Several of each: one that was deleted is missed by few requests until it is made anew. */
const CROWD: Record<Exclude<Role, 'stranger'>, readonly Kind[]> = {
  user: [USER, USER, USER, USER, USER, USER] as Kind[],
  admin: [ADMIN, ADMIN, ADMIN, ADMIN] as Kind[],
  super: [SUPER, SUPER, SUPER, SUPER] as Kind[],
  digest: [USER, USER, ADMIN, SUPER] as Kind[],
  bearer: [USER, ADMIN, SUPER] as Kind[],
  cookie: [USER, ADMIN, SUPER] as Kind[],
  blocked: [USER, ADMIN] as Kind[],
  expired: [EXPIRED, EXPIRED] as Kind[],
};

export type Row = Record<string, unknown>;
export type Rows = Record<string, Row[]>;

const AGREED = `WHERE domain = '${DOMAIN}'`;
/**
 * Rows that are there, newest first, by what they are for: columns are named as the parameters of a path or the fields of a body that they belong to.
 * `own_…`: of the account with that `account_id` alone.
 */
const LISTS: Record<string, string> = {
  account: `(SELECT id FROM accounts ${AGREED} ORDER BY id DESC LIMIT 40) UNION ALL (SELECT id FROM accounts ORDER BY id LIMIT 8)`,
  // Those that no request of the run needs: it pauses them.
  queue: `SELECT unnest(ARRAY['api-keys', 'chores']) AS queue`,
  sip: `SELECT username || '@' || domain AS sip FROM accounts ${AGREED} ORDER BY id DESC LIMIT 40`,
  email: `SELECT email FROM accounts ${AGREED} AND email IS NOT NULL ORDER BY id DESC LIMIT 20`,
  phone: `SELECT phone FROM accounts ${AGREED} AND phone IS NOT NULL ORDER BY id DESC LIMIT 20`,
  space: `(SELECT domain FROM spaces ORDER BY id DESC LIMIT 20) UNION ALL (SELECT '${DOMAIN}')`,
  list: `SELECT l.id FROM contacts_lists l JOIN spaces s ON s.id = l.space_id WHERE s.domain = '${DOMAIN}' ORDER BY l.id DESC LIMIT 30`,
  // Whose devices the registrar's Redis has: those who ask.
  registered: "SELECT id FROM accounts WHERE username ~ '-number-[0-9]+$'",
  named_key: 'SELECT id FROM named_api_keys ORDER BY id DESC LIMIT 30',
  type: 'SELECT id FROM account_types ORDER BY id DESC LIMIT 30',
  action: 'SELECT account_id AS id, id AS action_id FROM account_actions ORDER BY account_actions.id DESC LIMIT 30',
  dictionary: 'SELECT account_id AS id, key FROM account_dictionary_entries e ORDER BY e.id DESC LIMIT 30',
  contact: 'SELECT account_id AS id, contact_id FROM contacts ORDER BY created_at DESC LIMIT 30',
  listed: 'SELECT contacts_list_id, contact_id FROM contacts_list_contact ORDER BY created_at DESC LIMIT 30',
  given_list: 'SELECT account_id AS id, contacts_list_id FROM account_contacts_list ORDER BY created_at DESC LIMIT 30',
  typed: 'SELECT account_id AS id, account_type_id AS type_id FROM account_account_type ORDER BY created_at DESC LIMIT 30',
  sender: 'SELECT account_id AS sender FROM sends WHERE account_id IS NOT NULL ORDER BY created_at DESC LIMIT 20',
  send_cursor: `SELECT replace(encode(convert_to(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '_' || id, 'UTF8'), 'base64'), E'\\n', '') AS send_cursor
    FROM sends ORDER BY created_at DESC LIMIT 20`,
  request_id: 'SELECT request_id FROM sends WHERE request_id IS NOT NULL ORDER BY created_at DESC LIMIT 20',
  vcard: 'SELECT account_id AS id, uuid, vcard FROM vcards_storage v ORDER BY v.id DESC LIMIT 30',
  message: 'SELECT id AS message_id FROM statistics_message_keys ORDER BY sent_at DESC LIMIT 30',
  call: 'SELECT id AS call_id FROM statistics_call_keys ORDER BY initiated_at DESC LIMIT 30',
  creation_token:
    'SELECT token AS account_creation_token FROM account_creation_tokens WHERE NOT used AND account_id IS NULL ORDER BY id DESC LIMIT 60',
  request_token:
    'SELECT token AS account_creation_request_token FROM account_creation_request_tokens WHERE NOT used AND validated_at IS NOT NULL ORDER BY id DESC LIMIT 20',
  open_request_token:
    'SELECT token AS account_creation_request_token FROM account_creation_request_tokens WHERE NOT used AND validated_at IS NULL ORDER BY id DESC LIMIT 20',
  open_auth_token: 'SELECT token AS auth_token FROM auth_tokens WHERE account_id IS NULL ORDER BY id DESC LIMIT 20',
  auth_token: 'SELECT token AS auth_token FROM auth_tokens WHERE account_id IS NOT NULL ORDER BY id DESC LIMIT 20',
  provisioning_token: 'SELECT token FROM provisioning_tokens WHERE NOT used ORDER BY id DESC LIMIT 20',
  mailed_key: `SELECT username || '@' || domain AS sip, confirmation_key AS code FROM accounts WHERE length(confirmation_key) = 13 ORDER BY id DESC LIMIT 20`,
  texted_key: `SELECT username || '@' || domain AS sip, confirmation_key AS code FROM accounts WHERE length(confirmation_key) = 4 ORDER BY id DESC LIMIT 20`,
  recovery_key: `SELECT phone || '@' || domain AS sip, confirmation_key AS recover_key FROM accounts
    WHERE length(confirmation_key) = 4 AND phone IS NOT NULL ORDER BY id DESC LIMIT 20`,
  own_email_code: 'SELECT account_id, code FROM email_change_codes WHERE code IS NOT NULL ORDER BY id DESC LIMIT 200',
  own_phone_code: 'SELECT account_id, code FROM phone_change_codes WHERE code IS NOT NULL ORDER BY id DESC LIMIT 200',
  own_vcard: 'SELECT account_id, uuid, vcard FROM vcards_storage ORDER BY id DESC LIMIT 200',
  own_contact: `SELECT c.account_id, a.username || '@' || a.domain AS sip FROM contacts c JOIN accounts a ON a.id = c.contact_id
    ORDER BY c.created_at DESC LIMIT 200`,
};
const READ = `SELECT json_build_object(${Object.entries(LISTS)
  .map(([name, sql]) => `'${name}', (SELECT coalesce(json_agg(t), '[]'::json) FROM (${sql}) t)`)
  .join(', ')}) AS rows`;

const digestOf = (algorithm: string, { username, domain }: Member): string =>
  createHash(algorithm).update(`${username}:${domain}:${PASSWORD}`).digest('hex');

/** In one statement each, for all members. */
const RESTORE = {
  spaces: `INSERT INTO spaces (domain, host, super, expire_at, created_at, updated_at)
    VALUES ('${DOMAIN}', '127.0.0.1', false, NULL, now(), now()), ('${SUPER_DOMAIN}', '${SUPER_DOMAIN}', true, NULL, now(), now()),
           ('${EXPIRED_DOMAIN}', '${EXPIRED_DOMAIN}', false, '2020-01-01', now(), now())
    ON CONFLICT (domain) DO UPDATE SET host = excluded.host, super = excluded.super, expire_at = excluded.expire_at, max_accounts = 0`,
  accounts: `INSERT INTO accounts (username, domain, admin, blocked, activated, ip_address, user_agent, created_at)
    SELECT username, domain, admin, blocked, true, '192.0.2.1', 'fuzz', now()
      FROM unnest($1::text[], $2::text[], $3::boolean[], $4::boolean[]) AS t(username, domain, admin, blocked)
    ON CONFLICT (username, domain) DO UPDATE SET admin = excluded.admin, blocked = excluded.blocked, activated = true
    RETURNING id, username`,
  // An account that was renamed has kept its key.
  oldKeys: 'DELETE FROM api_keys WHERE key = ANY ($1::text[])',
  keys: `INSERT INTO api_keys (account_id, key, last_used_at) SELECT *, now() FROM unnest($1::integer[], $2::text[])
    ON CONFLICT (account_id) DO UPDATE SET key = excluded.key, ip = NULL, last_used_at = now()`,
  passwords: `INSERT INTO passwords (account_id, password, algorithm) SELECT * FROM unnest($1::integer[], $2::text[], $3::text[])
    ON CONFLICT (account_id, algorithm) DO UPDATE SET password = excluded.password`,
  usedTokens: `INSERT INTO account_creation_tokens (token, used, account_id, created_at) SELECT 'used-' || id, true, id, now() FROM unnest($1::integer[]) id
    ON CONFLICT (token) DO UPDATE SET used = true, account_id = excluded.account_id`,
  contacts: `INSERT INTO contacts (account_id, contact_id, created_at) SELECT id, other, now() FROM unnest($1::integer[]) id,
      (SELECT max(id) AS other FROM accounts WHERE domain = '${DOMAIN}' AND username LIKE 'stock%') s WHERE other IS NOT NULL ON CONFLICT DO NOTHING`,
  emailCodes: `INSERT INTO email_change_codes (account_id, code, email, created_at) SELECT id, '4711', 'changed' || id || '@example.org', now() FROM unnest($1::integer[]) id
    WHERE NOT EXISTS (SELECT FROM email_change_codes WHERE account_id = id AND code IS NOT NULL)`,
  phoneCodes: `INSERT INTO phone_change_codes (account_id, code, phone, created_at) SELECT id, '4711', '+337' || lpad(id::text, 8, '0'), now() FROM unnest($1::integer[]) id
    WHERE NOT EXISTS (SELECT FROM phone_change_codes WHERE account_id = id AND code IS NOT NULL)`,
  deadlines: 'DELETE FROM activation_expirations WHERE account_id = ANY ($1::integer[])',
};

/** What can be had once, and what only a person outside could give. `$1`: the round, in letters and digits. */
const STOCK = [
  `INSERT INTO account_creation_tokens (token, created_at) SELECT substr(md5('c' || $1 || n), 1, 13), now() FROM generate_series(1, 40) n ON CONFLICT DO NOTHING`,
  `INSERT INTO account_creation_request_tokens (token, validated_at, created_at)
   SELECT substr(md5('r' || $1 || n), 1, 13), CASE WHEN n > 3 THEN now() END, now() FROM generate_series(1, 8) n ON CONFLICT DO NOTHING`,
  `INSERT INTO auth_tokens (token, account_id, created_at) SELECT md5('a' || $1 || n), CASE WHEN n > 4 THEN (SELECT max(id) FROM accounts ${AGREED} AND NOT blocked) END, now()
     FROM generate_series(1, 8) n ON CONFLICT DO NOTHING`,
  `INSERT INTO accounts (username, domain, email, phone, confirmation_key, dtmf_protocol, ip_address, user_agent, created_at)
   SELECT 'stock' || $1 || n, '${DOMAIN}', 'stock' || $1 || n || '@example.org', CASE WHEN n > 3 THEN '+336' || lpad((('x' || substr(md5($1 || n), 1, 7))::bit(28)::integer % 100000000)::text, 8, '0') END,
          CASE WHEN n > 3 THEN '4321' ELSE substr(md5('k' || $1 || n), 1, 13) END, 'sipinfo', '192.0.2.1', 'fuzz', now()
     FROM generate_series(1, 8) n ON CONFLICT DO NOTHING`,
  `INSERT INTO named_api_keys (account_id, name, scopes, created_at) SELECT id, 'key ' || $1, '{accounts:read}', now() FROM accounts WHERE username IN ('stock' || $1 || 1, 'stock' || $1 || 2)`,
  `INSERT INTO account_actions (account_id, key, code, created_at) SELECT id, 'key', 'code', now() FROM accounts WHERE username IN ('stock' || $1 || 1, 'stock' || $1 || 2)`,
  `INSERT INTO account_dictionary_entries (account_id, key, value, created_at) SELECT id, 'key ' || $1, 'value', now() FROM accounts WHERE username = 'stock' || $1 || 1`,
  `WITH made AS (INSERT INTO account_types (key, created_at) VALUES ('type' || $1, now()) ON CONFLICT DO NOTHING RETURNING id)
   INSERT INTO account_account_type (account_id, account_type_id, created_at) SELECT a.id, made.id, now() FROM accounts a, made
    WHERE a.username IN ('stock' || $1 || 1, 'stock' || $1 || 2)`,
  `WITH made AS (INSERT INTO contacts_lists (title, space_id, created_at) SELECT 'list ' || $1, id, now() FROM spaces ${AGREED} ON CONFLICT DO NOTHING RETURNING id),
        stock AS (SELECT a.id AS account_id, made.id AS list_id FROM accounts a, made WHERE a.username IN ('stock' || $1 || 1, 'stock' || $1 || 2)),
        given AS (INSERT INTO account_contacts_list (account_id, contacts_list_id, created_at) SELECT account_id, list_id, now() FROM stock)
   INSERT INTO contacts_list_contact (contact_id, contacts_list_id, created_at) SELECT account_id, list_id, now() FROM stock`,
];

/** The accounts that ask. */
export class Cast {
  readonly members: Member[] = [];
  readonly #signing: KeyObject;
  /** For JWT_RSA_PUBLIC_KEY_PEM. */
  readonly publicKey: string;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#signing = privateKey;
    this.publicKey = (publicKey.export({ type: 'spki', format: 'pem' }) as string).replaceAll('\n', '\\n');
    for (const [role, kinds] of Object.entries(CROWD) as [Exclude<Role, 'stranger'>, readonly Kind[]][])
      for (const [index, [domain, admin]] of kinds.entries()) {
        const username = `${role}-number-${index}`;
        this.members.push({ role, username, domain, admin, key: `key-of-${username}`, token: '', id: 0 });
      }
  }

  of(role: Role): Member[] {
    return this.members.filter((member) => member.role === role);
  }

  /** Has every account there again, with its role, key and passwords, and new stock; `round` tells one from another. */
  async restore(db: pg.Pool, round: string): Promise<void> {
    const { members } = this;
    await db.query(
      `UPDATE spaces SET host = domain || '.moved' WHERE host IN ('127.0.0.1', '${SUPER_DOMAIN}', '${EXPIRED_DOMAIN}') AND host <> domain AND domain <> '${DOMAIN}'`,
    );
    await db.query(RESTORE.spaces);
    const { rows } = await db.query<{ id: number; username: string }>(RESTORE.accounts, [
      members.map(({ username }) => username),
      members.map(({ domain }) => domain),
      members.map(({ admin }) => admin),
      members.map(({ role }) => role === 'blocked'),
    ]);
    const idOf = new Map(rows.map(({ username, id }) => [username, id]));
    for (const member of members) {
      member.id = idOf.get(member.username) ?? 0;
      if (member.token === '')
        member.token = await new SignJWT({ sip_identity: `sip:${member.username}@${member.domain}` })
          .setProtectedHeader({ alg: 'RS256' })
          .setExpirationTime('1d')
          .sign(this.#signing);
    }
    const ids = members.map(({ id }) => id);
    const keys = members.map(({ key }) => hashApiKey(key));
    await db.query(RESTORE.oldKeys, [keys]);
    await db.query(RESTORE.keys, [ids, keys]);
    await db.query(RESTORE.passwords, [
      [...ids, ...ids],
      [...members.map((member) => digestOf('sha256', member)), ...members.map((member) => digestOf('md5', member))],
      [...ids.map(() => 'SHA-256'), ...ids.map(() => 'MD5')],
    ]);
    for (const statement of STOCK) await db.query(statement, [round]);
    for (const statement of [RESTORE.usedTokens, RESTORE.deadlines, RESTORE.contacts, RESTORE.emailCodes, RESTORE.phoneCodes])
      await db.query(statement, [ids]);
  }
}

/** All that is there now. */
export async function readRows(db: pg.Pool): Promise<Rows> {
  const { rows } = await db.query<{ rows: Rows }>(READ);
  return rows[0]?.rows ?? {};
}
