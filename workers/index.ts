// Which handler does which queue's jobs; the compiler finds a missing one.
import type { QueueName, Result } from '../src/queues/contracts';
import type { Job } from './job';
import { clearApiKeys } from './api-keys';
import { doChore } from './chores';
import { handleEmail } from './email';
import { maintain } from './maintenance';
import { handleMessage } from './messages';
import { handlePush } from './push';
import { handleSms } from './sms';
import { aggregateStatistics } from './statistics';

export const handlers: { readonly [Q in QueueName]: (job: Job<Q>) => Promise<Result<Q>> } = {
  push: handlePush,
  sms: handleSms,
  email: handleEmail,
  messages: handleMessage,
  'api-keys': clearApiKeys,
  statistics: aggregateStatistics,
  maintenance: maintain,
  chores: doChore,
};
