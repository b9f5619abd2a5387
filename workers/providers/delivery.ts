// How any provider is asked: within a deadline, again only where nothing was delivered, not at all while it keeps failing.
import { isBrokenCircuitError } from 'cockatiel';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SendOutcome, SendReason } from '../../src/queues/contracts';
import { tracing } from '../../src/infra/tracing';
import { PROBE_AFTER_MS, throughBreaker } from './breaker';
import { observeDelivery } from './observed';

/** What a provider's client found out about one attempt. */
export interface Attempt {
  outcome: SendOutcome;
  /** Why not, for operators: never what the provider wrote in full, which may name a person. */
  reason?: string;
  /** The same as a word. */
  reason_word?: SendReason;
  /** The provider's own code, as providerCode() lets it through. */
  code?: string;
  /** What the provider calls the message that it took. */
  provider_id?: string;
  /** The provider itself is in trouble, or may be: counts towards the breaker. What it says of one recipient does not, however temporary. */
  trouble?: boolean;
  /** Nothing was delivered, and another attempt may succeed; milliseconds to wait first where the provider named them. */
  again?: { after?: number };
}

/** What came of a message. */
export interface Delivery extends Attempt {
  /** It was not tried at all: the provider keeps failing. */
  held?: true;
  /** How often the provider was asked. */
  attempts: number;
  /** For how long, in milliseconds, pauses between attempts among them. */
  provider_ms: number;
}

/** Before the second attempt; doubled before each further one. */
const FIRST_PAUSE_MS = 200;
const MAX_ATTEMPTS = 3;
/** Less than this left: an attempt could not end in time. */
const MIN_ATTEMPT_MS = 100;

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
        () => resolve({ outcome: 'unknown', reason: 'the provider did not answer in time', reason_word: 'timeout', trouble: true }),
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

/** One attempt, as a span of the trace that the job is part of. */
const traced = (name: string, attempts: number, work: () => Promise<Attempt>): Promise<Attempt> => {
  const [provider = ''] = name.split(' ');
  const made = tracing()?.client(
    `send by ${provider}`,
    { 'flexiapi.provider': provider, 'flexiapi.attempts': attempts },
    work,
    ({ outcome, reason_word }) => ({
      attributes: { 'flexiapi.outcome': outcome, ...(reason_word === undefined ? {} : { 'flexiapi.reason': reason_word }) },
      isError: outcome !== 'sent',
    }),
  );
  return made ?? work();
};

const UNTRIED = { attempts: 0, provider_ms: 0 };
const TOO_LATE: Delivery = { outcome: 'expired', reason: 'nobody waits for it any more', reason_word: 'timeout', ...UNTRIED };

/**
 * Sends one message.
 *
 * @param to.provider names the breaker: one an outside world
 * @param to.recipient whom it goes to
 * @param timeLeft milliseconds until nothing may be started any more
 * @param timeoutMs for the whole where no request waits
 * @param attempt makes one attempt; must not throw for what the provider does
 */
export async function deliver(...given: Parameters<typeof deliverOnce>): Promise<Delivery> {
  const delivery = await deliverOnce(...given);
  observeDelivery(given[0].provider, delivery);
  return delivery;
}

async function deliverOnce(
  { provider, recipient }: { provider: string; recipient: string },
  timeLeft: () => number,
  timeoutMs: number,
  attempt: (signal: AbortSignal, milliseconds: number) => Promise<Attempt>,
): Promise<Delivery> {
  const end = Date.now() + Math.min(timeLeft(), timeoutMs);
  const left = (): number => end - Date.now();
  if (left() < MIN_ATTEMPT_MS) return TOO_LATE;
  const held: Delivery = {
    outcome: 'failed',
    reason: 'the provider keeps failing',
    reason_word: 'provider_failing',
    held: true,
    again: { after: PROBE_AFTER_MS },
    ...UNTRIED,
  };
  let begun = false;
  const send = async (): Promise<Delivery> => {
    // It may have waited for another one's probe.
    if (left() < MIN_ATTEMPT_MS) return TOO_LATE;
    begun = true;
    const began = performance.now();
    for (let attempts = 1; ; attempts += 1) {
      const result = await traced(provider, attempts, () => attemptWithin(left(), (signal) => attempt(signal, left())));
      // A pause that the provider names is obeyed, or nothing is sent again.
      const pause = Math.max(result.again?.after ?? 0, FIRST_PAUSE_MS * 2 ** (attempts - 1));
      if (!result.again || attempts === MAX_ATTEMPTS || left() < pause + MIN_ATTEMPT_MS)
        return { ...result, attempts, provider_ms: Math.round(performance.now() - began) };
      await sleep(pause);
    }
  };
  const sent = throughBreaker(provider, recipient, send).catch((error: unknown) => {
    if (isBrokenCircuitError(error)) return held;
    throw error;
  });
  // A probe may have more time than whoever waits for it.
  let patience: NodeJS.Timeout | undefined;
  const waited = new Promise<Delivery>((resolve) => {
    patience = setTimeout(() => resolve(begun ? sent : held), left() - MIN_ATTEMPT_MS);
  });
  try {
    return await Promise.race([sent, waited]);
  } finally {
    clearTimeout(patience);
  }
}

/**
 * The pause that a `Retry-After` asks for, in milliseconds: seconds, or a date (RFC 9110, section 10.2.3).
 *
 * @returns nothing where it is neither
 */
export function retryAfter(header: unknown): { after?: number } {
  if (typeof header !== 'string' && typeof header !== 'number') return {};
  const text = String(header).trim();
  if (/^\d+$/.test(text)) return { after: Number(text) * 1000 };
  // A date begins with the day of the week; Date.parse() takes much else for one.
  const date = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? {} : { after: Math.max(0, date - Date.now()) };
}
