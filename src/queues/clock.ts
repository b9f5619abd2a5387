// Redis' clock, by which deadlines of jobs are written and read: the clocks of the machines of web and worker may differ.
import { withTimeout } from '../infra/timeout';
import type { RedisConnection } from '../infra/redis';

const REFRESH_INTERVAL_MS = 10_000;
const MEASURE_TIMEOUT_MS = 1000;
/** How far clocks may drift apart between two measurements. */
const DRIFT_MS = 20;
/** A measurement is good for so long, however exact it was. */
const MAX_AGE_MS = 60_000;
/** Through a script, whose key says which node of a Cluster is asked: always the same. */
const ASK = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)";

/** What Redis' clock shows minus what `performance.now()` does: between `low` and `high`, since nobody knows when within its round trip it was read. */
interface Offset {
  low: number;
  high: number;
  measured: number;
}

/** Measured at each new connection and every ten seconds; the machine's own clock, which may be set at any time, is asked only before the first. */
export class RedisClock {
  readonly #timer: NodeJS.Timeout;
  #offset: Offset | undefined;
  #fresh = true;

  constructor(
    readonly connection: RedisConnection,
    readonly key: string,
  ) {
    connection.on('ready', this.#onReady);
    this.#timer = setInterval(() => void this.measure(), REFRESH_INTERVAL_MS).unref();
    if (connection.status === 'ready') void this.measure();
  }

  /** The server may be another one. */
  readonly #onReady = (): void => {
    this.#fresh = true;
    void this.measure();
  };

  /** Asks Redis; what fails leaves the last measurement as it is. */
  async measure(): Promise<void> {
    const asked = performance.now();
    try {
      const time = Number(await withTimeout(this.connection.eval(ASK, 1, this.key), MEASURE_TIMEOUT_MS, 'the clock of Redis'));
      const answered = performance.now();
      this.#learn({ low: time - answered, high: time + 1 - asked, measured: answered });
    } catch {
      // Whoever adds a job finds out by itself.
    }
  }

  #learn(offset: Offset): void {
    const known = this.#offset;
    const apart = !known || offset.low > known.high + DRIFT_MS || offset.high < known.low - DRIFT_MS;
    const better = known && offset.high - offset.low <= known.high - known.low;
    if (this.#fresh || apart || better || offset.measured - (known?.measured ?? 0) > MAX_AGE_MS) this.#offset = offset;
    this.#fresh = false;
  }

  get isKnown(): boolean {
    return this.#offset !== undefined;
  }

  /** It is not earlier than this: a deadline that is counted from here is not later than it should be. */
  earliest(): number {
    return this.#offset ? Math.floor(performance.now() + this.#offset.low) : Date.now();
  }

  /** It is not later than this: nothing is begun after a deadline that is held against it. */
  latest(): number {
    return this.#offset ? Math.ceil(performance.now() + this.#offset.high) : Date.now();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.connection.off('ready', this.#onReady);
  }
}
