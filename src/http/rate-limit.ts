// How many requests a client may make in a minute.
import {
  type IRateLimiterRedisOptions,
  RateLimiterMemory,
  RateLimiterRedis,
  type RateLimiterAbstract,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { settings } from '../../config';
import { ApiError } from '../infra/errors';
import { producerConnection } from '../queues/producer';

const WINDOW_SECONDS = 60;
let limiter: RateLimiterAbstract | undefined;

/**
 * A counter of the current minute, in Redis for all processes together, in memory while Redis does not answer.
 *
 * @param points more of them in a minute are too many
 * @param name of its keys, behind QUEUE_PREFIX
 */
export function minuteLimiter(points: number, name: string, options: Partial<IRateLimiterRedisOptions> = {}): RateLimiterAbstract {
  const limits = { points, duration: WINDOW_SECONDS };
  return new RateLimiterRedis({
    ...limits,
    storeClient: producerConnection(),
    keyPrefix: `${settings.QUEUE_PREFIX}:${name}`,
    rejectIfRedisNotReady: true,
    insuranceLimiter: new RateLimiterMemory(limits),
    ...options,
  });
}

/** As draft-ietf-httpapi-ratelimit-headers-06 names them, and as older clients of FlexiAPI know them (`x-…`). */
function headersOf(remaining: number, msBeforeNext: number): Record<string, string> {
  const limit = String(settings.RATE_LIMIT_PER_MINUTE);
  return {
    'ratelimit-policy': `${limit};w=${WINDOW_SECONDS}`,
    'ratelimit-limit': limit,
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(Math.max(0, Math.ceil(msBeforeNext / 1000))),
    'x-ratelimit-limit': limit,
    'x-ratelimit-remaining': String(remaining),
  };
}

/**
 * Counts one request of `client` (`account:12` or `ip:192.0.2.1`).
 *
 * @returns the headers that tell the client what is left; none where there is no limit
 * @throws {ApiError} 429 over the limit, with `retry-after` in seconds
 */
export async function countRequest(client: string): Promise<Record<string, string>> {
  if (settings.RATE_LIMIT_PER_MINUTE === 0) return {};
  // Who is over the limit costs no more round trips until the minute ends.
  limiter ??= minuteLimiter(settings.RATE_LIMIT_PER_MINUTE, 'rate-limit', { inMemoryBlockOnConsumed: settings.RATE_LIMIT_PER_MINUTE + 1 });
  try {
    const { remainingPoints, msBeforeNext } = await limiter.consume(client);
    return headersOf(Math.max(0, remainingPoints), msBeforeNext);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    const seconds = Math.max(1, Math.ceil(error.msBeforeNext / 1000));
    throw new ApiError(
      429,
      { key: 'rate_limit.exceeded', values: { seconds } },
      {
        headers: {
          ...headersOf(0, error.msBeforeNext),
          'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + seconds),
          'retry-after': String(seconds),
        },
      },
    );
  }
}
