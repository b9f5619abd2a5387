// How long PostgreSQL may keep one request waiting, all its statements and its places in the pool together.

/** A request is answered within 5 s: what is left is for giving up (postgres-client.ts), for Redis, and for a busy machine. */
const REQUEST_LIMIT_MS = 4000;

/** The time that a request has for the database. Only time in which it waits for it counts: not that for a worker, or for a slow reader. */
export class DatabaseTime {
  #spent = 0;
  #under = 0;
  #since = 0;
  #isOver = false;

  constructor(readonly limitMs = REQUEST_LIMIT_MS) {}

  /** In milliseconds; may be below 0. */
  get left(): number {
    return this.#isOver ? Infinity : this.limitMs - this.spent;
  }

  /** How long it was waited for, in milliseconds. */
  get spent(): number {
    return this.#spent + (this.#under > 0 ? performance.now() - this.#since : 0);
  }

  /** Something begins to wait for the database; waits that overlap count once. @returns to be called once, at its end */
  wait(): () => void {
    if (this.#under === 0) this.#since = performance.now();
    this.#under += 1;
    return () => {
      this.#under -= 1;
      if (this.#under === 0) this.#spent += performance.now() - this.#since;
    };
  }

  /** Begins anew: a part of the answer has left, so the rest of it may take as long again. */
  renew(): void {
    this.#spent = 0;
    this.#since = performance.now();
  }

  /** Nobody should wait much longer: what is still to be done may take so long at most. */
  limitTo(milliseconds: number): void {
    const excess = this.left - milliseconds;
    if (!this.#isOver && excess > 0) this.#spent += excess;
  }

  /** The request is answered: what goes on in its name is bound by the limits of statements alone. */
  end(): void {
    this.#isOver = true;
  }
}
