// From raw events to hourly rollups: every marked bucket is counted anew from its raw rows, so the order, number and lateness
// of events do not matter, and a run that dies leaves its marks.
import type { Sequelize } from 'sequelize';
import { QueryTypes } from 'sequelize';

/** Key of the transaction-level advisory lock: one aggregation at a time, in whatever worker. */
const LOCK = 7_060_502;
const MARKS_A_ROUND = 5000;

const IN_BUCKET = (column: string): string => `${column} >= b.hour AND ${column} < b.hour + interval '1 hour'`;
const BUCKETS = 'buckets AS (SELECT * FROM unnest($1::timestamptz[], $2::text[]) AS b (hour, domain))';

const countMessages = `
WITH ${BUCKETS}, counted AS (
  SELECT b.domain, 'from' AS direction, b.hour, m.messages, m.encrypted, d.devices, d.delivered
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(*) AS messages, count(*) FILTER (WHERE encrypted) AS encrypted
        FROM statistics_messages WHERE from_domain = b.domain AND ${IN_BUCKET('sent_at')}) m
    CROSS JOIN LATERAL (
      SELECT count(*) AS devices, count(*) FILTER (WHERE d.last_status BETWEEN 200 AND 299) AS delivered
        FROM statistics_messages m JOIN statistics_message_devices d ON d.message_id = m.id AND d.sent_at = m.sent_at
       WHERE m.from_domain = b.domain AND ${IN_BUCKET('m.sent_at')} AND ${IN_BUCKET('d.sent_at')}) d
  UNION ALL
  SELECT b.domain, 'to', b.hour, d.messages, d.encrypted, d.devices, d.delivered
    FROM buckets b
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT m.id) AS messages, count(DISTINCT m.id) FILTER (WHERE m.encrypted) AS encrypted,
             count(*) AS devices, count(*) FILTER (WHERE d.last_status BETWEEN 200 AND 299) AS delivered
        FROM statistics_message_devices d JOIN statistics_messages m ON m.id = d.message_id AND m.sent_at = d.sent_at
       WHERE d.to_domain = b.domain AND ${IN_BUCKET('m.sent_at')} AND ${IN_BUCKET('d.sent_at')}) d
), emptied AS (
  DELETE FROM statistics_message_rollups r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.messages = 0
)
INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered)
SELECT * FROM counted WHERE messages > 0
ON CONFLICT (domain, direction, hour) DO UPDATE
  SET messages = excluded.messages, encrypted = excluded.encrypted, devices = excluded.devices, delivered = excluded.delivered`;

// Answered: some device accepted. Seconds: of calls that ended, and never less than nothing.
const countCalls = `
WITH ${BUCKETS}, counted AS (
  SELECT b.domain, s.direction, b.hour, c.calls, c.answered, c.ended, c.seconds
    FROM buckets b
    CROSS JOIN (VALUES ('from'), ('to')) AS s (direction)
    CROSS JOIN LATERAL (
      SELECT count(*) AS calls,
             count(*) FILTER (WHERE EXISTS (
               SELECT 1 FROM statistics_call_devices d
                WHERE d.call_id = c.id AND d.initiated_at = c.initiated_at AND d.invite_terminated_state = 'accepted')) AS answered,
             count(c.ended_at) AS ended,
             coalesce(sum(greatest(0, extract(epoch FROM c.ended_at - c.initiated_at))) FILTER (WHERE c.ended_at IS NOT NULL), 0)::bigint AS seconds
        FROM statistics_calls c
       WHERE ${IN_BUCKET('c.initiated_at')}
         AND ((s.direction = 'from' AND c.from_domain = b.domain) OR (s.direction = 'to' AND c.to_domain = b.domain))) c
), emptied AS (
  DELETE FROM statistics_call_rollups r USING counted c
   WHERE r.domain = c.domain AND r.direction = c.direction AND r.hour = c.hour AND c.calls = 0
)
INSERT INTO statistics_call_rollups (domain, direction, hour, calls, answered, ended, seconds)
SELECT * FROM counted WHERE calls > 0
ON CONFLICT (domain, direction, hour) DO UPDATE
  SET calls = excluded.calls, answered = excluded.answered, ended = excluded.ended, seconds = excluded.seconds`;

interface Mark {
  kind: 'messages' | 'calls';
  hour: Date;
  domain: string;
}

/** One round. @returns how many marks it took; 0 where there are none or another worker is at it */
async function aggregateRound(database: Sequelize, recomputed: Set<string>): Promise<number> {
  return database.transaction(async (transaction) => {
    const select = <Row extends object>(sql: string, bind: unknown[]): Promise<Row[]> =>
      database.query<Row>(sql, { bind, type: QueryTypes.SELECT, transaction });
    const [lock] = await select<{ got: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS got', [LOCK]);
    if (!lock?.got) return 0;
    const marks = await select<Mark>(
      'DELETE FROM statistics_dirty_buckets WHERE id IN (SELECT id FROM statistics_dirty_buckets ORDER BY id LIMIT $1) RETURNING kind, hour, domain',
      [MARKS_A_ROUND],
    );
    // What a mark stands for was committed with it, so the statements below, begun later, see it.
    for (const [kind, count] of [
      ['messages', countMessages],
      ['calls', countCalls],
    ] as const) {
      const buckets = new Map(
        marks.filter((mark) => mark.kind === kind).map((mark) => [`${kind} ${mark.hour.toISOString()} ${mark.domain}`, mark]),
      );
      if (buckets.size === 0) continue;
      const distinct = [...buckets.values()];
      await database.query(count, { bind: [distinct.map(({ hour }) => hour), distinct.map(({ domain }) => domain)], transaction });
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
