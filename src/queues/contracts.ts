// The contract between web and worker: the queues, what each job carries and gives back, how long it is kept, when it runs by itself.
// Nothing else knows a queue's name. Jobs outlive a deploy: a worker of the last release meets payloads of today's web, and the other way
// round, so fields are added and never change their meaning.
import type { JobsOptions } from 'bullmq';
import { settings } from '../../config';

export type PushProvider = 'apns' | 'apns.dev' | 'fcm';
/** What a push is about: a background wake-up, a text message or a call. */
export type PushType = 'background' | 'message' | 'call';

/** A device as its app names it: RFC 8599's pn-provider, pn-param and pn-prid. */
export interface PushDevice {
  provider: PushProvider;
  param: string | null;
  prid: string | null;
}

/**
 * `creation_token`: the worker decides whether the device may get a token, and makes it. `asker_confirms`: whoever asked makes a token that was
 * sent usable, and nobody else does; the last release's `web` does not, so that the worker does it. `notification`: a push without a row.
 */
export type PushJob = PushDevice &
  (
    | { kind: 'creation_token'; ip: string | null; user_agent: string | null; asker_confirms?: true }
    | { kind: 'notification'; type: PushType; call_id: string | null; account_id?: number }
  ) & {
    /** Domain of the Space that it is sent for; absent of the release before. */
    domain?: string;
  };

/** The outcome of a send. `unknown`: it was under way when time ran out, so it is not sent again. */
export type SendOutcome = 'sent' | 'not_configured' | 'unregistered' | 'refused' | 'failed' | 'unknown' | 'expired';
/** Outcomes after which nothing has reached anybody, and nothing will. */
const NOT_SENT: ReadonlySet<string> = new Set<SendOutcome | NoAnswer['outcome']>([
  'not_configured',
  'unregistered',
  'refused',
  'failed',
  'expired',
  'queue_away',
]);
/** Whether a request knows that its message was not sent. */
export const isCertainlyNotSent = (outcome: SendOutcome | NoAnswer['outcome']): boolean => NOT_SENT.has(outcome);

/**
 * Why something was not sent, in words that stay: apps, alerts and the ledger of sends read them.
 */
export const SEND_REASONS = [
  'already_sent',
  'limit_reached',
  'not_configured',
  'device_missing',
  'device_unknown',
  'sender_mismatch',
  'topic_disallowed',
  'recipient_refused',
  'provider_unreachable',
  'provider_throttled',
  'provider_refused',
  'provider_failing',
  'no_worker',
  'queues_away',
  'timeout',
  'nothing_to_send',
  'error',
] as const;
export type SendReason = (typeof SEND_REASONS)[number];

/** What the handler of a send gives. */
export interface SendResult<Outcome extends string = SendOutcome> {
  outcome: Outcome;
  /** Why not, as a word; absent where it was sent, and of workers of the release before. */
  reason_word?: SendReason;
  /** Why not, for operators: a provider's code, never its answer, which may name a person and would stand in Redis in clear text. */
  reason?: string;
}
/** A push can also be refused for its device. `unconfirmed_token`: the row of a token that was sent and waits for its asker's word. */
export type PushResult = SendResult<SendOutcome | 'already_sent' | 'limit_reached' | 'no_device'> & {
  unconfirmed_token?: number;
  /** Of a device that may have no token now: seconds until it may; absent of the release before. */
  retry_after?: number;
};

/** A message's recipient and text are in its row, not in Redis. */
export interface MessageJob {
  kind: 'message';
  id: number;
  /** Who sends it, for the ledger; absent of the release before. */
  account_id?: number;
  domain?: string;
}
/** `id`: what the daemon calls a message that it took. */
export type MessageResult = SendResult & { id?: string };

/** A row of the table `sends`, which says all. */
export interface SendJob {
  kind: 'send';
  id: number;
}

/**
 * `phone_change`: the row of a code. `account_…`: of the last release's `web`; an account, whose confirmation key is the code. `language`: of the
 * request.
 */
export type SmsJob =
  | SendJob
  | { kind: 'phone_change'; id: number }
  | { kind: 'account_creation' | 'account_recovery'; account_id: number; language: string };
/** As `SmsJob`; `account_ready` has no code: the news that an account can be used. */
export type EmailJob =
  | SendJob
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
  /** What must happen every few seconds, and takes no longer. `clean` and `partitions`: of the last release's schedules; `chores` does them. */
  maintenance: { payload: { task: 'sweep' | 'clean' | 'partitions' }; result: Record<string, number> };
  /** Work that may take minutes. A new task is a member of this union, a line in `queues.chores.kinds` and a function in `workers/chores.ts`. */
  chores: { payload: { task: 'clean' } | { task: 'partitions' } | { task: 'leftovers' }; result: Record<string, number> };
}
export type QueueName = keyof Contracts;

