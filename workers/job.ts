// What a handler gets of a job, and what it gives where there is nothing to do any more.
import type { Payload, QueueName, SendResult } from '../src/queues/contracts';

export interface Job<Q extends QueueName> {
  payload: Payload<Q>;
  /** Milliseconds left in which something may be started; Infinity where no request waits. */
  timeLeft: () => number;
  /** Milliseconds that it waited for a worker. */
  queuedMs: number;
  requestId: string | null;
}

/** The row that a job is about was deleted, has nothing to send, is another worker's, or its account was blocked meanwhile. */
export const NOTHING_TO_SEND: SendResult = {
  outcome: 'expired',
  reason_word: 'nothing_to_send',
  reason: 'the row is gone, used, another worker has it, or its account may not act',
};

/** Of what is known of a send what its result says, which stands in Redis. */
export function resultOf({ outcome, reason_word, reason }: SendResult): SendResult {
  return { outcome, ...(reason_word === undefined ? {} : { reason_word }), ...(reason === undefined ? {} : { reason }) };
}
