// What presenters need of an account, read in one statement whatever hangs on it.

interface PendingCode {
  code: string;
  ip: string | null;
  user_agent: string | null;
  created_at: string;
  updated_at: string | null;
}

export interface RelatedData {
  dictionary: Record<string, string>;
  types: { id: number; key: string }[];
  actions: { id: number; key: string; code: string }[];
}

export interface AccountView extends RelatedData {
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
  passwords: { algorithm: string }[];
  activation_expiration: { id: number; account_id: number; expires: string; created_at: string; updated_at: string } | null;
  confirmation_key: string | null;
  email_change_code: (PendingCode & { email: string }) | null;
  phone_change_code: (PendingCode & { phone: string }) | null;
  provisioning: { token: string; created_at: string } | null;
}

/** What hangs on the account `a`, as JSON; views share it. Actions are hidden while there is no DTMF protocol (data-model.md, «Derived»). */
export const RELATED = `
  coalesce((SELECT json_object_agg(e.key, e.value ORDER BY e.id) FROM account_dictionary_entries e WHERE e.account_id = a.id), '{}') AS dictionary,
  coalesce((SELECT json_agg(json_build_object('id', t.id, 'key', t.key) ORDER BY t.id)
              FROM account_account_type l JOIN account_types t ON t.id = l.account_type_id WHERE l.account_id = a.id), '[]') AS types,
  coalesce((SELECT json_agg(json_build_object('id', c.id, 'key', c.key, 'code', c.code) ORDER BY c.id)
              FROM account_actions c WHERE c.account_id = a.id AND a.dtmf_protocol IS NOT NULL), '[]') AS actions`;

export const ACCOUNT_VIEW = `
SELECT a.id, a.username, a.domain, a.email, a.phone, a.display_name, a.dtmf_protocol, a.activated, a.blocked, a.admin,
       a.confirmation_key, a.ip_address, a.user_agent, a.created_at, a.updated_at,
  coalesce((SELECT json_agg(json_build_object('algorithm', p.algorithm) ORDER BY p.id) FROM passwords p WHERE p.account_id = a.id), '[]') AS passwords,
  ${RELATED},
  (SELECT json_build_object('id', x.id, 'account_id', x.account_id, 'expires', x.expires, 'created_at', x.created_at, 'updated_at', x.updated_at)
     FROM activation_expirations x WHERE x.account_id = a.id) AS activation_expiration,
  (SELECT json_build_object('email', c.email, 'code', c.code, 'ip', c.ip, 'user_agent', c.user_agent, 'created_at', c.created_at, 'updated_at', c.updated_at)
     FROM email_change_codes c WHERE c.account_id = a.id AND c.code IS NOT NULL ORDER BY c.id DESC LIMIT 1) AS email_change_code,
  (SELECT json_build_object('phone', c.phone, 'code', c.code, 'ip', c.ip, 'user_agent', c.user_agent, 'created_at', c.created_at, 'updated_at', c.updated_at)
     FROM phone_change_codes c WHERE c.account_id = a.id AND c.code IS NOT NULL ORDER BY c.id DESC LIMIT 1) AS phone_change_code,
  (SELECT json_build_object('token', v.token, 'created_at', v.created_at)
     FROM provisioning_tokens v WHERE v.account_id = a.id AND NOT v.used ORDER BY v.id DESC LIMIT 1) AS provisioning
FROM accounts a`;
