// The queue `maintenance`: what time alone makes due.
import { settings } from '../config';
import { log } from '../src/infra/log';
import {
  AccountCount,
  AccountCreationRequestToken,
  AccountCreationToken,
  AuthToken,
  EmailChangeCode,
  SipMessage,
  PhoneChangeCode,
  RecoveryCode,
} from '../src/models';
import { createdBefore } from '../src/models/moments';
import { rowJobId, enqueue } from '../src/queues/producer';
import { clearNonces, NONCE_LIFETIME_MINUTES } from '../src/services/credentials/nonces';
import { closeOverdueCodes, findDueCodes } from '../src/services/accounts/change-code-delivery';
import { ensurePartitions } from '../src/models/statistics/partitions';
import { dropPartitions } from '../src/services/statistics/retention';
import type { Job } from './job';

const DAY_MINUTES = 24 * 60;

/**
 * Rows whose process died between its commit and adding the job get their job now; rows whose worker died in the send are
 * closed. The row's id is the job's: a job that is there already is not added again.
 */
async function sweep(): Promise<Record<string, number>> {
  const due = await findDueCodes();
  for (const { kind, id, deadline } of due) {
    if (kind === 'email_change') await enqueue('email', { kind, id }, rowJobId('email', kind, id), deadline.getTime());
    else await enqueue('sms', { kind, id }, rowJobId('sms', kind, id), deadline.getTime());
  }
  return {
    folded: await AccountCount.fold(),
    enqueued: due.length,
    creation_tokens: await AccountCreationToken.scope('overdue').destroy(),
    overdue: await closeOverdueCodes(),
    messages: await SipMessage.scope('overdue').destroy(),
  };
}

/** Used and expired rows that nothing asks for any more. Tombstones stay until an operator clears them. */
async function clean(): Promise<Record<string, number>> {
  // Void codes still count towards blocking.
  const codes = { where: { code: null, ...createdBefore(Math.max(settings.BLOCKING_TIME_PERIOD_CHECK, DAY_MINUTES)) } };
  const lifeMinutes = settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES;
  const unused = (minutes: number): { where: { used: boolean } } => ({ where: { used: false, ...createdBefore(minutes) } });
  // A token that was sent counts for its device for a day, or as long as the retry time is.
  const countedMinutes = Math.max(DAY_MINUTES, settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES);
  const done = {
    nonces: await clearNonces(NONCE_LIFETIME_MINUTES),
    email_change_codes: await EmailChangeCode.destroy(codes),
    phone_change_codes: await PhoneChangeCode.destroy(codes),
    recovery_codes: await RecoveryCode.destroy(codes),
    auth_tokens: await AuthToken.scope('expired').destroy(),
    creation_tokens: lifeMinutes === 0 ? 0 : await AccountCreationToken.destroy(unused(Math.max(lifeMinutes, countedMinutes))),
    request_tokens: lifeMinutes === 0 ? 0 : await AccountCreationRequestToken.destroy(unused(lifeMinutes)),
  };
  log.info(done, 'cleaned');
  return done;
}

/** Months ahead are made, and those over the retention are dropped. */
async function partitions(): Promise<Record<string, number>> {
  const made = await ensurePartitions();
  const months = settings.STATISTICS_RETENTION_MONTHS;
  const dropped = months === undefined ? [] : await dropPartitions(months);
  if (dropped.length > 0) log.info({ dropped }, 'old months of statistics were dropped; their figures stay');
  return { made: made.length, dropped: dropped.length };
}

/** Does a job of the queue `maintenance`. @returns how many rows or months each part was about */
export async function maintain({ payload }: Job<'maintenance'>): Promise<Record<string, number>> {
  switch (payload.task) {
    case 'sweep':
      return sweep();
    case 'clean':
      return clean();
    case 'partitions':
      return partitions();
  }
}
