// The producers' side of the queues: connections opened once a process, and the only two ways to add a job, enqueue() and enqueueAndWait().
import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents } from 'bullmq';
import { context } from '../infra/context';
import { isInTransaction } from '../infra/database';
import { log, reasonOf } from '../infra/log';
import { closeRedis, connectRedis, whenReady, type RedisConnection } from '../infra/redis';
import { withTimeout } from '../infra/timeout';
import {
  ASKED,
  jobOptions,
  parseFailure,
  queuePrefix,
  type AskedQueue,
  type Envelope,
  type NoAnswer,
  type Payload,
  type PushResult,
  type QueueName,
  type Result,
} from './contracts';

const SECOND = 1000;

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
      await withTimeout(adding, ADD_TIMEOUT, `adding to ${name}`);
    } catch (error) {
      // Whoever asked is told that nothing was sent: what Redis takes after all is taken back.
      abandoned = true;
      adding.then((job) => job?.remove()).catch(() => undefined);
      throw error;
    }
  }

  async enqueueAndWait<Q extends AskedQueue>(name: Q, payload: Payload<Q>, timeout: number, jobId: string): Promise<PushResult | NoAnswer> {
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
      const job = await withTimeout(this.queue(name).getJob(jobId), LOOK_TIMEOUT, 'looking for the job');
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
    await Promise.allSettled(this.#events.map((events) => withTimeout(events.close(), 1000, 'closing events')));
    await Promise.allSettled([...this.#queues.values()].map((queue) => withTimeout(queue.close(), 1000, 'closing a queue')));
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

/** The queue itself, for looking at it: dashboard, metrics, command line. Adding is for enqueueAndWait() and enqueue(). */
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
export async function enqueueAndWait<Q extends AskedQueue>(
  name: Q,
  payload: Payload<Q>,
  seconds: number,
  jobId = `${name}-${randomUUID()}`,
): Promise<Result<Q> | NoAnswer> {
  if (isInTransaction()) throw new Error(`enqueueAndWait('${name}') inside a transaction: the job could outrun the commit`);
  return (await open().enqueueAndWait(name, payload, seconds * SECOND, jobId)) as Result<Q> | NoAnswer;
}

/** Adds a job that nobody waits for. @throws where Redis does not take it within 1.5 s */
export async function enqueue<Q extends QueueName>(
  name: Q,
  payload: Payload<Q>,
  jobId = `${name}-${randomUUID()}`,
  deadline?: number,
): Promise<void> {
  if (isInTransaction()) throw new Error(`enqueue('${name}') inside a transaction: the job could outrun the commit`);
  await open().add(name, payload, jobId, deadline);
}

export async function closeQueues(): Promise<void> {
  await producers?.close();
  producers = undefined;
}
