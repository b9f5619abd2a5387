// The queue `messages`: hands messages to linphone-daemon. Runs where its socket is.
import { settings } from '../config';
import type { MessageResult } from '../src/queues/contracts';
import { endSend, recordUnsent } from '../src/services/messaging/ledger';
import { takeMessage } from '../src/services/messaging/message-delivery';
import type { Job } from './job';
import { sendToDaemon } from './providers/linphone-daemon';
import { observeDelivery } from './providers/observed';
import { BROKEN } from './sends';

/** What must be left for the result's way back to the request. */
const RETURN_MARGIN_MS = 100;

/** Does a job of the queue `messages`: sends the message of a row once, or never. */
export async function handleMessage({ payload, timeLeft, queuedMs, requestId }: Job<'messages'>): Promise<MessageResult> {
  const { account_id, domain } = payload;
  const by = { account_id, domain, provider: 'linphone-daemon', queuedMs, requestId };
  const path = settings.APP_LINPHONE_DAEMON_UNIX_PATH;
  if (path === undefined) {
    const missing: MessageResult = {
      outcome: 'not_configured',
      reason_word: 'not_configured',
      reason: 'APP_LINPHONE_DAEMON_UNIX_PATH is not set',
    };
    recordUnsent({ channel: 'message', kind: 'message', recipient: null, ...by }, missing);
    return missing;
  }
  const message = await takeMessage(payload.id, by);
  if (!message) return { outcome: 'expired', reason_word: 'nothing_to_send', reason: 'the row is gone, or nobody waits for it any more' };
  const began = performance.now();
  try {
    const result = await sendToDaemon(path, `message sip:${message.recipient} ${message.body}\n`, timeLeft() - RETURN_MARGIN_MS);
    const { id, ...report } = result;
    const provider_ms = Math.round(performance.now() - began);
    observeDelivery('linphone-daemon', { ...report, provider_ms });
    endSend(message.send, {
      ...report,
      // The daemon's own words may name whom it is for.
      ...(report.outcome === 'refused' ? { reason: 'the daemon refused it' } : {}),
      ...(id === undefined ? {} : { provider_id: id }),
      attempts: 1,
      provider_ms,
    });
    return result;
  } catch (error) {
    endSend(message.send, BROKEN);
    throw error;
  }
}
