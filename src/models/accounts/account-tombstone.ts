// Names of deleted accounts: taken until an operator clears them.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { dated, dates, id, required, varchar } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'accounts_tombstones', ...dated },
);
