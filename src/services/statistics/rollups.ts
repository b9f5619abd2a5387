// From raw events to hourly rollups: every marked bucket is counted anew from its raw rows, so the order, number and lateness
// of events do not matter, and a run that dies leaves its marks.
import { inLongTransaction, isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';
import { StatisticsCallRollup, StatisticsDirtyBucket, StatisticsFailedBucket, StatisticsMessageRollup } from '../../models';
import type { TakenMark } from '../../models/statistics/dirty-bucket';
import { disableJit, tryLockRollups } from '../../models/statistics/rollup-statements';

const MAX_MARKS_PER_ROUND = 5000;
/** In a run: where more fail it is the program or the database. */
const MAX_SET_ASIDE = 20;

const ROLLUPS = { messages: StatisticsMessageRollup, calls: StatisticsCallRollup } as const;

/**
 * One round.
 *
 * @param max marks that it takes at most
 * @param seen called with them before anything is counted
 * @returns how many it took; 0 where there are none or another worker is at it
 */
async function aggregateRound(recounted: Set<string>, max: number, seen: (marks: readonly TakenMark[]) => void): Promise<number> {
  return inLongTransaction(async () => {
    if (!(await tryLockRollups())) return 0;
    const marks = await StatisticsDirtyBucket.take(max);
    seen(marks);
    if (marks.length === 0) return 0;
    await disableJit();
    // What a mark stands for was committed with it, so the statements below, begun later, see it.
    for (const kind of ['messages', 'calls'] as const) {
      // Months whose raw events were dropped keep the figures that they have.
      const counted = marks.filter((mark) => mark.kind === kind && mark.has_raw && !mark.set_aside);
      const buckets = new Map(counted.map((mark) => [`${kind} ${mark.hour.toISOString()} ${mark.domain}`, mark]));
      if (buckets.size === 0) continue;
      await ROLLUPS[kind].recount([...buckets.values()]);
      for (const name of buckets.keys()) recounted.add(name);
    }
    return marks.length;
  });
}

/**
 * Counts all marked buckets, in rounds of a transaction each. Several at once do no harm: one counts, the others find the lock taken. A bucket that
 * cannot be counted is set aside, once it is known which of those that were taken together it is, and tried again after an hour.
 *
 * @returns how many buckets were counted
 * @throws what the last of very many buckets failed with: it is none of them then
 */
export async function aggregate(): Promise<number> {
  const recounted = new Set<string>();
  await StatisticsFailedBucket.retry();
  for (let max = MAX_MARKS_PER_ROUND, failed = 0; ;) {
    let marks: readonly TakenMark[] = [];
    try {
      // A round that was not full took all there were; what comes meanwhile is the next run's, or under steady reports this would never end.
      if ((await aggregateRound(recounted, max, (taken) => (marks = taken))) < max) return recounted.size;
    } catch (error) {
      const [first, second] = marks;
      if (first === undefined || isDatabaseUnavailable(error) || failed === MAX_SET_ASIDE) throw error;
      if (second !== undefined) {
        max = marks.length >> 1;
        continue;
      }
      const { kind, hour, domain } = first;
      const reason = reasonOf(error);
      log.error({ reason, kind, hour, domain }, 'an hour of statistics cannot be counted: it is set aside');
      await StatisticsFailedBucket.setAside({ kind, hour, domain, reason });
      failed += 1;
    }
    max = Math.min(MAX_MARKS_PER_ROUND, max * 2);
  }
}
