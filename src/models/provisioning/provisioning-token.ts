// Tokens that open the remote provisioning of an account, once.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, BOOLEAN, client, dated, dates, id, optional, required, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'provisioning_tokens', ...dated },
);
