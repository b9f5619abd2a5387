// What many wait for is begun a few at a time, so that no turn of the event loop is long: between two of them sockets are read, timers run, and whoever
// looks whether this process is well has his answer.
import { inBackground } from './context';

/** In one turn. One request, or what follows from one result, takes a tenth of a millisecond to one. */
const SLICE = 8;

interface Waiting {
  call: () => void;
  /** By performance.now(). */
  came: number;
}

/** A queue: some calls are made at once, those that are too many for this turn of the event loop in the next ones, in the order in which they came. */
export class Slices {
  #left = SLICE;
  #waiting: Waiting[] = [];
  /** Of those, the first that has not had its turn. */
  #next = 0;
  #isCounting = false;

  /** How long the first of those who wait has waited, in milliseconds; 0 where nobody waits. */
  get delayMs(): number {
    const first = this.#waiting[this.#next];
    return first === undefined ? 0 : performance.now() - first.came;
  }

  /** Makes a call when it is its turn. @param call does not throw */
  run(call: () => void): void {
    this.#count();
    if (this.#left > 0 && this.#waiting.length === 0) {
      this.#left -= 1;
      call();
    } else this.#waiting.push({ call, came: performance.now() });
  }

  #count(): void {
    if (this.#isCounting) return;
    this.#isCounting = true;
    inBackground(() => setImmediate(() => this.#turn()));
  }

  #turn(): void {
    this.#isCounting = false;
    this.#left = SLICE;
    for (; this.#left > 0 && this.#next < this.#waiting.length; this.#left -= 1, this.#next += 1) this.#waiting[this.#next]?.call();
    if (this.#next < this.#waiting.length) this.#count();
    else [this.#waiting, this.#next] = [[], 0];
  }
}
