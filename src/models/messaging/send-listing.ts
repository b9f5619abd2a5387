// The ledger of sends as operators read it: lists, newest first, and figures. Nothing of what was sent is in what this gives.
import { literal, Op, type WhereOptions } from 'sequelize';
import { database, select, selectFromReplica } from '../../infra/sequelize';
import { confinedTo, type Viewer } from '../visibility';
import { type Channel, type LedgerKind, Send } from './send';

export const CHANNELS = ['push', 'sms', 'email', 'message'] as const satisfies readonly Channel[];
export const LEDGER_KINDS = [
  'creation_token',
  'notification',
  'account_creation',
  'account_ready',
  'account_recovery',
  'email_change',
  'phone_change',
  'message',
] as const satisfies readonly LedgerKind[];
export const SEND_STATES = ['due', 'sending', 'sent', 'failed', 'unknown'] as const;

/** Where a page of the list ends: its last row. */
export interface SendPlace {
  /** With its microseconds, which a Date has not. */
  created_at: string;
  id: number;
}

/** Which rows are listed: those that fulfil all of it. */
export interface SendFilter {
  channel?: Channel;
  kind?: LedgerKind;
  state?: (typeof SEND_STATES)[number];
  outcome?: string;
  reason?: string;
  account_id?: number;
  domain?: string;
  /** Hashes of a recipient, as any channel would have it. */
  recipient_hashes?: string[];
  request_id?: string;
  /** These rows alone. */
  ids?: number[];
  since?: Date;
  until?: Date;
  /** Rows behind it, which are older. */
  after?: SendPlace;
}

/** A row as it is listed; moments in ISO 8601 with microseconds. */
export interface ListedSend {
  id: number;
  channel: Channel;
  kind: LedgerKind;
  account_id: number | null;
  domain: string | null;
  /** Whole, of a row that waits for its first worker; for its mask alone. */
  recipient: string | null;
  recipient_mask: string | null;
  country: string | null;
  phone_prefix: string | null;
  provider: string | null;
  target: string | null;
  state: string;
  outcome: string | null;
  reason: string | null;
  provider_code: string | null;
  detail: string | null;
  attempts: number;
  queued_ms: number | null;
  provider_ms: number | null;
  request_id: string | null;
  delivery: string | null;
  delivered_at: string | null;
  converted_at: string | null;
  created_at: string;
  ended_at: string | null;
}

const iso = (column: string): [ReturnType<typeof literal>, string] => [
  literal(`to_char("Send"."${column}" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`),
  column,
];
const ATTRIBUTES = [
  'id',
  'channel',
  'kind',
  'account_id',
  'domain',
  // Of those that have a mask nobody needs it.
  [literal('CASE WHEN recipient_mask IS NULL THEN recipient END'), 'recipient'],
  'recipient_mask',
  'country',
  'phone_prefix',
  'provider',
  'target',
  'state',
  'outcome',
  'reason',
  'provider_code',
  ['last_reason', 'detail'],
  'attempts',
  'queued_ms',
  'provider_ms',
  'request_id',
  'delivery',
  iso('delivered_at'),
  iso('converted_at'),
  iso('created_at'),
  iso('ended_at'),
] as unknown as string[];

/** Conditions of a filter. Of a row that an older worker has ended the state says what came of it. */
function whereOf({ outcome, recipient_hashes, ids, since, until, after, ...equal }: SendFilter): WhereOptions {
  const conditions: WhereOptions[] = [equal];
  if (outcome !== undefined) conditions.push({ [Op.or]: [{ outcome }, { outcome: null, state: outcome }] });
  if (recipient_hashes !== undefined) conditions.push({ recipient_hash: recipient_hashes });
  if (ids !== undefined) conditions.push({ id: ids });
  if (since !== undefined) conditions.push({ created_at: { [Op.gte]: since } });
  if (until !== undefined) conditions.push({ created_at: { [Op.lt]: until } });
  // As a row value, by which the index of moments is entered at the place itself.
  if (after !== undefined)
    conditions.push(literal(`("Send".created_at, "Send".id) < (${database.escape(after.created_at)}, ${Math.trunc(after.id)})`));
  return { [Op.and]: conditions };
}

/**
 * A page of the ledger, newest first: one statement, by the index of accounts, recipients, Spaces or moments.
 *
 * @param viewer sees the rows of the own Space, or all; null: whoever sees the account that the filter names sees all of it
 */
