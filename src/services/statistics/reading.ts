// Statistics as people read them: periods of any length out of hourly rollups. Raw events are never looked at, so what an answer costs
// follows the number of hours, not of events.
import { DateTime } from 'luxon';
import { selectFromReplica } from '../../infra/sequelize';
import { addBins, percentile, sumBins } from './histogram';
import { ALL_DOMAINS } from './rollups';

export const GROUPINGS = ['hour', 'day', 'week', 'month', 'year'] as const;
export type Grouping = (typeof GROUPINGS)[number];
/** `sent`: what the domain's accounts sent or called; `received`: what they were sent, or who called them. */
export type Direction = 'sent' | 'received';

/** What is shown where nobody says since when. */
const USUAL: Record<Grouping, [count: number, unit: Grouping]> = {
  hour: [48, 'hour'],
  day: [30, 'day'],
  week: [26, 'week'],
  month: [12, 'month'],
  year: [10, 'year'],
};
const LABELS: Record<Grouping, string> = {
  hour: 'yyyy-MM-dd HH:mm',
  day: 'yyyy-MM-dd',
  week: "kkkk-'W'WW",
  month: 'yyyy-MM',
  year: 'yyyy',
};
export const MOST_PERIODS = 1000;

export interface Period {
  /** In the reader's time zone: `2026-03-01`, `2026-W09`, `2026-03`, … */
  label: string;
  from: Date;
  to: Date;
}
export interface Range {
  from?: DateTime;
  to?: DateTime;
  by: Grouping;
  timezone: string;
}

const ceilToHour = (moment: DateTime): DateTime => {
  const hour = moment.toUTC().startOf('hour');
  return hour < moment ? hour.plus({ hours: 1 }) : hour;
};

/**
 * The periods between two moments, cut to whole hours, since there is nothing finer; where the zone's offset is no whole number of
 * hours, a period begins with the first whole hour of UTC in it.
 *
 * @returns null where there would be more than MOST_PERIODS, none where `to` is not after `from`
 */
export function periodsOf({ from: asked, to: askedEnd, by, timezone }: Range, now = DateTime.utc()): Period[] | null {
  const end = ceilToHour(askedEnd ?? now);
  const [count, unit] = USUAL[by];
  const usual = (): DateTime =>
    end
      .minus(1)
      .setZone(timezone)
      .startOf(unit)
      .minus({ [unit]: count - 1 });
  const from = (asked ?? usual()).setZone(timezone);
  // Who asks from the beginning of a period means that one, not the last minutes of the one before.
  const start = from.equals(from.startOf(by)) ? ceilToHour(from) : from.toUTC().startOf('hour');
  const periods: Period[] = [];
  // Hours are those of UTC: where a clock is put back a local one comes twice, and the second would begin with the first.
  const zone = by === 'hour' ? 'utc' : timezone;
  for (let local = start.setZone(zone).startOf(by); ;) {
    const next = local.plus({ [by]: 1 }).startOf(by);
    if (next <= local) throw new Error(`a ${by} in ${zone} does not end: ${local.toISO()}`);
    const [begins, ends] = [DateTime.max(ceilToHour(local), start), DateTime.min(ceilToHour(next), end)];
    if (begins >= end) return periods;
    if (periods.length === MOST_PERIODS) return null;
    const named = by === 'hour' ? begins.setZone(timezone) : local;
    periods.push({ label: named.toFormat(LABELS[by]), from: begins.toJSDate(), to: ends.toJSDate() });
    local = next;
  }
}

interface MessageSums {
  messages: number;
  encrypted: number;
  devices: number;
  delivered: number;
  delays: number[];
}
interface CallSums {
  calls: number;
  answered: number;
  missed: number;
  seconds: number;
  durations: number[];
  rings: number[];
}

interface Source<Sums> {
  table: string;
  counts: readonly (keyof Sums & string)[];
  bins: readonly (keyof Sums & string)[];
}
const MESSAGES: Source<MessageSums> = {
  table: 'statistics_message_rollups',
  counts: ['messages', 'encrypted', 'devices', 'delivered'],
  bins: ['delays'],
};
const CALLS: Source<CallSums> = {
  table: 'statistics_call_rollups',
  counts: ['calls', 'answered', 'missed', 'seconds'],
  bins: ['durations', 'rings'],
};

