// The queue `maintenance`: what time alone makes due.
import { settings } from '../config';
import { database, execute } from '../src/infra/sequelize';
import { log } from '../src/infra/log';
import { rowJobId, enqueue } from '../src/queues/producer';
import { clearNonces } from '../src/services/credentials/nonces';
import { foldAccountCounts } from '../src/services/accounts/pages';
import { dueCodes, failOverdueCodes } from '../src/services/accounts/code-sending';
import { forgetMessages } from '../src/services/messaging/sip-messages';
import { forgetOverdue } from '../src/services/tokens/creation-tokens';
import { dropPartitions, ensurePartitions } from '../src/services/statistics/partitions';
import { patientDatabase } from './patient-database';
import type { Job } from './job';

/**
 * Rows whose process died between its commit and adding the job get their job now; rows whose worker died in the send are
 * closed. The row's id is the job's: a job that is there already is not added again.
 */
async function sweep(): Promise<Record<string, number>> {
  const due = await dueCodes();
  for (const { kind, id, deadline } of due) {
    if (kind === 'email_change') await enqueue('email', { kind, id }, rowJobId('email', kind, id), deadline.getTime());
    else await enqueue('sms', { kind, id }, rowJobId('sms', kind, id), deadline.getTime());
  }
  return {
    folded: await foldAccountCounts(),
    enqueued: due.length,
    forgotten: await forgetOverdue(),
    overdue: await failOverdueCodes(),
    messages: await forgetMessages(),
  };
}

/** Spent and expired rows that nothing asks for any more. Tombstones stay until an operator clears them (api.md 4). */
async function clean(): Promise<Record<string, number>> {
  const keepMinutes = Math.max(settings.BLOCKING_TIME_PERIOD_CHECK, 24 * 60);
  const codes = (table: string): Promise<number> =>
    execute(`DELETE FROM ${table} WHERE code IS NULL AND created_at < now() - make_interval(mins => $1)`, [keepMinutes]);
  const life = settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES;
  // A token that was sent counts for its device for a day, or as long as the retry time is.
  const counted = Math.max(24 * 60, settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES);
  const done = {
    nonces: await clearNonces(60),
    email_change_codes: await codes('email_change_codes'),
    phone_change_codes: await codes('phone_change_codes'),
    recovery_codes: await codes('recovery_codes'),
    auth_tokens: await execute("DELETE FROM auth_tokens WHERE created_at < now() - interval '5 minutes'"),
    creation_tokens:
      life === 0
        ? 0
        : await execute('DELETE FROM account_creation_tokens WHERE NOT used AND created_at < now() - make_interval(mins => $1)', [
            Math.max(life, counted),
          ]),
    request_tokens:
      life === 0
        ? 0
        : await execute('DELETE FROM account_creation_request_tokens WHERE NOT used AND created_at < now() - make_interval(mins => $1)', [
            life,
          ]),
  };
  log.info(done, 'cleaned');
  return done;
}

/** Months ahead are made, and those over the retention are dropped. */
async function partitions(): Promise<Record<string, number>> {
  const made = await ensurePartitions(database);
  const months = settings.STATISTICS_RETENTION_MONTHS;
  const dropped = months === undefined ? [] : await dropPartitions(patientDatabase(), months);
  if (dropped.length > 0) log.info({ dropped }, 'old months of statistics were dropped; their figures stay');
  return { made: made.length, dropped: dropped.length };
}

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
