// Statistics as people read them: periods of any length out of hourly rollups. Raw events are never looked at, so what an answer costs
// follows the number of hours, not of events.
import { DateTime } from 'luxon';
import { StatisticsCallRollup, StatisticsMessageRollup } from '../../models';
import { CALL_SUMS, type CallSums } from '../../models/statistics/call-rollup';
import { MESSAGE_SUMS, type MessageSums } from '../../models/statistics/message-rollup';
import { ALL_DOMAINS } from '../../models/statistics/batch';
import type { PeriodQuery, PeriodSums, SummedColumns } from '../../models/statistics/rollup-statements';
import { addBins, percentile } from './histogram';

export const GROUPINGS = ['hour', 'day', 'week', 'month', 'year'] as const;
export type Grouping = (typeof GROUPINGS)[number];
/** `sent`: what the domain's accounts sent or called; `received`: what they were sent, or who called them. */
export type Direction = 'sent' | 'received';

/** How many periods are read where `from` is not given, the current one included. */
const DEFAULT_RANGE: Record<Grouping, [count: number, unit: Grouping]> = {
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
/** Periods in one answer. */
export const MAX_PERIODS = 1000;

/** A period as answers name it; `to` is exclusive. */
export interface Period {
  /** In the reader's time zone: `2026-03-01`, `2026-W09`, `2026-03`, … */
  label: string;
  from: Date;
  to: Date;
}
/** What is asked for. Without `from` or `to`: as periodsOf() fills them in. */
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
 * @returns null where there would be more than MAX_PERIODS, none where `to` is not after `from`
 */
export function periodsOf({ from: asked, to: askedEnd, by, timezone }: Range, now = DateTime.utc()): Period[] | null {
  const end = ceilToHour(askedEnd ?? now);
  const [count, unit] = DEFAULT_RANGE[by];
  const defaultStart = (): DateTime =>
    end
      .minus(1)
      .setZone(timezone)
      .startOf(unit)
      .minus({ [unit]: count - 1 });
  const from = (asked ?? defaultStart()).setZone(timezone);
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
    if (periods.length === MAX_PERIODS) return null;
    const named = by === 'hour' ? begins.setZone(timezone) : local;
    periods.push({ label: named.toFormat(LABELS[by]), from: begins.toJSDate(), to: ends.toJSDate() });
    local = next;
  }
}

/** The sums of a period without events. */
const noSums = <Sums>({ counts, bins }: SummedColumns<Sums>): Sums =>
  Object.fromEntries([...counts.map((column) => [column, 0]), ...bins.map((column) => [column, []])]) as Sums;

/** Where figures come from: which columns, and what reads their sums. */
interface Source<Sums> {
  columns: SummedColumns<Sums>;
  sumByPeriod: (query: PeriodQuery) => Promise<PeriodSums<Sums>[]>;
}
const MESSAGES: Source<MessageSums> = { columns: MESSAGE_SUMS, sumByPeriod: (query) => StatisticsMessageRollup.sumByPeriod(query) };
const CALLS: Source<CallSums> = { columns: CALL_SUMS, sumByPeriod: (query) => StatisticsCallRollup.sumByPeriod(query) };

/** The sums of each period, in their order. */
async function sumsOf<Sums>(source: Source<Sums>, domain: string | null, direction: Direction, periods: Period[]): Promise<Sums[]> {
  const end = periods.at(-1)?.to;
  if (end === undefined) return [];
  const found = await source.sumByPeriod({
    ...(domain === null
      ? { domain: ALL_DOMAINS, direction: 'from' }
      : { domain: domain.toLowerCase(), direction: direction === 'sent' ? 'from' : 'to' }),
    starts: periods.map(({ from }) => from),
    end,
  });
  const byPeriod = new Map(found.map((row) => [row.period, row]));
  return periods.map((_, index) => byPeriod.get(index + 1) ?? noSums(source.columns));
}

const add = <Sums>({ counts, bins }: SummedColumns<Sums>, all: Sums[]): Sums => {
  const numbers = all as Record<string, number>[];
  const arrays = all as Record<string, number[]>[];
  return Object.fromEntries([
    ...counts.map((column) => [column, numbers.reduce((sum, each) => sum + (each[column] ?? 0), 0)]),
    ...bins.map((column) => [column, arrays.reduce<number[]>((sum, each) => addBins(sum, each[column] ?? []), [])]),
  ]) as Sums;
};

/** `part` divided by `whole`, rounded to four digits; null where `whole` is 0. */
const share = (part: number, whole: number): number | null => (whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000);

/** Figures by name; null where there is nothing to divide by. */
export type Figures = Record<string, number | null>;
/** Figures of a range, and of each period in it. */
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

/**
 * Reads figures of whole hours, some seconds old.
 *
 * @param domain null: all domains together, where everything is counted once, by its sender
 * @param periods as periodsOf() gives them
 * @returns counts; shares from 0 to 1; delays, durations and ring times in seconds; null where there is nothing to divide by
 */
export type Read = (domain: string | null, direction: Direction, periods: Period[]) => Promise<Reading>;

const reader =
  <Sums>(source: Source<Sums>, figuresOf: (sums: Sums) => Figures): Read =>
  async (domain, direction, periods) => {
    const sums = await sumsOf(source, domain, direction, periods);
    return {
      total: figuresOf(add(source.columns, sums)),
      periods: periods.map((period, index) => ({ ...period, figures: figuresOf(sums[index] as Sums) })),
    };
  };

/** Figures of messages. */
export const readMessages: Read = reader(MESSAGES, messageFigures);
/** Figures of calls. */
export const readCalls: Read = reader(CALLS, callFigures);

/** Names of what readMessages gives, in its order: the columns of a table of it. */
export const MESSAGE_FIGURES = Object.keys(messageFigures(noSums(MESSAGE_SUMS)));
/** The same of readCalls. */
export const CALL_FIGURES = Object.keys(callFigures(noSums(CALL_SUMS)));
