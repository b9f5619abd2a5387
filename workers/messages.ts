// The queue `messages`: hands messages to linphone-daemon. Runs where its socket is.
import { settings } from '../config';
import type { MessageResult } from '../src/queues/contracts';
import { takeMessage } from '../src/services/messaging/sip-messages';
import type { Job } from './job';
import { sendToDaemon } from './providers/linphone-daemon';

/** What must be left for the result's way back. */
const RETURNING = 100;

export async function sendMessage({ payload, timeLeft }: Job<'messages'>): Promise<MessageResult> {
  const path = settings.APP_LINPHONE_DAEMON_UNIX_PATH;
  if (path === undefined) return { outcome: 'not_configured', reason: 'APP_LINPHONE_DAEMON_UNIX_PATH is not set' };
  const message = await takeMessage(payload.id);
  if (!message) return { outcome: 'expired', reason: 'the row is gone, or nobody waits for it any more' };
  return sendToDaemon(path, `message sip:${message.recipient} ${message.body}\n`, timeLeft() - RETURNING);
}