/** The sums of each period, in their order, in one statement. */
async function sumsOf<Sums>(source: Source<Sums>, domain: string | null, direction: Direction, periods: Period[]): Promise<Sums[]> {
  const { table, counts, bins } = source;
  const [side, name] = domain === null ? ['from', ALL_DOMAINS] : [direction === 'sent' ? 'from' : 'to', domain.toLowerCase()];
  const found = await selectFromReplica<Record<string, unknown> & { period: number }>(
    `SELECT width_bucket(hour, $3::timestamptz[]) AS period,
            ${counts.map((column) => `sum(${column})::bigint AS ${column}`).join(', ')}, ${bins.map((column) => `${sumBins(column)} AS ${column}`).join(', ')}
       FROM ${table} WHERE domain = $1 AND direction = $2 AND hour >= ($3::timestamptz[])[1] AND hour < $4 GROUP BY 1`,
    [name, side, periods.map(({ from }) => from), periods.at(-1)?.to],
  );
  const byPeriod = new Map(found.map((row) => [row.period, row]));
  return periods.map((_, index) => {
    const row = byPeriod.get(index + 1);
    return Object.fromEntries([
      ...counts.map((column) => [column, row?.[column] ?? 0]),
      ...bins.map((column) => [column, ((row?.[column] as string[] | undefined) ?? []).map(Number)]),
    ]) as Sums;
  });
}

const add = <Sums>({ counts, bins }: Source<Sums>, all: Sums[]): Sums => {
  const numbers = all as Record<string, number>[];
  const arrays = all as Record<string, number[]>[];
  return Object.fromEntries([
    ...counts.map((column) => [column, numbers.reduce((sum, each) => sum + (each[column] ?? 0), 0)]),
    ...bins.map((column) => [column, arrays.reduce<number[]>((sum, each) => addBins(sum, each[column] ?? []), [])]),
  ]) as Sums;
};

/** A part of a whole, from 0 to 1; null of nothing. */
const share = (part: number, whole: number): number | null => (whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000);

export type Figures = Record<string, number | null>;
export interface Reading {
  total: Figures;
  periods: (Period & { figures: Figures })[];
}

const percentiles = (name: string, bins: number[]): Figures => ({
  [`${name}_p50`]: percentile(bins, 0.5),
  [`${name}_p90`]: percentile(bins, 0.9),
  [`${name}_p99`]: percentile(bins, 0.99),
});

const messageFigures = ({ messages, encrypted, devices, delivered, delays }: MessageSums): Figures => ({
  messages,
  encrypted,
  encrypted_share: share(encrypted, messages),
  devices,
  delivered,
  delivery_rate: share(delivered, devices),
  ...percentiles('delay', delays),
});
const callFigures = ({ calls, answered, missed, seconds, durations, rings }: CallSums): Figures => ({
  calls,
  answered,
  answered_share: share(answered, calls),
  missed,
  missed_share: share(missed, calls),
  seconds,
  ...percentiles('duration', durations),
  ...percentiles('ring_time', rings),
});

/** @param domain null: all domains together, where everything is counted once, by its sender */
export type Read = (domain: string | null, direction: Direction, periods: Period[]) => Promise<Reading>;

const reader =
  <Sums>(source: Source<Sums>, figuresOf: (sums: Sums) => Figures): Read =>
  async (domain, direction, periods) => {
    const sums = await sumsOf(source, domain, direction, periods);
    return {
      total: figuresOf(add(source, sums)),
      periods: periods.map((period, index) => ({ ...period, figures: figuresOf(sums[index] as Sums) })),
    };
  };

export const readMessages: Read = reader(MESSAGES, messageFigures);
export const readCalls: Read = reader(CALLS, callFigures);

export const MESSAGE_FIGURES = Object.keys(messageFigures(add(MESSAGES, [])));
export const CALL_FIGURES = Object.keys(callFigures(add(CALLS, [])));
