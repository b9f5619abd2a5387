// How any provider is asked: within a deadline, again only where nothing was delivered, not at all while it keeps failing.
import { circuitBreaker, type CircuitBreakerPolicy, ConsecutiveBreaker, handleWhenResult, isBrokenCircuitError } from 'cockatiel';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../src/infra/log';
import type { SendOutcome } from '../../src/queues/contracts';

/** What a provider's client found out about one attempt. */
export interface Attempt {
  outcome: SendOutcome;
  reason?: string;
  /** The provider itself is in trouble (not this one message): counts towards the breaker. */
  trouble?: boolean;
  /** Nothing was delivered, and another try may succeed; milliseconds to wait first where the provider named them. */
  again?: { after?: number };
}

const FAILURES_TO_OPEN = 5;
/** A provider that is back is found within this time (design.md: within a minute). */
const PROBE_AFTER = 15_000;
const FIRST_PAUSE = 200;
const MOST_TRIES = 3;
/** Less than this left: a try could not end in time. */
const LEAST_TIME = 100;

const breakers = new Map<string, CircuitBreakerPolicy>();

function breakerOf(provider: string): CircuitBreakerPolicy {
  let breaker = breakers.get(provider);
  if (!breaker) {
    breaker = circuitBreaker(
      handleWhenResult((attempt) => (attempt as Attempt).trouble === true),
      { halfOpenAfter: PROBE_AFTER, breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN) },
    );
    breaker.onBreak(() => log.warn({ provider }, 'a provider keeps failing: its jobs fail at once until a probe succeeds'));
    breaker.onReset(() => log.info({ provider }, 'a provider is back'));
    breakers.set(provider, breaker);
  }
  return breaker;
}

/** Ends a try at `milliseconds`; what was sent until then is unknown. */
async function inTime(milliseconds: number, attempt: (signal: AbortSignal) => Promise<Attempt>): Promise<Attempt> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Attempt>((resolve) => {
    timer = setTimeout(() => {
      resolve({ outcome: 'unknown', reason: 'the provider did not answer in time', trouble: true });
      controller.abort();
    }, milliseconds);
  });
  try {
    return await Promise.race([attempt(controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Sends one message through `provider`.
 *
 * @param provider names the breaker: one an outside world
 * @param timeLeft milliseconds until nothing may be started any more
 * @param limit milliseconds for the whole where nobody waits
 * @param attempt one try; must not throw for what the provider does
 */
export async function deliver(
  provider: string,
  timeLeft: () => number,
  limit: number,
  attempt: (signal: AbortSignal, milliseconds: number) => Promise<Attempt>,
): Promise<Attempt> {
  const end = Date.now() + Math.min(timeLeft(), limit);
  const left = (): number => end - Date.now();
  if (left() < LEAST_TIME) return { outcome: 'expired', reason: 'nobody waits for it any more' };
  for (let tries = 1; ; tries += 1) {
    let result: Attempt;
    try {
      result = await breakerOf(provider).execute(() => inTime(left(), (signal) => attempt(signal, left())));
    } catch (error) {
      if (isBrokenCircuitError(error)) return { outcome: 'failed', reason: 'the provider keeps failing' };
      throw error;
    }
    const pause = result.again?.after ?? FIRST_PAUSE * 2 ** (tries - 1);
    if (!result.again || tries === MOST_TRIES || left() < pause + LEAST_TIME) return result;
    await sleep(pause);
  }
}

/** Errors of a connection that was never made, so nothing was sent. */
const NEVER_CONNECTED = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/;
export const neverConnected = (code: unknown): boolean => typeof code === 'string' && NEVER_CONNECTED.test(code);

/** `Retry-After` in seconds, as milliseconds; dates are not worth waiting for. */
export function retryAfter(header: unknown): { after?: number } {
  const seconds = Number(header);
  return header !== undefined && Number.isFinite(seconds) ? { after: seconds * 1000 } : {};
}
