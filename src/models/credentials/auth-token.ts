// Tokens that a device shows and a signed-in person attaches, to be exchanged for an API key.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { client, dated, dates, id, INTEGER, optional, required, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'auth_tokens', ...dated },
);
