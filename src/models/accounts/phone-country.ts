// Countries whose phone numbers are accepted.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, dated, dates, required, varchar } from '../columns';

export class PhoneCountry extends Model<InferAttributes<PhoneCountry>, InferCreationAttributes<PhoneCountry>> {
  /** ISO 3166, two letters. */
  declare code: string;
  /** The calling code, digits alone. */
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

/** In the order of their codes, whatever the database's collation makes of letters. */
PhoneCountry.addScope('byCode', { order: [literal('code COLLATE "C"')] });
