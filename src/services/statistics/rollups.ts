// From raw events to hourly rollups: every marked bucket is counted anew from its raw rows, so the order, number and lateness
// of events do not matter, and a run that dies leaves its marks.
import { inLongTransaction } from '../../infra/database';
import { StatisticsCallRollup, StatisticsDirtyBucket, StatisticsMessageRollup } from '../../models';
import { disableJit, tryLockRollups } from '../../models/statistics/rollup-statements';

const MAX_MARKS_PER_ROUND = 5000;

const ROLLUPS = { messages: StatisticsMessageRollup, calls: StatisticsCallRollup } as const;

/** One round. @returns how many marks it took; 0 where there are none or another worker is at it */
async function aggregateRound(recounted: Set<string>): Promise<number> {
  return inLongTransaction(async () => {
    if (!(await tryLockRollups())) return 0;
    const marks = await StatisticsDirtyBucket.take(MAX_MARKS_PER_ROUND);
    if (marks.length === 0) return 0;
    await disableJit();
    // What a mark stands for was committed with it, so the statements below, begun later, see it.
    for (const kind of ['messages', 'calls'] as const) {
      // Months whose raw events were dropped keep the figures that they have.
      const counted = marks.filter((mark) => mark.kind === kind && mark.has_raw);
      const buckets = new Map(counted.map((mark) => [`${kind} ${mark.hour.toISOString()} ${mark.domain}`, mark]));
      if (buckets.size === 0) continue;
      await ROLLUPS[kind].recount([...buckets.values()]);
      for (const name of buckets.keys()) recounted.add(name);
    }
    return marks.length;
  });
}

/**
 * Counts all marked buckets, in rounds of a transaction each. Several at once do no harm: one counts, the others find the lock taken.
 *
 * @returns how many buckets were counted
 */
export async function aggregate(): Promise<number> {
  const recounted = new Set<string>();
  while ((await aggregateRound(recounted)) > 0);
  return recounted.size;
}
