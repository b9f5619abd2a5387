// The table of queues: what each job carries and gives back, how long it is kept, when it runs by itself; and the only two
// ways to add one, ask() and tell(). web and worker both read it; nothing else knows a queue's name.
import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents, type JobsOptions } from 'bullmq';
import { settings } from '../config';
import { context } from './context';
import { isInTransaction } from './database';
import { log, reasonOf } from './log';
import { closeRedis, connectRedis, whenReady, type RedisConnection } from './redis';
import { within } from './within';

export type PushProvider = 'apns' | 'apns.dev' | 'fcm';
export type PushType = 'background' | 'message' | 'call';
export interface PushDevice {
  provider: PushProvider;
  param: string | null;
  prid: string | null;
}
export type PushJob = PushDevice &
  (
    | { kind: 'creation_token'; ip: string | null; user_agent: string | null }
    | { kind: 'notification'; type: PushType; call_id: string | null }
  );

/** What came of a send. `unknown`: it was under way when time ran out, so it is not sent again. */
export type SendOutcome = 'sent' | 'not_configured' | 'unregistered' | 'refused' | 'failed' | 'unknown' | 'expired';
export interface SendResult<Outcome extends string = SendOutcome> {
  outcome: Outcome;
  /** Why not, for operators: a provider's code, never its answer, which may name a person (pitfalls B2.21). */
  reason?: string;
}
export type PushResult = SendResult<SendOutcome | 'already_sent' | 'limit_reached' | 'no_device'>;

/** A message's recipient and text are in its row (services/messages.ts). */
export interface MessageJob {
  kind: 'message';
  id: number;
}
/** `id`: what the daemon calls a message that it took. */
export type MessageResult = SendResult & { id?: string };

export type SmsJob =
  | { kind: 'phone_change'; id: number }
  | { kind: 'account_creation' | 'account_recovery'; account_id: number; language: string };
export type EmailJob =
  | { kind: 'email_change'; id: number }
  | { kind: 'account_creation' | 'account_ready'; account_id: number; language: string };

/** Names, payloads and results. A new queue begins here; the compiler then asks for its definition and its handler. */
export interface Contracts {
  push: { payload: PushJob; result: PushResult };
  sms: { payload: SmsJob; result: SendResult };
  email: { payload: EmailJob; result: SendResult };
  messages: { payload: MessageJob; result: MessageResult };
  'api-keys': { payload: { task: 'clear_expired' }; result: { deleted: number } };
  statistics: { payload: { task: 'aggregate' }; result: { buckets: number } };
  maintenance: { payload: { task: 'sweep' | 'clean' | 'partitions' }; result: Record<string, number> };
}
export type QueueName = keyof Contracts;
export type AskedQueue = 'push' | 'sms' | 'email' | 'messages';
export type Payload<Q extends QueueName> = Contracts[Q]['payload'];
export type Result<Q extends QueueName> = Contracts[Q]['result'];

/** What a job holds in Redis. No code, token value, password or message body: those are read from their row. */
export interface Envelope<Q extends QueueName = QueueName> {
  payload: Payload<Q>;
  /** Milliseconds since 1970, after which nothing may be started any more; absent where nobody waits. */
  deadline?: number;
  request_id?: string;
}

interface Definition<Q extends QueueName> {
  /** A send to a person: never run twice. Else idempotent work that a stalled worker's successor does again. */
  sends: boolean;
  /** Jobs that a worker has under way at once; unset, WORKER_CONCURRENCY for sends and 1 for chores. */
  concurrency?: number;
  schedules: { id: string; every: number; payload: Payload<Q> }[];
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const queues: { readonly [Q in QueueName]: Definition<Q> } = {
  push: { sends: true, schedules: [] },
  sms: { sends: true, schedules: [] },
  email: { sends: true, schedules: [] },
  // linphone-daemon serves one client at a time (clients.md 7).
  messages: { sends: true, concurrency: 1, schedules: [] },
  'api-keys': { sends: false, schedules: [{ id: 'clear-expired', every: MINUTE, payload: { task: 'clear_expired' } }] },
  statistics: { sends: false, schedules: [{ id: 'aggregate', every: 5 * SECOND, payload: { task: 'aggregate' } }] },
  maintenance: {
    sends: false,
    schedules: [
      { id: 'sweep', every: 10 * SECOND, payload: { task: 'sweep' } },
      { id: 'clean', every: 60 * MINUTE, payload: { task: 'clean' } },
      { id: 'partitions', every: 360 * MINUTE, payload: { task: 'partitions' } },
    ],
  },
};
export const QUEUE_NAMES = Object.keys(queues) as QueueName[];
const ASKED: readonly AskedQueue[] = ['push', 'sms', 'email', 'messages'];

/** Longer than any wait, so that a result whose event was lost can still be looked up; bounded, so that Redis does not fill. */
const KEPT: JobsOptions = {
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 7 * 24 * 3600, count: 5000 },
};

