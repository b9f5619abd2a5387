// Google's push service, through firebase-admin. Its traps are listed in pitfalls.md, B5.
import { cert, deleteApp, initializeApp, type App } from 'firebase-admin/app';
import { getMessaging, type Messaging } from 'firebase-admin/messaging';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { settings } from '../../config';
import { neverConnected, type Attempt } from './delivery';

export interface FcmPush {
  token: string;
  /** Milliseconds. */
  ttl: number;
  data: Record<string, string>;
}

const apps = new Map<string, App>();

interface Internals {
  messagingRequestHandler: { httpClient: { retry: unknown } };
}

/** @throws where the service account cannot be read */
export function messagingOf(project: string): Messaging {
  let app = apps.get(project);
  if (!app) {
    const file = settings.FIREBASE_SERVICE_ACCOUNTS.find((account) => account.project === project)?.file ?? '';
    const agent = settings.HTTPS_PROXY === undefined ? undefined : new HttpsProxyAgent(settings.HTTPS_PROXY);
    // The path, not the parsed object, and the agent in both places: else the token request goes past the proxy (B5.35).
    app = initializeApp({ credential: cert(file, agent), projectId: project, ...(agent ? { httpAgent: agent } : {}) }, project);
    apps.set(project, app);
  }
  const messaging = getMessaging(app);
  // It repeats by itself up to four times, also what may have been delivered (B5.34); a test holds that this switches it off.
  (messaging as unknown as Internals).messagingRequestHandler.httpClient.retry = null;
  return messaging;
}

interface FirebaseError {
  code?: string;
  message?: string;
  httpResponse?: { status?: number; headers?: Record<string, unknown> };
  cause?: { code?: string };
}

const GONE = new Set(['messaging/registration-token-not-registered', 'messaging/invalid-registration-token']);
const PASSING = /server-unavailable|internal-error|message-rate-exceeded|quota-exceeded|unknown-error/;

function explain(error: FirebaseError): Attempt {
  const code = error.code ?? 'unknown';
  if (GONE.has(code)) return { outcome: 'unregistered', reason: code };
  if (PASSING.test(code)) return { outcome: 'failed', reason: code, trouble: true, again: {} };
  if (code.startsWith('app/network')) {
    const unsent = neverConnected(error.cause?.code) || /ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.test(error.message ?? '');
    return { outcome: 'failed', reason: code, trouble: true, ...(unsent ? { again: {} } : {}) };
  }
  // A credential that Google refuses is our configuration's fault, but may be its token server's, too.
  return { outcome: code.startsWith('app/') ? 'failed' : 'refused', reason: code, ...(code.startsWith('app/') ? { trouble: true } : {}) };
}

/** One try. Never throws for what Google does. */
export async function sendFcm(project: string, push: FcmPush): Promise<Attempt> {
  try {
    // send(), not sendEach(): the latter knows no proxy (B5.36).
    await messagingOf(project).send({ token: push.token, android: { priority: 'high', ttl: push.ttl, data: push.data } });
    return { outcome: 'sent' };
  } catch (error) {
    return explain(error as FirebaseError);
  }
}

export async function closeFcm(): Promise<void> {
  await Promise.all([...apps.values()].map((app) => deleteApp(app)));
  apps.clear();
}
