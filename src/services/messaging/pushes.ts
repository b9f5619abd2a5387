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
 * @param confirm of a push that brings a token: makes the token of a row usable, within so many milliseconds. It is the last step before the
 *   caller's answer, so that a token whose result was lost on its way stays unusable; false: too late
 * @throws {ApiError} 403 where the device was sent a token lately, or too many; 503 where it was not sent, or nobody knows
 */
export async function sendPush(job: PushJob, confirm?: (row: number, milliseconds: number) => Promise<boolean>): Promise<void> {
  const end = Date.now() + settings.PUSH_TIMEOUT_SECONDS * 1000;
  const result: PushResult | NoAnswer = await enqueueAndWait('push', job, settings.PUSH_TIMEOUT_SECONDS);
  const row = 'unconfirmed_token' in result ? result.unconfirmed_token : undefined;
  const confirmed = row === undefined || !confirm || (await confirm(row, Math.max(0, end - Date.now())));
  const outcome = result.outcome === 'sent' && !confirmed ? 'expired' : result.outcome;
  pushAnswers.inc({ outcome });
  if (outcome !== 'sent') throw REFUSALS[outcome]();
}
