// Tokens that allow to make one account.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, client, dated, dates, id, INTEGER, optional, required, sending, type SendState, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'account_creation_tokens', ...dated },
);
