// Sending a push through the queue `push`, and what each of its outcomes is to the caller.
import { settings } from '../../../config';
import { pushAnswers } from '../../infra/metrics';
import type { MessageKey } from '../../i18n';
import { type NoAnswer, type PushJob, type PushResult } from '../../queues/contracts';
import { enqueueAndWait } from '../../queues/producer';
import { recordUnbegun, sentByPush } from './ledger';
import { notAllowed, notSent } from './refusals';

type Unsent = Exclude<(PushResult | NoAnswer)['outcome'], 'sent'>;

const TEXTS: Record<Unsent, MessageKey> = {
  already_sent: 'push.already_sent',
  limit_reached: 'push.limit_reached',
  not_configured: 'push.not_configured',
  no_device: 'push.no_device',
  unregistered: 'push.unregistered',
  refused: 'push.failed',
  failed: 'push.failed',
  unknown: 'push.failed',
  expired: 'push.failed',
  no_answer: 'push.failed',
  queue_away: 'server.queue',
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
  if ('unbegun' in result) recordUnbegun(sentByPush(job), result);
  const row = 'unconfirmed_token' in result ? result.unconfirmed_token : undefined;
  const confirmed = row === undefined || !confirm || (await confirm(row, Math.max(0, end - Date.now())));
  const outcome = result.outcome === 'sent' && !confirmed ? 'expired' : result.outcome;
  pushAnswers.inc({ outcome });
  if (outcome === 'sent') return;
  const refuse = outcome === 'already_sent' || outcome === 'limit_reached' ? notAllowed : notSent;
  throw refuse(TEXTS[outcome], { ...result, outcome });
}
