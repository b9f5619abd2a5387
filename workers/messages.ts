// The queue `messages`: hands messages to linphone-daemon. Runs where its socket is.
import { settings } from '../config';
import { SipMessage } from '../src/models';
import type { MessageResult } from '../src/queues/contracts';
import type { Job } from './job';
import { sendToDaemon } from './providers/linphone-daemon';

/** What must be left for the result's way back to the request. */
const RETURN_MARGIN_MS = 100;

/** Does a job of the queue `messages`: sends the message of a row once, or never. */
export async function handleMessage({ payload, timeLeft }: Job<'messages'>): Promise<MessageResult> {
  const path = settings.APP_LINPHONE_DAEMON_UNIX_PATH;
  if (path === undefined) return { outcome: 'not_configured', reason: 'APP_LINPHONE_DAEMON_UNIX_PATH is not set' };
  const message = await SipMessage.take(payload.id);
  if (!message) return { outcome: 'expired', reason: 'the row is gone, or nobody waits for it any more' };
  return sendToDaemon(path, `message sip:${message.recipient} ${message.body}\n`, timeLeft() - RETURN_MARGIN_MS);
}
