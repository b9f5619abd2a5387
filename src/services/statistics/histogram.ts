// Durations in seconds as counts in fixed bins: sums of bins are the bins of the sum, so percentiles of any period come from hourly rows.
// Whole seconds up to ten are exact; above, a bin is a quarter wider than the one before (R10 preferred numbers).

const R10 = [1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8, 10];

/** Where each bin begins, in seconds; the last, from 29 days on, has no end. */
export const BIN_STARTS: readonly number[] = [
  ...Array.from({ length: 12 }, (_, second) => second),
  ...[10, 100, 1000, 10_000, 100_000].flatMap((decade) => R10.map((step) => Math.round(step * decade * 10) / 10)),
  ...R10.slice(0, 4).map((step) => step * 1_000_000),
];
export const BINS = BIN_STARTS.length;

const STARTS = `ARRAY[${BIN_STARTS.join(', ')}]::float8[]`;

/** SQL: the bin, from 1, of an interval; what ended before it began counts as nothing. */
export const binOf = (interval: string): string => `greatest(1, width_bucket(extract(epoch FROM ${interval})::float8, ${STARTS}))`;

/** SQL: how many of the array `bins` are in each bin. */
export const countBins = (bins: string): string =>
  `(SELECT array_agg(n::integer ORDER BY bin) FROM (
      SELECT s.bin, count(u.bin) AS n FROM generate_series(1, ${BINS}) AS s (bin) LEFT JOIN unnest(${bins}) AS u (bin) ON u.bin = s.bin
       GROUP BY s.bin) AS counted)`;

/** SQL, among aggregates: the sum of a column of such counts. */
export const sumBins = (column: string): string =>
  `ARRAY[${Array.from({ length: BINS }, (_, n) => `coalesce(sum(${column}[${n + 1}]), 0)`).join(', ')}]::bigint[]`;

/** The sum of two. */
export const addBins = (one: readonly number[], other: readonly number[]): number[] =>
  Array.from({ length: BINS }, (_, n) => (one[n] ?? 0) + (other[n] ?? 0));

/**
 * The value, in seconds, below or at which the part `share` of all lies; null where there is none. Inside a bin wider than a second
 * the values are taken to be spread evenly.
 */
export function percentile(bins: readonly number[], share: number): number | null {
  const all = bins.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const rank = Math.max(1, Math.ceil(share * all));
  let before = 0;
  for (const [bin, count] of bins.entries()) {
    if (before + count >= rank) {
      const start = BIN_STARTS[bin] ?? 0;
      const width = (BIN_STARTS[bin + 1] ?? start) - start;
      return width <= 1 ? start : Math.round((start + (width * (rank - before - 0.5)) / count) * 10) / 10;
    }
    before += count;
  }
  return null;
}
