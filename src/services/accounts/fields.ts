// Rules of an account's fields that only the database can tell, all of them in one go so that every fault is named at once.
import { settings } from '../../../config';
import { unprocessable, type FieldErrors } from '../../infra/errors';
import type { Message, MessageKey } from '../../i18n';
import { findTakenFields, isEmailTaken, lockEmail } from '../../models/accounts/taken-fields';
import { isCountryActivated } from './phone-numbers';

/** What an account is to have; absent fields are not looked at. */
export interface Claimed {
  username?: { name: string; domain: string };
  email?: string | null | undefined;
  /** E.164. */
  phone?: string | null | undefined;
}

const fault = (field: string, key: MessageKey): Message[] => [{ key, values: { attribute: field } }];

/**
 * What is wrong with the fields that an account is to have: taken by another one, or a phone of a country that is not activated.
 *
 * @param except the account itself, where it exists; tombstones then do not count
 * @returns faults by field, none where all is right
 */
export async function faultsOf({ username, email, phone }: Claimed, except: number | null = null): Promise<FieldErrors> {
  const taken = await findTakenFields(
    {
      name: username && { username: username.name, domain: username.domain },
      email: settings.ACCOUNT_EMAIL_UNIQUE ? email : null,
      phone,
    },
    except,
  );
  const errors: FieldErrors = {};
  if (taken.name) errors['username'] = fault('username', 'username.taken');
  if (taken.email) errors['email'] = fault('email', 'field.taken');
  if (phone !== null && phone !== undefined) {
    if (!(await isCountryActivated(phone))) errors['phone'] = fault('phone', 'phone.country');
    else if (taken.phone) errors['phone'] = fault('phone', 'field.taken');
  }
  return errors;
}

/** Refuses fields that faultsOf() finds wrong. @throws {ApiError} 422 with every fault */
export async function requireFields(claimed: Claimed, except: number | null = null): Promise<void> {
  const errors = await faultsOf(claimed, except);
  if (Object.keys(errors).length > 0) throw unprocessable(errors);
}

/**
 * Where emails are unique, keeps two transactions from giving one to two accounts at once: there is no unique index, since imports may
 * bring doubles and the rule can be turned off. Inside a transaction; nothing happens without an email.
 *
 * @param accountId the account that is to have it
 * @throws {ApiError} 422 where another account has it
 */
export async function claimEmail(email: string | null | undefined, accountId: number): Promise<void> {
  if (!settings.ACCOUNT_EMAIL_UNIQUE || email === null || email === undefined) return;
  await lockEmail(email);
  if (await isEmailTaken(email, accountId)) throw unprocessable({ email: fault('email', 'field.taken') });
}
