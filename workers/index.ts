// Which handler does which queue's jobs; the compiler finds a missing one.
import type { QueueName, Result } from '../src/queues/contracts';
import type { Job } from './job';
import { clearApiKeys } from './api-keys';
import { sendEmail } from './email';
import { maintain } from './maintenance';
import { sendMessage } from './messages';
import { sendPush } from './push';
import { sendSms } from './sms';
import { aggregateStatistics } from './statistics';

export const handlers: { readonly [Q in QueueName]: (job: Job<Q>) => Promise<Result<Q>> } = {
  push: sendPush,
  sms: sendSms,
  email: sendEmail,
  messages: sendMessage,
  'api-keys': clearApiKeys,
  statistics: aggregateStatistics,
  maintenance: maintain,
};
