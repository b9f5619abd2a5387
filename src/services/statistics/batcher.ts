// Requests that come at the same time share a statement: what arrives while the last one is in flight goes into the next. No timer but the one that
// answers in time who has waited too long.
import { inBackground } from '../../infra/context';
import { unavailable } from '../../infra/errors';
import { isDatabaseUnavailable } from '../../infra/database';

interface Pending<In, Out> {
  item: In;
  resolve: (result: Out) => void;
  reject: (error: unknown) => void;
}

/** A request is answered within 5 s, also where the statement before its own took all of that. What it brought is stored nevertheless. */
const ANSWER_TIMEOUT_MS = 4500;

/** Collects items and does many of them at once; each item gets its own result, or the error that it alone caused. */
export class Batcher<In, Out> {
  #pending: Pending<In, Out>[] = [];
  #running: Promise<void> | undefined;

  /**
   * @param run does a batch in one transaction and gives each item its result, in the same order
   * @param size items in one statement at most
   * @param backlog items that may wait; more are refused with 503
   */
  constructor(
    readonly run: (items: In[]) => Promise<Out[]>,
    readonly size = 500,
    readonly backlog = 20_000,
  ) {}

  /**
   * @returns the item's own result, once it is committed
   * @throws {ApiError} 503 where too many wait, and where it is not done in time: it may be done later then; what `run` threw for this item alone
   */
  submit(item: In): Promise<Out> {
    if (this.#pending.length >= this.backlog)
      return Promise.reject(unavailable('server.overloaded', {}, { headers: { 'retry-after': '5' } }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(unavailable('server.database', {}, { headers: { 'retry-after': '5' } })), ANSWER_TIMEOUT_MS);
      this.#pending.push({
        item,
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      // Not in the name, and so not on the time, of the request that happened to be the first.
      this.#running ??= inBackground(() => this.#drain());
    });
  }

  /** Resolves once nothing is in flight or waiting. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0) await this.#flush(this.#pending.splice(0, this.size));
    this.#running = undefined;
  }

  async #flush(batch: Pending<In, Out>[]): Promise<void> {
    try {
      const results = await this.run(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, index) => resolve(results[index] as Out));
    } catch (error) {
      // One bad row must not fail its neighbours. Nothing was committed, so it can be tried again; where the database stopped answering, that is not known.
      if (batch.length === 1 || isDatabaseUnavailable(error)) {
        for (const { reject } of batch) reject(error);
        return;
      }
      const middle = batch.length >> 1;
      await this.#flush(batch.slice(0, middle));
      await this.#flush(batch.slice(middle));
    }
  }
}
