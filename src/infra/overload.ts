// More than this process, or PostgreSQL, can do. What comes then is refused at once instead of late, so that what was begun is done in time; but not what
// would be lost by it (`unlimited` of http/route.ts): that waits.
import { databaseTime } from './context';
import { type ApiError, unavailable } from './errors';
import { Slices } from './slices';

/**
 * Behind one who has waited so long nobody need wait: by then it is no burst that is over in a moment. Who comes in a burst waits behind nobody, however
 * many they are, and nobody waits for so long where clients ask again when they have their answer: a hundred of them have theirs in a tenth of that.
 */
const MAX_DELAY_MS = 1000;
const RETRY_AFTER_SECONDS = '5';

/** 503: more than can be done now. */
export const overloaded = (): ApiError => unavailable('server.overloaded', {}, { headers: { 'retry-after': RETRY_AFTER_SECONDS } });

/**
 * Where requests wait until they are begun, a few in each turn of the event loop. How long the first of them has waited says how late this process is, whatever
 * the reason: long turns, many turns, or a core that others use, too.
 */
const line = new Slices();
/** Refusals are quick, but not for nothing; they do not wait behind those who are served. */
const lineOfRefused = new Slices();
const refused = new WeakSet<object>();

/**
 * Begins a request when it is its turn: at once, but where many come together.
 *
 * @param begin what refuses it where isOverloaded() says so; does not throw
 */
export function inLine(request: object, begin: () => void): void {
  if (line.delayMs <= MAX_DELAY_MS) line.run(begin);
  else {
    refused.add(request);
    lineOfRefused.run(begin);
  }
}

/** Whether a request came when this process was late already. */
export const isOverloaded = (request: object): boolean => refused.has(request);

/** Those who wait for a connection of a pool. */
export class PoolLine {
  /** When each came, by performance.now(), in the order in which they are served. */
  readonly #waiting = new Set<{ came: number }>();

  /**
   * Waits for a connection, unless others have waited too long for theirs. What is in no request's name waits always, and so does a request that would be lost.
   *
   * @param acquire asks the pool
   * @throws {ApiError} 503; what `acquire` rejects with
   */
  async wait<T>(acquire: () => Promise<T>): Promise<T> {
    const [first] = this.#waiting;
    const time = databaseTime();
    const isRefused = first !== undefined && performance.now() - first.came > MAX_DELAY_MS;
    if (isRefused && time !== undefined && time.left !== Infinity && !time.isPatient) throw overloaded();
    const place = { came: performance.now() };
    this.#waiting.add(place);
    try {
      return await acquire();
    } finally {
      this.#waiting.delete(place);
    }
  }
}
