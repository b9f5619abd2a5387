// Guessing passwords: slowed for each account and address together, and for each account from wherever it is tried. API keys have
// 238 random bits: wrong ones only count towards the address's rate limit.
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { settings } from '../../config';
import { ApiError } from '../infra/errors';
import { producerConnection } from '../queues/producer';

/** Wrong passwords a minute. The second keeps many addresses from sharing the work; it is high, since it also locks the owner out. */
const LIMITS = { 'account-address': 10, account: 100 } as const;
type Kind = keyof typeof LIMITS;

const limiters = new Map<Kind, RateLimiterAbstract>();

function limiterOf(kind: Kind): RateLimiterAbstract {
  let limiter = limiters.get(kind);
  if (!limiter) {
    const limits = { points: LIMITS[kind], duration: 60 };
    limiter = new RateLimiterRedis({
      ...limits,
      storeClient: producerConnection(),
      keyPrefix: `${settings.QUEUE_PREFIX}:wrong-passwords:${kind}`,
      rejectIfRedisNotReady: true,
      insuranceLimiter: new RateLimiterMemory(limits),
    });
    limiters.set(kind, limiter);
  }
  return limiter;
}

const keysOf = (accountId: number, ip: string): [Kind, string][] => [
  ['account-address', `${accountId}:${ip}`],
  ['account', String(accountId)],
];

/** Refuses before the password is looked at, so that a right one is not told apart either. @throws {ApiError} 429 */
export async function requirePatience(accountId: number, ip: string): Promise<void> {
  for (const [kind, key] of keysOf(accountId, ip)) {
    const state = await limiterOf(kind).get(key);
    if (state && state.consumedPoints >= LIMITS[kind]) {
      const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1000));
      throw new ApiError(429, { key: 'auth.too_many_failures', values: { seconds } }, { headers: { 'retry-after': String(seconds) } });
    }
  }
}

export async function countWrongPassword(accountId: number, ip: string): Promise<void> {
  for (const [kind, key] of keysOf(accountId, ip)) {
    // Over the limit it rejects: that is what requirePatience() looks at.
    await limiterOf(kind)
      .consume(key)
      .catch(() => undefined);
  }
}
