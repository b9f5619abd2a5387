// How many tokens an address may ask for: rows that anybody can make, without an account.
import { settings } from '../../../config';
import { tooManyRequests } from '../../infra/errors';
import { networkOf } from '../../infra/ip-address';
import { secondsUntilAllowed } from '../../models/tokens/address-limit';

/**
 * Refuses where an address, or its network of IPv6, has asked for too many tokens of a kind in the last hour. Requests at once may each pass, a few too many.
 *
 * @throws {ApiError} 429 with `retry-after`
 */
export async function requireTokenAllowance(kind: Parameters<typeof secondsUntilAllowed>[0], ip: string): Promise<void> {
  const limit = settings.APP_TOKENS_PER_ADDRESS;
  const seconds = limit === 0 ? 0 : await secondsUntilAllowed(kind, networkOf(ip), limit);
  if (seconds > 0) throw tooManyRequests(seconds, { key: 'rate_limit.exceeded', values: { seconds } });
}
