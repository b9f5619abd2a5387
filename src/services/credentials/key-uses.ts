// Uses of keys are counted in memory and written in batches: a busy process sees hundreds of keys a second, each many times.
import { inBackground } from '../../infra/context';
import { isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';

const FLUSH_INTERVAL_MS = 1000;

/** Uses of other processes are written up to a second late: a key is called unused only this much later. */
export const UNUSED_MARGIN_MS = 5000;

/** What a table of keys adds up. */
interface Uses {
  id: number;
}

/** What this process saw of the keys of one table and has not written yet. */
export class KeyUses<Row extends Uses> {
  readonly #unwritten = new Map<number, Row>();
  readonly #write: (batch: readonly Row[]) => Promise<void>;
  readonly #add: (earlier: Row, later: Row) => Row;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param write adds a batch to the table, in the order of ids, so that two processes lock the rows in one order
   * @param add two rows of a key in one, the later one last
   */
  constructor(write: (batch: readonly Row[]) => Promise<void>, add: (earlier: Row, later: Row) => Row) {
    this.#write = write;
    this.#add = add;
  }

  /** What is not written yet of a key. */
  of(id: number): Row | undefined {
    return this.#unwritten.get(id);
  }

  /** Counts; what it is about is written within moments, with that of many requests, in the name of none of them. */
  count(row: Row): void {
    const before = this.#unwritten.get(row.id);
    this.#unwritten.set(row.id, before ? this.#add(before, row) : row);
    this.#timer ??= inBackground(() => setTimeout(() => void this.flush(), FLUSH_INTERVAL_MS).unref());
  }

  /** Writes all. What cannot be written now is kept for the next time; nothing is thrown. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#unwritten.size === 0) return;
    const batch = [...this.#unwritten.values()].sort((a, b) => a.id - b.id);
    this.#unwritten.clear();
    await this.#writeParts(batch);
  }

  /** One statement; where it fails because of a row, in halves, so that one key stops no other. */
  async #writeParts(batch: readonly Row[]): Promise<void> {
    try {
      await this.#write(batch);
    } catch (error) {
      if (batch.length > 1 && !isDatabaseUnavailable(error)) {
        const middle = batch.length >> 1;
        await this.#writeParts(batch.slice(0, middle));
        await this.#writeParts(batch.slice(middle));
        return;
      }
      const keys = batch.length === 1 ? { key_id: batch[0]?.id } : { keys: batch.length };
      log.warn({ ...keys, reason: reasonOf(error) }, 'uses of API keys are not written yet');
      for (const row of batch) {
        const since = this.#unwritten.get(row.id);
        this.#unwritten.delete(row.id);
        this.count(row);
        if (since) this.count(since);
      }
    }
  }
}
