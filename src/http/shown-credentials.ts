// What this process remembers of credentials that were shown to it, so that those who guess cost PostgreSQL nothing: good ones are looked up whatever
// else comes from their address, all others only where the limit of the address has room, and those that were refused with 429 not before its time is over.
import { createHash } from 'node:crypto';
import { ApiError, tooManyRequests } from '../infra/errors';
import { KnownKeyRefused } from '../services/credentials/named-keys';

/** Some 100 octets each. */
const MAX_REMEMBERED = 50_000;
const SECOND_MS = 1000;

interface Refusal {
  error: ApiError;
  /** By performance.now(). */
  until: number;
}

/** Credentials as they were shown from one network. */
export type Shown = string;

const good = new Set<Shown>();
const refused = new Map<Shown, Refusal>();
/** Under way for the first time: settled once it is known whether they are good. */
const pending = new Map<Shown, Promise<void>>();

function forgetOldest(remembered: Set<Shown> | Map<Shown, unknown>): void {
  if (remembered.size <= MAX_REMEMBERED) return;
  const [oldest = ''] = remembered.keys();
  remembered.delete(oldest);
}

/** @param network that they come from @param credentials what was shown, whole: it is not kept */
export const shownFrom = (network: string, credentials: string): Shown =>
  createHash('sha256').update(`${network} ${credentials}`).digest('base64url');

/** @throws {ApiError} 429, as before, where its time is not over */
function requireNotRefused(shown: Shown): void {
  const refusal = refused.get(shown);
  if (!refusal) return;
  const seconds = Math.ceil((refusal.until - performance.now()) / SECOND_MS);
  const { text, details } = refusal.error;
  if (seconds > 0) throw tooManyRequests(seconds, { key: text.key, values: { ...text.values, seconds } }, details);
  refused.delete(shown);
}

/** Whether an error says that the credentials are at fault, and not the server. */
const isTheirFault = (error: unknown): error is ApiError => error instanceof ApiError && error.status < 500;

/** Whether they may be a guess, which takes a place of its address: a known key that is refused is none. */
const isGuess = (error: unknown): boolean =>
  isTheirFault(error) && !(error instanceof KnownKeyRefused) && !(error.details.cause instanceof KnownKeyRefused);

function remember(shown: Shown, error: unknown): void {
  if (!isTheirFault(error)) return;
  good.delete(shown);
  if (error.status !== 429) return;
  const seconds = Number(error.details.headers?.['retry-after'] ?? 0);
  refused.set(shown, { error, until: performance.now() + seconds * SECOND_MS });
  forgetOldest(refused);
}

async function lookUp<T>(shown: Shown, work: () => Promise<T>): Promise<T> {
  try {
    const found = await work();
    // Again, so that it is the newest.
    good.delete(shown);
    good.add(shown);
    forgetOldest(good);
    return found;
  } catch (error) {
    remember(shown, error);
    throw error;
  }
}

/** Takes a place in the limit of an address. @returns gives it back @throws {ApiError} 429 */
export type TakePlace = () => Promise<() => Promise<void>>;

/**
 * Looks up credentials. Those that are not known to be good take a place for the look, and keep it where they are wrong: of many at once no more
 * are looked up than there is room for.
 *
 * @param takePlace for what is wrong
 * @param work throws where they are wrong
 * @throws {ApiError} 429; what `work` throws
 */
export async function lookUpShown<T>(shown: Shown, takePlace: TakePlace, work: () => Promise<T>): Promise<T> {
  requireNotRefused(shown);
  // A client that begins with many requests at once needs one place. Not awaited where there is none: others that come in this very moment would not find it.
  const first = pending.get(shown);
  if (first && !good.has(shown)) await first;
  if (good.has(shown)) {
    try {
      return await lookUp(shown, work);
    } catch (error) {
      if (isGuess(error)) await takePlace();
      throw error;
    }
  }
  const looking = (async () => {
    const giveBack = await takePlace();
    try {
      const found = await lookUp(shown, work);
      await giveBack();
      return found;
    } catch (error) {
      if (!isGuess(error)) await giveBack();
      throw error;
    }
  })();
  if (!pending.has(shown)) {
    const settled = looking.then(
      () => undefined,
      () => undefined,
    );
    pending.set(shown, settled);
    void settled.then(() => pending.delete(shown));
  }
  return looking;
}
