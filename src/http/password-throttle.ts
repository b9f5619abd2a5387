// Throttle of password guessing: for each account and address together, and for each account from wherever it is tried. API keys need
// none: they have 238 random bits, and a wrong one counts towards the address's rate limit.
import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { ApiError } from '../infra/errors';
import { minuteLimiter } from './rate-limit';

/** The second keeps many addresses from sharing the work; it is high, since it also locks the owner out. */
const MAX_WRONG_PASSWORDS_PER_MINUTE = { 'account-address': 10, account: 100 } as const;
type Kind = keyof typeof MAX_WRONG_PASSWORDS_PER_MINUTE;

const limiters = new Map<Kind, RateLimiterAbstract>();

function limiterOf(kind: Kind): RateLimiterAbstract {
  let limiter = limiters.get(kind);
  if (!limiter) {
    limiter = minuteLimiter(MAX_WRONG_PASSWORDS_PER_MINUTE[kind], `wrong-passwords:${kind}`);
    limiters.set(kind, limiter);
  }
  return limiter;
}

const keysOf = (accountId: number, ip: string): [Kind, string][] => [
  ['account-address', `${accountId}:${ip}`],
  ['account', String(accountId)],
];

/**
 * Refuses where too many wrong passwords were tried lately. Called before the password is looked at, so that the answer does not tell a
 * right password from a wrong one.
 *
 * @param ip the caller's address, as `clientOf()` gives it
 * @throws {ApiError} 429 with `retry-after` in seconds
 */
export async function requireNotThrottled(accountId: number, ip: string): Promise<void> {
  for (const [kind, key] of keysOf(accountId, ip)) {
    const state = await limiterOf(kind).get(key);
    if (state && state.consumedPoints >= MAX_WRONG_PASSWORDS_PER_MINUTE[kind]) {
      const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1000));
      throw new ApiError(429, { key: 'auth.too_many_failures', values: { seconds } }, { headers: { 'retry-after': String(seconds) } });
    }
  }
}

/** Counts one wrong password of an account, tried from an address, for the current minute. Never throws. */
export async function countWrongPassword(accountId: number, ip: string): Promise<void> {
  for (const [kind, key] of keysOf(accountId, ip)) {
    // consume() rejects once the limit is passed; refusing is requireNotThrottled()'s work.
    await limiterOf(kind)
      .consume(key)
      .catch(() => undefined);
  }
}
