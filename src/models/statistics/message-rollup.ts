// Figures of messages by hour, domain and direction.
import { type Attributes, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { DATE, INTEGER, INTEGERS, required, TEXT, varchar } from '../columns';
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

const TABLE = 'statistics_message_rollups';

export type MessageSums = Pick<Attributes<StatisticsMessageRollup>, 'messages' | 'encrypted' | 'devices' | 'delivered' | 'delays'>;
/** What is summed of messages. */
export const MESSAGE_SUMS: SummedColumns<MessageSums> = { counts: ['messages', 'encrypted', 'devices', 'delivered'], bins: ['delays'] };

const DELIVERED = 'd.last_status BETWEEN 200 AND 299';
const OF_DEVICES = `count(*) AS devices, count(*) FILTER (WHERE ${DELIVERED}) AS delivered,
              array_agg(${binOf('d.received_at - d.sent_at')}) FILTER (WHERE ${DELIVERED}) AS bins`;

const COUNT = `
WITH ${BUCKETS}, counted AS (
  SELECT b.domain, 'from' AS direction, b.hour, m.messages, m.encrypted, d.devices, d.delivered, ${countBins('d.bins')} AS delays
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(*) AS messages, count(*) FILTER (WHERE encrypted) AS encrypted
        FROM statistics_messages WHERE from_domain = b.domain AND ${inBucket('sent_at')}) m
    CROSS JOIN LATERAL (
      SELECT ${OF_DEVICES}
        FROM statistics_messages m JOIN statistics_message_devices d ON d.message_id = m.id AND d.sent_at = m.sent_at
       WHERE m.from_domain = b.domain AND ${inBucket('m.sent_at')} AND ${inBucket('d.sent_at')}) d
  UNION ALL
  SELECT b.domain, 'to', b.hour, d.messages, d.encrypted, d.devices, d.delivered, ${countBins('d.bins')}
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT m.id) AS messages, count(DISTINCT m.id) FILTER (WHERE m.encrypted) AS encrypted, ${OF_DEVICES}
        FROM statistics_message_devices d JOIN statistics_messages m ON m.id = d.message_id AND m.sent_at = d.sent_at
       WHERE d.to_domain = b.domain AND ${inBucket('m.sent_at')} AND ${inBucket('d.sent_at')}) d
), emptied AS (
  DELETE FROM ${TABLE} r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.messages = 0
)
INSERT INTO ${TABLE} (domain, direction, hour, messages, encrypted, devices, delivered, delays)
SELECT * FROM counted WHERE messages > 0
ON CONFLICT (domain, direction, hour) DO UPDATE SET
  messages = excluded.messages, encrypted = excluded.encrypted, devices = excluded.devices, delivered = excluded.delivered, delays = excluded.delays`;

const TOTALS = totalsOf(TABLE, MESSAGE_SUMS);

export class StatisticsMessageRollup extends Model<
  InferAttributes<StatisticsMessageRollup>,
  InferCreationAttributes<StatisticsMessageRollup>
> {
  declare domain: string;
  declare direction: RollupDirection;
  declare hour: Date;
  declare messages: number;
  declare encrypted: number;
  declare devices: number;
  declare delivered: number;
  declare delays: number[];

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
  static async sumByPeriod(query: PeriodQuery): Promise<PeriodSums<MessageSums>[]> {
    return sumByPeriod(TABLE, MESSAGE_SUMS, query);
  }
}
StatisticsMessageRollup.init(
  {
    domain: { ...required(varchar(256)), primaryKey: true },
    direction: { ...required(TEXT), primaryKey: true },
    hour: { ...required(DATE), primaryKey: true },
    messages: required(INTEGER),
    encrypted: required(INTEGER),
    devices: required(INTEGER),
    delivered: required(INTEGER),
    delays: required(INTEGERS),
  },
  { sequelize: database, tableName: TABLE },
);
