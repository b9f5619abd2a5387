// Jobs as a process `web` adds them, and what came of them.
import { Queue } from 'bullmq';
import { eventually, type System } from './system';

export class Jobs {
  readonly #queue: Queue;

  constructor(system: System, name: 'push' | 'sms' | 'email') {
    this.#queue = new Queue(name, {
      connection: { url: system.environment['REDIS_URL'] ?? '' },
      prefix: `{${system.environment['QUEUE_PREFIX']}:${name}}`,
    });
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
