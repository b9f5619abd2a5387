// An account and what authenticates it.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../database';
import { accountId, BIGINT, BOOLEAN, DATE, dated, id, INTEGER, optional, required, SMALLINT, varchar } from './columns';

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
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'accounts', ...dated },
);

export class Password extends Model<InferAttributes<Password>, InferCreationAttributes<Password>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare password: string;
  declare algorithm: CreationOptional<string>;
}
Password.init(
  {
    id,
    account_id: accountId,
    password: required(varchar(255)),
    algorithm: required(varchar(10), 'MD5'),
  },
  { sequelize: database, tableName: 'passwords' },
);

export class ApiKey extends Model<InferAttributes<ApiKey>, InferCreationAttributes<ApiKey>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare key: string;
  declare ip: CreationOptional<string | null>;
  declare requests: CreationOptional<number>;
  declare last_used_at: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ApiKey.init(
  {
    id,
    account_id: accountId,
    key: required(varchar(160)),
    ip: optional(varchar(255)),
    requests: required(INTEGER, 0),
    last_used_at: required(DATE),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'api_keys', ...dated },
);

export class Nonce extends Model<InferAttributes<Nonce>, InferCreationAttributes<Nonce>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare nonce: string;
  declare nc: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
Nonce.init(
  {
    id,
    account_id: accountId,
    nonce: required(varchar(255)),
    nc: required(INTEGER, 0),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'nonces', ...dated },
);

export class ActivationExpiration extends Model<InferAttributes<ActivationExpiration>, InferCreationAttributes<ActivationExpiration>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare expires: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ActivationExpiration.init(
  {
    id,
    account_id: accountId,
    expires: required(DATE),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'activation_expirations', ...dated },
);

export class AccountTombstone extends Model<InferAttributes<AccountTombstone>, InferCreationAttributes<AccountTombstone>> {
  declare id: CreationOptional<number>;
  declare username: string;
  declare domain: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountTombstone.init(
  {
    id,
    username: required(varchar(64)),
    domain: required(varchar(64)),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'accounts_tombstones', ...dated },
);

export class NonceClearing extends Model<InferAttributes<NonceClearing>, InferCreationAttributes<NonceClearing>> {
  declare cleared_before: Date;
}
NonceClearing.init({ cleared_before: required(DATE) }, { sequelize: database, tableName: 'nonce_clearings' });
NonceClearing.removeAttribute('id');

/** Accounts by domain and block of a thousand ids; see migrations/0003. */
export class AccountCount extends Model<InferAttributes<AccountCount>, InferCreationAttributes<AccountCount>> {
  declare domain: string;
  declare block: number;
  declare accounts: number;
}
AccountCount.init(
  {
    domain: { ...required(varchar(64)), primaryKey: true },
    block: { ...required(INTEGER), primaryKey: true },
    accounts: required(INTEGER),
  },
  { sequelize: database, tableName: 'account_counts' },
);

export class AccountCountChange extends Model<InferAttributes<AccountCountChange>, InferCreationAttributes<AccountCountChange>> {
  declare id: CreationOptional<number>;
  declare domain: string;
  declare block: number;
  declare accounts: number;
}
AccountCountChange.init(
  {
    id: { ...required(BIGINT), primaryKey: true, autoIncrement: true },
    domain: required(varchar(64)),
    block: required(INTEGER),
    accounts: required(INTEGER),
  },
  { sequelize: database, tableName: 'account_count_changes' },
);
