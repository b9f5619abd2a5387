// The producers' side of the queues: connections opened once a process, and the only two ways to add a job, enqueue() and enqueueAndWait().
import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents, type Job, type JobsOptions, type QueueOptions } from 'bullmq';
import { ReplyError } from 'ioredis';
import { context, databaseTime, inBackground, millisecondsSinceRequest } from '../infra/context';
import { isInTransaction } from '../infra/database';
import { log, reasonOf } from '../infra/log';
import { closeRedis, connectRedis, requireWritable, whenReady, type RedisConnection } from '../infra/redis';
import { gateOf, RedisSilent } from '../infra/redis-gate';
import { withTimeout } from '../infra/timeout';
import { tracing } from '../infra/tracing';
import { RedisClock } from './clock';
import {
  jobOptions,
  parseFailure,
  queuePrefix,
  REQUEST_REPLY_QUEUES,
  type Envelope,
  type NoAnswer,
  type Payload,
  type PushResult,
  type QueueName,
  type RequestReplyQueue,
  type Result,
} from './contracts';
import { Pulse } from './pulse';
import { countWorkersLately } from './workers';

const SECOND_MS = 1000;
/** Part of the two seconds within which a request that needs a job answers 503 where Redis does not answer. */
const ADD_TIMEOUT_MS = 1500;
/** What a wait keeps for looking at the job's state once at its end. */
const FINAL_CHECK_TIMEOUT_MS = 200;
/** The worker's deadline lies this much before the end of the wait, so that a result given at the last moment still arrives. */
const RESULT_MARGIN_MS = 400;
/** How far back a new listener reads: what happened between its opening and its first read would be lost otherwise. */
const EVENTS_LOOKBACK_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;
/** After a listener's connection was lost. The subscriber may not be back by then: once it is, all are made anew as well. */
const LISTEN_AGAIN_MS = 500;
/** How long one read of events waits, and so how long a listener on a socket that nobody serves any more takes to notice, and a second. */
const EVENTS_BLOCK_MS = 2000;
/** With less than this left of a request's time no job is added: its result could not come in time. */
const MIN_WAIT_MS = RESULT_MARGIN_MS + FINAL_CHECK_TIMEOUT_MS;
const NO_TIME_LEFT: NoAnswer = { outcome: 'queue_away', reason: 'the request has no time left', unbegun: true };
/** After a wait PostgreSQL may take what is left of the time in which every request is answered; and so long at least, for recording what came of it. */
const ANSWER_MS = 4500;
const RECORD_MS = 700;

