// SMS through Twilio.
import { HttpsProxyAgent } from 'https-proxy-agent';
import type { Twilio } from 'twilio';
import { settings } from '../../config';
import { withTimeout } from '../../src/infra/timeout';
import { providerCode } from '../../src/queues/provider-code';
import type { Attempt } from './delivery';
import { attemptExchange } from './exchange';

let client: Promise<Twilio> | undefined;

/** Loaded at the first SMS: the library takes most of a second. */
async function open(): Promise<Twilio> {
  const { default: twilio } = await import('twilio');
  const httpClient = new twilio.RequestClient({ timeout: settings.SMS_TIMEOUT_SECONDS * 1000 });
  // It ignores HTTPS_PROXY (https://github.com/twilio/twilio-node/issues/611).
  if (settings.HTTPS_PROXY !== undefined) {
    httpClient.axios.defaults.httpsAgent = new HttpsProxyAgent(settings.HTTPS_PROXY);
    httpClient.axios.defaults.proxy = false;
  }
  return twilio(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, { httpClient, autoRetry: false });
}

interface TwilioError {
  status?: number;
  code?: number | string;
}

// https://www.twilio.com/docs/api/errors: not a number, no mobile, unsubscribed. No further try will reach them.
const UNREACHABLE = new Set([21211, 21214, 21610, 21614]);
/** Too many messages from our number to this one. Other 429s are about the account (20429) or its sender (21611), whomever the message is for. */
const TOO_MANY_TO_THIS_NUMBER = 14107;

function explain({ status, code: given }: TwilioError): Attempt {
  const { code = '' } = providerCode(given);
  const known = { reason: `Twilio ${status ?? ''} ${code}`.trim(), ...providerCode(code === '' ? status : code) };
  // The request never left.
  if (status === undefined) return { ...known, outcome: 'failed', reason_word: 'provider_unreachable', trouble: true, again: {} };
  const throttled = { ...known, outcome: 'failed', reason_word: 'provider_throttled', again: {} } as const;
  if (given === TOO_MANY_TO_THIS_NUMBER) return throttled;
  if (status === 429) return { ...throttled, trouble: true };
  if (status >= 500) return { ...known, outcome: 'failed', reason_word: 'provider_failing', trouble: true, again: {} };
  if (typeof given === 'number' && UNREACHABLE.has(given)) return { ...known, outcome: 'unregistered', reason_word: 'recipient_refused' };
  return { ...known, outcome: 'refused', reason_word: 'provider_refused' };
}

/** How long is waited for what Twilio calls an SMS, once it has taken it: its answer has come then, but for its end. */
const SID_PATIENCE_MS = 300;

/**
 * One attempt; 201 means that Twilio has queued it. Never throws for what Twilio does.
 *
 * @param statusCallback address that Twilio is to tell what became of it; none where left out
 */
export async function sendTwilio(to: string, body: string, signal: AbortSignal, statusCallback?: string): Promise<Attempt> {
  let made: Promise<{ sid: string }> | undefined;
  const attempt = await attemptExchange(
    { provider: 'Twilio' },
    signal,
    async () => {
      client ??= open();
      const from =
        settings.TWILIO_MESSAGING_SERVICE_SID === undefined
          ? { from: settings.TWILIO_FROM }
          : { messagingServiceSid: settings.TWILIO_MESSAGING_SERVICE_SID };
      made = (await client).messages.create({ to, body, ...from, ...(statusCallback === undefined ? {} : { statusCallback }) });
      await made;
    },
    (error) => explain(error as TwilioError),
  );
  if (attempt.outcome !== 'sent' || !made) return attempt;
  const sid = await withTimeout(made, SID_PATIENCE_MS, 'Twilio').then(
    (message) => message.sid,
    () => undefined,
  );
  return typeof sid === 'string' ? { ...attempt, provider_id: sid } : attempt;
}
