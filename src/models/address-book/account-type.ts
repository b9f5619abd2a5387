// Types of accounts, one vocabulary for the installation, and which accounts have which.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, id, INTEGER, required, varchar } from '../columns';

export class AccountType extends Model<InferAttributes<AccountType>, InferCreationAttributes<AccountType>> {
  declare id: CreationOptional<number>;
  declare key: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountType.init(
  {
    id,
    key: required(varchar(64)),
    ...dates,
  },
  { sequelize: database, tableName: 'account_types', ...dated },
);

export class AccountAccountType extends Model<InferAttributes<AccountAccountType>, InferCreationAttributes<AccountAccountType>> {
  declare account_id: number;
  declare account_type_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountAccountType.init(
  {
    account_id: accountId,
    account_type_id: required(INTEGER),
    ...dates,
  },
  { sequelize: database, tableName: 'account_account_type', ...dated },
);
AccountAccountType.removeAttribute('id');
