// Requests that come at the same time share a statement: what arrives while the last one is in flight goes into the next. No timer but the one that
// answers in time who has waited too long.
import { databaseTime, inBackground, millisecondsSinceRequest } from './context';
import { isDatabaseUnavailable } from './database';
import { unavailable } from './errors';
import { inSlices } from './slices';

/**
 * How long is waited for an item's result.
 *
 * - `request`: a request is answered within 5 s. It has 4.5 s for this, less what it has waited for PostgreSQL before; its wait counts as waiting for PostgreSQL.
 * - `report`: Flexisip waits 30 s for an answer, ignores it and repeats nothing. So a report waits for its turn as long as statements succeed, 25 s after
 *   its request came at most; where none has succeeded for 4.5 s PostgreSQL does not answer, and neither would it have done any good to wait longer. Its
 *   wait does not count: it is a queue that moves, not PostgreSQL, that it waits for.
 *
 * Who is told 503 has waited too long for the result. What he brought is stored nevertheless, as soon as it can be.
 */
export type Patience = 'request' | 'report';

const ANSWER_TIMEOUT_MS = 4500;
const REPORT_TIMEOUT_MS = 25_000;
/** How exact both are. */
const LOOK_INTERVAL_MS = 100;

/** Of a Batcher. */
export interface BatchOptions<In> {
  /** Items in one statement at most. */
  size?: number;
  /** How many may wait; more are refused with 503. */
  backlog?: number;
  /** Items of one key are never in one statement twice. */
  keyOf?: (item: In) => string;
  /**
   * What becomes of items of one key that wait at the same time. `shared` (the default): one of them goes into the statement, and its result is everybody's;
   * never joined to a statement that was sent before. `queued`: one after another, each in a statement of its own, in the order in which they came.
   */
  sameKey?: 'shared' | 'queued';
  /** Of items that come without one. */
  patience?: Patience;
}

/** One who waits for a result. */
interface Waiter<Out> {
  resolve: (result: Out) => void;
  reject: (error: unknown) => void;
  /** By performance.now(). */
  came: number;
  until: number;
  patience: Patience;
  /** Ends the counting of the request's time. */
  waited: (() => void) | undefined;
}
interface Pending<In, Out> {
  item: In;
  key: string | undefined;
  waiters: Waiter<Out>[];
}

/** Collects items and does many of them at once; each item gets its own result, or the error that it alone caused. */
export class Batcher<In, Out> {
  readonly #size: number;
  readonly #backlog: number;
  readonly #keyOf: ((item: In) => string) | undefined;
  readonly #isShared: boolean;
  readonly #patience: Patience;
  #pending: Pending<In, Out>[] = [];
  /** Of those, by key: where items of one key share a place. */
  readonly #byKey = new Map<string, Pending<In, Out>>();
  /** All that have no outcome yet, in a statement or before it. */
  readonly #waiting = new Set<Waiter<Out>>();
  #running: Promise<void> | undefined;
  #isLooking = false;
  /** When PostgreSQL answered last, by performance.now(). */
  #answered = -Infinity;

  /** @param run does a batch in one transaction and gives each item its result, in the same order */
  constructor(
    readonly run: (items: In[]) => Promise<Out[]>,
    { size = 500, backlog = 20_000, keyOf, sameKey = 'shared', patience = 'request' }: BatchOptions<In> = {},
  ) {
    this.#size = size;
    this.#backlog = backlog;
    this.#keyOf = keyOf;
    this.#isShared = keyOf !== undefined && sameKey === 'shared';
    this.#patience = patience;
  }