/** Options of every send and of every scheduled run: a send is tried again only by its handler, within its deadline. */
export function jobOptions(name: QueueName): JobsOptions {
  return { ...KEPT, attempts: 1, ...(queues[name].sends ? {} : { removeOnComplete: { age: 3600, count: 100 } }) };
}

/** Key prefix of a queue; in braces, so that a Redis Cluster keeps its keys on one node (pitfalls B2.20). */
export const queuePrefix = (name: QueueName): string => `{${settings.QUEUE_PREFIX}:${name}}`;

/** What a failed job's text says: handlers fail with «outcome: reason». */
const FAILURE = /^(not_configured|unregistered|refused|failed|unknown|expired|no_device)(?:: (.*))?$/s;
export const failureText = ({ outcome, reason }: SendResult<string>): string => (reason === undefined ? outcome : `${outcome}: ${reason}`);
function parseFailure(text: string): PushResult {
  const match = FAILURE.exec(text);
  if (!match) return { outcome: 'failed', reason: 'the job failed' };
  return { outcome: match[1] as PushResult['outcome'], ...(match[2] === undefined ? {} : { reason: match[2] }) };
}

/** ask() where no result came: the queues did not take the job, or no worker answered in time. */
export type NoAnswer = { outcome: 'queue_away' | 'no_answer'; reason?: string };

interface Waiter {
  settle: (result: PushResult) => void;
}

const ADD_TIMEOUT = 1500;
const LOOK_TIMEOUT = 200;
/** The worker's deadline lies before the asker's, so that a result given at the last moment still arrives. */
const RESULT_MARGIN = 400;

/** A process's side of all queues: connections opened once, closed at the end. */
class Producers {
  readonly #waiters = new Map<string, Waiter>();
  readonly #producer = connectRedis('producer');
  readonly #queues = new Map<QueueName, Queue<Envelope>>();
  readonly #events: QueueEvents[] = [];
  #subscriber: RedisConnection | undefined;

  get connection(): RedisConnection {
    return this.#producer;
  }

