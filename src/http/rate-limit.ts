// How many requests a client may make in a minute.
import type { Response } from 'express';
import { settings } from '../../config';
import { tooManyRequests } from '../infra/errors';
import { networkOf } from '../infra/ip-address';
import { Limiter, secondsOf } from '../services/limits/limiter';

const WINDOW_SECONDS = 60;
const limiter = new Limiter('rate-limit', settings.RATE_LIMIT_PER_MINUTE, WINDOW_SECONDS, {
  // Who is over the limit costs no more round trips until the minute ends.
  inMemoryBlockOnConsumed: settings.RATE_LIMIT_PER_MINUTE + 1,
});

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

/** The key of a client: of IPv6 addresses the network counts. */
const keyOf = (client: string): string => (client.startsWith('ip:') ? `ip:${networkOf(client.slice('ip:'.length))}` : client);

/**
 * Counts one request of `client` (`account:12` or `ip:192.0.2.1`).
 *
 * @param response gets the headers that tell the client what is left; none where there is no limit
 * @throws {ApiError} 429 over the limit, with `retry-after` in seconds
 */
export async function countRequest(client: string, response: Response): Promise<void> {
  if (settings.RATE_LIMIT_PER_MINUTE === 0) return;
  const counted = await limiter.take(keyOf(client));
  const { admitted, remaining, milliseconds } = counted;
  if (!admitted) {
    const seconds = secondsOf(counted);
    const headers = { ...headersOf(0, milliseconds), 'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + seconds) };
    throw tooManyRequests(seconds, { key: 'rate_limit.exceeded', values: { seconds } }, { headers });
  }
  for (const [name, value] of Object.entries(headersOf(remaining, milliseconds))) response.setHeader(name, value);
}
