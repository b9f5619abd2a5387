// Countries whose phone numbers are accepted.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, dated, dates, required, varchar } from '../columns';

export class PhoneCountry extends Model<InferAttributes<PhoneCountry>, InferCreationAttributes<PhoneCountry>> {
  declare code: string;
  declare country_code: string;
  declare activated: CreationOptional<boolean>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
PhoneCountry.init(
  {
    code: { ...required(varchar(2)), primaryKey: true },
    country_code: required(varchar(3)),
    activated: required(BOOLEAN, false),
    ...dates,
  },
  { sequelize: database, tableName: 'phone_countries', ...dated },
);
