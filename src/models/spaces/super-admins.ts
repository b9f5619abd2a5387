// Who is left to manage the installation: super admins, admins of super Spaces who are not blocked. Statements of our own: an advisory lock locks no row,
// since those that are left are rows that nobody writes.
import type { Attributes } from 'sequelize';
import { execute, select } from '../../infra/sequelize';
import type { Account } from '../accounts/account';
import type { Space } from './space';

/**
 * Waits until no other transaction is about to end a super admin or a super Space, and keeps others from it until the transaction around it ends: two
 * that end the last two at once would each see the other's. Taken after the rows of the Space and the account
 * (docs/decisions.md#one-order-of-locks).
 */
const lockSuperAdmins = (): Promise<unknown> => execute("SELECT pg_advisory_xact_lock(hashtextextended('super admins', 0))");

/** Super admins `a` in their Spaces `o`. */
const SUPER_ADMINS = 'accounts a JOIN spaces o ON o.domain = a.domain WHERE o.super AND a.admin AND NOT a.blocked';

/**
 * Whether no super admin is left. Asked in the transaction in which one was ended, after that: to the end of it it stays so.
 *
 * @param domain of the account that was an admin: outside of super Spaces no lock is taken, and it is false
 */
export async function isNoSuperAdminLeft(domain: Attributes<Space>['domain']): Promise<boolean> {
  const own = await select('SELECT 1 AS one FROM spaces WHERE domain = $1 AND super', [domain]);
  if (own.length === 0) return false;
  await lockSuperAdmins();
  return (await select(`SELECT 1 AS one FROM ${SUPER_ADMINS} LIMIT 1`)).length === 0;
}

/**
 * Whether a super Space is the only one, or the only one with super admins. Inside a transaction, to the end of which it stays so.
 *
 * @param domain in lower case
 */
export async function isLastSuperSpace(domain: Attributes<Space>['domain']): Promise<boolean> {
  await lockSuperAdmins();
  const [found] = await select<{ others: boolean; admins: boolean; other_admins: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM spaces WHERE super AND domain <> $1) AS others,
            EXISTS (SELECT 1 FROM ${SUPER_ADMINS} AND a.domain = $1) AS admins,
            EXISTS (SELECT 1 FROM ${SUPER_ADMINS} AND a.domain <> $1) AS other_admins`,
    [domain],
  );
  return found?.others !== true || (found.admins && !found.other_admins);
}

/** Of a list that people read. */
const MAX_LISTED = 100;

/** Super admins who are not blocked, by id: the first one's is a key of the installation where nobody else was named. */
export const findSuperAdmins = (): Promise<Pick<Attributes<Account>, 'id' | 'username' | 'domain'>[]> =>
  select(`SELECT a.id, a.username, a.domain FROM ${SUPER_ADMINS} ORDER BY a.id LIMIT ${MAX_LISTED}`);
