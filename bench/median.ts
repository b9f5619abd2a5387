/** The middle value of some, the upper one of two; 0 of none. */
export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** The values that a quarter of some lie below and above; undefined of none. */
export function quartiles(values: readonly number[]): [number, number] | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[sorted.length >> 2], sorted[(sorted.length * 3) >> 2]];
  return low === undefined || high === undefined ? undefined : [low, high];
}
