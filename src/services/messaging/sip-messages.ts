// Messages through linphone-daemon: written by web, taken by a worker, gone after that. One that nobody takes in time is never sent.
import { unprocessable } from '../../infra/errors';
import { SipMessage } from '../../models';
import { millisecondsFromNow } from '../../models/moments';
import { enqueueAndWait, rowJobId } from '../../queues/producer';
import { recordUnbegun } from './ledger';
import { notSent } from './refusals';

/** How long a request waits for the daemon. */
const TIMEOUT_SECONDS = 5;

/**
 * Sends a message and waits for the daemon's answer.
 *
 * @param message `recipient`: `user@domain`; `body`: one line
 * @param sender the account that sends it, and its domain
 * @returns the daemon's id for it
 * @throws {ApiError} 422 where the daemon refuses it, 503 where it was not sent, or nobody knows
 */
export async function sendMessage(
  { recipient, body }: Pick<SipMessage, 'recipient' | 'body'>,
  sender: { account_id: number; domain: string },
): Promise<string> {
  const { id } = await SipMessage.create({ recipient, body, send_deadline: millisecondsFromNow(TIMEOUT_SECONDS * 1000) });
  const job = { kind: 'message', id, ...sender } as const;
  const result = await enqueueAndWait('messages', job, TIMEOUT_SECONDS, rowJobId('messages', 'message', id));
  if (result.outcome === 'sent' && 'id' in result) return result.id ?? '';
  // A row that no worker has taken by now must not be taken later.
  const unbegun = await SipMessage.destroy({ where: { id } });
  if (unbegun === 1 && result.outcome !== 'not_configured')
    recordUnbegun({ channel: 'message', kind: 'message', recipient, ...sender, provider: 'linphone-daemon' }, result);
  if (result.outcome === 'refused') throw unprocessable({ to: [{ key: 'message.refused', values: { reason: result.reason ?? '' } }] });
  throw notSent(result.outcome === 'queue_away' ? 'server.queue' : 'message.not_sent', result);
}