  queue(name: QueueName): Queue<Envelope> {
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = new Queue<Envelope>(name, { connection: this.#producer, prefix: queuePrefix(name), defaultJobOptions: jobOptions(name) });
      queue.on('error', () => undefined); // src/redis.ts reports the outage.
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Listens for results. Once a process: an events reader opened too late misses what was said before (pitfalls B1.4). */
  listen(): void {
    if (this.#subscriber) return;
    this.#subscriber = connectRedis('worker');
    for (const name of ASKED) {
      const events = new QueueEvents(name, {
        connection: this.#subscriber,
        prefix: queuePrefix(name),
        lastEventId: `${Date.now() - 5000}-0`,
      });
      events.on('error', () => undefined);
      events.on('completed', ({ jobId, returnvalue }) => this.#waiters.get(jobId)?.settle(returnvalue as unknown as PushResult));
      events.on('failed', ({ jobId, failedReason }) => this.#waiters.get(jobId)?.settle(parseFailure(failedReason)));
      this.#events.push(events);
    }
  }

  async add<Q extends QueueName>(name: Q, payload: Payload<Q>, jobId: string, deadline?: number): Promise<void> {
    const request_id = context.getStore()?.request_id;
    const envelope: Envelope = {
      payload,
      ...(deadline === undefined ? {} : { deadline }),
      ...(request_id === undefined ? {} : { request_id }),
    };
    const task = 'kind' in payload ? payload.kind : payload.task;
    let abandoned = false;
    const adding = whenReady(this.#producer).then(() => (abandoned ? undefined : this.queue(name).add(task, envelope, { jobId })));
    try {
      await within(adding, ADD_TIMEOUT, `adding to ${name}`);
    } catch (error) {
      // Whoever asked is told that nothing was sent: what Redis takes after all is taken back.
      abandoned = true;
      adding.then((job) => job?.remove()).catch(() => undefined);
      throw error;
    }
  }

  async ask<Q extends AskedQueue>(name: Q, payload: Payload<Q>, timeout: number, jobId: string): Promise<PushResult | NoAnswer> {
    this.listen();
    const started = Date.now();
    let timer: NodeJS.Timeout | undefined;
    const settled = new Promise<PushResult | undefined>((resolve) => {
      this.#waiters.set(jobId, { settle: resolve });
      timer = setTimeout(() => resolve(undefined), timeout - LOOK_TIMEOUT);
    });
    try {
      await this.add(name, payload, jobId, started + timeout - RESULT_MARGIN);
      return (await settled) ?? (await this.#look(name, jobId));
    } catch (error) {
      log.warn({ queue: name, reason: reasonOf(error) }, 'a job could not be added');
      return { outcome: 'queue_away' };
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(jobId);
    }
  }

  /** The last look: the event may have been lost. What nobody has begun is taken back. */
  async #look(name: AskedQueue, jobId: string): Promise<PushResult | NoAnswer> {
    try {
      const job = await within(this.queue(name).getJob(jobId), LOOK_TIMEOUT, 'looking for the job');
      if (job?.finishedOn !== undefined) {
        return job.failedReason ? parseFailure(job.failedReason) : (job.returnvalue as PushResult);
      }
      job?.remove().catch(() => undefined); // Refused where a worker has it; the deadline in the job holds there.
      log.warn({ queue: name, job: jobId }, 'no worker answered in time');
      return { outcome: 'no_answer' };
    } catch {
      return { outcome: 'no_answer' };
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#events.map((events) => within(events.close(), 1000, 'closing events')));
    await Promise.allSettled([...this.#queues.values()].map((queue) => within(queue.close(), 1000, 'closing a queue')));
    if (this.#subscriber) await closeRedis(this.#subscriber);
    await closeRedis(this.#producer);
  }
}

let producers: Producers | undefined;
const open = (): Producers => (producers ??= new Producers());

/** Opens the connections and begins to listen for results; web calls it before it accepts requests. */
export function openQueues(): RedisConnection {
  open().listen();
  return open().connection;
}

/** The queue itself, for looking at it: dashboard, metrics, command line. Adding is for ask() and tell(). */
export const queueOf = (name: QueueName): Queue<Envelope> => open().queue(name);

/** The connection that fails at once, for health checks and rate limits. */
export const producerConnection = (): RedisConnection => open().connection;

/** One form for all job ids: BullMQ refuses some (pitfalls B2.14). A row's own id makes a second add of it harmless. */
export const rowJobId = (queue: QueueName, kind: string, id: number): string => `${queue}-${kind}-${id}`;

/**
 * Adds a job and waits for its result, `seconds` at most. Never throws for what a worker, a provider or Redis does.
 *
 * A worker starts nothing after the deadline, so «no_answer» means: not sent and never will be, but for a send that was
 * under way.
 */
export async function ask<Q extends AskedQueue>(
  name: Q,
  payload: Payload<Q>,
  seconds: number,
  jobId = `${name}-${randomUUID()}`,
): Promise<Result<Q> | NoAnswer> {
  if (isInTransaction()) throw new Error(`ask('${name}') inside a transaction: the job could outrun the commit`);
  return (await open().ask(name, payload, seconds * SECOND, jobId)) as Result<Q> | NoAnswer;
}

/** Adds a job that nobody waits for. @throws where Redis does not take it within 1.5 s */
export async function tell<Q extends QueueName>(
  name: Q,
  payload: Payload<Q>,
  jobId = `${name}-${randomUUID()}`,
  deadline?: number,
): Promise<void> {
  if (isInTransaction()) throw new Error(`tell('${name}') inside a transaction: the job could outrun the commit`);
  await open().add(name, payload, jobId, deadline);
}

export interface QueueReport {
  queue: QueueName;
  waiting: number;
  active: number;
  delayed: number;
  failed: number;
  completed: number;
  /** Seconds that the longest waiting job has waited; null where none waits. */
  oldest_waiting_seconds: number | null;
  workers: number;
}

/** The state of every queue. @throws where Redis does not answer within 2 s */
export async function reportQueues(): Promise<QueueReport[]> {
  const report = async (name: QueueName): Promise<QueueReport> => {
    const queue = queueOf(name);
    const [counts, [oldest], workers] = await Promise.all([
      queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed', 'completed'),
      queue.getJobs(['waiting'], 0, 0, true),
      queue.getWorkersCount(),
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
  return within(Promise.all(QUEUE_NAMES.map(report)), 2000, 'reading the queues');
}

export async function closeQueues(): Promise<void> {
  await producers?.close();
  producers = undefined;
}
