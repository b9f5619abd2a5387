// SMS through Twilio.
import { HttpsProxyAgent } from 'https-proxy-agent';
import type { Twilio } from 'twilio';
import { settings } from '../../config';
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

function explain({ status, code }: TwilioError): Attempt {
  const reason = `Twilio ${status ?? ''} ${code ?? ''}`.trim();
  // The request never left.
  if (status === undefined) return { outcome: 'failed', reason, trouble: true, again: {} };
  if (code === TOO_MANY_TO_THIS_NUMBER) return { outcome: 'failed', reason, again: {} };
  if (status === 429 || status >= 500) return { outcome: 'failed', reason, trouble: true, again: {} };
  return { outcome: typeof code === 'number' && UNREACHABLE.has(code) ? 'unregistered' : 'refused', reason };
}

/** One attempt; 201 means that Twilio has queued it. Never throws for what Twilio does. */
export const sendTwilio = (to: string, body: string, signal: AbortSignal): Promise<Attempt> =>
  attemptExchange(
    { provider: 'Twilio' },
    signal,
    async () => {
      client ??= open();
      const from =
        settings.TWILIO_MESSAGING_SERVICE_SID === undefined
          ? { from: settings.TWILIO_FROM }
          : { messagingServiceSid: settings.TWILIO_MESSAGING_SERVICE_SID };
      await (await client).messages.create({ to, body, ...from });
    },
    (error) => explain(error as TwilioError),
  );