/** Queues whose result a request waits for. */
export type RequestReplyQueue = 'push' | 'sms' | 'email' | 'messages';
export type Payload<Q extends QueueName> = Contracts[Q]['payload'];
export type Result<Q extends QueueName> = Contracts[Q]['result'];
type KindIn<P> = P extends { kind: infer K extends string } ? K : P extends { task: infer T extends string } ? T : never;
/** What a queue's payload is called: its `kind`, or its `task`. */
export type Kind<Q extends QueueName> = KindIn<Payload<Q>>;

/** What a job holds in Redis. No code, token value, password or message body: those are read from their row. */
export interface Envelope<Q extends QueueName = QueueName> {
  payload: Payload<Q>;
  /** Milliseconds since 1970 by Redis' clock, after which nothing may be started any more; absent where no request waits. */
  deadline?: number;
  /**
   * Of the last release's web, which does not know yet that Redis has the job, and may give up: nothing is begun before it has taken this away.
   */
  unconfirmed?: true;
  request_id?: string;
  /** Of a recurring job: `SCHEDULES_VERSION` of the release that wrote its schedule. */
  schedules?: number;
}

interface Definition<Q extends QueueName> {
  /** A send to a person: never run twice. Else idempotent work that a stalled worker's successor does again. */
  sends: boolean;
  /** What this release can do. Anything else is a newer release's, and waits for its worker: see `unknownKind()`. */
  kinds: { readonly [K in Kind<Q>]: true };
  /** Jobs that a worker has under way at once; unset, WORKER_CONCURRENCY for sends and 1 for chores. */
  concurrency?: number;
  /** Jobs that come by themselves; `every` in milliseconds. */
  schedules: { id: string; every: number; payload: Payload<Q> }[];
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Raised whenever a schedule in the table below is changed or taken away: workers put right what one with a lower number, or none, has written, and
 * leave alone what a higher one did.
 */
export const SCHEDULES_VERSION = 1;

/** How each queue runs. */
export const queues: { readonly [Q in QueueName]: Definition<Q> } = {
  push: { sends: true, kinds: { creation_token: true, notification: true }, schedules: [] },
  sms: { sends: true, kinds: { phone_change: true, account_creation: true, account_recovery: true, send: true }, schedules: [] },
  email: { sends: true, kinds: { email_change: true, account_creation: true, account_ready: true, send: true }, schedules: [] },
  // linphone-daemon serves one client at a time: a second connection is accepted and closed at once, without a word.
  messages: { sends: true, kinds: { message: true }, concurrency: 1, schedules: [] },
  'api-keys': {
    sends: false,
    kinds: { clear_expired: true },
    schedules: [{ id: 'clear-expired', every: MINUTE_MS, payload: { task: 'clear_expired' } }],
  },
  statistics: {
    sends: false,
    kinds: { aggregate: true },
    schedules: [{ id: 'aggregate', every: 5 * SECOND_MS, payload: { task: 'aggregate' } }],
  },
  maintenance: {
    sends: false,
    kinds: { sweep: true, clean: true, partitions: true },
    schedules: [{ id: 'sweep', every: 10 * SECOND_MS, payload: { task: 'sweep' } }],
  },
  // Several, so that none waits for another; each task bears being done twice at once, by two workers.
  chores: {
    sends: false,
    concurrency: 4,
    kinds: { clean: true, partitions: true, leftovers: true },
    schedules: [
      { id: 'leftovers', every: 10 * SECOND_MS, payload: { task: 'leftovers' } },
      { id: 'clean', every: HOUR_MS, payload: { task: 'clean' } },
      { id: 'partitions', every: 6 * HOUR_MS, payload: { task: 'partitions' } },
    ],
  },
};
export const QUEUE_NAMES = Object.keys(queues) as QueueName[];

const PROVIDERS: { readonly [P in PushProvider]: true } = { apns: true, 'apns.dev': true, fcm: true };
const TYPES: { readonly [T in PushType]: true } = { background: true, message: true, call: true };
const isOf = (words: object, word: unknown): boolean => typeof word === 'string' && Object.hasOwn(words, word);

/**
 * What a job is called where this release cannot do it; undefined where it can. Asked before every job: a handler's last `else` would do a
 * newer release's job as something that it is not.
 */
export function unknownKind(name: QueueName, payload: unknown): string | undefined {
  const { kind, task, provider, type } = (payload ?? {}) as Record<string, unknown>;
  const called = kind ?? task;
  if (!isOf(queues[name].kinds, called)) return String(called);
  if (name !== 'push') return undefined;
  if (!isOf(PROVIDERS, provider)) return `${String(called)} by ${String(provider)}`;
  return kind === 'notification' && !isOf(TYPES, type) ? `${String(called)} of ${String(type)}` : undefined;
}

/** The queues whose results web listens for. */
export const REQUEST_REPLY_QUEUES: readonly RequestReplyQueue[] = ['push', 'sms', 'email', 'messages'];

const HOUR_SECONDS = 3600;
/**
 * How long jobs are kept once done; `age` in seconds, `count` a maximum for each queue. Longer than any request waits, so that a result whose
 * event was lost can still be looked up; bounded, so that Redis does not fill.
 */
const RETENTION: JobsOptions = {
  removeOnComplete: { age: HOUR_SECONDS, count: 1000 },
  removeOnFail: { age: 7 * 24 * HOUR_SECONDS, count: 5000 },
};

/** Of jobs whose row says what came of them: nothing stays behind under their id, so that a row that is still due can have its job again. */
export const FORGOTTEN: JobsOptions = { removeOnComplete: true, removeOnFail: true };

/** Options of every send and of every scheduled run: a send is tried again only by its handler, within its deadline. */
export function jobOptions(name: QueueName): JobsOptions {
  return { ...RETENTION, attempts: 1, ...(queues[name].sends ? {} : { removeOnComplete: { age: HOUR_SECONDS, count: 100 } }) };
}

/** Key prefix of a queue. The braces are a hash tag: a Redis Cluster keeps all keys of a queue on one node, as BullMQ's scripts need it. */
export const queuePrefix = (name: QueueName): string => `{${settings.QUEUE_PREFIX}:${name}}`;

/** The word of an outcome that says no other: all that is known of a worker of the release before. */
const WORDS: { readonly [O in Exclude<PushResult['outcome'] | NoAnswer['outcome'], 'sent'>]: SendReason } = {
  already_sent: 'already_sent',
  limit_reached: 'limit_reached',
  not_configured: 'not_configured',
  no_device: 'device_missing',
  unregistered: 'device_unknown',
  refused: 'provider_refused',
  failed: 'error',
  unknown: 'timeout',
  expired: 'timeout',
  no_answer: 'timeout',
  queue_away: 'queues_away',
};

/** Why something was not sent, as a word; of what was sent there is none. */
export const reasonWordOf = ({ outcome, reason_word }: Pick<SendResult<string>, 'outcome' | 'reason_word'>): SendReason | null =>
  outcome === 'sent' ? null : (reason_word ?? (WORDS as Partial<Record<string, SendReason>>)[outcome] ?? 'error');

/** The text of a failed job: «outcome», «outcome: reason», «outcome: word» or «outcome: word: reason». */
const FAILURE = /^(not_configured|unregistered|refused|failed|unknown|expired|no_device)(?:: (.*))?$/s;
/** What follows the outcome, where it begins with a word. */
const WORDED = /^([a-z_]+)(?:: (.*))?$/s;

/** The word that a text begins with, and what follows it; null where it begins with none. */
function wordedOf(text: string): { word: SendReason; rest: string | undefined } | null {
  const [, first, rest] = WORDED.exec(text) ?? [];
  const word = SEND_REASONS.find((each) => each === first);
  return word === undefined ? null : { word, rest };
}

/**
 * The text with which a job fails whose send had this outcome; BullMQ carries errors as text alone. It has the word only where the outcome does not say
 * it already: the release before takes it for the beginning of the reason, which people read of a message that was refused.
 */
export function failureText(result: SendResult<string>): string {
  const { outcome, reason } = result;
  const word = reasonWordOf(result);
  const isNeeded = word !== reasonWordOf({ outcome }) || (reason !== undefined && wordedOf(reason) !== null);
  return [outcome, ...(word !== null && isNeeded ? [word] : []), ...(reason === undefined ? [] : [reason])].join(': ');
}

/** Reads `failureText()` back, and that of the release before; any other text is an unexpected error: `failed`. */
export function parseFailure(text: string): PushResult & { reason_word: SendReason } {
  const match = FAILURE.exec(text);
  if (!match) return { outcome: 'failed', reason_word: 'error', reason: 'the job failed' };
  const outcome = match[1] as Exclude<PushResult['outcome'], 'sent'>;
  const worded = wordedOf(match[2] ?? '');
  const reason = worded ? worded.rest : match[2];
  return { outcome, reason_word: worded?.word ?? WORDS[outcome], ...(reason === undefined ? {} : { reason }) };
}

/**
 * What `enqueueAndWait()` gives where no result came: Redis did not take the job (`queue_away`), or no worker answered in time. Both are
 * values of the label `outcome` of a metric, so the words stay. `unbegun`: no worker has begun it, and none will, so no worker writes it down.
 */
export type NoAnswer = { outcome: 'queue_away' | 'no_answer'; reason?: string; reason_word?: SendReason; unbegun?: true };
