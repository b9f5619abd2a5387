// What presenters need of an account, read in one statement whatever hangs on it: with includes it would be a row for each combination of
// passwords, entries, types and actions, and codes that are never shown.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import type { AccountAction } from '../address-book/account-action';
import type { AccountType } from '../address-book/account-type';
import type { ProvisioningToken } from '../provisioning/provisioning-token';
import { confinedTo, type Viewer } from '../visibility';
import { type Account, type AccountName, sipAddressBinds, sipAddressSql } from './account';
import { AccountCount } from './account-count';
import type { ActivationExpiration } from './activation-expiration';
import type { ChangeCode } from './change-code';
import { type Password, passwordsSql } from './password';

/** A row as PostgreSQL writes it into JSON: moments are text in ISO 8601. */
export type AsJson<Row> = {
  [Column in keyof Row]: Row[Column] extends Date ? string : Row[Column] extends Date | null ? string | null : Row[Column];
};

/** A code that waits for its confirmation, and where it was sent; emails' and phones' have the same columns beside that. */
type PendingCode<Recipient extends 'email' | 'phone'> = Record<Recipient | 'code', string> &
  AsJson<Pick<Attributes<ChangeCode>, 'ip' | 'user_agent' | 'created_at' | 'updated_at'>>;

/** What hangs on an account and others may see. */
export interface RelatedData {
  dictionary: Record<string, string>;
  types: Pick<Attributes<AccountType>, 'id' | 'key'>[];
  actions: Pick<Attributes<AccountAction>, 'id' | 'key' | 'code'>[];
}

const COLUMNS = [
  'id',
  'username',
  'domain',
  'email',
  'phone',
  'display_name',
  'dtmf_protocol',
  'activated',
  'blocked',
  'admin',
  'confirmation_key',
  'ip_address',
  'user_agent',
  'created_at',
  'updated_at',
] as const satisfies (keyof Attributes<Account>)[];

/** An account with all that presenters show of it. */
export interface AccountView extends Pick<Attributes<Account>, (typeof COLUMNS)[number]>, RelatedData {
  passwords: Pick<Attributes<Password>, 'algorithm'>[];
  activation_expiration: AsJson<Attributes<ActivationExpiration>> | null;
  /** The newest that is pending; so is the phone's. */
  email_change_code: PendingCode<'email'> | null;
  phone_change_code: PendingCode<'phone'> | null;
  /** The newest unused token. */
  provisioning: AsJson<Pick<Attributes<ProvisioningToken>, 'token' | 'created_at'>> | null;
}

/** What hangs on the account `a`, as JSON; views share it. Actions are DTMF tones, so they are hidden where the account has no DTMF protocol. */
export const RELATED = `
  coalesce((SELECT json_object_agg(e.key, e.value ORDER BY e.id) FROM account_dictionary_entries e WHERE e.account_id = a.id), '{}') AS dictionary,
  coalesce((SELECT json_agg(json_build_object('id', t.id, 'key', t.key) ORDER BY t.id)
              FROM account_account_type l JOIN account_types t ON t.id = l.account_type_id WHERE l.account_id = a.id), '[]') AS types,
  coalesce((SELECT json_agg(json_build_object('id', c.id, 'key', c.key, 'code', c.code) ORDER BY c.id)
              FROM account_actions c WHERE c.account_id = a.id AND a.dtmf_protocol IS NOT NULL), '[]') AS actions`;

/** The code that waits for its confirmation: `code` is null once it is used, void or superseded. */
const pendingCode = (recipient: 'email' | 'phone'): string =>
  `(SELECT json_build_object('${recipient}', c.${recipient}, 'code', c.code, 'ip', c.ip, 'user_agent', c.user_agent, 'created_at', c.created_at, 'updated_at', c.updated_at)
     FROM ${recipient}_change_codes c WHERE c.account_id = a.id AND c.code IS NOT NULL ORDER BY c.id DESC LIMIT 1) AS ${recipient}_change_code`;

