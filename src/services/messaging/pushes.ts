// Sending a push through the queue `push`, and what each of its outcomes is to the caller.
import { settings } from '../../../config';
import { type ApiError, forbidden, unavailable } from '../../infra/errors';
import { pushAnswers } from '../../infra/metrics';
import { type NoAnswer, type PushJob, type PushResult } from '../../queues/contracts';
import { enqueueAndWait } from '../../queues/producer';

const REFUSALS: Record<Exclude<(PushResult | NoAnswer)['outcome'], 'sent'>, () => ApiError> = {
  already_sent: () => forbidden('push.already_sent'),
  limit_reached: () => forbidden('push.limit_reached'),
  not_configured: () => unavailable('push.not_configured'),
  no_device: () => unavailable('push.no_device'),
  unregistered: () => unavailable('push.unregistered'),
  refused: () => unavailable('push.failed'),
  failed: () => unavailable('push.failed'),
  unknown: () => unavailable('push.failed'),
  expired: () => unavailable('push.failed'),
  no_answer: () => unavailable('push.failed'),
  queue_away: () => unavailable('server.queue', {}, { headers: { 'retry-after': '5' } }),
};

/**
 * Sends a push and returns once the provider took it.
 *
 * @throws {ApiError} 403 where the device was sent a token lately, or too many; 503 where it was not sent, or nobody knows
 */
export async function sendPush(job: PushJob): Promise<void> {
  const { outcome } = await enqueueAndWait('push', job, settings.PUSH_TIMEOUT_SECONDS);
  pushAnswers.inc({ outcome });
  if (outcome !== 'sent') throw REFUSALS[outcome]();
}
