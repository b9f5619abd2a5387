// Apple's push service, through @parse/node-apn, with guards against what the library does by itself.
import { type ClientHttp2Session, constants } from 'node:http2';
import { Notification, Provider, type ProviderOptions } from '@parse/node-apn';
import { settings } from '../../config';
import { log } from '../../src/infra/log';
import { providerCode } from '../../src/queues/provider-code';
import type { Attempt } from './delivery';
import { attemptExchange, currentExchange, type Exchange } from './exchange';

export interface ApnsPush {
  /** Hexadecimal device token. */
  token: string;
  topic: string;
  pushType: 'background' | 'alert' | 'voip';
  priority: 5 | 10;
  /** Seconds since 1970. */
  expiry: number;
  payload: Record<string, unknown>;
}
type Environment = 'apns' | 'apns.dev';

/** The library's own limit of a request; ours, the job's deadline, is shorter. */
const REQUEST_TIMEOUT_MS = 60_000;
/** In a row. */
const TIMEOUTS_TO_RECONNECT = 2;

const providers = new Map<Environment, Provider>();
const timeouts = new Map<Environment, number>();

function options(environment: Environment): ProviderOptions {
  const proxy = settings.HTTPS_PROXY === undefined ? undefined : new URL(settings.HTTPS_PROXY);
  return {
    ...(settings.APNS_KEY_FILE === undefined
      ? { cert: settings.APNS_CERT_FILE, key: settings.APNS_CERT_KEY_FILE }
      : { token: { key: settings.APNS_KEY_FILE, keyId: settings.APNS_KEY_ID ?? '', teamId: settings.APNS_TEAM_ID ?? '' } }),
    // Else NODE_ENV decides between Apple's production and sandbox.
    production: environment === 'apns',
    // Else it repeats 429 and 5xx at once, whatever Retry-After says: deliver() does it instead.
    connectionRetryLimit: 0,
    requestTimeout: REQUEST_TIMEOUT_MS,
    ...(proxy ? { proxy: { host: proxy.hostname.replace(/^\[|\]$/g, ''), port: Number(proxy.port || 80) } } : {}),
  };
}

interface Session {
  destroyed: boolean;
  destroy: () => void;
  request: ClientHttp2Session['request'];
}
interface Internals {
  client: {
    session?: Session;
    destroySession: (session?: Session) => void;
    /** Of the session it uses request() alone. */
    request: (session: Pick<Session, 'request'>, ...rest: unknown[]) => Promise<unknown>;
  };
}

/**
 * Has the exchange of each push learn how far it came: the library loses the status of an answer whose body it cannot read, and calls a stream
 * that was never opened much the same as one that ended without an answer.
 */
function watch(provider: Provider): void {
  const { client } = provider as unknown as Internals;
  const request = client.request.bind(client);
  client.request = (session, ...rest) => {
    const exchange = currentExchange();
    const open: Session['request'] = (...parameters) => {
      const stream = session.request(...parameters);
      if (exchange) {
        // A stream has its number once its request is written to a connection that stands.
        if (stream.pending) stream.once('ready', () => (exchange.begun = true));
        else exchange.begun = true;
        stream.once('response', (headers) => exchange.answered(headers[':status'], headers['retry-after']));
        // Refused before anything was done with it (RFC 9113, section 8.7); so are streams above the last one that a GOAWAY names.
        const ended = (): void => {
          if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) exchange.begun = false;
        };
        for (const event of ['aborted', 'error', 'close']) stream.once(event, ended);
      }
      return stream;
    };
    return request({ request: open }, ...rest);
  };
}

/**
 * The one Provider of an environment, for the life of the process: one per push leaks, and makes Apple refuse too many new tokens
 * (https://github.com/node-apn/node-apn/issues/542). @throws where the key or certificate cannot be read
 */
function providerOf(environment: Environment): Provider {
  let provider = providers.get(environment);
  if (!provider) {
    provider = new Provider(options(environment));
    watch(provider);
    providers.set(environment, provider);
  }
  return provider;
}

/** Lets go of a Provider. Its shutdown() hangs on a dead session, so the session is destroyed once its last request can have ended. */
function retire(environment: Environment, milliseconds: number): void {
  const provider = providers.get(environment);
  providers.delete(environment);
  timeouts.delete(environment);
  if (!provider) return;
  setTimeout(() => {
    const { session } = (provider as unknown as Internals).client;
    void provider.shutdown(() => undefined);
    if (session && !session.destroyed) session.destroy();
  }, milliseconds).unref();
}

