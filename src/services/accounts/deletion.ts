// The end of an account: a tombstone, so that nobody else gets its name, and the account's row, through which everybody reaches what hangs on it. What
// there may be any number of is removed afterwards (leftovers.ts).
import { inTransaction } from '../../infra/database';
import { conflict } from '../../infra/errors';
import { reasonOf } from '../../infra/log';
import { Account, AccountTombstone } from '../../models';
import { isNoSuperAdminLeft } from '../../models/spaces/super-admins';
import { SYSTEM, type Viewer, visibleTo } from '../../models/visibility';

/**
 * Deletes an account that the viewer sees, by number, in the same time whatever hangs on it.
 *
 * @returns whether there was one
 * @throws {ApiError} 409 for the last super admin
 */
export async function deleteAccount(id: number, viewer: Viewer): Promise<boolean> {
  return inTransaction(async () => {
    const account = await Account.scope(visibleTo(viewer)).findOne({
      attributes: ['id', 'username', 'domain', 'admin', 'blocked'],
      where: { id },
      lock: true,
    });
    if (!account) return false;
    const { username, domain, admin, blocked } = account;
    await AccountTombstone.record({ username, domain });
    // Tables with a row or a few for each account have ON DELETE CASCADE; of the others, and of statistics, a trigger makes a pending deletion.
    await account.destroy();
    if (admin && !blocked && (await isNoSuperAdminLeft(domain))) throw conflict('space.last_super');
    return true;
  });
}

/** What an operator's clearing found, and how much of it was deleted. */
export interface Clearing {
  found: number;
  deleted: number;
}
/** The same of accounts, each of which may fail by itself. */
export interface AccountClearing extends Clearing {
  failed: number;
}
/** Is told how far a clearing is after each account, and which one failed. */
export type ClearingProgress = (so_far: AccountClearing, failure?: { id: number; reason: string }) => void;

/** Accounts are found so many at a time: each is deleted in its own transaction. */
const CHUNK_SIZE = 500;
/** It is not one account where so many fail one after the other. */
const MAX_FAILURES_IN_A_ROW = 10;

/**
 * Counts accounts made over `days` ago that were never activated, admins apart, and deletes them where `apply`. One that cannot be deleted is passed
 * over.
 *
 * @param confirmed activated ones, too
 * @throws what the last of several accounts failed with that failed one after the other
 */
export async function clearUnconfirmed(
  days: number,
  { apply, confirmed }: { apply: boolean; confirmed: boolean },
  onProgress: ClearingProgress = () => undefined,
): Promise<AccountClearing> {
  const clearable = (after: number): typeof Account => Account.scope([visibleTo(SYSTEM), { method: ['clearable', days, after] }]);
  const where = confirmed ? {} : { activated: false };
  const done: AccountClearing = { found: await clearable(0).count({ where }), deleted: 0, failed: 0 };
  let failedInARow = 0;
  for (let after = 0; apply;) {
    const chunk = await clearable(after).findAll({ attributes: ['id'], where, order: ['id'], limit: CHUNK_SIZE, raw: true });
    if (chunk.length === 0) break;
    for (const { id } of chunk) {
      after = id;
      try {
        if (await deleteAccount(id, SYSTEM)) done.deleted += 1;
        failedInARow = 0;
        onProgress(done);
      } catch (error) {
        done.failed += 1;
        failedInARow += 1;
        onProgress(done, { id, reason: reasonOf(error) });
        if (failedInARow === MAX_FAILURES_IN_A_ROW) throw error;
      }
    }
  }
  return done;
}

/** Counts tombstones older than `days`, and deletes them where `apply`: their names are free again. */
export async function clearTombstones(days: number, apply: boolean): Promise<Clearing> {
  const tombstones = AccountTombstone.scope({ method: ['olderThan', days] });
  return { found: await tombstones.count(), deleted: apply ? await tombstones.destroy() : 0 };
}
