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
  /** Nothing was delivered, and another attempt may succeed; milliseconds to wait first where the provider named them. */
  again?: { after?: number };
}

const FAILURES_TO_OPEN = 5;
/** A provider that is back is found within this time. */
const PROBE_AFTER_MS = 15_000;
/** Before the second attempt; doubled before each further one. */
const FIRST_PAUSE_MS = 200;
const MAX_ATTEMPTS = 3;
/** Less than this left: an attempt could not end in time. */
const MIN_ATTEMPT_MS = 100;

const breakers = new Map<string, CircuitBreakerPolicy>();

function breakerOf(provider: string): CircuitBreakerPolicy {
  let breaker = breakers.get(provider);
  if (!breaker) {
    breaker = circuitBreaker(
      handleWhenResult((attempt) => (attempt as Attempt).trouble === true),
      { halfOpenAfter: PROBE_AFTER_MS, breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN) },
    );
    breaker.onBreak(() => log.warn({ provider }, 'a provider keeps failing: its jobs fail at once until a probe succeeds'));
    breaker.onReset(() => log.info({ provider }, 'a provider is back'));
    breakers.set(provider, breaker);
  }
  return breaker;
}

/** Once its time is over, how long an attempt has for saying how far it came. */
const VERDICT_TIMEOUT_MS = 50;

/** Ends an attempt after `milliseconds`. One that does not say at once how far it came is unknown: it may have been taken. */
async function attemptWithin(milliseconds: number, attempt: (signal: AbortSignal) => Promise<Attempt>): Promise<Attempt> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Attempt>((resolve) => {
    timer = setTimeout(() => {
      controller.abort();
      timer = setTimeout(
        () => resolve({ outcome: 'unknown', reason: 'the provider did not answer in time', trouble: true }),
        VERDICT_TIMEOUT_MS,
      );
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
 * @param timeoutMs for the whole where no request waits
 * @param attempt makes one attempt; must not throw for what the provider does
 */
export async function deliver(
  provider: string,
  timeLeft: () => number,
  timeoutMs: number,
  attempt: (signal: AbortSignal, milliseconds: number) => Promise<Attempt>,
): Promise<Attempt> {
  const end = Date.now() + Math.min(timeLeft(), timeoutMs);
  const left = (): number => end - Date.now();
  if (left() < MIN_ATTEMPT_MS) return { outcome: 'expired', reason: 'nobody waits for it any more' };
  for (let attempts = 1; ; attempts += 1) {
    let result: Attempt;
    try {
      result = await breakerOf(provider).execute(() => attemptWithin(left(), (signal) => attempt(signal, left())));
    } catch (error) {
      if (isBrokenCircuitError(error)) return { outcome: 'failed', reason: 'the provider keeps failing' };
      throw error;
    }
    const pause = result.again?.after ?? FIRST_PAUSE_MS * 2 ** (attempts - 1);
    if (!result.again || attempts === MAX_ATTEMPTS || left() < pause + MIN_ATTEMPT_MS) return result;
    await sleep(pause);
  }
}

/** The pause that a `Retry-After` in seconds asks for, in milliseconds; one that names a date is ignored: it is not worth waiting for. */
export function retryAfter(header: unknown): { after?: number } {
  const seconds = Number(header);
  return header !== undefined && Number.isFinite(seconds) ? { after: seconds * 1000 } : {};
}
