// The queue `maintenance`: the sweep, every few seconds. Work that may take longer is a chore, so that the sweep never waits for it.
import { log } from '../src/infra/log';
import { AccountCount } from '../src/models';
import { deleteUnsent, trimStrangers } from '../src/models/ends-of-life';
import { rowJobId, enqueue } from '../src/queues/producer';
import { closeOverdueCodes, findDueCodes } from '../src/services/accounts/change-code-delivery';
import { sweepSends } from '../src/services/accounts/sends';
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
    const within = deadline.getTime() - Date.now();
    if (kind === 'email_change') await enqueue('email', { kind, id }, rowJobId('email', kind, id), { within });
    else await enqueue('sms', { kind, id }, rowJobId('sms', kind, id), { within });
  }
  const trimmed = await trimStrangers(MAX_STRANGERS_ROWS);
  const trimmedRows = Object.values(trimmed).reduce((sum, rows) => sum + rows, 0);
  if (trimmedRows > 0) log.warn(trimmed, 'more tokens than are kept: the oldest were deleted');
  const { messages, creation_tokens } = await deleteUnsent();
  return {
    folded: await AccountCount.fold(),
    enqueued: due.length,
    creation_tokens,
    overdue: await closeOverdueCodes(),
    sends: (await sweepSends()).enqueued,
    messages,
    trimmed: trimmedRows,
  };
}

/** Does a job of the queue `maintenance`. @returns how many rows each part was about; nothing where the queue `chores` does it now */
export async function maintain({ payload }: Job<'maintenance'>): Promise<Record<string, number>> {
  return payload.task === 'sweep' ? sweep() : {};
}
