// What may be done on the dashboard, beside reading.
import type { Caller } from '../http/route';
import { type ApiError, forbidden } from '../infra/errors';
import { queues, type QueueName } from '../queues/contracts';
import { mayUse } from '../services/credentials/identities';

/** An action of bull-board: its method in small letters and its route, as bull-board declares them, and what stood in the path. */
export interface Action {
  method: string;
  route: string;
  params: Readonly<Record<string, unknown>>;
}

/** Whether it is the name of a queue whose jobs reach people. */
export const isSending = (name: string): boolean => Object.hasOwn(queues, name) && queues[name as QueueName].sends;

const RETRY_ALL = 'put /api/queues/:queueName/retry/:queueStatus';
/**
 * All that may be done to a queue that sends, or to all of them: nothing by which anybody gets what no request has asked for, gets it twice, or gets something else. Whatever
 * is not named is refused, so that a later bull-board brings nothing in unseen. Not here on purpose: adding and changing jobs in any way (data, delay,
 * priority), running or changing a schedule, which adds jobs, and obliterating, which takes jobs away from under workers that are sending them.
 */
const ALLOWED_WHERE_SENT: ReadonlySet<string> = new Set([
  'put /api/queues/pause',
  'put /api/queues/resume',
  RETRY_ALL,
  // Of one that is not done: SendingQueueAdapter of board.ts sees to it.
  'put /api/queues/:queueName/:jobId/retry',
  'put /api/queues/:queueName/promote',
  'put /api/queues/:queueName/:jobId/promote',
  'put /api/queues/:queueName/clean/:queueStatus',
  'put /api/queues/:queueName/:jobId/clean',
  'put /api/queues/:queueName/empty',
  'put /api/queues/:queueName/pause',
  'put /api/queues/:queueName/resume',
  'put /api/queues/:queueName/concurrency',
  'put /api/queues/:queueName/rate-limit',
  'put /api/queues/:queueName/rate-limit/release',
  'put /api/queues/:queueName/job-schedulers/:schedulerId/remove',
]);

/** Whether somebody who may look at the queues may do anything to them as well. */
export const mayChange = ({ scopes }: Pick<Caller, 'scopes'>): boolean => mayUse(scopes, 'queues:write');

/** What who may not is told. */
export const readsOnly = (): ApiError => forbidden('auth.scope', { scope: 'queues:write' });

/** @throws {ApiError} 403 where the caller's key only reads, or where nobody may do this */
export function requireAllowed(caller: Pick<Caller, 'scopes'>, { method, route, params: { queueName, queueStatus } }: Action): void {
  if (!mayChange(caller)) throw readsOnly();
  // What names no queue may be about all.
  if (typeof queueName === 'string' && !isSending(queueName)) return;
  const action = `${method} ${route}`;
  if (!ALLOWED_WHERE_SENT.has(action)) throw forbidden('queue.sends');
  if (action === RETRY_ALL && queueStatus !== 'failed') throw forbidden('queue.sent');
}
