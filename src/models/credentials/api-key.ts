// The API key of an account: its hash, and when it was last used.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, id, INTEGER, optional, required, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'api_keys', ...dated },
);
