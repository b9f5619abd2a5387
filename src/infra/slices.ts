// What many wait for is handed out a few at a time, so that the answers that follow from it never keep a process from all else.
import { inBackground } from './context';

/** What follows from one result is up to a third of a millisecond: routing, validation, writing an answer. */
const SLICE = 32;

let due: (() => void)[] = [];
let next = 0;

function handOut(): void {
  const end = Math.min(next + SLICE, due.length);
  for (; next < end; next += 1) due[next]?.();
  if (next < due.length) setImmediate(handOut);
  else [due, next] = [[], 0];
}

/**
 * Calls each, in order and after all that were given before: a few at once where nothing is being handed out, else a few in each turn of the event
 * loop, between which sockets are read and timers run.
 *
 * @param calls none of which throws
 */
export function inSlices(calls: readonly (() => void)[]): void {
  if (due.length === 0 && calls.length <= SLICE) {
    for (const call of calls) call();
    return;
  }
  const isIdle = due.length === 0;
  for (const call of calls) due.push(call);
  if (isIdle) inBackground(() => setImmediate(handOut));
}
