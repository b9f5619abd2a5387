// An account: a SIP address with its flags and what a person is reached by.
import {
  type Attributes,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type NonAttribute,
  Op,
  type OrderItem,
  Transaction,
} from 'sequelize';
import { database } from '../../infra/sequelize';
import { caselessUsernames } from '../../infra/sip-uri';
import { BOOLEAN, clipped, DATE, dated, dates, id, optional, required, SMALLINT, varchar } from '../columns';
import type { AccountDictionaryEntry } from '../address-book/account-dictionary-entry';
import { NO_KEY_UPDATE, daysAgo } from '../moments';
import { confine, SYSTEM, visibleTo } from '../visibility';
import type { ActivationExpiration } from './activation-expiration';
import type { Password } from './password';

export class Account extends Model<InferAttributes<Account>, InferCreationAttributes<Account>> {
  declare id: CreationOptional<number>;
  declare username: string;
  declare domain: string;
  declare email: CreationOptional<string | null>;
  /** The address at which somebody was shown to receive mail; it says nothing once `email` is another. */
  declare confirmed_email: CreationOptional<string | null>;
  declare phone: CreationOptional<string | null>;
  declare display_name: CreationOptional<string | null>;
  declare activated: CreationOptional<boolean>;
  declare blocked: CreationOptional<boolean>;
  declare admin: CreationOptional<boolean>;
  declare confirmation_key: CreationOptional<string | null>;
  declare confirmation_key_attempts: CreationOptional<number>;
  /** Where the key was mailed, as long as no admin was shown it. */
  declare key_mailed_to: CreationOptional<string | null>;
  declare dtmf_protocol: CreationOptional<string | null>;
  declare ip_address: string;
  declare user_agent: string;
  declare expire_time: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
  /** Where included. */
  declare passwords?: NonAttribute<Password[]>;
  /** Where included. */
  declare activation_expiration?: NonAttribute<ActivationExpiration | null>;
  /** Where included. */
  declare dictionary_entries?: NonAttribute<AccountDictionaryEntry[]>;
}
Account.init(
  {
    id,
    username: required(varchar(64)),
    domain: required(varchar(64)),
    email: optional(varchar(255)),
    confirmed_email: optional(varchar(255)),
    phone: optional(varchar(64)),
    display_name: optional(varchar(255)),
    activated: required(BOOLEAN, false),
    blocked: required(BOOLEAN, false),
    admin: required(BOOLEAN, false),
    confirmation_key: optional(varchar(14)),
    confirmation_key_attempts: required(SMALLINT, 0),
    key_mailed_to: optional(varchar(255)),
    dtmf_protocol: optional(varchar(255)),
    ip_address: required(varchar(45)),
    user_agent: { ...clipped('user_agent', 256), allowNull: false },
    expire_time: optional(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'accounts', ...dated },
);
confine(Account, (domain) => ({ domain }));

/** What names an account to people and SIP servers. */
export type AccountName = Pick<Attributes<Account>, 'username' | 'domain'>;

/** A username in lower case as the index on names has it: the collation "C" knows ASCII letters alone, with any locale of the server. */
const caselessSql = (column: string): string => `lower(${column} COLLATE "C")`;

/**
 * The condition that an account, or a tombstone, has a name in any letter case, by the index on names.
 *
 * @param usernames placeholder of what caselessUsernames() gives
 * @param domain placeholder
 * @param row before the columns, such as `a.`
 */
export const namedSql = (usernames: string, domain: string, row = ''): string =>
  `${caselessSql(`${row}username`)} = ANY(${usernames}::text[]) AND ${row}domain = ${domain}`;

/**
 * The condition and order that find the account of a SIP address as `a`, by the index on names: letter case is ignored where no account is spelled
 * so. Nothing may follow. The placeholders are of what sipAddressBinds() gives.
 */
export const sipAddressSql = (username: string, usernames: string, domain: string): string =>
  `${namedSql(usernames, domain, 'a.')} ORDER BY a.username = ${username} DESC, a.id LIMIT 1`;
/** What sipAddressSql() has placeholders for, in their order. */
export const sipAddressBinds = ({ username, domain }: AccountName): unknown[] => [username, caselessUsernames(username), domain];

/** As sipAddressSql(), for finders of Sequelize. */
const usernameIs = (username: string): ReturnType<typeof literal> =>
  literal(
    `${caselessSql('"Account"."username"')} IN (${caselessUsernames(username)
      .map((each) => database.escape(each))
      .join(', ')})`,
  );
const spelledFirst = (column: 'username' | 'phone', text: string): OrderItem[] => [
  [literal(`"Account"."${column}" = ${database.escape(text)}`), 'DESC NULLS LAST'],
  ['id', 'ASC'],
];

/** `named(username)`: the one that is spelled so stands first, as for sipAddressSql(). */
Account.addScope('named', (username: string) => ({
  where: { [Op.and]: [usernameIs(username)] },
  order: spelledFirst('username', username),
}));

/** `called(name, first)`: whose username or phone is `name`; the one whose `first` it is stands first. */
Account.addScope('called', (name: string, first: 'username' | 'phone') => ({
  where: { [Op.or]: [usernameIs(name), { phone: name }] },
  order: spelledFirst(first, name),
}));

/** `clearable(days, after)`: made over so many days ago by the database's clock, with an id above `after`; admins never. */
Account.addScope('clearable', (days: number, after: number) => ({
  where: { created_at: { [Op.lt]: daysAgo(days) }, admin: false, id: { [Op.gt]: after } },
}));

/**
 * Waits for an account's row and keeps it until the transaction around it ends. Whoever writes an account, or several rows that hang on it, takes it
 * first: two that lock the same rows in different order would each wait for the other (docs/decisions.md#one-order-of-locks).
 */
export async function lockAccount(accountId: Attributes<Account>['id']): Promise<void> {
  await Account.scope(visibleTo(SYSTEM)).findByPk(accountId, { attributes: ['id'], lock: NO_KEY_UPDATE, raw: true });
}

/** For finders inside a transaction, `lock: ACCOUNT_FOR_UPDATE`: of what they include nothing is locked. */
export const ACCOUNT_FOR_UPDATE = { level: Transaction.LOCK.UPDATE, of: Account };

/**
 * Takes the emails that the accounts of a Space have now for confirmed. Silent: for their owners nothing has changed.
 *
 * @returns how many were not
 */
export async function confirmEmails(domain: Attributes<Account>['domain']): Promise<number> {
  const unconfirmed = literal('email IS NOT NULL AND lower(confirmed_email) IS DISTINCT FROM lower(email)');
  const [confirmed] = await Account.scope(visibleTo(SYSTEM)).update(
    { confirmed_email: literal('email') },
    { where: { [Op.and]: [{ domain }, unconfirmed] }, silent: true },
  );
  return confirmed;
}
