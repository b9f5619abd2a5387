// Accounts by domain and block of a thousand ids, for pages; triggers append the changes (migrations/0003).
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, INTEGER, required, varchar } from '../columns';

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
