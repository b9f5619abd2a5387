// The queue `maintenance`: what time alone makes due.
import { settings } from '../config';
import { log } from '../src/infra/log';
import { AccountCount, AccountCreationToken, SipMessage } from '../src/models';
import { AUTH_TOKEN_LIFETIME_MINUTES } from '../src/models/credentials/auth-token';
import { deleteEnded, trimStrangers } from '../src/models/ends-of-life';
import { rowJobId, enqueue } from '../src/queues/producer';
import { NONCE_LIFETIME_MINUTES } from '../src/services/credentials/nonces';
import { closeOverdueCodes, findDueCodes } from '../src/services/accounts/change-code-delivery';
import { ensurePartitions } from '../src/models/statistics/partitions';
import { dropPartitions } from '../src/services/statistics/retention';
import type { Job } from './job';

/** Rows that strangers may have in a table before anybody has done something with them; more drive out the oldest. */
const MAX_STRANGERS_ROWS = 100_000;

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
  const { request_tokens: requests, auth_tokens: auths } = await trimStrangers(MAX_STRANGERS_ROWS);
  if (requests + auths > 0)
    log.warn({ request_tokens: requests, auth_tokens: auths }, 'more tokens than are kept: the oldest were deleted');
  return {
    folded: await AccountCount.fold(),
    enqueued: due.length,
    creation_tokens: await AccountCreationToken.scope('overdue').destroy(),
    overdue: await closeOverdueCodes(),
    messages: await SipMessage.scope('overdue').destroy(),
    trimmed: requests + auths,
  };
}

/** Used and expired rows that nothing asks for any more. Tombstones stay until an operator clears them. */
async function clean(): Promise<Record<string, number>> {
  const done = await deleteEnded({
    creationToken: settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES,
    device: settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES,
    provisioningToken: settings.APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES,
    emailCode: settings.APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES,
    phoneCode: settings.APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES,
    authToken: AUTH_TOKEN_LIFETIME_MINUTES,
    nonce: NONCE_LIFETIME_MINUTES,
    blocking: settings.BLOCKING_TIME_PERIOD_CHECK,
  });
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
