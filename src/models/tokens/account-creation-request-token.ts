// Tokens that a person validates on a page, to be exchanged for a creation token.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, client, DATE, dated, dates, id, INTEGER, optional, required, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'account_creation_request_tokens', ...dated },
);
