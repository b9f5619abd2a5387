// Removing what accounts and Spaces sent before they were deleted, with its devices' rows, some at a time, and marking the hours whose figures change.
import { execute, select } from '../../infra/sequelize';
import { ALL_DOMAINS, hourOf, INSERT_MARKS } from './batch';
import { ROLLUP_LOCK_ID } from './rollup-statements';

interface EventTables {
  kind: 'messages' | 'calls';
  events: string;
  keys: string;
  devices: string;
  /** Of the devices: their event's id. */
  parent: string;
  /** In all three. */
  moment: 'sent_at' | 'initiated_at';
  /** Columns with domains whose hours change. */
  eventDomains: string;
  deviceDomains: string | null;
}

const MESSAGES: EventTables = {
  kind: 'messages',
  events: 'statistics_messages',
  keys: 'statistics_message_keys',
  devices: 'statistics_message_devices',
  parent: 'message_id',
  moment: 'sent_at',
  eventDomains: '(from_domain)',
  deviceDomains: '(to_domain)',
};
const CALLS: EventTables = {
  kind: 'calls',
  events: 'statistics_calls',
  keys: 'statistics_call_keys',
  devices: 'statistics_call_devices',
  parent: 'call_id',
  moment: 'initiated_at',
  eventDomains: '(from_domain), (to_domain)',
  deviceDomains: null,
};

/** SQL: an event that is a deleted account's or Space's own, and not one of the same name that came later. `created_at` has whole seconds. */
const sentBefore = (moment: string): string => `(e.${moment} <= p.deleted_at OR e.created_at < date_trunc('second', p.deleted_at))`;

/** SQL for a kind of events. `$1`, `$2` of all but the first: ids and moments of events. */
function statementsFor({
  kind,
  events,
  keys,
  devices,
  parent,
  moment,
  eventDomains,
  deviceDomains,
}: EventTables): Record<'find' | 'lock' | 'deleteDevices' | 'deleteKeys' | 'deleteEvents', string> {
  const given = 'unnest($1::text[], $2::timestamptz[]) AS g (id, moment)';
  const marks = (of: string, domains: string): string =>
    `${INSERT_MARKS} SELECT DISTINCT '${kind}', ${hourOf(moment)}, d.domain FROM ${of} CROSS JOIN LATERAL (VALUES ${domains}) AS d (domain)`;
  return {
    // Look-ups by index, one for each deletion: as a plain join PostgreSQL might read whole months. Moments as text: a Date has no microseconds.
    find: `
      SELECT e.id, e.${moment}::text AS moment
        FROM pending_deletions p CROSS JOIN LATERAL (
          (SELECT id, ${moment} FROM ${events} e
            WHERE p.username IS NOT NULL AND e.from_username = p.username AND e.from_domain = p.domain AND ${sentBefore(moment)} LIMIT $2)
          UNION ALL
          (SELECT id, ${moment} FROM ${events} e
            WHERE p.username IS NULL AND e.from_domain = p.domain AND ${sentBefore(moment)} ORDER BY ${moment} LIMIT $2)) e
       WHERE p.id = ANY ($1::bigint[]) LIMIT $2`,
    // Reports about the event wait here, and find no parent afterwards; by id, as they lock them.
    lock: `SELECT 1 FROM ${keys} WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE`,
    deleteDevices: `
      WITH gone AS (
        DELETE FROM ${devices} WHERE (id, ${moment}) IN (
          SELECT d.id, d.${moment} FROM ${given} JOIN ${devices} d ON d.${parent} = g.id AND d.${moment} = g.moment LIMIT $3)
        RETURNING *
      )${deviceDomains === null ? '' : `, marks AS (${marks('gone', deviceDomains)})`}
      SELECT count(*)::integer AS deleted FROM gone`,
    deleteKeys: `DELETE FROM ${keys} k USING ${given} WHERE k.id = g.id AND k.${moment} = g.moment`,
    deleteEvents: `
      WITH gone AS (
        DELETE FROM ${events} e USING ${given} WHERE e.id = g.id AND e.${moment} = g.moment RETURNING e.*
      ) ${marks('gone', eventDomains)}`,
  };
}

const KINDS = [statementsFor(MESSAGES), statementsFor(CALLS)];

/** For the transaction around it: what a deleted account has is found by index, whatever PostgreSQL believes of how much of it there is. */
export async function preferIndexes(): Promise<void> {
  await execute('SET LOCAL enable_seqscan = off');
}

/**
 * Deletes some of what was sent by whom `deletions` are about, at most about twice `limit` rows of a kind; for the transaction around it, which has
 * taken them.
 *
 * @param deletions ids of pending deletions
 * @returns how many rows; 0 where nothing is left
 */
export async function deleteSentStatistics(deletions: readonly number[], limit: number): Promise<number> {
  let deleted = 0;
  for (const sql of KINDS) {
    if (deleted >= limit) break;
    const found = await select<{ id: string; moment: string }>(sql.find, [deletions, limit]);
    if (found.length === 0) continue;
    const events = [found.map(({ id }) => id), found.map(({ moment }) => moment)];
    await select(sql.lock, [events[0]]);
    const [devices] = await select<{ deleted: number }>(sql.deleteDevices, [...events, limit]);
    deleted += devices?.deleted ?? 0;
    // An event of many devices goes when they are gone.
    if ((devices?.deleted ?? 0) === limit) break;
    await execute(sql.deleteKeys, events);
    await execute(sql.deleteEvents, events);
    deleted += found.length;
  }
  return deleted;
}

/** Hours that had figures of a domain are added up anew for all domains together. */
const deleteRollups = (table: string, kind: string, until: string): string => `
  WITH gone AS (DELETE FROM ${table} WHERE domain = $1 AND ${until} RETURNING hour)
  ${INSERT_MARKS} SELECT DISTINCT '${kind}', hour, '${ALL_DOMAINS}' FROM gone`;

/**
 * Ends the figures of a domain: its rollups are gone, and what was sent by or to it before `moment` is counted for it no more, so that a Space that is
 * made of that name begins at nothing. What was sent to others stays counted for them until the raw events go. Inside a transaction.
 *
 * @param moment as PostgreSQL writes it
 */
export async function endFigures(domain: string, moment: string): Promise<void> {
  // An aggregation under way would write the figures back that it has counted.
  await select('SELECT pg_advisory_xact_lock($1)', [ROLLUP_LOCK_ID]);
  await execute(
    `INSERT INTO statistics_floors (domain, since) VALUES ($1, $2)
     ON CONFLICT (domain) DO UPDATE SET since = greatest(statistics_floors.since, excluded.since)`,
    [domain, moment],
  );
  await deleteFigures(domain, 'true');
}

/** Deletes the figures of a domain from before its floor, which the release before this one may have counted since; under the lock of rollups. */
export const deleteFiguresBelowFloor = (domain: string): Promise<void> =>
  deleteFigures(domain, "hour < (SELECT date_trunc('hour', since) FROM statistics_floors WHERE domain = $1)");

async function deleteFigures(domain: string, until: string): Promise<void> {
  await execute(deleteRollups('statistics_message_rollups', 'messages', until), [domain]);
  await execute(deleteRollups('statistics_call_rollups', 'calls', until), [domain]);
}
