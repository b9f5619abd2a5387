// Phone numbers: stored and compared as E.164 (api.md 1.4), accepted from activated countries.
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { select } from '../../infra/sequelize';

/** The E.164 form of an international number that exists, else null. */
export function normalisePhone(text: string): string | null {
  if (!/^\+[\d .()/-]+$/.test(text)) return null;
  const parsed = parsePhoneNumberFromString(text);
  return parsed?.isValid() && parsed.ext === undefined ? parsed.number : null;
}

/** Whether its country is activated: the region that the library finds for the whole number, and its calling code. */
export async function isCountryActivated(phone: string): Promise<boolean> {
  const parsed = parsePhoneNumberFromString(phone);
  if (!parsed?.country) return false;
  const found = await select('SELECT 1 AS one FROM phone_countries WHERE code = $1 AND country_code = $2 AND activated', [
    parsed.country,
    parsed.countryCallingCode,
  ]);
  return found.length === 1;
}

export interface PhoneCountryRow {
  code: string;
  country_code: string;
  activated: boolean;
}

export const listPhoneCountries = (): Promise<PhoneCountryRow[]> =>
  select('SELECT code, country_code, activated FROM phone_countries ORDER BY code COLLATE "C"');

/** @returns the codes that there are; `null` changes all */
export async function setCountriesActivated(codes: string[] | null, activated: boolean): Promise<string[]> {
  const changed = await select<{ code: string }>(
    `UPDATE phone_countries SET activated = $1, updated_at = now() WHERE $2::text[] IS NULL OR code = ANY ($2::text[]) RETURNING code`,
    [activated, codes],
  );
  return changed.map(({ code }) => code);
}
