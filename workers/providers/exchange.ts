// How far a request to a provider came, whatever the provider's library makes of it: whether it can have left, and which status came back.
// Libraries report a 2xx whose body they cannot read, a connection that ended after the request and one that was never made as much the
// same error, and some never settle; what may be sent again depends on which it was.
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { providerCode } from '../../src/queues/provider-code';
import { retryAfter, type Attempt } from './delivery';

/** What is known of a request. */
export class Exchange {
  /** It was handed to a connection that stands: it may have been taken. */
  begun = false;
  /** Of the answer's head; whether the body came whole, and what it holds, is another matter. */
  status: number | undefined;
  /** What the answer's head asks to wait before another attempt. */
  pause: { after?: number } = {};
  #taken: () => void = () => undefined;
  /** Resolves with a 2xx. */
  readonly taken = new Promise<void>((resolve) => (this.#taken = resolve));

  /** @param host where a library asks others on the way, for an access token say, only requests to this one count */
  constructor(readonly host?: string) {}

  /** @param wait the header Retry-After: libraries keep it from whoever asks them */
  answered(status: number | undefined, wait: unknown): void {
    this.status = status;
    this.pause = retryAfter(wait);
    if (this.isTaken) this.#taken();
  }

  /** A 2xx: the provider has accepted the request, whatever becomes of the answer's body (RFC 9110, section 15.3). */
  get isTaken(): boolean {
    return this.status !== undefined && this.status >= 200 && this.status < 300;
  }
}

const exchanges = new AsyncLocalStorage<Exchange>();

/** The exchange that runs here, where one does. */
export const currentExchange = (): Exchange | undefined => exchanges.getStore();

// Node publishes each request of node:http and node:https when it is ended, in the context of whoever made it
// (https://nodejs.org/api/diagnostics_channel.html#http).
subscribe('http.client.request.start', (message) => {
  const { request } = message as { request: ClientRequest };
  const exchange = exchanges.getStore();
  if (!exchange || (exchange.host !== undefined && exchange.host !== request.host)) return;
  request.once('response', ({ statusCode, headers }) => exchange.answered(statusCode, headers['retry-after']));
  const watch = (socket: Socket & { secureConnecting?: boolean }): void => {
    // What is written before the handshake is over waits in this process.
    if (!socket.connecting && socket.secureConnecting !== true) exchange.begun = true;
    else socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => (exchange.begun = true));
  };
  if (request.socket) watch(request.socket);
  else request.once('socket', watch);
});

const aborted = (signal: AbortSignal): Promise<'late'> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve('late');
    else signal.addEventListener('abort', () => resolve('late'), { once: true });
  });

/**
 * One attempt to have a provider take a request, through its library.
 *
 * @param target `provider`: as operators know it; `host`: as of Exchange
 * @param signal aborts when the time is over
 * @param request asks the library
 * @param explain what the library's error means, where the exchange itself does not tell: the provider refused it, or it never left
 */
export async function attemptExchange(
  { provider, host }: { provider: string; host?: string },
  signal: AbortSignal,
  request: () => Promise<unknown>,
  explain: (error: unknown, exchange: Exchange) => Attempt,
): Promise<Attempt> {
  const exchange = new Exchange(host);
  const asked = exchanges.run(exchange, async () => {
    await request();
    return 'taken' as const;
  });
  let late = false;
  let failure: unknown;
  try {
    late = (await Promise.race([asked, exchange.taken, aborted(signal)])) === 'late';
    if (!late) return { outcome: 'sent' };
  } catch (error) {
    failure = error;
  }
  asked.catch(() => undefined);
  if (exchange.isTaken) return { outcome: 'sent' };
  if (late) {
    return exchange.begun
      ? { outcome: 'unknown', reason_word: 'timeout', reason: `${provider} did not answer in time`, trouble: true }
      : { outcome: 'failed', reason_word: 'provider_unreachable', reason: `${provider} was not reached in time`, trouble: true };
  }
  const { begun, status } = exchange;
  // A gateway that had no answer, or none that it could read: what stands behind it may have taken the request (RFC 9110, sections 15.6.3 and
  // 15.6.5).
  if (status === 502 || status === 504)
    return {
      outcome: 'unknown',
      reason_word: 'provider_unreachable',
      reason: `${provider} ${status}`,
      ...providerCode(status),
      trouble: true,
    };
  if (begun && status === undefined)
    return {
      outcome: 'unknown',
      reason_word: 'provider_unreachable',
      reason: `${provider} ended the connection without an answer`,
      trouble: true,
    };
  const attempt = explain(failure, exchange);
  return attempt.again ? { ...attempt, again: exchange.pause } : attempt;
}