export function listSends(filter: SendFilter, limit: number, viewer: Viewer | null): Promise<ListedSend[]> {
  const domain = viewer === null ? null : confinedTo(viewer);
  const where = { [Op.and]: [whereOf(filter), domain === null ? {} : { domain }] } as WhereOptions;
  const order: [string, string][] = [
    ['created_at', 'DESC'],
    ['id', 'DESC'],
  ];
  const found: Promise<unknown> = Send.findAll({
    attributes: ATTRIBUTES,
    where,
    order: order.map(([column, way]) => [literal(`"Send".${column}`), way]) as never,
    limit,
    raw: true,
  });
  return found as Promise<ListedSend[]>;
}

/** The database's clock, by which rows are dated. */
export async function readClock(): Promise<Date> {
  const [row] = await select<{ now: Date }>('SELECT clock_timestamp() AS now');
  return row?.now ?? new Date();
}

/** An hour's sends by what came of them. `refused`: the device may have none now. `pending`: due, or under way. */
export interface HourOfSends {
  hour: Date;
  sent: number;
  refused: number;
  failed: number;
  unknown: number;
  pending: number;
}
/** A channel's sends; milliseconds, null where nothing was measured. */
export interface ChannelOfSends {
  channel: Channel;
  sends: number;
  sent: number;
  converted: number;
  queued_p50: number | null;
  queued_p90: number | null;
  queued_p99: number | null;
  provider_p50: number | null;
  provider_p90: number | null;
  provider_p99: number | null;
}
/** Failures of a kind, and one of them. */
export interface ReasonOfSends {
  reason: string;
  channel: Channel;
  provider: string | null;
  provider_code: string | null;
  sends: number;
  last_at: Date;
}
/** Figures of a range. */
export interface SendSummary {
  hours: HourOfSends[];
  channels: ChannelOfSends[];
  reasons: ReasonOfSends[];
}

/** Rows of `reasons`, the most frequent ones. */
const MAX_REASONS = 50;
const percentilesOf = (column: 'queued' | 'provider'): string =>
  [50, 90, 99].map((part) => `percentile_disc(0.${part}) WITHIN GROUP (ORDER BY ${column}_ms) AS ${column}_p${part}`).join(', ');
const REFUSED = `outcome IN ('already_sent', 'limit_reached')`;
const count = (condition: string): string => `count(*) FILTER (WHERE ${condition})`;

/** One statement, which reads the range once; hours, percentiles and reasons are made of it. */
const summarySql = (conditions: string): string => `
WITH read AS MATERIALIZED (
  SELECT created_at, channel, state, outcome, reason, provider, provider_code, queued_ms, provider_ms, converted_at
    FROM sends WHERE created_at >= $1 AND created_at < $2 ${conditions}
), hours AS (
  SELECT date_trunc('hour', created_at, 'UTC') AS hour, ${count("state = 'sent'")} AS sent, ${count(`state = 'failed' AND ${REFUSED}`)} AS refused,
         ${count(`state = 'failed' AND (${REFUSED}) IS NOT TRUE`)} AS failed, ${count("state = 'unknown'")} AS unknown,
         ${count("state IN ('due', 'sending')")} AS pending
    FROM read GROUP BY 1 ORDER BY 1
), channels AS (
  SELECT channel, count(*) AS sends, ${count("state = 'sent'")} AS sent, count(converted_at) AS converted,
         ${percentilesOf('queued')}, ${percentilesOf('provider')}
    FROM read GROUP BY channel ORDER BY sends DESC, channel
), reasons AS (
  SELECT coalesce(reason, 'error') AS reason, channel, provider, provider_code, count(*) AS sends, max(created_at) AS last_at
    FROM read WHERE state IN ('failed', 'unknown') GROUP BY 1, 2, 3, 4 ORDER BY sends DESC, last_at DESC LIMIT ${MAX_REASONS}
)
SELECT coalesce((SELECT json_agg(hours) FROM hours), '[]') AS hours, coalesce((SELECT json_agg(channels) FROM channels), '[]') AS channels,
       coalesce((SELECT json_agg(reasons) FROM reasons), '[]') AS reasons`;

/** Figures of a range of moments, read from the replica. @param domain null: of all Spaces */
export async function summarizeSends(
  { since, until, channel }: { since: Date; until: Date; channel?: Channel },
  domain: string | null,
): Promise<SendSummary> {
  const bind: unknown[] = [since, until];
  const conditions = (
    [
      ['domain', domain ?? undefined],
      ['channel', channel],
    ] as const
  )
    .filter(([, value]) => value !== undefined)
    .map(([column, value]) => `AND ${column} = $${bind.push(value)}`)
    .join(' ');
  const [read] = await selectFromReplica<SendSummary>(summarySql(conditions), bind);
  const { hours = [], channels = [], reasons = [] } = read ?? {};
  return {
    hours: hours.map((row) => ({ ...row, hour: new Date(row.hour) })),
    channels,
    reasons: reasons.map((row) => ({ ...row, last_at: new Date(row.last_at) })),
  };
}
