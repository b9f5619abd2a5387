// Reading a year by month, over ten million messages and over ten thousand. Rollups of the year 2001 are written as the worker would have
// counted them, since reading looks at nothing else.
import { DateTime } from 'luxon';
import { BIN_COUNT } from '../src/models/statistics/bins';
import { periodsOf, readMessages } from '../src/services/statistics/reading';
import { median } from './median';
import { query } from './sql';

const HOURS = 365 * 24;
const ROUNDS = 30;
const CASES = { 'bench-many.invalid': 10_000_000, 'bench-few.invalid': 10_000 } as const;
type Domain = keyof typeof CASES;

/** An hour's row where the hour had a message; its delays fill as many bins as there are messages, forty at most. */
async function write(domain: Domain): Promise<void> {
  const anHour = CASES[domain] / HOURS;
  await query(
    `INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
     SELECT $1, 'from', timestamptz '2001-01-01 00:00Z' + h * interval '1 hour', n, n / 2, n, n,
            ARRAY(SELECT CASE WHEN bin <= least(40, n) THEN greatest(1, n / 40) ELSE 0 END FROM generate_series(1, ${BIN_COUNT}) AS bin)
       FROM generate_series(0, ${HOURS - 1}) AS h,
            -- Names h: else one throw of the dice would stand for all hours.
            LATERAL (SELECT (CASE WHEN $2::float8 >= 2 THEN $2 WHEN random() + 0 * h < 0.68 THEN ceil($2) ELSE 0 END)::integer AS n) AS counted
      WHERE n > 0`,
    [domain, anHour],
  );
}

/** Milliseconds, the median of some reads. */
async function time(domain: Domain, by: 'month' | 'day'): Promise<number> {
  const [from, to] = ['2001-01-01', '2002-01-01'].map((day) => DateTime.fromISO(day, { zone: 'Europe/Paris' }));
  const periods = periodsOf({ from, to, by, timezone: 'Europe/Paris' }) ?? [];
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    await readMessages(domain, 'sent', periods);
    times.push(performance.now() - started);
  }
  return median(times);
}

/** @returns lines to print */
export async function benchStatisticsReading(): Promise<string[]> {
  const domains = Object.keys(CASES) as Domain[];
  for (const domain of domains) await write(domain);
  await query('ANALYZE statistics_message_rollups');
  const lines: string[] = [];
  for (const by of ['month', 'day'] as const) {
    const [many, few] = [await time('bench-many.invalid', by), await time('bench-few.invalid', by)];
    lines.push(`a year by ${by}: 10,000,000 messages / 10,000: ${(many / few).toFixed(1)} (${many.toFixed(0)} ms)`);
  }
  return lines;
}
