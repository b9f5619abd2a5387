// Queues, as operators look at them and steer them, and the trail of what they did.
import Joi from 'joi';
import { DateTime } from 'luxon';
import { fieldError, unprocessable } from '../infra/errors';
import { ok, route, type Caller, type Client } from '../http/route';
import { actorOf, readActions, recordRefusal } from '../services/operations/queue-actions';
import {
  clean,
  type CleanWish,
  JOB_STATES,
  type JobState,
  listQueueJobs,
  pause,
  QUEUE_NAMES,
  readQueues,
  resume,
  retryFailed,
  type RetryWish,
  type Steerer,
} from '../services/operations/queue-steering';
import { presentJob, presentQueueAction } from './presenters';
import { boolean, integer, isoDate, isoText, text } from './schemas';
import { shapes } from './shapes';

const reading = { access: 'super_admin', scope: 'queues:read', group: 'Queues', method: 'get', changes: false } as const;
const writing = { access: 'super_admin', scope: 'queues:write', group: 'Queues', method: 'post' } as const;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 500;
const MAX_AGE_SECONDS = 366 * 24 * 3600;
const MAX_CURSOR_CHARACTERS = 1024;

const REASON = 'A word of the list of reasons, an outcome, or a part of the text of the failure';
const CURSOR = 'The `next_cursor` of the page before';
const NOT_FOUND = 'No such queue';
const AWAY = 'The queues do not answer, or not in time; or what is to be done cannot be written down, so that it is not done';

const steererOf = (caller: Caller, { ip }: Client): Steerer => actorOf('api', caller, ip);

/** Writes down that somebody's key does not allow it. */
const refusedAs =
  (action: string) =>
  (caller: Caller, { queue = '' }: Record<string, string>, client: Client): Promise<void> =>
    recordRefusal(steererOf(caller, client), { action, queue }, { outcome: 'refused', affected: 0, status: 403, reason: '403 auth.scope' });

const limit = (): Joi.NumberSchema => integer(1, MAX_LIMIT).default(DEFAULT_LIMIT);

interface JobsQuery {
  state?: JobState;
  reason?: string;
  since?: string;
  older_than?: number;
  request_id?: string;
  limit: number;
  cursor?: string;
}