/** A process's side of all queues: connections opened once, closed at the end. */
class Producers {
  /** By job id: gives the result to the request that waits for it. */
  readonly #waiters = new Map<string, (result: PushResult) => void>();
  readonly #producer = connectRedis('producer');
  readonly #queues = new Map<QueueName, Queue<Envelope>>();
  readonly #pulses = new Map<QueueName, Pulse>();
  readonly clock = new RedisClock(this.#producer, `${queuePrefix('push')}:clock`);
  #events: QueueEvents[] = [];
  #subscriber: RedisConnection | undefined;
  #listeningAgain: NodeJS.Timeout | undefined;

  get connection(): RedisConnection {
    return this.#producer;
  }

  queue(name: QueueName): Queue<Envelope> {
    let queue = this.#queues.get(name);
    if (!queue) {
      const telemetry = tracing()?.telemetry;
      const options: QueueOptions = {
        ...(telemetry ? { telemetry } : {}),
        connection: this.#producer,
        prefix: queuePrefix(name),
        defaultJobOptions: jobOptions(name),
        // It asks for the version once, and is of no use for ever where just then the connection ends.
        skipVersionCheck: true,
      };
      queue = inBackground(() => new Queue<Envelope>(name, options));
      queue.on('error', () => undefined); // connectRedis() reports the outage.
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Listens for results. Once a process, at its start. */
  listen(): void {
    if (this.#subscriber) return;
    this.#subscriber = connectRedis('worker');
    // Another server's clock may be behind, and then all its events have lower ids than the last one that was read.
    this.#subscriber.on('ready', () => void this.#listenAnew());
  }

  #listenAgainSoon(): void {
    this.#listeningAgain ??= setTimeout(() => void this.#listenAnew(), LISTEN_AGAIN_MS).unref();
  }

  async #listenAnew(): Promise<void> {
    clearTimeout(this.#listeningAgain);
    this.#listeningAgain = undefined;
    const subscriber = this.#subscriber;
    if (!subscriber || subscriber.status !== 'ready') return;
    await this.clock.measure();
    if (!this.#subscriber) return;
    const former = this.#events;
    this.#events = REQUEST_REPLY_QUEUES.map((name) => {
      const events = new QueueEvents(name, {
        connection: subscriber,
        prefix: queuePrefix(name),
        // Events from before a reader's first read are lost otherwise (taskforcesh/bullmq#2874).
        lastEventId: `${this.clock.earliest() - EVENTS_LOOKBACK_MS}-0`,
        blockingTimeout: EVENTS_BLOCK_MS,
        skipVersionCheck: true,
      });
      events.on('error', () => undefined);
      // BullMQ's watchdog ends a connection that is late and connects it again, but not where an error comes between the two (as it does after this
      // process was frozen: its timers of the watchdog and of the silent socket are due at once). Reading then fails for ever.
      events.on('ioredis:close', () => this.#events.includes(events) && this.#listenAgainSoon());
      events.on('completed', ({ jobId, returnvalue }) => this.#waiters.get(jobId)?.(returnvalue as unknown as PushResult));
      events.on('failed', ({ jobId, failedReason }) => this.#waiters.get(jobId)?.(parseFailure(failedReason)));
      return events;
    });
    await Promise.allSettled(former.map((events) => withTimeout(events.close(), CLOSE_TIMEOUT_MS, 'closing events')));
  }

  #add<Q extends QueueName>(
    name: Q,
    payload: Payload<Q>,
    { jobId, end, options }: { jobId: string; end?: number; options?: JobsOptions },
  ): Promise<Job<Envelope>> {
    const request_id = context.getStore()?.request_id;
    const envelope: Envelope = { payload };
    if (end !== undefined) envelope.deadline = Math.floor(this.clock.earliest() + end - performance.now());
    if (request_id !== undefined) envelope.request_id = request_id;
    const task = 'kind' in payload ? payload.kind : payload.task;
    return this.queue(name).add(task, envelope, { ...options, jobId });
  }

  /** @throws {RedisSilent} where Redis has been silent for longer than adding a job may take */
  #requireAnswers(): void {
    // A slow Redis is no silent one: limits do without it long before.
    if (gateOf(this.#producer).silentMs > ADD_TIMEOUT_MS) throw new RedisSilent();
  }

  /** Nobody else is to wait for a server that has not answered for 1.5 s. */
  #shutGate(name: QueueName, error: unknown): void {
    if (this.#producer.status === 'ready' && !(error instanceof ReplyError)) gateOf(this.#producer).shut(queuePrefix(name), ADD_TIMEOUT_MS);
  }

  /**
   * Adds a job that no request waits for.
   *
   * @param within milliseconds from now, after which nothing may be begun
   * @throws {Error} where Redis does not say within 1.5 s that it has the job
   */
  async add<Q extends QueueName>(
    name: Q,
    payload: Payload<Q>,
    jobId: string,
    { within, options = {} }: { within?: number; options?: JobsOptions } = {},
  ): Promise<void> {
    this.#requireAnswers();
    const end = within === undefined ? {} : { end: performance.now() + within };
    let abandoned = false;
    const adding = whenReady(this.#producer).then(async () => {
      if (within !== undefined && !this.clock.isKnown) await this.clock.measure();
      return abandoned ? undefined : this.#add(name, payload, { jobId, options, ...end });
    });
    try {
      await withTimeout(adding, ADD_TIMEOUT_MS, `adding to ${name}`);
    } catch (error) {
      // A rejected add may still be carried out: what Redis takes after all is removed.
      abandoned = true;
      this.#shutGate(name, error);
      adding.then((job) => job?.remove()).catch(() => undefined);
      throw error;
    }
  }

  /** Waits for a sign that Redis takes jobs of this queue now. @throws {Error} where there is none within 1.5 s */
  async #awaitAnswer(name: QueueName): Promise<void> {
    this.#requireAnswers();
    const hear = async (): Promise<void> => {
      await whenReady(this.#producer);
      if (!this.clock.isKnown) await this.clock.measure();
      await this.#pulse(name).next();
    };
    try {
      await withTimeout(hear(), ADD_TIMEOUT_MS, name);
    } catch (error) {
      this.#shutGate(name, error);
      throw error;
    }
  }

  #pulse(name: QueueName): Pulse {
    let pulse = this.#pulses.get(name);
    if (!pulse) this.#pulses.set(name, (pulse = new Pulse(() => requireWritable(this.#producer, [queuePrefix(name)]))));
    return pulse;
  }

  /**
   * As the function of that name. A worker may have a job before its asker hears that Redis took it, so an asker who does not hear must not say that
   * nothing is sent. That is why Redis is heard before: where it does not answer, no job was added, and 503 is said at once. Where it falls silent
   * right then, the result is waited for until nothing can be begun any more.
   */
  async enqueueAndWait<Q extends RequestReplyQueue>(
    name: Q,
    payload: Payload<Q>,
    timeoutMs: number,
    jobId: string,
  ): Promise<PushResult | NoAnswer> {
    this.listen();
    let timer: NodeJS.Timeout | undefined;
    let giveUp: (error: unknown) => void = () => undefined;
    const result = new Promise<PushResult | undefined>((resolve, reject) => {
      giveUp = reject;
      this.#waiters.set(jobId, resolve);
      timer = setTimeout(() => resolve(undefined), timeoutMs - FINAL_CHECK_TIMEOUT_MS);
    });
    try {
      const end = performance.now() + timeoutMs - RESULT_MARGIN_MS;
      await this.#awaitAnswer(name);
      if (this.#producer.status !== 'ready') throw new Error('the connection is gone');
      const adding = this.#add(name, payload, { jobId, end });
      this.#pulse(name).feel(adding);
      adding.catch((error: unknown) => {
        // Redis refused it. Whatever else went wrong, it may have the job: then its result, or its deadline, is waited for.
        if (error instanceof ReplyError) giveUp(error);
        else log.warn({ queue: name, reason: reasonOf(error) }, 'nobody knows whether a job was added');
      });
      return (await result) ?? (await this.#checkOnce(name, jobId));
    } catch (error) {
      log.warn({ queue: name, reason: reasonOf(error) }, 'a job could not be added');
      return { outcome: 'queue_away', unbegun: true };
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(jobId);
    }
  }

  /**
   * Looks at the job's state, since its event may have been lost. A job that no worker has taken is removed; why none has is asked for in the same time,
   * and what is not known by then is that time was over.
   */
  async #checkOnce(name: RequestReplyQueue, jobId: string): Promise<PushResult | NoAnswer> {
    const end = performance.now() + FINAL_CHECK_TIMEOUT_MS;
    try {
      const job = await withTimeout(this.queue(name).getJob(jobId), FINAL_CHECK_TIMEOUT_MS, 'looking for the job');
      if (job?.finishedOn !== undefined) return job.failedReason ? parseFailure(job.failedReason) : (job.returnvalue as PushResult);
      const isTaken = job?.processedOn !== undefined;
      const left = end - performance.now();
      const [workers, unbegun] = await Promise.all([
        isTaken ? null : withTimeout(countWorkersLately(this.queue(name)), left, 'Redis').catch(() => null),
        // Refused where a worker has it; the deadline in the job holds there.
        job !== undefined &&
          withTimeout(job.remove(), left, 'removing the job').then(
            () => !isTaken,
            () => false,
          ),
      ]);
      const reason_word = workers === 0 ? 'no_worker' : 'timeout';
      log.warn({ queue: name, job: jobId, reason_word }, 'no worker answered in time');
      return { outcome: 'no_answer', reason_word, ...(unbegun && { unbegun }) };
    } catch {
      return { outcome: 'no_answer', reason_word: 'timeout' };
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#listeningAgain);
    this.clock.stop();
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    await Promise.allSettled(this.#events.map((events) => withTimeout(events.close(), CLOSE_TIMEOUT_MS, 'closing events')));
    await Promise.allSettled([...this.#queues.values()].map((queue) => withTimeout(queue.close(), CLOSE_TIMEOUT_MS, 'closing a queue')));
    if (subscriber) await closeRedis(subscriber);
    await closeRedis(this.#producer);
  }
}

let producers: Producers | undefined;
const open = (): Producers => (producers ??= inBackground(() => new Producers()));

/** Opens the connections and begins to listen for results; web calls it before it accepts requests. */
export function openQueues(): RedisConnection {
  open().listen();
  return open().connection;
}

/** The queue itself, for looking at it: dashboard, metrics, command line. Adding is for enqueueAndWait() and enqueue(). */
export const queueOf = (name: QueueName): Queue<Envelope> => open().queue(name);

/** Redis' clock, by which deadlines are. */
export const queueClock = (): RedisClock => open().clock;

/** The connection that fails at once, for health checks and rate limits. */
export const producerConnection = (): RedisConnection => open().connection;

/**
 * Job id of a row: one form for all, since BullMQ refuses some (a colon, whole numbers: taskforcesh/bullmq#4052). BullMQ ignores an id that it
 * has already, so adding the same row twice is harmless.
 */
export const rowJobId = (queue: QueueName, kind: string, id: number): string => `${queue}-${kind}-${id}`;

/**
 * Adds a job and waits for its result. Never throws for what a worker, a provider or Redis does.
 *
 * BullMQ's own `waitUntilFinished()` is not used: it fails good jobs that were removed meanwhile, and its maintainer advises against it in
 * production (taskforcesh/bullmq#2341, #3298; docs/decisions.md).
 *
 * @param timeoutSeconds the longest wait, counted from when the request came. A worker starts nothing after it, so `no_answer` means: not sent and never will be, but for a send
 *   that was under way. `queue_away`: not sent and never will be, since a job is begun only after Redis said that it has it.
 * @throws {Error} inside a transaction: the worker could take the job before the commit
 */
export async function enqueueAndWait<Q extends RequestReplyQueue>(
  name: Q,
  payload: Payload<Q>,
  timeoutSeconds: number,
  jobId = `${name}-${randomUUID()}`,
): Promise<Result<Q> | NoAnswer> {
  if (isInTransaction()) throw new Error(`enqueueAndWait('${name}') inside a transaction: the job could outrun the commit`);
  const left = timeoutSeconds * SECOND_MS - millisecondsSinceRequest();
  const result = left < MIN_WAIT_MS ? NO_TIME_LEFT : await open().enqueueAndWait(name, payload, left, jobId);
  databaseTime()?.limitTo(Math.max(RECORD_MS, ANSWER_MS - millisecondsSinceRequest()));
  return result;
}

/**
 * Adds a job that no request waits for.
 *
 * @param within milliseconds from now, after which the worker does not start it
 * @param options of BullMQ, beside those of the queue
 * @throws {Error} where Redis does not take it within 1.5 s, and inside a transaction
 */
export async function enqueue<Q extends QueueName>(
  name: Q,
  payload: Payload<Q>,
  jobId = `${name}-${randomUUID()}`,
  { within, options }: { within?: number; options?: JobsOptions } = {},
): Promise<void> {
  if (isInTransaction()) throw new Error(`enqueue('${name}') inside a transaction: the job could outrun the commit`);
  await open().add(name, payload, jobId, { ...(within === undefined ? {} : { within }), ...(options === undefined ? {} : { options }) });
}

/** Closes all that this process opened of the queues, whatever state Redis is in. */
export async function closeQueues(): Promise<void> {
  await producers?.close();
  producers = undefined;
}
