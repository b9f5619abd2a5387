// The end of an account: a tombstone, so that nobody else gets its name, then the account with all that hangs on it, and its statistics.
import { inTransaction } from '../../infra/database';
import { Account, AccountTombstone } from '../../models';
import { deleteSentStatistics } from '../../models/statistics/deletion';
import { SYSTEM, type Viewer, visibleTo } from '../../models/visibility';

/** Deletes an account that the viewer sees, by number. @returns whether there was one */
export async function deleteAccount(id: number, viewer: Viewer): Promise<boolean> {
  return inTransaction(async () => {
    const account = await Account.scope(visibleTo(viewer)).findOne({
      attributes: ['id', 'username', 'domain'],
      where: { id },
      lock: true,
    });
    if (!account) return false;
    const { username, domain } = account;
    await AccountTombstone.record({ username, domain });
    await deleteSentStatistics({ username, domain });
    // The tables that hang on accounts have ON DELETE CASCADE.
    await account.destroy();
    return true;
  });
}

/** What an operator's clearing found, and how much of it was deleted. */
export interface Clearing {
  found: number;
  deleted: number;
}
/** Accounts are found so many at a time: each is deleted in its own transaction. */
const CHUNK_SIZE = 500;

/**
 * Counts accounts made over `days` ago that were never activated, admins apart, and deletes them where `apply`.
 *
 * @param confirmed activated ones, too
 */
export async function clearUnconfirmed(days: number, { apply, confirmed }: { apply: boolean; confirmed: boolean }): Promise<Clearing> {
  const accounts = Account.scope([visibleTo(SYSTEM), { method: ['clearable', days] }]);
  const where = confirmed ? {} : { activated: false };
  const found = await accounts.count({ where });
  let deleted = 0;
  while (apply) {
    const chunk = await accounts.findAll({ attributes: ['id'], where, order: ['id'], limit: CHUNK_SIZE, raw: true });
    if (chunk.length === 0) break;
    for (const { id } of chunk) if (await deleteAccount(id, SYSTEM)) deleted += 1;
  }
  return { found, deleted };
}

/** Counts tombstones older than `days`, and deletes them where `apply`: their names are free again. */
export async function clearTombstones(days: number, apply: boolean): Promise<Clearing> {
  const tombstones = AccountTombstone.scope({ method: ['olderThan', days] });
  return { found: await tombstones.count(), deleted: apply ? await tombstones.destroy() : 0 };
}