export const queues = [
  route({
    ...reading,
    path: '/queues',
    summary: 'Shows the state of every queue',
    description:
      'Numbers of jobs by state, how long the longest waiting one has waited, and how many workers serve the queue; null where the user of Redis may not tell.',
    answers: { 200: { description: 'Queues', schema: shapes.queues }, 503: AWAY },
    handler: async () => ok(await readQueues()),
  }),
  route({
    ...reading,
    path: '/queues/:queue/jobs',
    summary: 'Lists jobs of a queue',
    description:
      'By state: `active` and `waiting` the oldest first, `failed` and `completed` those that ended last, else what is due first. What a job carries is not shown. ' +
      'A page may have fewer jobs than `limit` and go on all the same: `next_cursor` tells.',
    query: Joi.object<JobsQuery, true>({
      state: Joi.string()
        .valid(...JOB_STATES)
        .description('All where unset; with a reason `failed` alone'),
      reason: text(64).description(REASON),
      since: isoText().description('Ended, or not ended yet and added, since then; no zone = UTC'),
      older_than: integer(0, MAX_AGE_SECONDS).description('Ended, or not ended yet and added, so many seconds ago at least'),
      request_id: text(128).description('The `x-request-id` of the answer to the request that it is for'),
      limit: limit(),
      cursor: text(MAX_CURSOR_CHARACTERS).description(CURSOR),
    }),
    answers: { 200: { description: 'A page of jobs', schema: shapes.queueJobs }, 404: NOT_FOUND, 503: AWAY },
    handler: async ({ params, query: { since, older_than, limit: size, cursor, ...filter } }) => {
      const from = since === undefined ? {} : { since: DateTime.fromISO(since, { zone: 'utc' }).toJSDate() };
      const wish = { ...filter, ...from, older_than_seconds: older_than };
      const { jobs, next_cursor } = await listQueueJobs(params.queue, wish, { cursor, limit: size });
      return ok({ data: jobs.map(presentJob), next_cursor });
    },
  }),
  route({
    ...writing,
    path: '/queues/:queue/retry-failed',
    refused: refusedAs('retry-failed'),
    summary: 'Puts failed jobs of a queue back',
    description:
      'Of a queue that sends, those alone whose deadline is not over and of which it is certain that nobody has got anything; the answer counts the others by why they stay: ' +
      '`deadline_over`, `may_have_arrived`, `nobody_waits` (a token that only the request could have made usable), `not_failed` (somebody else was faster). ' +
      '`complete` is false where there was no time for all: ask again.',
    body: Joi.object<RetryWish, true>({
      reason: text(64).description(REASON),
      since: isoDate().description('Failed since then, in ISO 8601; no zone = UTC'),
      dry_run: boolean().default(false).description('Only tells what would come of it'),
    }).meta({ name: 'QueueRetryWish' }),
    answers: { 200: { description: 'How many, and how many not', schema: shapes.queueRetry }, 404: NOT_FOUND, 503: AWAY },
    handler: async ({ caller, client, params: { queue }, body }) => {
      const report = await retryFailed(steererOf(caller, client), queue, body);
      return ok({ queue, dry_run: body.dry_run === true, ...report });
    },
  }),
  route({
    ...writing,
    path: '/queues/:queue/pause',
    refused: refusedAs('pause'),
    summary: 'Stops workers from taking jobs of a queue',
    description: 'What is under way goes on, and what is added waits. Requests that need a queue that sends are answered 503 meanwhile.',
    answers: { 200: { description: 'Paused', schema: shapes.queuePause }, 404: NOT_FOUND, 503: AWAY },
    handler: async ({ caller, client, params: { queue } }) => {
      await pause(steererOf(caller, client), queue);
      return ok({ queue, paused: true });
    },
  }),
  route({
    ...writing,
    path: '/queues/:queue/resume',
    refused: refusedAs('resume'),
    summary: 'Has workers take jobs of a queue again',
    answers: { 200: { description: 'Resumed', schema: shapes.queuePause }, 404: NOT_FOUND, 503: AWAY },
    handler: async ({ caller, client, params: { queue } }) => {
      await resume(steererOf(caller, client), queue);
      return ok({ queue, paused: false });
    },
  }),
  route({
    ...writing,
    path: '/queues/:queue/clean',
    refused: refusedAs('clean'),
    summary: 'Removes jobs of a queue that are done',
    description:
      'Those of the last ten seconds stay: a request may still look one up. `complete` is false where there was no time for all: ask again.',
    body: Joi.object<CleanWish, true>({
      state: Joi.string().valid('completed', 'failed').required(),
      older_than_seconds: integer(0, MAX_AGE_SECONDS).default(0).description('Done so many seconds ago at least'),
    }).meta({ name: 'QueueCleanWish' }),
    answers: { 200: { description: 'How many', schema: shapes.queueClean }, 404: NOT_FOUND, 503: AWAY },
    handler: async ({ caller, client, params: { queue }, body }) =>
      ok({ queue, state: body.state, ...(await clean(steererOf(caller, client), queue, body)) }),
  }),
  route({
    ...reading,
    path: '/queue_actions',
    summary: 'Lists what was done to queues',
    description:
      'Newest first: by the API, the dashboard (`board`) and the command line (`cli`), what was refused as well. `begun`: it is under way, or its process has died; ' +
      '`unknown`: Redis did not say whether it was done. Kept for a year.',
    query: Joi.object<{ queue?: string; limit: number; cursor?: string }, true>({
      queue: text(64)
        .valid(...QUEUE_NAMES)
        .description('Of one queue'),
      limit: limit(),
      cursor: text(MAX_CURSOR_CHARACTERS).description(CURSOR),
    }),
    answers: { 200: { description: 'A page of actions', schema: shapes.queueActions } },
    handler: async ({ query: { queue, limit: size, cursor } }) => {
      if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor)) throw unprocessable(fieldError('cursor', 'field.cursor'));
      const { actions, next } = await readActions({ queue, limit: size, before: cursor === undefined ? undefined : Number(cursor) });
      return ok({ data: actions.map(presentQueueAction), next_cursor: next === null ? null : String(next) });
    },
  }),
];
