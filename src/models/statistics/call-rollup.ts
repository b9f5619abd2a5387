// Figures of calls by hour, domain and direction.
import { type Attributes, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, DATE, INTEGER, INTEGERS, required, TEXT, varchar } from '../columns';
import { binOf, countBins } from './bins';
import type { Bucket } from './dirty-bucket';
import {
  BUCKETS,
  inBucket,
  recount,
  sumByPeriod,
  totalsOf,
  type PeriodQuery,
  type PeriodSums,
  type RollupDirection,
  type SummedColumns,
} from './rollup-statements';

const TABLE = 'statistics_call_rollups';

export type CallSums = Pick<
  Attributes<StatisticsCallRollup>,
  'calls' | 'answered' | 'missed' | 'ended' | 'seconds' | 'durations' | 'rings'
>;
/** What is summed of calls. */
export const CALL_SUMS: SummedColumns<CallSums> = {
  counts: ['calls', 'answered', 'missed', 'ended', 'seconds'],
  bins: ['durations', 'rings'],
};

/** The devices of the call `c`. */
const devicesOf = (what: string, condition: string): string =>
  `(SELECT ${what} FROM statistics_call_devices d WHERE d.call_id = c.id AND d.initiated_at = c.initiated_at AND ${condition})`;

// Answered: some device accepted. Missed: none did, and the call or each device's invitation is over; what still rings is neither. Seconds: of
// calls that ended, never less than nothing. Durations: of answered calls, from their start. Ring times: of each device, from its ringing to
// the end of its invitation.
const countOf = (direction: RollupDirection): string => `
  SELECT b.domain, '${direction}' AS direction, b.hour, c.calls, c.answered, c.missed, c.ended, c.seconds,
         ${countBins('c.durations')} AS durations, ${countBins('r.bins')} AS rings
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(*) AS calls, count(*) FILTER (WHERE answered) AS answered,
             count(*) FILTER (WHERE NOT answered AND (ended_at IS NOT NULL OR terminated)) AS missed, count(ended_at) AS ended,
             coalesce(sum(greatest(0, extract(epoch FROM ended_at - initiated_at))) FILTER (WHERE ended_at IS NOT NULL), 0)::bigint AS seconds,
             array_agg(${binOf('ended_at - initiated_at')}) FILTER (WHERE answered AND ended_at IS NOT NULL) AS durations
        FROM (SELECT c.initiated_at, c.ended_at, EXISTS ${devicesOf('1', "d.invite_terminated_state = 'accepted'")} AS answered,
                     coalesce(${devicesOf('bool_and(d.invite_terminated_at IS NOT NULL)', 'true')}, false) AS terminated
                FROM statistics_calls c WHERE c.${direction}_domain = b.domain AND ${inBucket('c.initiated_at')}) AS calls) c
    CROSS JOIN LATERAL (
      SELECT array_agg(${binOf('d.invite_terminated_at - d.rang_at')}) AS bins
        FROM statistics_calls c JOIN statistics_call_devices d ON d.call_id = c.id AND d.initiated_at = c.initiated_at
       WHERE c.${direction}_domain = b.domain AND ${inBucket('c.initiated_at')} AND ${inBucket('d.initiated_at')}
         AND d.rang_at IS NOT NULL AND d.invite_terminated_at IS NOT NULL) r`;

const COUNT = `
WITH ${BUCKETS}, counted AS (${countOf('from')} UNION ALL ${countOf('to')}
), emptied AS (
  DELETE FROM ${TABLE} r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.calls = 0
)
INSERT INTO ${TABLE} (domain, direction, hour, calls, answered, missed, ended, seconds, durations, rings)
SELECT * FROM counted WHERE calls > 0
ON CONFLICT (domain, direction, hour) DO UPDATE SET
  calls = excluded.calls, answered = excluded.answered, missed = excluded.missed, ended = excluded.ended, seconds = excluded.seconds,
  durations = excluded.durations, rings = excluded.rings`;

const TOTALS = totalsOf(TABLE, CALL_SUMS);

export class StatisticsCallRollup extends Model<InferAttributes<StatisticsCallRollup>, InferCreationAttributes<StatisticsCallRollup>> {
  declare domain: string;
  declare direction: RollupDirection;
  declare hour: Date;
  declare calls: number;
  declare answered: number;
  declare missed: number;
  declare ended: number;
  declare seconds: number;
  declare durations: number[];
  declare rings: number[];

  /**
   * Counts buckets anew from raw events, and all domains together of their hours; for the transaction around it. One statement counts
   * thousands of buckets where they are, instead of moving the raw rows.
   *
   * @param buckets each once
   */
  static async recount(buckets: readonly Bucket[]): Promise<void> {
    await recount(buckets, COUNT, TOTALS);
  }

  /** The sums of each period that has rollups, in one statement; some seconds old. */
  static async sumByPeriod(query: PeriodQuery): Promise<PeriodSums<CallSums>[]> {
    return sumByPeriod(TABLE, CALL_SUMS, query);
  }
}
StatisticsCallRollup.init(
  {
    domain: { ...required(varchar(256)), primaryKey: true },
    direction: { ...required(TEXT), primaryKey: true },
    hour: { ...required(DATE), primaryKey: true },
    calls: required(INTEGER),
    answered: required(INTEGER),
    missed: required(INTEGER),
    ended: required(INTEGER),
    seconds: required(BIGINT),
    durations: required(INTEGERS),
    rings: required(INTEGERS),
  },
  { sequelize: database, tableName: TABLE },
);