/** The columns of the view of the account `a`. */
const VIEW_COLUMNS = `
  ${COLUMNS.map((column) => `a.${column}`).join(', ')},
  ${passwordsSql('algorithm')},
  ${RELATED},
  (SELECT json_build_object('id', x.id, 'account_id', x.account_id, 'expires', x.expires, 'created_at', x.created_at, 'updated_at', x.updated_at)
     FROM activation_expirations x WHERE x.account_id = a.id) AS activation_expiration,
  ${pendingCode('email')},
  ${pendingCode('phone')},
  (SELECT json_build_object('token', v.token, 'created_at', v.created_at)
     FROM provisioning_tokens v WHERE v.account_id = a.id AND NOT v.used ORDER BY v.id DESC LIMIT 1) AS provisioning`;
const ACCOUNT_VIEW = `SELECT ${VIEW_COLUMNS} FROM accounts a`;

/** SQL of a column `view`: that of the account `a`, for statements that find an account for something else; toAccountView() reads it. */
export const VIEW_SQL = `(SELECT row_to_json(v) FROM (SELECT ${VIEW_COLUMNS}) v) AS view`;

const momentOf = (text: string | null): Date | null => (text === null ? null : new Date(text));

/** The view in a row of a statement that has VIEW_SQL. */
export const toAccountView = (view: AsJson<AccountView>): AccountView => ({
  ...view,
  // Of an account that was imported it may be null, as in its model.
  created_at: momentOf(view.created_at) as Date,
  updated_at: momentOf(view.updated_at),
});

/** The view of an account by number; null where the viewer sees none. */
export async function findAccountView(id: Attributes<Account>['id'], viewer: Viewer): Promise<AccountView | null> {
  const [view] = await select<AccountView>(`${ACCOUNT_VIEW} WHERE a.id = $1 AND ($2::text IS NULL OR a.domain = $2)`, [
    id,
    confinedTo(viewer),
  ]);
  return view ?? null;
}

/** The view of an account by its SIP address; null where the viewer sees none. */
export async function findAccountViewBySipAddress(address: AccountName, viewer: Viewer): Promise<AccountView | null> {
  const [view] = await select<AccountView>(
    `${ACCOUNT_VIEW} WHERE ($1::text IS NULL OR a.domain = $1) AND ${sipAddressSql('$2', '$3', '$4')}`,
    [confinedTo(viewer), ...sipAddressBinds(address)],
  );
  return view ?? null;
}

/**
 * The view of an account by email, letter case ignored; of several that the viewer sees, the one with the lowest id. The index on emails
 * gives the set first: ordered by id, all accounts would be walked.
 */
export async function findAccountViewByEmail(email: string, viewer: Viewer): Promise<AccountView | null> {
  const [view] = await select<AccountView>(
    `WITH found AS MATERIALIZED (SELECT id FROM accounts WHERE lower(email) = lower($1) AND ($2::text IS NULL OR domain = $2))
     ${ACCOUNT_VIEW} WHERE a.id = (SELECT min(id) FROM found)`,
    [email, confinedTo(viewer)],
  );
  return view ?? null;
}

/** Accounts on a page. */
export const ACCOUNTS_PER_PAGE = 20;

/** One page of many accounts. */
export interface AccountPage {
  /** Accounts that the viewer sees. */
  total: number;
  accounts: AccountView[];
}

/**
 * A page of the accounts that the viewer sees, by id. The counts of the blocks before it say where it begins; only its own block is walked,
 * so that each page costs the same among any number of accounts.
 *
 * @param page from 1; past the end it is empty
 */
export async function findAccountPage(page: number, viewer: Viewer): Promise<AccountPage> {
  const { total, first_id: firstId, skipped } = await AccountCount.findPageStart((page - 1) * ACCOUNTS_PER_PAGE, viewer);
  if (firstId === null) return { total, accounts: [] };
  const domain = confinedTo(viewer);
  const accounts = await select<AccountView>(
    `${ACCOUNT_VIEW} WHERE a.id IN (
       SELECT id FROM accounts WHERE id >= $1 ${domain === null ? '' : 'AND domain = $4'} ORDER BY id OFFSET $2 LIMIT $3) ORDER BY a.id`,
    [firstId, skipped, ACCOUNTS_PER_PAGE, ...(domain === null ? [] : [domain])],
  );
  return { total, accounts };
}
