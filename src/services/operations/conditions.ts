// What operators are told of by themselves: the conditions of deploy/prometheus/rules.yml, looked at by the program. A test holds the two against each other.
import { withTimeout } from '../../infra/timeout';
import { providerShares } from '../../models/messaging/send-failures';
import { monthsAhead } from '../../models/operations/partition-months';
import { reportQueues } from '../../queues/report';
import { certificateEnds } from './certificates';
import { keyAges } from './keys';
import { readinessNow } from './readiness';
import { taskAges } from './recurring';
import { redisMemory } from './redis-memory';
import { unrecordedSends } from './unrecorded';

/** What one kind of condition is the case for; the summary is for a person. */
export interface Finding {
  labels: Readonly<Record<string, string>>;
  summary: string;
}

/** A kind of condition. */
export interface Condition {
  alert: string;
  severity: 'critical' | 'warning';
  /** Seconds that it must have lasted. */
  lasts: number;
  /** @throws where it cannot be known now */
  find: () => Promise<Finding[]>;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', 1],
] as const;

const QUEUE_WAITS_SECONDS = 30;
const SHARES_MINUTES = 5;
const MAX_SHARE = 0.25;
const MIN_FAILURES = 5;
const MAX_SENDS = 20_000;
const AGGREGATION_SECONDS = 5 * MINUTE;
const TASK_SECONDS: Readonly<Record<string, number>> = {
  sweep: 5 * MINUTE,
  clear_expired: 5 * MINUTE,
  leftovers: 5 * MINUTE,
  clean: 4 * HOUR,
  partitions: DAY,
};
const KEY_SECONDS = 7 * DAY;
const CERTIFICATE_SECONDS = 14 * DAY;
const MAX_MEMORY_SHARE = 0.9;

/** `2d 3h`, `1m 30s`. */
function duration(seconds: number): string {
  let left = Math.abs(Math.round(seconds));
  const parts = UNITS.flatMap(([name, length]) => {
    const count = Math.floor(left / length);
    left -= count * length;
    return count === 0 ? [] : [`${count}${name}`];
  });
  return `${seconds < 0 ? '-' : ''}${parts.slice(0, 2).join(' ') || '0s'}`;
}
const percent = (share: number): string => `${Math.round(share * 100)}%`;

/** All of them. */
export const CONDITIONS: readonly Condition[] = [
  {
    alert: 'FlexiapiServerDown',
    severity: 'critical',
    lasts: MINUTE,
    find: async () => {
      const readiness = await readinessNow();
      const servers = ['postgresql', 'redis'] as const;
      return servers
        .filter((server) => readiness[server].status !== 'ok')
        .map((server) => ({ labels: { server }, summary: `${server} does not answer` }));
    },
  },
  {
    alert: 'FlexiapiNoWorker',
    severity: 'critical',
    lasts: MINUTE,
    find: async () =>
      (await reportQueues())
        .filter(({ workers }) => workers === 0)
        .map(({ queue }) => ({ labels: { queue }, summary: `nobody serves the queue ${queue}` })),
  },
  {
    alert: 'FlexiapiQueueWaits',
    severity: 'warning',
    lasts: MINUTE,
    find: async () =>
      (await reportQueues()).flatMap(({ queue, oldest_waiting_seconds: seconds }) =>
        seconds !== null && seconds > QUEUE_WAITS_SECONDS
          ? [{ labels: { queue }, summary: `a job of the queue ${queue} has waited for ${duration(seconds)}` }]
          : [],
      ),
  },
  {
    alert: 'FlexiapiProviderFails',
    severity: 'critical',
    lasts: MINUTE,
    find: async () =>
      (await providerShares(SHARES_MINUTES, MAX_SENDS))
        .filter(({ sends, failures }) => failures >= MIN_FAILURES && failures / sends > MAX_SHARE)
        .map(({ provider, sends, failures }) => ({
          labels: { provider },
          summary: `${percent(failures / sends)} of what goes to ${provider} fails`,
        })),
  },
  {
    alert: 'FlexiapiSendsUnrecorded',
    severity: 'warning',
    lasts: 0,
    find: async () => {
      const sends = await unrecordedSends();
      return sends > 0 ? [{ labels: {}, summary: `the end of ${sends} sends could not be written into the ledger` }] : [];
    },
  },
  {
    alert: 'FlexiapiAggregationLate',
    severity: 'warning',
    lasts: MINUTE,
    find: async () =>
      (await taskAges())
        .filter(({ task, seconds }) => task === 'aggregate' && seconds > AGGREGATION_SECONDS)
        .map(({ task, seconds }) => ({ labels: { task }, summary: `statistics were last counted ${duration(seconds)} ago` })),
  },
  {
    alert: 'FlexiapiTaskLate',
    severity: 'warning',
    lasts: MINUTE,
    find: async () =>
      (await taskAges())
        .filter(({ task, seconds }) => seconds > (TASK_SECONDS[task] ?? Infinity))
        .map(({ task, seconds }) => ({ labels: { task }, summary: `the recurring task ${task} was last done ${duration(seconds)} ago` })),
  },
  {
    alert: 'FlexiapiKeyExpires',
    severity: 'warning',
    lasts: 0,
    find: async () =>
      [...(await keyAges()).expires]
        .filter(([, seconds]) => seconds < KEY_SECONDS)
        .map(([name, seconds]) => ({ labels: { name }, summary: `the API key ${name} expires in ${duration(seconds)}` })),
  },
  {
    alert: 'FlexiapiKeyRefused',
    severity: 'warning',
    lasts: 0,
    find: async () => [...(await keyAges()).refused].map(([name]) => ({ labels: { name }, summary: `the API key ${name} is refused` })),
  },
  {
    alert: 'FlexiapiRedisEvicts',
    severity: 'critical',
    lasts: 0,
    find: async () => {
      const policy = (await redisMemory())?.policy ?? 'noeviction';
      return policy === 'noeviction' ? [] : [{ labels: { policy }, summary: `Redis evicts keys (${policy}): jobs can be lost` }];
    },
  },
  {
    alert: 'FlexiapiRedisFull',
    severity: 'critical',
    lasts: MINUTE,
    find: async () => {
      const { used, limit } = (await redisMemory()) ?? { used: 0, limit: 0 };
      return limit > 0 && used / limit > MAX_MEMORY_SHARE
        ? [{ labels: {}, summary: `${percent(used / limit)} of the memory of Redis is used` }]
        : [];
    },
  },
  {
    alert: 'FlexiapiCertificateExpires',
    severity: 'warning',
    lasts: 0,
    find: async () =>
      (await certificateEnds())
        .filter(({ seconds }) => seconds < CERTIFICATE_SECONDS)
        .map(({ use, seconds }) => ({ labels: { use }, summary: `the certificate for ${use} expires in ${duration(seconds)}` })),
  },
  {
    alert: 'FlexiapiPartitionsMissing',
    severity: 'warning',
    lasts: 10 * MINUTE,
    find: async () =>
      (await monthsAhead())
        .filter(({ ahead }) => ahead < 1)
        .map(({ table }) => ({ labels: { table }, summary: `the table ${table} has no partition for the month to come` })),
  },
];

const FIND_TIMEOUT_MS = 3000;

/** What one kind of condition is the case for now; undefined: that cannot be known. */
export const find = (condition: Condition): Promise<Finding[] | undefined> =>
  withTimeout(condition.find(), FIND_TIMEOUT_MS, condition.alert).catch(() => undefined);
