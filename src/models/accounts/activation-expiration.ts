// Until when an account can be activated.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, id, required } from '../columns';
import { NOW } from '../moments';

export class ActivationExpiration extends Model<InferAttributes<ActivationExpiration>, InferCreationAttributes<ActivationExpiration>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare expires: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ActivationExpiration.init(
  {
    id,
    account_id: accountId,
    expires: required(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'activation_expirations', ...dated },
);

/** Those whose moment has come: their accounts can no longer be activated. */
ActivationExpiration.addScope('passed', { where: { expires: { [Op.lte]: NOW } } });
