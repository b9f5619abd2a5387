// Counters of a window of time, in Redis for all processes together, in memory while Redis does not answer.
import { type IRateLimiterRedisOptions, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { settings } from '../../../config';
import type { ApiError } from '../../infra/errors';
import { gateOf } from '../../infra/redis-gate';
import { producerConnection } from '../../queues/producer';

/**
 * What the library's own script does, and two things more: what is refused is not counted, so that giving one back makes room for one; and 0
 * looks, with the command, the time and the answer that counting one would have. The library keeps one script a connection, so all limiters
 * have this one.
 *
 * ARGV: points (1 counts, 0 looks, -1 gives back), seconds of a window, points that a window has
 */
const SCRIPT = `
local counted = tonumber(redis.call('get', KEYS[1]) or '0')
local points = tonumber(ARGV[1])
local left = redis.call('pttl', KEYS[1])
if left < 0 then left = tonumber(ARGV[2]) * 1000 end
local after = math.max(0, counted + points)
if points == 0 then after = counted + 1 end
if points < 0 and counted > 0 or points > 0 and after <= tonumber(ARGV[3]) then redis.call('set', KEYS[1], after, 'PX', math.max(1, left)) end
return { after, left }
`;

/** The same in the process's own memory; what the library does here is done at once, with nothing in between. */
class MemoryLimiter extends RateLimiterMemory {
  override consume(key: string | number, points = 1): Promise<RateLimiterRes> {
    const counted = super.consume(key, 1);
    if (points === 0) {
      void super.reward(key, 1);
      return counted;
    }
    return counted.catch((refused: unknown) => {
      void super.reward(key, 1);
      throw refused;
    });
  }
}

/** What came of counting. */
export interface Counted {
  /** Whether there was room. */
  admitted: boolean;
  /** How many more there are room for. */
  remaining: number;
  /** Until the window ends. */
  milliseconds: number;
  /** Takes it back, there where it was counted. Never throws. */
  giveBack: () => Promise<void>;
}

const UNCOUNTED: Counted = { admitted: true, remaining: Infinity, milliseconds: 0, giveBack: async () => undefined };

/** So many of something for each key in a window of time, which begins with the first. */
export class Limiter {
  #inRedis: RateLimiterRedis | undefined;
  #inMemory: MemoryLimiter | undefined;

  /**
   * @param name of its keys, behind QUEUE_PREFIX
   * @param limit 0: any number
   * @param options of the library
   */
  constructor(
    readonly name: string,
    readonly limit: number,
    readonly windowSeconds: number,
    readonly options: Partial<IRateLimiterRedisOptions> = {},
  ) {}

  get #prefix(): string {
    return `${settings.QUEUE_PREFIX}:${this.name}`;
  }

  /** Made when it is first asked, so that a process that counts nothing opens no connection. */
  get #redis(): RateLimiterRedis {
    return (this.#inRedis ??= new RateLimiterRedis({
      points: this.limit,
      duration: this.windowSeconds,
      storeClient: producerConnection(),
      keyPrefix: this.#prefix,
      rejectIfRedisNotReady: true,
      customIncrTtlLuaScript: SCRIPT,
      ...this.options,
    }));
  }

  get #memory(): MemoryLimiter {
    return (this.#inMemory ??= new MemoryLimiter({ points: this.limit, duration: this.windowSeconds }));
  }

  /** Asks Redis, for as long as its gate lets; where it does not answer, memory counts, at once for whoever comes after. */
  async #count(key: string, points: 0 | 1): Promise<Counted> {
    if (this.limit === 0) return UNCOUNTED;
    const gate = gateOf(producerConnection());
    const place = `${this.#prefix}:${key}`;
    try {
      const giveBack = async (): Promise<void> => {
        await gate.ask(place, () => this.#redis.reward(key)).catch(() => undefined);
      };
      return await outcomeOf(
        gate.ask(place, () => this.#redis.consume(key, points)),
        giveBack,
      );
    } catch {
      const giveBack = async (): Promise<void> => {
        await this.#memory.reward(key);
      };
      return outcomeOf(this.#memory.consume(key, points), giveBack);
    }
  }

  /** Counts one, unless there is no room for it. One command: of many at once so many are admitted as there is room for. */
  take(key: string): Promise<Counted> {
    return this.#count(key, 1);
  }

  /** What take() would say now; counts nothing. */
  look(key: string): Promise<Counted> {
    return this.#count(key, 0);
  }
}

/** The library refuses by rejecting with a result. @throws where it could not count */
async function outcomeOf(counting: Promise<RateLimiterRes>, giveBack: Counted['giveBack']): Promise<Counted> {
  try {
    const { remainingPoints, msBeforeNext } = await counting;
    return { admitted: true, remaining: remainingPoints, milliseconds: msBeforeNext, giveBack };
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    return { admitted: false, remaining: 0, milliseconds: error.msBeforeNext, giveBack: UNCOUNTED.giveBack };
  }
}

/** A counter that something is to be counted by. */
export interface Claim {
  limiter: Limiter;
  key: string;
  /** What is answered where there is no room. @param seconds until there is */
  refusal: (seconds: number) => ApiError;
}

/** Whole seconds until a window ends, for `retry-after`. */
export const secondsOf = ({ milliseconds }: Pick<Counted, 'milliseconds'>): number => Math.max(1, Math.ceil(milliseconds / 1000));

/**
 * Counts one by each of several counters, or by none. One after the other: who is refused by the first must not take room of the next, not for a
 * moment either, or a flood from one address would refuse what others ask for.
 *
 * @param claims that of the client's address first
 * @returns takes all of it back
 * @throws {ApiError} the refusal of the first that has no room
 */
export async function takeAll(claims: readonly Claim[]): Promise<() => Promise<void>> {
  const taken: Counted[] = [];
  const giveBack = async (): Promise<void> => {
    await Promise.all(taken.map((counted) => counted.giveBack()));
  };
  try {
    for (const claim of claims) {
      const counted = await claim.limiter.take(claim.key);
      if (!counted.admitted) throw claim.refusal(secondsOf(counted));
      taken.push(counted);
    }
  } catch (error) {
    await giveBack();
    throw error;
  }
  return giveBack;
}
