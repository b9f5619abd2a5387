// Phone numbers: stored and compared as E.164 (ITU-T, infra/phone-number.ts), accepted from activated countries.
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { PhoneCountry } from '../../models';

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
