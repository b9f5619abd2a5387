// An account: a SIP address with its flags and what a person is reached by.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, type NonAttribute } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, DATE, dated, dates, id, optional, required, SMALLINT, varchar } from '../columns';
import type { AccountDictionaryEntry } from '../address-book/account-dictionary-entry';
import { confine } from '../visibility';

export class Account extends Model<InferAttributes<Account>, InferCreationAttributes<Account>> {
  declare id: CreationOptional<number>;
  declare username: string;
  declare domain: string;
  declare email: CreationOptional<string | null>;
  declare phone: CreationOptional<string | null>;
  declare display_name: CreationOptional<string | null>;
  declare activated: CreationOptional<boolean>;
  declare blocked: CreationOptional<boolean>;
  declare admin: CreationOptional<boolean>;
  declare confirmation_key: CreationOptional<string | null>;
  declare confirmation_key_attempts: CreationOptional<number>;
  declare dtmf_protocol: CreationOptional<string | null>;
  declare ip_address: string;
  declare user_agent: string;
  declare expire_time: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
  /** Where a query includes them. */
  declare dictionary_entries?: NonAttribute<AccountDictionaryEntry[]>;
}
Account.init(
  {
    id,
    username: required(varchar(64)),
    domain: required(varchar(64)),
    email: optional(varchar(255)),
    phone: optional(varchar(64)),
    display_name: optional(varchar(255)),
    activated: required(BOOLEAN, false),
    blocked: required(BOOLEAN, false),
    admin: required(BOOLEAN, false),
    confirmation_key: optional(varchar(14)),
    confirmation_key_attempts: required(SMALLINT, 0),
    dtmf_protocol: optional(varchar(255)),
    ip_address: required(varchar(45)),
    user_agent: required(varchar(256)),
    expire_time: optional(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'accounts', ...dated },
);
confine(Account, (domain) => ({ domain }));
