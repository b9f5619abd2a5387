// Throttle of guessing passwords, for each account and address together and for each account from wherever it is tried, and of keys that are
// typed into the form of a page, for each address. What API requests bring as keys needs none of its own: they have 238 random bits, and a wrong
// one counts towards the address's rate limit.
//
// A guess counts before its answer is known to the client, in the one command that decides whether it is answered at all. Looking first and
// counting afterwards would let through all that are under way at once. The verdict itself needs no waiting (HA1 is compared in the process),
// so it is made first and told afterwards: a wrong one takes a place, a right one looks whether there is one, by the same command at the same
// point of the request. Redis carries these out one after the other, so that a right password is told only where fewer wrong ones than the limit
// stand before it, and neither the answer nor its time tells it from a wrong one where it is not. Right ones take no place: an app may send any
// number of them at once, and a request with the right password costs no more than the two looks.
import { ApiError, tooManyRequests } from '../../infra/errors';
import { networkOf } from '../../infra/ip-address';
import type { MessageKey } from '../../i18n';
import { Limiter, secondsOf, takeAll } from './limiter';

const WINDOW_SECONDS = 60;
const WRONG_PER_ADDRESS = 10;
const byAccountAndAddress = new Limiter('wrong-passwords:account-address', WRONG_PER_ADDRESS, WINDOW_SECONDS);
/** Keeps many addresses from sharing the work; it is high, since it also locks the owner out. */
const byAccount = new Limiter('wrong-passwords:account', 100, WINDOW_SECONDS);
const keysByAddress = new Limiter('wrong-keys:address', WRONG_PER_ADDRESS, WINDOW_SECONDS);

const refusal =
  (key: MessageKey) =>
  (seconds: number): ApiError =>
    tooManyRequests(seconds, { key, values: { seconds } });

const tooManyPasswords = refusal('auth.too_many_failures');
const tooManyKeys = refusal('auth.too_many_keys');

/** An account whose password was tried, and the address it was tried from, as `clientOf()` gives it. */
export interface PasswordAttempt {
  account_id: number;
  ip: string;
}

/** The second one counts only what the first admits: whoever is over the limit of an address must not lock the owner out. */
const countersOf = ({ account_id, ip }: PasswordAttempt): [Limiter, string][] => [
  [byAccountAndAddress, `${account_id}:${networkOf(ip)}`],
  [byAccount, String(account_id)],
];

/**
 * Decides whether it may be told that a password is right or wrong, and counts a wrong one. To be called as soon as the verdict is there, before
 * anything else is done.
 *
 * @throws {ApiError} 429 with `retry-after`, whichever it is
 */
export async function requireTellable(attempt: PasswordAttempt, isRight: boolean): Promise<void> {
  for (const [limiter, key] of countersOf(attempt)) {
    const counted = await (isRight ? limiter.look(key) : limiter.take(key));
    if (!counted.admitted) throw tooManyPasswords(secondsOf(counted));
  }
}

/**
 * The same where the verdict comes only later: takes a place beforehand. Such attempts do not come many at once.
 *
 * @returns gives the place back: for a password that was right, or not compared
 * @throws {ApiError} 429 with `retry-after`
 */
export function countPasswordAttempt(attempt: PasswordAttempt): Promise<() => Promise<void>> {
  return takeAll(countersOf(attempt).map(([limiter, key]) => ({ limiter, key, refusal: tooManyPasswords })));
}

/**
 * Looks up a key that a person typed, and counts it where it is wrong: a place is taken beforehand, as for passwords.
 *
 * @param lookUp throws 401 where the key is wrong
 * @throws {ApiError} 429 with `retry-after`, whatever the key; what `lookUp` throws
 */
export async function limitWrongKeys<T>(ip: string, lookUp: () => Promise<T>): Promise<T> {
  const giveBack = await takeAll([{ limiter: keysByAddress, key: networkOf(ip), refusal: tooManyKeys }]);
  try {
    const found = await lookUp();
    await giveBack();
    return found;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) await giveBack();
    throw error;
  }
}
