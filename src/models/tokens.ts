// Tokens that stand for a right: to create an account, to attach a device, to fetch settings.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../database';
import { type SendState, accountId, BOOLEAN, client, DATE, dated, id, INTEGER, optional, required, sending, varchar } from './columns';

export class AccountCreationToken extends Model<InferAttributes<AccountCreationToken>, InferCreationAttributes<AccountCreationToken>> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare pn_provider: CreationOptional<string | null>;
  declare pn_param: CreationOptional<string | null>;
  declare pn_prid: CreationOptional<string | null>;
  declare used: CreationOptional<boolean>;
  declare account_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare send_state: CreationOptional<SendState | null>;
  declare send_deadline: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountCreationToken.init(
  {
    id,
    token: required(varchar(255)),
    pn_provider: optional(varchar(255)),
    pn_param: optional(varchar(255)),
    pn_prid: optional(varchar(255)),
    used: required(BOOLEAN, false),
    account_id: optional(INTEGER),
    ...client,
    ...sending,
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_creation_tokens', ...dated },
);

export class AccountCreationRequestToken extends Model<
  InferAttributes<AccountCreationRequestToken>,
  InferCreationAttributes<AccountCreationRequestToken>
> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare used: CreationOptional<boolean>;
  declare validated_at: CreationOptional<Date | null>;
  declare acc_creation_token_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountCreationRequestToken.init(
  {
    id,
    token: required(varchar(16)),
    used: required(BOOLEAN, false),
    validated_at: optional(DATE),
    acc_creation_token_id: optional(INTEGER),
    ...client,
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_creation_request_tokens', ...dated },
);

export class AuthToken extends Model<InferAttributes<AuthToken>, InferCreationAttributes<AuthToken>> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare account_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AuthToken.init(
  {
    id,
    token: required(varchar(32)),
    account_id: optional(INTEGER),
    ...client,
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'auth_tokens', ...dated },
);

export class ProvisioningToken extends Model<InferAttributes<ProvisioningToken>, InferCreationAttributes<ProvisioningToken>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare token: CreationOptional<string | null>;
  declare used: CreationOptional<boolean>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ProvisioningToken.init(
  {
    id,
    account_id: accountId,
    token: optional(varchar(255)),
    used: required(BOOLEAN, false),
    ...client,
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'provisioning_tokens', ...dated },
);
