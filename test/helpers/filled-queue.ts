// A queue with a job in each state in which the dashboard has buttons for it, and a schedule.
import { Worker, type Job, type Queue } from 'bullmq';
import { openQueue } from './jobs';
import { eventually, type System } from './system';

export const STATES = ['waiting', 'prioritized', 'completed', 'failed', 'delayed'] as const;
export type State = (typeof STATES)[number];

export interface FilledQueue {
  queue: Queue;
  /** Ids; the jobs are named after their states. */
  jobs: Record<State, string>;
}

/** Fills a queue of a system without workers. @returns the queue, to be closed */
export async function fillQueue(system: System, name: string): Promise<FilledQueue> {
  const queue = openQueue(system, name);
  const add = async (state: State, options: object = {}): Promise<string> => (await queue.add(state, { payload: {} }, options)).id ?? '';
  const [completed, failed] = [await add('completed'), await add('failed')];
  const worker = new Worker(name, (job: Job) => (job.name === 'failed' ? Promise.reject(new Error('failed')) : Promise.resolve(1)), {
    connection: { url: system.environment['REDIS_URL'] ?? '' },
    prefix: `{${system.environment['QUEUE_PREFIX']}:${name}}`,
  });
  await eventually(
    () => queue.getJobCounts('completed', 'failed'),
    (counts) => counts['completed'] === 1 && counts['failed'] === 1,
  );
  await worker.close();
  const [waiting, delayed, prioritized] = [
    await add('waiting'),
    await add('delayed', { delay: 1e8 }),
    await add('prioritized', { priority: 5 }),
  ];
  await queue.upsertJobScheduler('own', { every: 1e8 }, { name: 'own', data: {} });
  return { queue, jobs: { completed, failed, waiting, delayed, prioritized } };
}
