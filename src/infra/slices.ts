// What many wait for is begun a few at a time, so that no turn of the event loop is long: between two of them sockets are read, timers run, and whoever
// looks whether this process is well has his answer.
import { inBackground } from './context';

/**
 * How many there are in one turn: one request, or what follows from one result, takes a twentieth of a millisecond to one, and most of that comes when
 * all calls of the turn were made. So the turns themselves tell: each that was full and short doubles the number, each that was long halves it.
 */
const [FEWEST, MOST] = [8, 128];
/** A turn that takes longer is a long one. */
const LONG_MS = 8;
/** What has been done is forgotten when it is so much. */
const MAX_DONE = 1024;

interface Waiting {
  call: () => void;
  /** By performance.now(). */
  came: number;
}

/** A queue: some calls are made at once, those that are too many for this turn of the event loop in the next ones, in the order in which they came. */
export class Slices {
  #size = FEWEST;
  /** Of this turn. */
  #left = FEWEST;
  /** By performance.now(). */
  #began = 0;
  #waiting: Waiting[] = [];
  /** Of those, the first that has not had its turn. */
  #next = 0;
  #isCounting = false;
  readonly #turn = (): void => this.#begin();

  /** How long the first of those who wait has waited, in milliseconds; 0 where nobody waits. */
  get delayMs(): number {
    const first = this.#waiting[this.#next];
    return first === undefined ? 0 : performance.now() - first.came;
  }

  /** Makes a call when it is its turn. @param call does not throw */
  run(call: () => void): void {
    if (!this.#isCounting) this.#count();
    if (this.#left > 0 && this.#waiting.length === 0) {
      this.#left -= 1;
      call();
    } else this.#waiting.push({ call, came: performance.now() });
  }

  #count(): void {
    this.#isCounting = true;
    this.#began = performance.now();
    inBackground(() => setImmediate(this.#turn));
  }

  /** The turn before is over, and all that followed from it in that. */
  #begin(): void {
    this.#isCounting = false;
    const ms = performance.now() - this.#began;
    if (ms > LONG_MS) this.#size = Math.max(FEWEST, this.#size >> 1);
    else if (this.#left === 0 && ms < LONG_MS / 2) this.#size = Math.min(MOST, this.#size * 2);
    this.#left = this.#size;
    if (this.#waiting.length === 0) return;
    this.#count();
    for (; this.#left > 0 && this.#next < this.#waiting.length; this.#left -= 1, this.#next += 1) this.#waiting[this.#next]?.call();
    if (this.#next === this.#waiting.length) [this.#waiting, this.#next] = [[], 0];
    else if (this.#next >= MAX_DONE) [this.#waiting, this.#next] = [this.#waiting.slice(this.#next), 0];
  }
}
