// Passwords as HA1 hashes; a SIP server reads the same table.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, id, required, varchar } from '../columns';

export class Password extends Model<InferAttributes<Password>, InferCreationAttributes<Password>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare password: string;
  declare algorithm: CreationOptional<string>;
}
Password.init(
  {
    id,
    account_id: accountId,
    password: required(varchar(255)),
    algorithm: required(varchar(10), 'MD5'),
  },
  { sequelize: database, tableName: 'passwords' },
);
