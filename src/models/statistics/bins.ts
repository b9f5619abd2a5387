// Durations in seconds as counts in fixed bins: sums of bins are the bins of the sum, so percentiles of any period come from hourly rows.
// Whole seconds up to ten are exact; above, a bin is a quarter wider than the one before (R10 preferred numbers, ISO 3). The SQL that fills
// and sums them stands here; what they say of a period is in services/statistics/histogram.ts.

const R10 = [1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8, 10];

/** Where each bin begins, in seconds; the last, from 29 days on, has no end. */
export const BIN_STARTS: readonly number[] = [
  ...Array.from({ length: 12 }, (_, second) => second),
  ...[10, 100, 1000, 10_000, 100_000].flatMap((decade) => R10.map((step) => Math.round(step * decade * 10) / 10)),
  ...R10.slice(0, 4).map((step) => step * 1_000_000),
];
/** How many bins a histogram has; also the length of the arrays in the rollups. */
export const BIN_COUNT = BIN_STARTS.length;

const STARTS = `ARRAY[${BIN_STARTS.join(', ')}]::float8[]`;

/** SQL: the bin, from 1, of the interval that the expression `interval` gives; what ended before it began counts as nothing. */
export const binOf = (interval: string): string => `greatest(1, width_bucket(extract(epoch FROM ${interval})::float8, ${STARTS}))`;

/** SQL: how many of the numbers in the array `bins` are in each bin, as an array of BIN_COUNT integers. */
export const countBins = (bins: string): string =>
  `(SELECT array_agg(n::integer ORDER BY bin) FROM (
      SELECT s.bin, count(u.bin) AS n FROM generate_series(1, ${BIN_COUNT}) AS s (bin) LEFT JOIN unnest(${bins}) AS u (bin) ON u.bin = s.bin
       GROUP BY s.bin) AS counted)`;

/** SQL, among aggregates: the sum, bin by bin, of a column of such arrays, as bigint[]. */
export const sumBins = (column: string): string =>
  `ARRAY[${Array.from({ length: BIN_COUNT }, (_, n) => `coalesce(sum(${column}[${n + 1}]), 0)`).join(', ')}]::bigint[]`;
