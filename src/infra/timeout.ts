// A time limit around a promise.

/**
 * Waits for `promise`, `milliseconds` at most. What it does after that is ignored, its rejection too; it is not cancelled.
 *
 * @param what named in the error
 * @throws {Error} where the time is over; else what `promise` rejects with
 */
export function withTimeout<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${milliseconds} ms`)), milliseconds);
  });
  promise.catch(() => undefined);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
