// Whether what an account is to have belongs to another one. Statements of our own: each answers about several fields or tables at once.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import { caselessUsernames } from '../../infra/sip-uri';
import { type Account, type AccountName, namedSql } from './account';

/** What is looked for; absent fields are free. */
export interface WantedFields {
  name: AccountName | undefined;
  email: Attributes<Account>['email'] | undefined;
  phone: Attributes<Account>['phone'] | undefined;
}

/** Letter case ignored: what was imported may have capitals. */
const NAMED = namedSql('$1', '$2');

/**
 * Which of the fields other accounts have, in any Space; one statement, since every request that makes an account asks for all.
 * A name is also taken by a tombstone where the account is a new one, an email in any letter case, a phone by a username that is it.
 *
 * @param except the account that is to have them; null: a new one
 */
export async function findTakenFields(
  { name, email, phone }: WantedFields,
  except: Attributes<Account>['id'] | null,
): Promise<Record<keyof WantedFields, boolean>> {
  const [taken] = await select<Record<keyof WantedFields, boolean>>(
    `SELECT EXISTS (SELECT 1 FROM accounts WHERE ${NAMED} AND id IS DISTINCT FROM $5)
         OR ($5::integer IS NULL AND EXISTS (SELECT 1 FROM accounts_tombstones WHERE ${NAMED})) AS name,
            EXISTS (SELECT 1 FROM accounts WHERE lower(email) = lower($3) AND id IS DISTINCT FROM $5) AS email,
            EXISTS (SELECT 1 FROM accounts WHERE (phone = $4 OR username = $4) AND id IS DISTINCT FROM $5) AS phone`,
    [name ? caselessUsernames(name.username) : null, name?.domain ?? null, email ?? null, phone ?? null, except],
  );
  return taken ?? { name: false, email: false, phone: false };
}

/**
 * Waits until no other transaction is about to give an account this email, in any letter case; held until the transaction around it
 * ends. An advisory lock, since the table has no unique index that could keep two apart.
 */
export async function lockEmail(email: string): Promise<void> {
  await select("SELECT pg_advisory_xact_lock(hashtextextended('email ' || lower($1), 0))", [email]);
}

/** Whether another account has the email, in any letter case: by the index on lower(email), which only SQL of our own names. */
export async function isEmailTaken(email: string, except: Attributes<Account>['id']): Promise<boolean> {
  return (await select('SELECT 1 AS one FROM accounts WHERE lower(email) = lower($1) AND id <> $2 LIMIT 1', [email, except])).length > 0;
}
