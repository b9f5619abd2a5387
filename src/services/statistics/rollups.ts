// From raw events to hourly rollups: every marked bucket is counted anew from its raw rows, so the order, number and lateness
// of events do not matter, and a run that dies leaves its marks.
import type { Sequelize, Transaction } from 'sequelize';
import { QueryTypes } from 'sequelize';
import { binOf, countBins, sumBins } from './histogram';

/** Key of the transaction-level advisory lock: one aggregation, or one drop of old months, at a time, in whatever worker. */
export const ROLLUP_LOCK = 7_060_502;
const MARKS_A_ROUND = 5000;

/** The domain under which all domains together are counted: no address has it. */
export const ALL_DOMAINS = '';

const IN_BUCKET = (column: string): string => `${column} >= b.hour AND ${column} < b.hour + interval '1 hour'`;
const BUCKETS = 'buckets AS (SELECT * FROM unnest($1::timestamptz[], $2::text[]) AS b (hour, domain))';
const DELIVERED = 'd.last_status BETWEEN 200 AND 299';

const delays = `count(*) AS devices, count(*) FILTER (WHERE ${DELIVERED}) AS delivered,
              array_agg(${binOf('d.received_at - d.sent_at')}) FILTER (WHERE ${DELIVERED}) AS bins`;

const countMessages = `
WITH ${BUCKETS}, counted AS (
  SELECT b.domain, 'from' AS direction, b.hour, m.messages, m.encrypted, d.devices, d.delivered, ${countBins('d.bins')} AS delays
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(*) AS messages, count(*) FILTER (WHERE encrypted) AS encrypted
        FROM statistics_messages WHERE from_domain = b.domain AND ${IN_BUCKET('sent_at')}) m
    CROSS JOIN LATERAL (
      SELECT ${delays}
        FROM statistics_messages m JOIN statistics_message_devices d ON d.message_id = m.id AND d.sent_at = m.sent_at
       WHERE m.from_domain = b.domain AND ${IN_BUCKET('m.sent_at')} AND ${IN_BUCKET('d.sent_at')}) d
  UNION ALL
  SELECT b.domain, 'to', b.hour, d.messages, d.encrypted, d.devices, d.delivered, ${countBins('d.bins')}
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT m.id) AS messages, count(DISTINCT m.id) FILTER (WHERE m.encrypted) AS encrypted, ${delays}
        FROM statistics_message_devices d JOIN statistics_messages m ON m.id = d.message_id AND m.sent_at = d.sent_at
       WHERE d.to_domain = b.domain AND ${IN_BUCKET('m.sent_at')} AND ${IN_BUCKET('d.sent_at')}) d
), emptied AS (
  DELETE FROM statistics_message_rollups r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.messages = 0
)
INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
SELECT * FROM counted WHERE messages > 0
ON CONFLICT (domain, direction, hour) DO UPDATE SET
  messages = excluded.messages, encrypted = excluded.encrypted, devices = excluded.devices, delivered = excluded.delivered, delays = excluded.delays`;

/** The devices of the call `c`. */
const devicesOf = (what: string, condition: string): string =>
  `(SELECT ${what} FROM statistics_call_devices d WHERE d.call_id = c.id AND d.initiated_at = c.initiated_at AND ${condition})`;

// Answered: some device accepted. Missed: none did, and the call or each device's invitation is over; what still rings is neither. Seconds: of calls that ended, never less than
// nothing. Durations: of answered calls, from their start. Ring times: of each device, from its ringing to the end of its invitation.
const countCallsOf = (direction: 'from' | 'to'): string => `
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
                FROM statistics_calls c WHERE c.${direction}_domain = b.domain AND ${IN_BUCKET('c.initiated_at')}) AS calls) c
    CROSS JOIN LATERAL (
      SELECT array_agg(${binOf('d.invite_terminated_at - d.rang_at')}) AS bins
        FROM statistics_calls c JOIN statistics_call_devices d ON d.call_id = c.id AND d.initiated_at = c.initiated_at
       WHERE c.${direction}_domain = b.domain AND ${IN_BUCKET('c.initiated_at')} AND ${IN_BUCKET('d.initiated_at')}
         AND d.rang_at IS NOT NULL AND d.invite_terminated_at IS NOT NULL) r`;

