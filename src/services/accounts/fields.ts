// Rules of an account's fields that only the database can tell, all of them in one go so that every fault is named at once.
import { settings } from '../../../config';
import { inTransaction, onUniqueViolation } from '../../infra/database';
import { type FieldErrors, fieldError, unprocessable } from '../../infra/errors';
import { findTakenFields, isEmailTaken, lockEmail } from '../../models/accounts/taken-fields';
import { isCountryActivated } from './phone-numbers';

/** What an account is to have; absent fields are not looked at. */
export interface Claimed {
  username?: { name: string; domain: string };
  email?: string | null | undefined;
  /** E.164. */
  phone?: string | null | undefined;
}

/** Faults of the fields that no two accounts share. */
export const USERNAME_TAKEN: FieldErrors = fieldError('username', 'username.taken');
const PHONE_TAKEN: FieldErrors = fieldError('phone', 'field.taken');
const EMAIL_TAKEN: FieldErrors = fieldError('email', 'field.taken');

/**
 * Runs a write of an account in a transaction. @throws {ApiError} 422 where another account took the name or phone in the same moment
 */
export const writeAccount = <T>(write: () => Promise<T>): Promise<T> =>
  onUniqueViolation(
    { accounts_username_domain_key: () => unprocessable(USERNAME_TAKEN), accounts_phone_key: () => unprocessable(PHONE_TAKEN) },
    () => inTransaction(write),
  );

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
  if (taken.name) Object.assign(errors, USERNAME_TAKEN);
  if (taken.email) Object.assign(errors, EMAIL_TAKEN);
  if (phone !== null && phone !== undefined) {
    if (!(await isCountryActivated(phone))) Object.assign(errors, fieldError('phone', 'phone.country'));
    else if (taken.phone) Object.assign(errors, PHONE_TAKEN);
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
  if (await isEmailTaken(email, accountId)) throw unprocessable(EMAIL_TAKEN);
}
