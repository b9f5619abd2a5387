// Messages through linphone-daemon: written by web, taken by a worker, gone after that. One that nobody takes in time is never sent.
import { execute, select } from '../../infra/sequelize';
import { unavailable, unprocessable } from '../../infra/errors';
import { enqueueAndWait, rowJobId } from '../../queues/producer';

/** How long a request waits for the daemon (api.md 4, «Messages»). */
const TIMEOUT_SECONDS = 5;

export interface MessageToSend {
  /** `user@domain`. */
  recipient: string;
  body: string;
}

/**
 * Sends a message and waits for the daemon's answer.
 *
 * @returns the daemon's id for it
 * @throws {ApiError} 422 where the daemon refuses it, 503 where it was not sent, or nobody knows
 */
export async function sendMessage({ recipient, body }: MessageToSend): Promise<string> {
  const [row] = await select<{ id: number }>(
    `INSERT INTO messages (recipient, body, send_deadline, created_at, updated_at)
     VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3), now(), now()) RETURNING id`,
    [recipient, body, TIMEOUT_SECONDS],
  );
  const id = row?.id ?? 0;
  const result = await enqueueAndWait('messages', { kind: 'message', id }, TIMEOUT_SECONDS, rowJobId('messages', 'message', id));
  if (result.outcome === 'sent' && 'id' in result) return result.id ?? '';
  // Where nobody has taken it, nobody will.
  await execute('DELETE FROM messages WHERE id = $1', [id]);
  if (result.outcome === 'refused') throw unprocessable({ to: [{ key: 'message.refused', values: { reason: result.reason ?? '' } }] });
  throw unavailable(result.outcome === 'queue_away' ? 'server.queue' : 'message.not_sent', {}, { headers: { 'retry-after': '5' } });
}

/** Takes a message for sending, once: it is nobody's after that. Null where it is gone or too late. */
export async function takeMessage(id: number): Promise<MessageToSend | null> {
  const [message] = await select<MessageToSend>('DELETE FROM messages WHERE id = $1 AND send_deadline > now() RETURNING recipient, body', [
    id,
  ]);
  return message ?? null;
}

/** Removes what a web process that died left behind. @returns how many rows */
export async function forgetMessages(): Promise<number> {
  return execute("DELETE FROM messages WHERE send_deadline < now() - interval '1 minute'");
}
