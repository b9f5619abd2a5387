// What is left of accounts and Spaces that were deleted, removed in pieces of a transaction each: a run that is killed leaves what it has not come to,
// and several workers at once do different deletions.
import { inLongTransaction, isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';
import { PendingDeletion } from '../../models';
import type { TakenDeletion } from '../../models/accounts/pending-deletion';
import { deleteFiguresBelowFloor, deleteSentStatistics, preferIndexes } from '../../models/statistics/deletion';
import { tryLockRollups } from '../../models/statistics/rollup-statements';

/** Accounts that are looked at together: most have left little. */
const DELETIONS_PER_PIECE = 200;
/** Rows of a piece: what it locks is waited for at most for as long as these take. */
const ROWS_PER_PIECE = 2000;

/** What a run removed. */
export interface Leftovers {
  /** Accounts and Spaces of which nothing is left. */
  deletions: number;
  rows: number;
  /** Of which something could not be removed; the next run tries again. */
  failed: number;
}

/** Ends deletions of which nothing is left; that of a Space only while nobody counts hours, so that none of its figures stays. @returns how many */
async function end(taken: readonly TakenDeletion[]): Promise<number> {
  const spaces = taken.filter(({ account_id: id }) => id === null);
  const isQuiet = spaces.length > 0 && (await tryLockRollups());
  if (isQuiet) for (const { domain } of spaces) await deleteFiguresBelowFloor(domain);
  const ended = taken.filter(({ account_id: id }) => id !== null || isQuiet);
  return PendingDeletion.destroy({ where: { id: ended.map(({ id }) => id) } });
}

/** Removes some of what deletions have left, and ends them where it was all; for the transaction around it, which has taken them. */
async function removeSome(taken: readonly TakenDeletion[]): Promise<Pick<Leftovers, 'deletions' | 'rows'>> {
  await preferIndexes();
  const accounts = taken.flatMap(({ account_id: id }) => (id === null ? [] : [id]));
  const ids = taken.map(({ id }) => id);
  let own = await PendingDeletion.deleteOwnRows(accounts, ROWS_PER_PIECE);
  if (own < ROWS_PER_PIECE) own += await PendingDeletion.deleteSends(ids, ROWS_PER_PIECE - own);
  if (own === ROWS_PER_PIECE) return { deletions: 0, rows: own };
  const sent = await deleteSentStatistics(ids, ROWS_PER_PIECE - own);
  return { deletions: sent === 0 ? await end(taken) : 0, rows: own + sent };
}

/**
 * Removes what accounts and Spaces that were deleted have left behind. Idempotent, in any number of workers at once; begun anew it goes on where it
 * was. A deletion that fails holds up no other one: it is passed over, once it is known which of those that were taken together it is.
 */
export async function removeLeftovers(): Promise<Leftovers> {
  const done: Leftovers = { deletions: 0, rows: 0, failed: 0 };
  for (let after = 0, max = DELETIONS_PER_PIECE; ;) {
    let taken: TakenDeletion[] = [];
    try {
      const piece = await inLongTransaction(async () => {
        taken = await PendingDeletion.take(max, after);
        return taken.length === 0 ? null : removeSome(taken);
      });
      // Nothing to do but for a Space that waits for the end of an aggregation: the next run finds it.
      if (piece === null || piece.deletions + piece.rows === 0) return done;
      done.deletions += piece.deletions;
      done.rows += piece.rows;
    } catch (error) {
      const [first, second] = taken;
      if (first === undefined || isDatabaseUnavailable(error)) throw error;
      if (second !== undefined) {
        max = taken.length >> 1;
        continue;
      }
      log.error(
        { reason: reasonOf(error), domain: first.domain, account_id: first.account_id },
        'what a deleted account or space left cannot be removed',
      );
      done.failed += 1;
      after = first.id;
    }
    max = Math.min(DELETIONS_PER_PIECE, max * 2);
  }
}
