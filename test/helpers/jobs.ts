// Jobs as a process `web` adds them, and what came of them.
import { Queue } from 'bullmq';
import { eventually, type System } from './system';

/** A queue of a system, as its processes have it; to be closed. */
export function openQueue(system: System, name: string): Queue {
  return new Queue(name, {
    connection: { url: system.environment['REDIS_URL'] ?? '' },
    prefix: `{${system.environment['QUEUE_PREFIX']}:${name}}`,
  });
}

export class Jobs {
  readonly #queue: Queue;

  constructor(system: System, name: 'push' | 'sms' | 'email') {
    this.#queue = openQueue(system, name);
  }

  /** Adds a job and waits until it is done. @returns its outcome, or the text that it failed with */
  async outcome(payload: object, seconds = 3): Promise<string> {
    const { id = '' } = await this.#queue.add('test', { payload, deadline: Date.now() + seconds * 1000 }, { removeOnComplete: false });
    const done = await eventually(
      () => this.#queue.getJob(id),
      (job) => job?.finishedOn !== undefined,
    );
    return done?.failedReason ?? String((done?.returnvalue as { outcome: string } | undefined)?.outcome);
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}

/**
 * Runs a task as its schedule does, and waits for its end.
 *
 * @returns what it gives. One of the same kind may be under way, and have begun before the test's rows were there: then it is run once more
 */
export async function runTask(system: System, name: 'maintenance' | 'chores' | 'api-keys', task: string): Promise<Record<string, number>> {
  const queue = openQueue(system, name);
  try {
    for (;;) {
      const { id = '' } = await queue.add(task, { payload: { task } as never });
      const job = await eventually(
        () => queue.getJob(id),
        (found) => found?.finishedOn !== undefined,
        60,
      );
      if (job?.failedReason) throw new Error(job.failedReason);
      const result = job?.returnvalue as Record<string, number>;
      if (!('under_way' in result)) return result;
    }
  } finally {
    await queue.close();
  }
}
