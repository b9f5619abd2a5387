// Apple's push service, through @parse/node-apn, with guards against what the library does by itself.
import { Notification, Provider, type ProviderOptions } from '@parse/node-apn';
import { settings } from '../../config';
import { log } from '../../src/infra/log';
import type { Attempt } from './delivery';

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
    ...(proxy ? { proxy: { host: proxy.hostname, port: Number(proxy.port || 80) } } : {}),
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
    providers.set(environment, provider);
  }
  return provider;
}

interface Session {
  destroyed: boolean;
  destroy: () => void;
}
interface Internals {
  client: { session?: Session; destroySession: (session?: Session) => void };
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
/** The stream was never opened, so nothing was sent (https://github.com/parse-community/node-apn/issues/140). */
const UNOPENED = /ERR_HTTP2_(GOAWAY_SESSION|INVALID_SESSION|STREAM_CANCEL|OUT_OF_STREAMS)|REFUSED_STREAM|after receiving a GOAWAY/;
const UNCONNECTED = /cannot connect to proxy|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/;

function explain(environment: Environment, { status, response, error, code }: Failure): Attempt {
  const reason = response?.reason ?? '';
  if (typeof status === 'number') {
    if (status === 410 || UNREGISTERED_REASONS.has(reason)) return { outcome: 'unregistered', reason: reason || 'Unregistered' };
    if (status === 429 || status >= 500) return { outcome: 'failed', reason: `APNs ${status} ${reason}`.trim(), trouble: true, again: {} };
    if (error?.message === 'ExpiredProviderToken') return { outcome: 'failed', reason: error.message, again: {} };
    return { outcome: 'refused', reason: `APNs ${status} ${reason}`.trim() };
  }
  const text = `${code ?? ''} ${error?.code ?? ''} ${error?.message ?? ''}`;
  // Its session, or the promise of one, is of no use any more; other requests on it may still end well.
  retire(environment, REQUEST_TIMEOUT_MS);
  const again = UNOPENED.test(text) || UNCONNECTED.test(text);
  const empty = /with status (\d+) and empty body/.exec(text)?.[1];
  if (empty !== undefined)
    return { outcome: Number(empty) === 410 ? 'unregistered' : 'failed', reason: `APNs ${empty}`, trouble: Number(empty) >= 500 };
  log.warn({ provider: environment, reason: text.trim().slice(0, 200) }, 'APNs was not reached');
  return { outcome: 'failed', reason: 'APNs was not reached', trouble: true, ...(again ? { again: {} } : {}) };
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
  const { failed } = await providerOf(environment).send(notification, push.token);
  if (!signal.aborted) timeouts.set(environment, 0);
  const [failure] = failed;
  return failure ? explain(environment, failure) : { outcome: 'sent' };
}

/** Closes all connections to Apple. */
export function closeApns(): void {
  for (const environment of providers.keys()) retire(environment, 0);
}
