// How long raw events are kept: whole months, dropped once what they say is counted.
import { DateTime } from 'luxon';
import { inLongTransaction } from '../../infra/database';
import { StatisticsCallKey, StatisticsDirtyBucket, StatisticsMessageKey, StatisticsRetention } from '../../models';
import {
  deleteSomeOutsidePartitions,
  dropPartitionsBefore,
  hasRowsOutsidePartitions,
  partitionsBefore,
  STATISTICS,
  withTablesLocked,
} from '../../models/partitions';
import { tryLockRollups } from '../../models/statistics/rollup-statements';
import { aggregate } from './rollups';

/** A transaction that deletes more would hold up reports of the same ids for long. */
const MAX_KEYS_PER_STATEMENT = 10_000;

/**
 * Drops raw events of months before the `months` last ones and the current one. What they were counted to is kept: hours that wait to be
 * counted are counted first, and later marks of dropped hours are passed over (rollups.ts). Every statement may take minutes.
 *
 * @returns the names of the partitions that were dropped; none where somebody else was at it or held a table: the next run tries again
 */
export async function dropPartitions(months: number, now: Date = new Date()): Promise<string[]> {
  const floor = DateTime.fromJSDate(now, { zone: 'utc' }).startOf('month').minus({ months }).toJSDate();
  const isDue = await inLongTransaction(async () => {
    if ((await partitionsBefore(STATISTICS, floor)).length > 0) return true;
    const since = (await StatisticsRetention.findByPk(1))?.raw_since;
    return (since === undefined || since < floor) && hasRowsOutsidePartitions(STATISTICS, floor);
  });
  const dropped = isDue ? await drop(floor) : [];
  await deleteOutdated(floor);
  return dropped;
}

/** Drops partitions; nothing where somebody else is at it, holds a table, or waits to be counted. */
async function drop(floor: Date): Promise<string[]> {
  await aggregate();
  const dropped = await withTablesLocked(STATISTICS, async () => {
    if (!(await tryLockRollups())) return [];
    // Nobody writes now: what has come since the aggregation above would be lost uncounted.
    if ((await StatisticsDirtyBucket.scope({ method: ['before', floor] }).findOne()) !== null) return [];
    await StatisticsRetention.raise(floor);
    return dropPartitionsBefore(STATISTICS, floor);
  });
  return dropped ?? [];
}

/**
 * Deletes what came too late for its partition, and the keys of events that are gone, some at a time: no hour of them is counted again, so nobody has to
 * be kept out. A key without its event would refuse a new event of that id for ever.
 */
async function deleteOutdated(floor: Date): Promise<void> {
  const retention = await inLongTransaction(() => StatisticsRetention.findByPk(1));
  if (retention === null) return;
  const moment = retention.raw_since < floor ? retention.raw_since : floor;
  while ((await inLongTransaction(() => deleteSomeOutsidePartitions(STATISTICS, moment))) > 0);
  const before = { method: ['before', moment] } as const;
  const limit = MAX_KEYS_PER_STATEMENT;
  while ((await inLongTransaction(() => StatisticsMessageKey.scope(before).destroy({ limit }))) > 0);
  while ((await inLongTransaction(() => StatisticsCallKey.scope(before).destroy({ limit }))) > 0);
}
