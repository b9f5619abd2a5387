// When a provider is left alone for a while: after messages to several people have failed for its own sake, one after the other.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHmac, randomBytes } from 'node:crypto';
import { circuitBreaker, type CircuitBreakerPolicy, CircuitState, handleWhenResult, type IBreaker } from 'cockatiel';
import { log } from '../../src/infra/log';
import { providerBreaker } from '../../src/infra/metrics';

/** Different recipients whose messages failed, with none in between that did not. */
const RECIPIENTS_TO_OPEN = 5;
/** Failures of longer ago say nothing about now. */
const WINDOW_MS = 60_000;
/** A provider that is back is found within this time. */
export const PROBE_AFTER_MS = 5000;

/** Of this process alone, so that nothing in its memory names a person. */
const salt = randomBytes(32);
const recipients = new AsyncLocalStorage<string>();

/**
 * Opens by people, not by messages: what one recipient's own server, device or number brings about, it brings about again and again, at anybody's
 * will. Holds no more than the failures that open it.
 */
class DistinctRecipients implements IBreaker {
  /** When a recipient's last message failed. */
  #failed = new Map<string, number>();
  /** cockatiel's place for storing it between processes; not used. */
  state: unknown;

  success(): void {
    this.#failed.clear();
  }

  failure(state: CircuitState): boolean {
    if (state !== CircuitState.Closed) return true;
    const now = Date.now();
    for (const [recipient, moment] of this.#failed) if (now - moment > WINDOW_MS) this.#failed.delete(recipient);
    this.#failed.set(
      createHmac('sha256', salt)
        .update(recipients.getStore() ?? '')
        .digest('base64url'),
      now,
    );
    if (this.#failed.size < RECIPIENTS_TO_OPEN) return false;
    this.#failed.clear();
    return true;
  }
}

const breakers = new Map<string, CircuitBreakerPolicy>();

const STATES = [
  ['closed', CircuitState.Closed],
  ['open', CircuitState.Open],
  ['half_open', CircuitState.HalfOpen],
] as const;
const show = (breaker: string, now: CircuitState): void => {
  for (const [state, value] of STATES) providerBreaker.set({ breaker, state }, now === value ? 1 : 0);
};

function breakerOf(provider: string): CircuitBreakerPolicy {
  let breaker = breakers.get(provider);
  if (!breaker) {
    breaker = circuitBreaker(
      handleWhenResult((message) => (message as { trouble?: boolean }).trouble === true),
      { halfOpenAfter: PROBE_AFTER_MS, breaker: new DistinctRecipients() },
    );
    breaker.onBreak(() => log.warn({ provider }, 'a provider keeps failing: its jobs fail at once until a probe succeeds'));
    breaker.onStateChange((state) => show(provider, state));
    show(provider, CircuitState.Closed);
    breaker.onReset(() => log.info({ provider }, 'a provider is back'));
    breakers.set(provider, breaker);
  }
  return breaker;
}

/**
 * Sends one message, all its attempts, through a provider's breaker.
 *
 * @param provider names the breaker: one an outside world
 * @param recipient whom the message goes to; one that has several names is one recipient
 * @param send whose `trouble` says that the provider failed, whomever the message was for
 * @throws cockatiel's BrokenCircuitError where the provider keeps failing
 */
export const throughBreaker = <T extends { trouble?: boolean }>(provider: string, recipient: string, send: () => Promise<T>): Promise<T> =>
  recipients.run(recipient, () => breakerOf(provider).execute(send));
