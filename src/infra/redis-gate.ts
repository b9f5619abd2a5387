// Whether it makes sense to ask Redis at all: a server that is frozen refuses nothing and answers nothing, and each request would wait for it.
import { setTimeout as sleep } from 'node:timers/promises';
import { inBackground } from './context';
import { requireWritable, type RedisConnection } from './redis';

/** What is asked behind the gate takes a millisecond; whoever waits longer does without. */
const PATIENCE_MS = 200;
/** Between two tries while it is shut. */
const PROBE_INTERVAL_MS = 500;

/** Redis was not asked, or has not answered in time. */
export class RedisSilent extends Error {
  override name = 'RedisSilent';

  constructor() {
    super('Redis is silent');
  }
}

/**
 * Shut as soon as one who asked has had no answer for 200 ms; all who wait then are told so at once, and nobody asks any more, until a write that is
 * tried in the background is answered.
 */
export class Gate {
  readonly #waiting = new Set<() => void>();
  /** When the question was asked that shut it, by performance.now(); Infinity while it is open. */
  #silentSince = Infinity;

  constructor(readonly connection: RedisConnection) {}

  /** How long Redis has not answered, in milliseconds; below 0 while it does. Whoever has more patience than 200 ms compares with his own. */
  get silentMs(): number {
    return performance.now() - this.#silentSince;
  }

  /**
   * Asks Redis, for 200 ms at most.
   *
   * @param key what it is about: the same place is tried while the gate is shut
   * @throws {RedisSilent} where it is not asked, or has not answered in time; what `work` throws
   */
  ask<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.#silentSince !== Infinity) return Promise.reject(new RedisSilent());
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(new RedisSilent());
      this.#waiting.add(giveUp);
      // Once more round: where this process was busy the answer lies unread in its socket.
      const late = (): unknown => setImmediate(() => this.#waiting.has(giveUp) && this.shut(key));
      const timer = setTimeout(late, PATIENCE_MS);
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(giveUp);
      };
      work().finally(done).then(resolve, reject);
    });
  }

  /** Shuts it: somebody else has waited in vain. @param key as for ask() @param milliseconds for how long he has */
  shut(key: string, milliseconds = PATIENCE_MS): void {
    if (this.#silentSince !== Infinity) return;
    this.#silentSince = performance.now() - milliseconds;
    for (const giveUp of this.#waiting) giveUp();
    this.#waiting.clear();
    void inBackground(() => this.#openWhenAnswered(key));
  }

  async #openWhenAnswered(key: string): Promise<void> {
    while (this.connection.status !== 'end') {
      try {
        await requireWritable(this.connection, [key]);
        break;
      } catch (error) {
        // Whoever may not write that key is answered all the same.
        if (error instanceof Error && error.message.startsWith('NOPERM')) break;
        await sleep(PROBE_INTERVAL_MS, undefined, { ref: false });
      }
    }
    this.#silentSince = Infinity;
  }
}

const gates = new WeakMap<RedisConnection, Gate>();

/** The gate before a connection: one for all who use it. */
export function gateOf(connection: RedisConnection): Gate {
  let gate = gates.get(connection);
  if (!gate) gates.set(connection, (gate = new Gate(connection)));
  return gate;
}
