// Google's push service, through firebase-admin.
import { cert, deleteApp, initializeApp, type App } from 'firebase-admin/app';
import { getMessaging, type Messaging } from 'firebase-admin/messaging';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { settings } from '../../config';
import { providerCode } from '../../src/queues/provider-code';
import type { Attempt } from './delivery';
import { attemptExchange, type Exchange } from './exchange';

export interface FcmPush {
  token: string;
  /** Milliseconds that it is worth delivering. */
  ttl: number;
  data: Record<string, string>;
}

/** Where firebase-admin sends messages; a test holds that it does. */
const HOST = 'fcm.googleapis.com';
const apps = new Map<string, App>();

interface Internals {
  messagingRequestHandler: { httpClient: { retry: unknown } };
}

/** The client of one Firebase project, made once. @throws where the service account cannot be read */
export function messagingOf(project: string): Messaging {
  let app = apps.get(project);
  if (!app) {
    const file = settings.FIREBASE_SERVICE_ACCOUNTS.find((account) => account.project === project)?.file ?? '';
    const agent = settings.HTTPS_PROXY === undefined ? undefined : new HttpsProxyAgent(settings.HTTPS_PROXY);
    // The path, not the parsed object, and the agent in both places: else the request for
    // Google's token goes past the proxy (https://github.com/firebase/firebase-admin-node/issues/2960).
    app = initializeApp({ credential: cert(file, agent), projectId: project, ...(agent ? { httpAgent: agent } : {}) }, project);
    apps.set(project, app);
  }
  const messaging = getMessaging(app);
  // It repeats by itself up to four times, also what may have been delivered; a test holds that this switches it off.
  (messaging as unknown as Internals).messagingRequestHandler.httpClient.retry = null;
  return messaging;
}

interface FirebaseError {
  code?: string;
}

/** The app was removed from the device, or the token was never one. */
const UNREGISTERED_CODES = new Set(['messaging/registration-token-not-registered', 'messaging/invalid-registration-token']);
/** This one device was sent too many; of other 429s firebase-admin does not tell whether they are about the device or the project. */
const TOO_MANY_TO_THIS_DEVICE = 'messaging/device-message-rate-exceeded';
/** Too many, of whomever. */
const THROTTLED = /message-rate-exceeded|quota-exceeded/;
/** The device is registered with another Firebase project. */
const OF_ANOTHER_PROJECT = 'messaging/mismatched-credential';
/** Another try may succeed. */
const TEMPORARY = /server-unavailable|internal-error|unknown-error/;

function explain(error: FirebaseError, { begun, status }: Exchange): Attempt {
  const { code = 'unknown' } = providerCode(error.code);
  const known = { reason: code, code };
  if (UNREGISTERED_CODES.has(code)) return { ...known, outcome: 'unregistered', reason_word: 'device_unknown' };
  const throttled = { ...known, outcome: 'failed', reason_word: 'provider_throttled', again: {} } as const;
  if (code === TOO_MANY_TO_THIS_DEVICE) return throttled;
  if (status === 429 || THROTTLED.test(code)) return { ...throttled, trouble: true };
  if (TEMPORARY.test(code)) return { ...known, outcome: 'failed', reason_word: 'provider_failing', trouble: true, again: {} };
  // Neither the push nor, perhaps, the request for Google's token has reached anybody who could deliver it.
  if (code.startsWith('app/network'))
    return { ...known, outcome: 'failed', reason_word: 'provider_unreachable', trouble: true, ...(begun ? {} : { again: {} }) };
  // A credential that Google refuses is our configuration's fault, but may be its token server's, too.
  if (code.startsWith('app/')) return { ...known, outcome: 'failed', reason_word: 'provider_refused', trouble: true };
  return { ...known, outcome: 'refused', reason_word: code === OF_ANOTHER_PROJECT ? 'sender_mismatch' : 'provider_refused' };
}

/** One attempt. Never throws for what Google does. */
export const sendFcm = (project: string, push: FcmPush, signal: AbortSignal): Promise<Attempt> =>
  attemptExchange(
    { provider: 'FCM', host: HOST },
    signal,
    // send(), not sendEach(): the latter knows no proxy (https://github.com/firebase/firebase-admin-node/issues/2697).
    async () => messagingOf(project).send({ token: push.token, android: { priority: 'high', ttl: push.ttl, data: push.data } }),
    (error, exchange) => explain(error as FirebaseError, exchange),
  );

/** Closes all projects' clients. */
export async function closeFcm(): Promise<void> {
  await Promise.all([...apps.values()].map((app) => deleteApp(app)));
  apps.clear();
}
