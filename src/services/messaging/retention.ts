// How long the ledger of sends is kept: months that are wholly older are dropped; rows of the month that is not go a piece at a time (ends-of-life.ts).
import { DateTime } from 'luxon';
import { inLongTransaction } from '../../infra/database';
import { dropPartitionsBefore, partitionsBefore, SENDS, withTablesLocked } from '../../models/partitions';

/** @param days for which a row is kept @returns the names of the months that were dropped; none where somebody held the table: the next run tries again */
export async function dropOldSends(days: number, now: Date = new Date()): Promise<string[]> {
  const floor = DateTime.fromJSDate(now, { zone: 'utc' }).minus({ days }).startOf('month').toJSDate();
  if ((await inLongTransaction(() => partitionsBefore(SENDS, floor))).length === 0) return [];
  return (await withTablesLocked(SENDS, () => dropPartitionsBefore(SENDS, floor))) ?? [];
}
