// The end of an account (data-model.md, «Delete rules»): a tombstone, then the account with all that hangs on it, and its statistics.
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { deleteSentStatistics } from '../../models/statistics/deletion';

/** Deletes an account, by number; `scope` null: in any domain. @returns whether there was one */
export async function deleteAccount(id: number, scope: string | null = null): Promise<boolean> {
  return inTransaction(async () => {
    const [account] = await select<{ username: string; domain: string }>(
      'SELECT username, domain FROM accounts WHERE id = $1 AND ($2::text IS NULL OR domain = $2) FOR UPDATE',
      [id, scope],
    );
    if (!account) return false;
    const { username, domain } = account;
    await execute(
      `INSERT INTO accounts_tombstones (username, domain, created_at, updated_at) VALUES ($1, $2, now(), now())
       ON CONFLICT (username, domain) DO UPDATE SET created_at = now(), updated_at = now()`,
      [username, domain],
    );
    await deleteSentStatistics({ username, domain });
    await execute('DELETE FROM accounts WHERE id = $1', [id]);
    return true;
  });
}

export interface Clearing {
  found: number;
  deleted: number;
}
const CHUNK = 500;

/** Accounts made over `days` ago that were never activated; `confirmed`: activated ones, too. Deleted, each in its own transaction, where `apply`. */
export async function clearUnconfirmed(days: number, { apply, confirmed }: { apply: boolean; confirmed: boolean }): Promise<Clearing> {
  const where = `created_at < now() - make_interval(days => $1) AND ($2 OR NOT activated) AND NOT admin`;
  const [count] = await select<{ n: number }>(`SELECT count(*)::integer AS n FROM accounts WHERE ${where}`, [days, confirmed]);
  let deleted = 0;
  while (apply) {
    const batch = await select<{ id: number }>(`SELECT id FROM accounts WHERE ${where} ORDER BY id LIMIT $3`, [days, confirmed, CHUNK]);
    if (batch.length === 0) break;
    for (const { id } of batch) if (await deleteAccount(id)) deleted += 1;
  }
  return { found: count?.n ?? 0, deleted };
}

/** Tombstones older than `days`; deleted where `apply`. */
export async function clearTombstones(days: number, apply: boolean): Promise<Clearing> {
  const where = 'created_at < now() - make_interval(days => $1)';
  const [count] = await select<{ n: number }>(`SELECT count(*)::integer AS n FROM accounts_tombstones WHERE ${where}`, [days]);
  return { found: count?.n ?? 0, deleted: apply ? await execute(`DELETE FROM accounts_tombstones WHERE ${where}`, [days]) : 0 };
}
