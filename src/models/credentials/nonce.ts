// DIGEST nonces that were used with success, and the moment before which none count any more.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, id, INTEGER, required, varchar } from '../columns';

export class Nonce extends Model<InferAttributes<Nonce>, InferCreationAttributes<Nonce>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare nonce: string;
  declare nc: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
Nonce.init(
  {
    id,
    account_id: accountId,
    nonce: required(varchar(255)),
    nc: required(INTEGER, 0),
    ...dates,
  },
  { sequelize: database, tableName: 'nonces', ...dated },
);

export class NonceClearing extends Model<InferAttributes<NonceClearing>, InferCreationAttributes<NonceClearing>> {
  declare cleared_before: Date;
}
NonceClearing.init({ cleared_before: required(DATE) }, { sequelize: database, tableName: 'nonce_clearings' });
NonceClearing.removeAttribute('id');
