// What a handler gets of a job.
import type { Payload, QueueName } from '../src/queues/contracts';

export interface Job<Q extends QueueName> {
  payload: Payload<Q>;
  /** Milliseconds left in which something may be started; Infinity where nobody waits. */
  timeLeft: () => number;
}
