// Which handler does which queue's jobs; the compiler finds a missing one.
import type { Payload, QueueName, Result } from '../src/queues/contracts';
import { clearApiKeys } from './api-keys';
import { sendEmail } from './email';
import { maintain } from './maintenance';
import { sendMessage } from './messages';
import { sendPush } from './push';
import { sendSms } from './sms';
import { aggregateStatistics } from './statistics';

export interface Job<Q extends QueueName> {
  payload: Payload<Q>;
  /** Milliseconds left in which something may be started; Infinity where nobody waits. */
  timeLeft: () => number;
}

export const handlers: { readonly [Q in QueueName]: (job: Job<Q>) => Promise<Result<Q>> } = {
  push: sendPush,
  sms: sendSms,
  email: sendEmail,
  messages: sendMessage,
  'api-keys': clearApiKeys,
  statistics: aggregateStatistics,
  maintenance: maintain,
};
