// The queue `maintenance`: the sweep, every few seconds. Work that may take longer is a chore, so that the sweep never waits for it.
import { log } from '../src/infra/log';
import { eachPart } from '../src/infra/parts';
import { AccountCount } from '../src/models';
import { deleteUnsent, trimStrangers } from '../src/models/ends-of-life';
import { rowJobId, enqueue } from '../src/queues/producer';
import { closeOverdueCodes, findDueCodes } from '../src/services/accounts/change-code-delivery';
import { sweepSends } from '../src/services/accounts/sends';
import type { Job } from './job';

/** Rows that strangers may have in a table before anybody has done something with them; more drive out the oldest. */
const MAX_STRANGERS_ROWS = 100_000;

/** Rows whose process died between its commit and adding the job get their job now. The row's id is the job's: a job that is there already is not added again. */
async function enqueueDue(): Promise<number> {
  const due = await findDueCodes();
  for (const { kind, id, within } of due) {
    if (kind === 'email_change') await enqueue('email', { kind, id }, rowJobId('email', kind, id), { within });
    else await enqueue('sms', { kind, id }, rowJobId('sms', kind, id), { within });
  }
  return due.length;
}

async function trim(): Promise<number> {
  const trimmed = await trimStrangers(MAX_STRANGERS_ROWS);
  const rows = Object.values(trimmed).reduce((sum, some) => sum + some, 0);
  if (rows > 0) log.warn(trimmed, 'more tokens than are kept: the oldest were deleted');
  return rows;
}

/** What time alone makes due; rows whose worker died in the send are closed. */
const sweep = (): Promise<Record<string, number>> =>
  eachPart({
    enqueued: enqueueDue,
    trimmed: trim,
    folded: () => AccountCount.fold(),
    creation_tokens: () => deleteUnsent('creation_tokens'),
    overdue: closeOverdueCodes,
    sends: async () => (await sweepSends()).enqueued,
    messages: () => deleteUnsent('messages'),
  });

/** Does a job of the queue `maintenance`. @returns how many rows each part was about; nothing where the queue `chores` does it now */
export async function maintain({ payload }: Job<'maintenance'>): Promise<Record<string, number>> {
  return payload.task === 'sweep' ? sweep() : {};
}
