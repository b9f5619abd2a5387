// Rules of an account's fields that only the database can tell (api.md 1.4), all of them in one go so that every fault is named at once.
import { settings } from '../../../config';
import { select } from '../../infra/sequelize';
import { unprocessable, type FieldErrors } from '../../infra/errors';
import type { Message, MessageKey } from '../../i18n';
import { isCountryActivated } from './phone-numbers';

export interface Claimed {
  username?: { name: string; domain: string };
  email?: string | null | undefined;
  /** E.164. */
  phone?: string | null | undefined;
}

const fault = (field: string, key: MessageKey): Message[] => [{ key, values: { attribute: field } }];

/**
 * What is wrong with the fields an account is to have.
 *
 * @param except the account itself, where it exists; tombstones then do not count
 */
export async function faultsOf({ username, email, phone }: Claimed, except: number | null = null): Promise<FieldErrors> {
  const [found] = await select<{ name_taken: boolean; email_taken: boolean; phone_taken: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM accounts WHERE username = $1 AND domain = $2 AND id IS DISTINCT FROM $5)
         OR ($5::integer IS NULL AND EXISTS (SELECT 1 FROM accounts_tombstones WHERE username = $1 AND domain = $2)) AS name_taken,
            $6 AND EXISTS (SELECT 1 FROM accounts WHERE lower(email) = lower($3) AND id IS DISTINCT FROM $5) AS email_taken,
            EXISTS (SELECT 1 FROM accounts WHERE (phone = $4 OR username = $4) AND id IS DISTINCT FROM $5) AS phone_taken`,
    [username?.name ?? null, username?.domain ?? null, email ?? null, phone ?? null, except, settings.ACCOUNT_EMAIL_UNIQUE],
  );
  const errors: FieldErrors = {};
  if (found?.name_taken) errors['username'] = fault('username', 'username.taken');
  if (found?.email_taken) errors['email'] = fault('email', 'field.taken');
  if (phone !== null && phone !== undefined) {
    if (!(await isCountryActivated(phone))) errors['phone'] = fault('phone', 'phone.country');
    else if (found?.phone_taken) errors['phone'] = fault('phone', 'field.taken');
  }
  return errors;
}

/** @throws {ApiError} 422 with every fault */
export async function requireFields(claimed: Claimed, except: number | null = null): Promise<void> {
  const errors = await faultsOf(claimed, except);
  if (Object.keys(errors).length > 0) throw unprocessable(errors);
}

/**
 * Where emails are unique, keeps two transactions from giving one to two accounts at once: there is no unique index, since
 * imports may bring doubles and the rule can be turned off. @throws {ApiError} 422 where it is taken
 */
export async function claimEmail(email: string | null | undefined, accountId: number): Promise<void> {
  if (!settings.ACCOUNT_EMAIL_UNIQUE || email === null || email === undefined) return;
  await select("SELECT pg_advisory_xact_lock(hashtextextended('email ' || lower($1), 0))", [email]);
  const taken = await select('SELECT 1 AS one FROM accounts WHERE lower(email) = lower($1) AND id <> $2', [email, accountId]);
  if (taken.length > 0) throw unprocessable({ email: fault('email', 'field.taken') });
}