interface Failure {
  status?: string | number;
  response?: { reason?: string };
  error?: Error & { code?: string };
  code?: string;
}

/** The app was removed from the device, or the token is not one of this app. */
const UNREGISTERED_REASONS = new Set(['Unregistered', 'BadDeviceToken', 'DeviceTokenNotForTopic', 'ExpiredToken']);
/** Which app it is for does not fit the device, or us. */
const TOPIC_REASONS = new Set(['DeviceTokenNotForTopic', 'TopicDisallowed', 'BadTopic', 'MissingTopic']);
/** The one 429 that is about us; the other, TooManyRequests, is about the device's token alone. */
const TOO_MANY_FROM_US = 'TooManyProviderTokenUpdates';

/** What Apple's answer means; without one the request never left. */
function explain(failure: Failure, { status }: Exchange): Attempt {
  const { code: reason = '' } = providerCode(failure.response?.reason);
  if (status !== undefined) {
    const known = { reason: `APNs ${status} ${reason}`.trim(), ...providerCode(reason === '' ? status : reason) };
    const isTopic = TOPIC_REASONS.has(reason);
    if (status === 410 || UNREGISTERED_REASONS.has(reason))
      return {
        ...known,
        outcome: 'unregistered',
        reason_word: isTopic ? 'topic_disallowed' : 'device_unknown',
        reason: reason || 'Unregistered',
      };
    if (status === 429)
      return {
        ...known,
        outcome: 'failed',
        reason_word: 'provider_throttled',
        ...(reason === TOO_MANY_FROM_US ? { trouble: true } : {}),
        again: {},
      };
    if (status >= 500) return { ...known, outcome: 'failed', reason_word: 'provider_failing', trouble: true, again: {} };
    const expired = failure.error?.message;
    if (expired === 'ExpiredProviderToken')
      return { outcome: 'failed', reason_word: 'provider_refused', reason: expired, code: expired, again: {} };
    return { ...known, outcome: 'refused', reason_word: isTopic ? 'topic_disallowed' : 'provider_refused' };
  }
  return { outcome: 'failed', reason_word: 'provider_unreachable', reason: 'APNs was not reached', trouble: true, again: {} };
}

/** Without an answer its session, or the promise of one, is of no use any more; other requests on it may still end well. */
function abandon(environment: Environment, { code, error }: Failure): void {
  retire(environment, REQUEST_TIMEOUT_MS);
  const text = `${code ?? ''} ${error?.code ?? ''} ${error?.message ?? ''}`;
  log.warn({ provider: environment, reason: text.trim().slice(0, 200) }, 'APNs did not answer');
}

/** One attempt. Never throws for what Apple does. */
export async function sendApns(environment: Environment, push: ApnsPush, signal: AbortSignal): Promise<Attempt> {
  const notification = new Notification();
  notification.topic = push.topic;
  notification.pushType = push.pushType;
  notification.priority = push.priority;
  notification.expiry = push.expiry;
  // The whole body is ours: the library's own `aps` would lack call-id, uuid and send-time.
  notification.rawPayload = push.payload;

  signal.addEventListener('abort', () => {
    // The library never drops a half-open connection by itself (https://github.com/parse-community/node-apn/issues/27).
    const count = (timeouts.get(environment) ?? 0) + 1;
    timeouts.set(environment, count);
    if (count >= TIMEOUTS_TO_RECONNECT) retire(environment, 0);
  });
  const provider = providerOf(environment);
  const attempt = await attemptExchange(
    { provider: 'APNs' },
    signal,
    async () => {
      const { failed } = await provider.send(notification, push.token);
      const [failure] = failed;
      if (!failure) return;
      if (currentExchange()?.status === undefined) abandon(environment, failure);
      throw Object.assign(new Error('not sent'), { failure });
    },
    (error, exchange) => explain((error as { failure?: Failure }).failure ?? {}, exchange),
  );
  if (!signal.aborted) timeouts.set(environment, 0);
  return attempt;
}

/** Closes all connections to Apple. */
export function closeApns(): void {
  for (const environment of providers.keys()) retire(environment, 0);
}
