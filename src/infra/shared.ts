// One answer for many who ask the same at about the same time, where each would cost a query.

import { inBackground } from './context';

/**
 * A function that does `work` at most once in so many milliseconds. Who calls while it is under way waits for it, who calls
 * within that time after it is given the same. A failure is given to those who wait, and not kept.
 *
 * @param milliseconds for which an answer is good, from the moment in which it is there
 * @throws what `work` throws
 */
export function sharedFor<T>(milliseconds: number, work: () => Promise<T>): () => Promise<T> {
  let shared: Promise<T> | undefined;
  let until = Infinity;
  return () => {
    if (shared && performance.now() < until) return shared;
    until = Infinity;
    shared = inBackground(work);
    shared.then(
      () => (until = performance.now() + milliseconds),
      () => (until = 0),
    );
    return shared;
  };
}
