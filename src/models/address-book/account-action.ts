// Actions of an account: codes that its device is sent by DTMF.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, id, required, varchar } from '../columns';
import { confine, ofAccountsIn } from '../visibility';

export class AccountAction extends Model<InferAttributes<AccountAction>, InferCreationAttributes<AccountAction>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare key: string;
  declare code: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountAction.init(
  {
    id,
    account_id: accountId,
    key: required(varchar(255)),
    code: required(varchar(255)),
    ...dates,
  },
  { sequelize: database, tableName: 'account_actions', ...dated },
);
confine(AccountAction, ofAccountsIn);
