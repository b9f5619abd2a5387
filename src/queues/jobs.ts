// Jobs as operators look at them: by state, why they failed, age and request. Nothing of what a job carries leaves here, but what kind it is.
import { withTimeout } from '../infra/timeout';
import { isCertainlyNotSent, parseFailure, queues, SEND_REASONS, type Envelope, type QueueName } from './contracts';
import { producerConnection, queueClock, queueOf } from './producer';

/** In the order in which they are listed. */
export const JOB_STATES = ['active', 'waiting', 'prioritized', 'delayed', 'failed', 'completed'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** One question to Redis, which answers within a millisecond. */
export const ASK_TIMEOUT_MS = 2000;
/** Jobs that one question reads. */
const CHUNK_JOBS = 200;
const MAX_TEXT_CHARACTERS = 300;

/** A job as it stands in Redis. */
export interface StoredJob {
  id: string;
  envelope: Partial<Envelope>;
  timestamp: number;
  finishedOn: number | null;
  failedReason: string | null;
  /** How often it was begun; grows with each. */
  attempts: number;
}

/** What operators are shown of a job: nobody's address, no row and no text of a message. */
export interface JobView {
  id: string;
  /** What its payload calls itself; null of what this release does not know. */
  kind: string | null;
  state: JobState;
  /** Of one that failed: what came of it, a word of `SEND_REASONS` for why, and the text with which it failed. */
  outcome: string | null;
  reason: string | null;
  text: string | null;
  attempts: number;
  request_id: string | null;
  deadline: Date | null;
  /** Whether nothing of it may be begun any more. */
  deadline_over: boolean;
  created_at: Date;
  finished_at: Date | null;
  /** Since it was done, else since it was added. */
  age_seconds: number;
}

/** Which jobs are meant; what is absent does not limit. */
export interface JobFilter {
  state?: JobState | undefined;
  /** A word of `SEND_REASONS`, an outcome, or a part of the text. */
  reason?: string | undefined;
  /** Done after it; not done yet: added after it. */
  since?: Date | undefined;
  older_than_seconds?: number | undefined;
  request_id?: string | undefined;
}

/** Where a list goes on: behind this job. */
export interface JobPosition {
  state: JobState;
  /** In a sorted set; null in a list. */
  score: number | null;
  id: string;
}

export interface JobPage {
  jobs: JobView[];
  /** null: there are no more. A page may have fewer jobs than were asked for, even none, and go on all the same: looking takes its time. */
  next: JobPosition | null;
}

const KNOWN_WORDS: ReadonlySet<string> = new Set<string>([
  ...SEND_REASONS,
  'unregistered',
  'refused',
  'failed',
  'unknown',
  'expired',
  'no_device',
]);
const FIELDS = ['data', 'timestamp', 'finishedOn', 'failedReason', 'ats'] as const;

function parseEnvelope(data: string): Partial<Envelope> {
  try {
    const parsed: unknown = JSON.parse(data);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/** Reads jobs at one blow. @returns in the same order, without those that are gone @throws {Error} where Redis does not answer within 2 s */
export async function readJobs(name: QueueName, ids: readonly string[]): Promise<StoredJob[]> {
  if (ids.length === 0) return [];
  const queue = queueOf(name);
  const pipeline = producerConnection().pipeline();
  for (const id of ids) pipeline.hmget(queue.toKey(id), ...FIELDS);
  const answers = (await withTimeout(pipeline.exec(), ASK_TIMEOUT_MS, 'reading jobs')) ?? [];
  return answers.flatMap(([error, found], index) => {
    if (error) throw error;
    const [data, timestamp, finishedOn, failedReason, attempts] = found as (string | null)[];
    if (data === null || data === undefined) return [];
    return {
      id: ids[index] ?? '',
      envelope: parseEnvelope(data),
      timestamp: Number(timestamp),
      finishedOn: finishedOn === null || finishedOn === undefined ? null : Number(finishedOn),
      failedReason: failedReason ?? null,
      attempts: Number(attempts ?? 0),
    };
  });
}

/** What a failed job says of itself. `isTold`: by its handler; else it is the text of an error that nobody expected. */
function failureOf(text: string): { outcome: string; reason: string; isTold: boolean } {
  const { outcome, reason_word } = parseFailure(text);
  return { outcome, reason: reason_word, isTold: text === outcome || text.startsWith(`${outcome}: `) };
}

/** Why a job of a queue that sends is not put back. */
export type RetryRefusal = 'deadline_over' | 'may_have_arrived' | 'nobody_waits';

/**
 * Why a failed job may not be done again; undefined where it may. Work that bears being done twice always may.
 *
 * - `deadline_over`: its request was answered long ago, and a worker would not begin it.
 * - `may_have_arrived`: nobody knows how far it came (`unknown`, a worker that died, an error that nobody expected): the person could get it twice.
 * - `nobody_waits`: the token that it would bring is made usable by the request alone, which has given up on it.
 */
export function retryRefusalOf(
  name: QueueName,
  { envelope, failedReason }: Pick<StoredJob, 'envelope' | 'failedReason'>,
): RetryRefusal | undefined {
  if (!queues[name].sends) return undefined;
  if (envelope.deadline !== undefined && envelope.deadline <= queueClock().latest()) return 'deadline_over';
  const { outcome, isTold } = failureOf(failedReason ?? '');
  // Without a device nothing was tried.
  const notSent = outcome === 'no_device' || isCertainlyNotSent(outcome as Parameters<typeof isCertainlyNotSent>[0]);
  if (!isTold || !notSent) return 'may_have_arrived';
  if ((envelope.payload as { asker_confirms?: unknown } | undefined)?.asker_confirms === true) return 'nobody_waits';
  return undefined;
}

const momentOf = ({ finishedOn, timestamp }: StoredJob): number => finishedOn ?? timestamp;

function view(state: JobState, job: StoredJob, now: number): JobView {
  const { payload, deadline, request_id } = job.envelope;
  const { kind, task } = (payload ?? {}) as Record<string, unknown>;
  const called = kind ?? task;
  const failure = state === 'failed' ? failureOf(job.failedReason ?? '') : null;
  return {
    id: job.id,
    kind: typeof called === 'string' && /^[\w-]{1,64}$/.test(called) ? called : null,
    state,
    outcome: failure?.outcome ?? null,
    reason: failure?.reason ?? null,
    text: failure && job.failedReason !== null ? job.failedReason.slice(0, MAX_TEXT_CHARACTERS) : null,
    attempts: job.attempts,
    request_id: typeof request_id === 'string' ? request_id : null,
    deadline: typeof deadline === 'number' ? new Date(deadline) : null,
    deadline_over: typeof deadline === 'number' && deadline <= queueClock().latest(),
    created_at: new Date(job.timestamp),
    finished_at: job.finishedOn === null ? null : new Date(job.finishedOn),
    age_seconds: Math.max(0, Math.round((now - momentOf(job)) / 1000)),
  };
}

/** Whether a job is one of those that are meant, whatever its state. */
export function isMeant(job: StoredJob, { reason, since, older_than_seconds, request_id }: JobFilter, now = Date.now()): boolean {
  const moment = momentOf(job);
  if (since !== undefined && moment < since.getTime()) return false;
  if (older_than_seconds !== undefined && now - moment < older_than_seconds * 1000) return false;
  if (request_id !== undefined && job.envelope.request_id !== request_id) return false;
  if (reason === undefined) return true;
  if (job.failedReason === null) return false;
  const failure = failureOf(job.failedReason);
  if (KNOWN_WORDS.has(reason)) return failure.reason === reason || failure.outcome === reason;
  return job.failedReason.toLowerCase().includes(reason.toLowerCase());
}

/** A job's place in its state. */
type Place = Omit<JobPosition, 'state'>;

/** Lists of Redis, from the side at which jobs are taken: those that wait longest come first. */
async function* placesInList(key: string, after: Place | undefined): AsyncGenerator<Place[]> {
  const connection = producerConnection();
  const ask = <T>(asked: Promise<T>): Promise<T> => withTimeout(asked, ASK_TIMEOUT_MS, 'reading a queue');
  let last = after?.id;
  for (;;) {
    // Workers take jobs meanwhile: where the last one is gone all before it are.
    const index = last === undefined ? null : await ask(connection.lpos(key, last, 'RANK', -1));
    const length = index ?? (await ask(connection.llen(key)));
    if (length === 0) return;
    const ids = (await ask(connection.lrange(key, Math.max(0, length - CHUNK_JOBS), length - 1))).toReversed();
    yield ids.map((id) => ({ score: null, id }));
    last = ids.at(-1);
    if (last === undefined || ids.length < CHUNK_JOBS) return;
  }
}

/** Sorted sets: what was done last comes first, and what is due next. @param bounds of the scores */
async function* placesInSet(
  key: string,
  isDone: boolean,
  after: Place | undefined,
  bounds: { min: number | '-inf'; max: number | '+inf' },
): AsyncGenerator<Place[]> {
  const connection = producerConnection();
  let [score, id, offset] = [after?.score ?? null, after?.id ?? '', 0];
  // Ids of the same score come by their bytes.
  const isBehind = (place: Place): boolean => {
    if (score === null || place.score !== score) return true;
    const order = Buffer.compare(Buffer.from(place.id), Buffer.from(id));
    return isDone ? order < 0 : order > 0;
  };
  for (;;) {
    const asked = isDone
      ? connection.zrevrangebyscore(key, score ?? bounds.max, bounds.min, 'WITHSCORES', 'LIMIT', offset, CHUNK_JOBS)
      : connection.zrangebyscore(key, score ?? bounds.min, bounds.max, 'WITHSCORES', 'LIMIT', offset, CHUNK_JOBS);
    const flat = await withTimeout(asked, ASK_TIMEOUT_MS, 'reading a queue');
    const found = flat.flatMap((member, index) => (index % 2 === 0 ? [{ id: member, score: Number(flat[index + 1]) }] : []));
    const places = found.filter(isBehind);
    if (places.length > 0) yield places;
    if (found.length < CHUNK_JOBS) return;
    const last = places.at(-1);
    // A whole piece of one score that was listed already is stepped over.
    if (last) [score, id, offset] = [last.score, last.id, 0];
    else offset += CHUNK_JOBS;
  }
}

function placesOf(
  name: QueueName,
  state: JobState,
  { since, older_than_seconds }: JobFilter,
  after: Place | undefined,
): AsyncGenerator<Place[]> {
  const key = queueOf(name).toKey(state === 'waiting' ? 'wait' : state);
  if (state === 'waiting' || state === 'active') return placesInList(key, after);
  const isDone = state === 'failed' || state === 'completed';
  return placesInSet(key, isDone, after, {
    min: isDone && since !== undefined ? since.getTime() : '-inf',
    max: isDone && older_than_seconds !== undefined ? Date.now() - older_than_seconds * 1000 : '+inf',
  });
}

/** What a filter cannot fit has not to be looked at: only failed jobs have a reason. */
const statesFor = ({ state, reason }: JobFilter): readonly JobState[] => {
  if (state !== undefined) return [state];
  return reason === undefined ? JOB_STATES : ['failed'];
};

/**
 * Lists jobs: the states in their order; of `active` and `waiting` the oldest first, of `failed` and `completed` those that ended last, else what is due first.
 *
 * @param after where an earlier page has ended
 * @param milliseconds for which it looks; what is not found by then is for the next page
 * @throws {Error} where Redis does not answer within 2 s
 */
export async function listJobs(
  name: QueueName,
  filter: JobFilter,
  { after, limit, milliseconds }: { after?: JobPosition | undefined; limit: number; milliseconds: number },
): Promise<JobPage> {
  const end = performance.now() + milliseconds;
  if (!queueClock().isKnown) await queueClock().measure();
  const jobs: JobView[] = [];
  const states = statesFor(filter);
  const first = after === undefined ? 0 : states.indexOf(after.state);
  for (const state of first < 0 ? [] : states.slice(first)) {
    for await (const places of placesOf(name, state, filter, after?.state === state ? after : undefined)) {
      const stored = new Map(
        (
          await readJobs(
            name,
            places.map(({ id }) => id),
          )
        ).map((job) => [job.id, job]),
      );
      const now = Date.now();
      for (const place of places) {
        const job = stored.get(place.id);
        if (job && isMeant(job, filter, now)) jobs.push(view(state, job, now));
        if (jobs.length === limit) return { jobs, next: { state, ...place } };
      }
      const last = places.at(-1);
      if (last && performance.now() > end) return { jobs, next: { state, ...last } };
    }
  }
  return { jobs, next: null };
}
