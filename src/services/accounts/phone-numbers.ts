// Phone numbers: stored and compared as E.164 (ITU-T), accepted from activated countries.
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { PhoneCountry } from '../../models';

/** The E.164 form of an international number that exists, else null. */
export function normalisePhone(text: string): string | null {
  if (!/^\+[\d .()/-]+$/.test(text)) return null;
  const parsed = parsePhoneNumberFromString(text);
  return parsed?.isValid() && parsed.ext === undefined ? parsed.number : null;
}

/**
 * Whether the country of a number in E.164 is activated: the region that the library finds for the whole number, together with its calling
 * code, which several regions may share.
 */
export async function isCountryActivated(phone: string): Promise<boolean> {
  const parsed = parsePhoneNumberFromString(phone);
  if (!parsed?.country) return false;
  const { country, countryCallingCode } = parsed;
  const found = await PhoneCountry.findOne({
    attributes: ['code'],
    where: { code: country, country_code: countryCallingCode, activated: true },
    raw: true,
  });
  return found !== null;
}
