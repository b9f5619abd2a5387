// What came of the messages for each provider, as metrics. No recipient is a label, and no text of a provider.
import { settings } from '../../config';
import { providerSends, providerTime } from '../../src/infra/metrics';
import type { SendOutcome, SendReason } from '../../src/queues/contracts';

/** What is counted of a message. */
interface Observed {
  outcome: SendOutcome;
  reason_word?: SendReason;
  held?: true;
  attempts?: number;
  provider_ms?: number;
}

const OUTCOMES: readonly string[] = ['sent', 'unregistered', 'recipient_refused', 'refused', 'failed', 'unknown', 'expired', 'held'];

/** Providers that are configured. */
function configured(): string[] {
  const isThere = {
    apns: settings.APNS_KEY_FILE ?? settings.APNS_CERT_FILE,
    fcm: settings.FIREBASE_SERVICE_ACCOUNTS[0],
    twilio: settings.TWILIO_ACCOUNT_SID,
    smtp: settings.MAIL_HOST,
    'linphone-daemon': settings.APP_LINPHONE_DAEMON_UNIX_PATH,
  };
  const names = Object.entries(isThere).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  return names.includes('apns') ? [...names, 'apns.dev'] : names;
}

/** Has every series of a configured provider begin at 0: of one that begins with its first failure Prometheus sees no increase. */
export function beginProviderMetrics(): void {
  for (const provider of configured()) for (const outcome of OUTCOMES) providerSends.inc({ provider, outcome }, 0);
}

/**
 * Counts what came of a message.
 *
 * @param name of the breaker, whose first word is the provider: each Firebase project has one of its own
 */
export function observeDelivery(name: string, { outcome, reason_word, held, attempts = 1, provider_ms }: Observed): void {
  const [provider = ''] = name.split(' ');
  providerSends.inc({ provider, outcome: held ? 'held' : reason_word === 'recipient_refused' ? reason_word : outcome });
  if (attempts > 0 && provider_ms !== undefined) providerTime.observe({ provider }, provider_ms / 1000);
}
