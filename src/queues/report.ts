// The state of the queues, for operators: /metrics and the command line.
import { withTimeout } from '../infra/timeout';
import { QUEUE_NAMES, type QueueName } from './contracts';
import { queueOf } from './producer';
import { countWorkers } from './workers';

const REPORT_TIMEOUT_MS = 2000;

/** One queue, in numbers of jobs. */
export interface QueueReport {
  queue: QueueName;
  waiting: number;
  active: number;
  delayed: number;
  failed: number;
  completed: number;
  /** Seconds that the longest waiting job has waited; null where none waits. */
  oldest_waiting_seconds: number | null;
  /** null where the user of Redis may not list clients. */
  workers: number | null;
}

/** The state of every queue, in the order of `QUEUE_NAMES`. @throws {Error} where Redis does not answer within 2 s */
export async function reportQueues(): Promise<QueueReport[]> {
  const report = async (name: QueueName): Promise<QueueReport> => {
    const queue = queueOf(name);
    const [counts, [oldest], workers] = await Promise.all([
      queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed', 'completed'),
      queue.getJobs(['waiting'], 0, 0, true),
      countWorkers(queue),
    ]);
    return {
      queue: name,
      waiting: (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0),
      active: counts['active'] ?? 0,
      delayed: counts['delayed'] ?? 0,
      failed: counts['failed'] ?? 0,
      completed: counts['completed'] ?? 0,
      oldest_waiting_seconds: oldest ? Math.max(0, Math.round((Date.now() - oldest.timestamp) / 1000)) : null,
      workers,
    };
  };
  return withTimeout(Promise.all(QUEUE_NAMES.map(report)), REPORT_TIMEOUT_MS, 'reading the queues');
}
