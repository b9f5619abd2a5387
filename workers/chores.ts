// The queue `chores`: what may take minutes. Several are done at once, so that none waits for another.
import { settings } from '../config';
import { log } from '../src/infra/log';
import { AUTH_TOKEN_LIFETIME_MINUTES } from '../src/models/credentials/auth-token';
import { deleteEnded } from '../src/models/ends-of-life';
import { NamedApiKey } from '../src/models';
import { ensurePartitions, SENDS, STATISTICS } from '../src/models/partitions';
import type { Kind, Payload } from '../src/queues/contracts';
import { removeLeftovers } from '../src/services/accounts/leftovers';
import { cleanSends } from '../src/services/accounts/sends';
import { dropOldSends } from '../src/services/messaging/retention';
import { logKeyWarnings } from '../src/services/operations/keys';
import { NONCE_LIFETIME_MINUTES } from '../src/services/credentials/nonces';
import { dropPartitions } from '../src/services/statistics/retention';
import type { Job } from './job';

/** Whoever shows a key that ended is told so for that long. */
const ENDED_KEYS_DAYS = 90;
const DAY_MINUTES = 24 * 60;

/** Used and expired rows that nothing asks for any more. Tombstones stay until an operator clears them. */
async function clean(): Promise<Record<string, number>> {
  await logKeyWarnings();
  const sends_cleaned = await cleanSends();
  const ended = await deleteEnded({
    creationToken: settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES,
    device: settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES,
    provisioningToken: settings.APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES,
    emailCode: settings.APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES,
    phoneCode: settings.APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES,
    authToken: AUTH_TOKEN_LIFETIME_MINUTES,
    nonce: NONCE_LIFETIME_MINUTES,
    blocking: settings.BLOCKING_TIME_PERIOD_CHECK,
    send: settings.SENDS_RETENTION_DAYS * DAY_MINUTES,
  });
  const done = { ...ended, sends_cleaned, ...(await NamedApiKey.deleteEnded(ENDED_KEYS_DAYS)) };
  log.info(done, 'cleaned');
  return done;
}

/** Months ahead are made, and those over the retention are dropped. */
async function partitions(): Promise<Record<string, number>> {
  const sends = await ensurePartitions(SENDS);
  if (sends.left.length > 0)
    log.warn({ left: sends.left }, 'months of the ledger of sends could not be made: somebody else holds the table');
  const old = await dropOldSends(settings.SENDS_RETENTION_DAYS);
  if (old.length > 0) log.info({ dropped: old }, 'old months of the ledger of sends were dropped');
  const { made, left } = await ensurePartitions(STATISTICS);
  if (left.length > 0)
    log.warn(
      { left },
      'months of statistics could not be made: somebody else holds a table, or bin/flexiapi statistics:make-months is needed',
    );
  const months = settings.STATISTICS_RETENTION_MONTHS;
  const dropped = months === undefined ? [] : await dropPartitions(months);
  if (dropped.length > 0) log.info({ dropped }, 'old months of statistics were dropped; their figures stay');
  return { made: made.length + sends.made.length, dropped: dropped.length + old.length };
}

/** What accounts and Spaces that were deleted have left behind. */
async function leftovers(): Promise<Record<string, number>> {
  const done = await removeLeftovers();
  if (done.deletions > 0) log.info(done, 'what deleted accounts and spaces left behind is gone');
  return { ...done };
}

type Chore<K extends Kind<'chores'>> = (payload: Extract<Payload<'chores'>, { task: K }>) => Promise<Record<string, number>>;

/** Each must bear being killed and begun anew, and being done by two workers at once. */
const chores: { readonly [K in Kind<'chores'>]: Chore<K> } = { clean, partitions, leftovers };

const underWay = new Set<string>();

/** Does a job of the queue `chores`, unless this process is doing the same already. @returns how many rows or months each part was about */
export async function doChore({ payload }: Job<'chores'>): Promise<Record<string, number>> {
  const same = JSON.stringify(payload);
  // A run that outlasts its schedule must not take the places of others.
  if (underWay.has(same)) return { under_way: 1 };
  underWay.add(same);
  try {
    return await (chores[payload.task] as (given: Payload<'chores'>) => Promise<Record<string, number>>)(payload);
  } finally {
    underWay.delete(same);
  }
}
