// Countries whose phone numbers are accepted.
import {
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  QueryTypes,
  type Sequelize,
} from 'sequelize';
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

/**
 * Adds the countries of the phone library that are not there, deactivated, and corrects calling codes that have changed; what the library no longer has
 * stays. One statement of our own, so that several processes at once do it once.
 *
 * @param connection where: migrations have one of their own
 * @returns codes of those that were added or corrected
 */
export async function addPhoneCountries(connection: Sequelize = database): Promise<string[]> {
  // Not loaded with the models: most processes never need it.
  const { getCountries, getCountryCallingCode } = await import('libphonenumber-js/max');
  const codes = getCountries().filter((code) => /^[A-Z]{2}$/.test(code));
  const added = await connection.query<{ code: string }>(
    `INSERT INTO phone_countries (code, country_code, created_at, updated_at)
     SELECT code, country_code, now(), now() FROM unnest($1::text[], $2::text[]) AS known (code, country_code) ORDER BY code
         ON CONFLICT (code) DO UPDATE SET country_code = excluded.country_code, updated_at = now()
      WHERE phone_countries.country_code <> excluded.country_code
  RETURNING code`,
    { bind: [codes, codes.map((code) => getCountryCallingCode(code))], type: QueryTypes.SELECT },
  );
  return added.map(({ code }) => code);
}