  /**
   * @param patience the Batcher's own where left out
   * @returns the item's own result, once it is committed
   * @throws {ApiError} 503 where too many wait, and where it is not done in time: it may be done later then; what `run` threw for this item alone
   */
  submit(item: In, patience = this.#patience): Promise<Out> {
    if (this.#waiting.size >= this.#backlog || this.#pending.length >= this.#backlog)
      return Promise.reject(unavailable('server.overloaded', {}, { headers: { 'retry-after': '5' } }));
    return new Promise((resolve, reject) => {
      const waiter = this.#newWaiter(patience, resolve, reject);
      this.#waiting.add(waiter);
      this.#add(item, waiter);
      // Not in the name, and so not on the time, of the request that happened to be the first.
      this.#running ??= inBackground(() => this.#drain());
      if (!this.#isLooking) this.#lookLater();
    });
  }

  /** Resolves once nothing is in flight or waiting. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  #newWaiter(patience: Patience, resolve: Waiter<Out>['resolve'], reject: Waiter<Out>['reject']): Waiter<Out> {
    const came = performance.now();
    const given = { resolve, reject, came, patience };
    if (patience === 'report') return { ...given, until: came + REPORT_TIMEOUT_MS - millisecondsSinceRequest(), waited: undefined };
    const time = databaseTime();
    return { ...given, until: came + ANSWER_TIMEOUT_MS - (time?.spent ?? 0), waited: time?.wait() };
  }

  #add(item: In, waiter: Waiter<Out>): void {
    const key = this.#keyOf?.(item);
    const place = this.#isShared && key !== undefined ? this.#byKey.get(key) : undefined;
    if (place) {
      place.waiters.push(waiter);
      return;
    }
    const pending = { item, key, waiters: [waiter] };
    this.#pending.push(pending);
    if (this.#isShared && key !== undefined) this.#byKey.set(key, pending);
  }

  /** The next batch. */
  #take(): Pending<In, Out>[] {
    if (this.#isShared || this.#keyOf === undefined) {
      const batch = this.#pending.splice(0, this.#size);
      for (const { key } of batch) if (key !== undefined) this.#byKey.delete(key);
      return batch;
    }
    const [batch, later, keys] = [[] as Pending<In, Out>[], [] as Pending<In, Out>[], new Set<string | undefined>()];
    for (const pending of this.#pending) {
      const isNow = batch.length < this.#size && !keys.has(pending.key);
      keys.add(pending.key);
      (isNow ? batch : later).push(pending);
    }
    this.#pending = later;
    return batch;
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0) await this.#flush(this.#take());
    this.#running = undefined;
  }

  async #flush(batch: Pending<In, Out>[]): Promise<void> {
    try {
      const results = await this.run(batch.map(({ item }) => item));
      this.#answered = performance.now();
      this.#settle(batch, (waiter, index) => waiter.resolve(results[index] as Out));
    } catch (error) {
      const isAnswered = !isDatabaseUnavailable(error);
      if (isAnswered) this.#answered = performance.now();
      // One bad row must not fail its neighbours. Nothing was committed, so it can be tried again; where the database stopped answering, that is not known.
      if (batch.length === 1 || !isAnswered) {
        this.#settle(batch, (waiter) => waiter.reject(error));
        return;
      }
      const middle = batch.length >> 1;
      await this.#flush(batch.slice(0, middle));
      await this.#flush(batch.slice(middle));
    }
  }

  /** The statement after this one does not wait until all of this one's are told. */
  #settle(batch: Pending<In, Out>[], settle: (waiter: Waiter<Out>, index: number) => void): void {
    const calls = batch.flatMap(({ waiters }, index) =>
      waiters
        // Who has given up is told already; from now on nobody of these does.
        .filter((waiter) => this.#leave(waiter))
        .map((waiter) => () => settle(waiter, index)),
    );
    inSlices(calls);
  }

  /** @returns whether it had no outcome before */
  #leave(waiter: Waiter<Out>): boolean {
    waiter.waited?.();
    waiter.waited = undefined;
    return this.#waiting.delete(waiter);
  }

  /** One timer for all, since most need none: by the time of the first look they have their answer. */
  #lookLater(): void {
    this.#isLooking = true;
    // Once more round: where this process was busy PostgreSQL's answer lies unread in its socket.
    inBackground(() => setTimeout(() => setImmediate(() => this.#look()), LOOK_INTERVAL_MS));
  }

  #look(): void {
    const now = performance.now();
    for (const waiter of this.#waiting) {
      const { came, until, patience } = waiter;
      const isHopeless = patience === 'report' && now - Math.max(came, this.#answered) >= ANSWER_TIMEOUT_MS;
      if ((now >= until || isHopeless) && this.#leave(waiter))
        waiter.reject(unavailable('server.database', {}, { headers: { 'retry-after': '5' } }));
    }
    if (this.#waiting.size > 0) this.#lookLater();
    else this.#isLooking = false;
  }
}
