// What the counts in bins say: percentiles (models/statistics/bins.ts has the bins).
import { BIN_COUNT, BIN_STARTS } from '../../models/statistics/bins';

/** The sum of two histograms, bin by bin; a missing bin counts as empty. */
export const addBins = (one: readonly number[], other: readonly number[]): number[] =>
  Array.from({ length: BIN_COUNT }, (_, n) => (one[n] ?? 0) + (other[n] ?? 0));

/**
 * The value, in seconds, below or at which the part `share` (0 to 1) of all lies; null where there is none. Inside a bin wider than a second
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
