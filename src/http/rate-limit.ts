// How many requests a client may make in a minute.
import type { Response } from 'express';
import { settings } from '../../config';
import { tooManyRequests } from '../infra/errors';
import { networkOf } from '../infra/ip-address';
import { Limiter, secondsOf } from '../services/limits/limiter';
import { addHeaders, removeHeaders } from './exchange';

const WINDOW_SECONDS = 60;
const limiter = new Limiter('rate-limit', settings.RATE_LIMIT_PER_MINUTE, WINDOW_SECONDS, {
  // Who is over the limit costs no more round trips until the minute ends.
  inMemoryBlockOnConsumed: settings.RATE_LIMIT_PER_MINUTE + 1,
});

const limit = String(settings.RATE_LIMIT_PER_MINUTE);
const uncounted = (): Promise<void> => Promise.resolve();

/** As draft-ietf-httpapi-ratelimit-headers-06 names them, and as older clients of FlexiAPI know them (`x-…`). */
function headersOf(remaining: number, msBeforeNext: number): Record<string, string> {
  return {
    'ratelimit-policy': `${limit};w=${WINDOW_SECONDS}`,
    'ratelimit-limit': limit,
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(Math.max(0, Math.ceil(msBeforeNext / 1000))),
    'x-ratelimit-limit': limit,
    'x-ratelimit-remaining': String(remaining),
  };
}

/** The client of an account. */
export const accountClient = (accountId: number): string => `account:${accountId}`;

/** The client that shows a key which is known, and refused. */
export const refusedKeyClient = (keyId: number): string => `refused-key:${keyId}`;

/** The client at an address: of IPv6 addresses the network counts. */
export const addressClient = (ip: string): string => `ip:${networkOf(ip)}`;

/** What other sites make a browser at an address send: apart, so that it does not use up what the person at that browser may send. */
export const foreignClient = (ip: string): string => `foreign:${networkOf(ip)}`;

/**
 * Counts one request of a client.
 *
 * @param response gets the headers that tell the client what is left; none where there is no limit
 * @returns takes it back, with those headers
 * @throws {ApiError} 429 over the limit, with `retry-after` in seconds
 */
export async function countRequest(client: string, response: Response): Promise<() => Promise<void>> {
  if (settings.RATE_LIMIT_PER_MINUTE === 0) return uncounted;
  const counted = await limiter.take(client);
  const { admitted, remaining, milliseconds } = counted;
  if (!admitted) {
    const seconds = secondsOf(counted);
    const headers = { ...headersOf(0, milliseconds), 'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + seconds) };
    throw tooManyRequests(seconds, { key: 'rate_limit.exceeded', values: { seconds } }, { headers });
  }
  const headers = headersOf(remaining, milliseconds);
  addHeaders(response, headers);
  return async () => {
    removeHeaders(response, Object.keys(headers));
    await counted.giveBack();
  };
}
