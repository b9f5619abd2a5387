// Recovery codes of imported installations: none is made any more, but those that are there count as requests of their account.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, client, dated, dates, id, optional, varchar } from '../columns';

export class RecoveryCode extends Model<InferAttributes<RecoveryCode>, InferCreationAttributes<RecoveryCode>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare code: CreationOptional<string | null>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
RecoveryCode.init(
  {
    id,
    account_id: accountId,
    code: optional(varchar(255)),
    ...client,
    ...dates,
  },
  { sequelize: database, tableName: 'recovery_codes', ...dated },
);