const countCalls = `
WITH ${BUCKETS}, counted AS (${countCallsOf('from')} UNION ALL ${countCallsOf('to')}
), emptied AS (
  DELETE FROM statistics_call_rollups r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.calls = 0
)
INSERT INTO statistics_call_rollups (domain, direction, hour, calls, answered, missed, ended, seconds, durations, rings)
SELECT * FROM counted WHERE calls > 0
ON CONFLICT (domain, direction, hour) DO UPDATE SET
  calls = excluded.calls, answered = excluded.answered, missed = excluded.missed, ended = excluded.ended, seconds = excluded.seconds,
  durations = excluded.durations, rings = excluded.rings`;

/** All domains together, of the hours `$1`: the sum of what each domain sent, since everything has one sender. */
const countTotals = (table: string, sums: string[], bins: string[]): string[] => {
  const columns = [...sums, ...bins];
  const sum = [...sums.map((column) => `sum(${column})`), ...bins.map(sumBins)];
  return [
    `DELETE FROM ${table} WHERE domain = '${ALL_DOMAINS}' AND hour = ANY ($1::timestamptz[])`,
    `INSERT INTO ${table} (domain, direction, hour, ${columns.join(', ')})
     SELECT '${ALL_DOMAINS}', 'from', hour, ${sum.join(', ')} FROM ${table}
      WHERE hour = ANY ($1::timestamptz[]) AND direction = 'from' AND domain <> '${ALL_DOMAINS}' GROUP BY hour`,
  ];
};

const KINDS = {
  messages: {
    count: countMessages,
    totals: countTotals('statistics_message_rollups', ['messages', 'encrypted', 'devices', 'delivered'], ['delays']),
  },
  calls: {
    count: countCalls,
    totals: countTotals('statistics_call_rollups', ['calls', 'answered', 'missed', 'ended', 'seconds'], ['durations', 'rings']),
  },
} as const;
type Kind = keyof typeof KINDS;

interface Mark {
  kind: Kind;
  hour: Date;
  domain: string;
  /** Whether the hour's raw events are still there. */
  has_raw: boolean;
}

/** Takes the lock of rollups until the transaction ends. @returns false where another worker has it */
export async function lockRollups(database: Sequelize, transaction: Transaction): Promise<boolean> {
  const [lock] = await database.query<{ got: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS got', {
    bind: [ROLLUP_LOCK],
    type: QueryTypes.SELECT,
    transaction,
  });
  return lock?.got === true;
}

/** One round. @returns how many marks it took; 0 where there are none or another worker is at it */
async function aggregateRound(database: Sequelize, recomputed: Set<string>): Promise<number> {
  return database.transaction(async (transaction) => {
    if (!(await lockRollups(database, transaction))) return 0;
    const marks = await database.query<Mark>(
      `WITH taken AS (
         DELETE FROM statistics_dirty_buckets WHERE id IN (SELECT id FROM statistics_dirty_buckets ORDER BY id LIMIT $1) RETURNING kind, hour, domain)
       SELECT kind, hour, domain, hour >= coalesce((SELECT raw_since FROM statistics_retention), '-infinity') AS has_raw FROM taken`,
      { bind: [MARKS_A_ROUND], type: QueryTypes.SELECT, transaction },
    );
    // Compiling sums of sixty bins takes longer than doing them.
    await database.query('SET LOCAL jit = off', { transaction });
    // What a mark stands for was committed with it, so the statements below, begun later, see it.
    for (const [kind, { count, totals }] of Object.entries(KINDS)) {
      // Months whose raw events were dropped keep the figures that they have.
      const counted = marks.filter((mark) => mark.kind === kind && mark.has_raw);
      const buckets = new Map(counted.map((mark) => [`${kind} ${mark.hour.toISOString()} ${mark.domain}`, mark]));
      if (buckets.size === 0) continue;
      const distinct = [...buckets.values()];
      const hours = distinct.map(({ hour }) => hour);
      await database.query(count, { bind: [hours, distinct.map(({ domain }) => domain)], transaction });
      for (const statement of totals) await database.query(statement, { bind: [hours], transaction });
      for (const name of buckets.keys()) recomputed.add(name);
    }
    return marks.length;
  });
}

/** Counts all marked buckets. @returns how many buckets were counted */
export async function aggregate(database: Sequelize): Promise<number> {
  const recomputed = new Set<string>();
  while ((await aggregateRound(database, recomputed)) > 0);
  return recomputed.size;
}
