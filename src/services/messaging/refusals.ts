// What a request is answered whose message was not sent: a text for people, a word for programs, and when it may be asked again.
import { settings } from '../../../config';
import { type ApiError, forbidden, unavailable } from '../../infra/errors';
import type { MessageKey } from '../../i18n';
import { type NoAnswer, type PushResult, reasonWordOf, type SendReason } from '../../queues/contracts';

/** Why nothing was sent, as enqueueAndWait() tells it. */
type Unsent = Pick<PushResult | NoAnswer, 'outcome' | 'reason_word'> & { retry_after?: number };

const MINUTE_SECONDS = 60;
const DAY_SECONDS = 24 * 60 * MINUTE_SECONDS;
/**
 * Seconds after which it may go well without anybody doing anything; of what has no number here, asking again is of no use. Where somebody was sent too
 * many the device's own time counts, and this where a worker of the release before does not say it.
 */
const RETRY_AFTER: Partial<Record<SendReason, number>> = {
  already_sent: Math.max(1, settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES * MINUTE_SECONDS),
  limit_reached: DAY_SECONDS,
  provider_unreachable: 30,
  provider_throttled: MINUTE_SECONDS,
  // As long as a provider that keeps failing is left alone.
  provider_failing: 30,
  no_worker: 30,
  queues_away: 5,
  timeout: 5,
  nothing_to_send: 5,
  error: 30,
};

/** Reason and `retry-after` of an answer. */
function detailsOf(unsent: Unsent): { reason: SendReason; headers?: Record<string, string> } {
  const reason = reasonWordOf(unsent) ?? 'timeout';
  const seconds = unsent.retry_after ?? RETRY_AFTER[reason];
  return { reason, ...(seconds === undefined ? {} : { headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) } }) };
}

/** 503: it was not sent, or nobody knows. @param unsent what came of it; one that was sent and not confirmed in time counts as late */
export const notSent = (key: MessageKey, unsent: Unsent): ApiError => unavailable(key, {}, detailsOf(unsent));

/** 403: whom it is for may have none now. */
export const notAllowed = (key: MessageKey, unsent: Unsent): ApiError => forbidden(key, {}, detailsOf(unsent));
