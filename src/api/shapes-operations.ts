// Shapes of what operators read and do: the ledger of sends, queues, and the trail of what was done to them.
import Joi from 'joi';
import { ACTION_OUTCOMES, ACTION_SOURCES } from '../models/operations/queue-action';
import { JOB_STATES } from '../services/operations/queue-steering';
import { CHANNELS, LEDGER_KINDS, SEND_STATES } from '../services/messaging/sends-reading';
import { count, date, id, listOf, longId, maybe, named } from './shape-parts';

/** What comes of a send, as the ledger has it. */
export const SEND_OUTCOMES = [
  'sent',
  'already_sent',
  'limit_reached',
  'not_configured',
  'no_device',
  'unregistered',
  'refused',
  'failed',
  'unknown',
  'expired',
] as const;
const word = (words: readonly string[]): Joi.StringSchema => Joi.string().valid(...words);
const send = named('Send', {
  id: longId.required(),
  created_at: date.required(),
  channel: word(CHANNELS).required(),
  kind: word(LEDGER_KINDS).required(),
  account_id: maybe(id),
  domain: maybe(Joi.string()),
  recipient: maybe(Joi.string()).description('Enough of it to be recognised'),
  country: maybe(Joi.string()),
  phone_prefix: maybe(Joi.string()),
  provider: maybe(Joi.string()),
  target: maybe(Joi.string()).description('Of APNs the topic, of FCM the project'),
  state: word(SEND_STATES).required(),
  outcome: maybe(Joi.string()),
  reason: maybe(Joi.string()),
  provider_code: maybe(Joi.string()),
  detail: maybe(Joi.string().allow('')),
  attempts: count.required(),
  queued_ms: maybe(count),
  provider_ms: maybe(count),
  request_id: maybe(Joi.string()),
  delivery: maybe(word(['delivered', 'undelivered'])),
  delivered_at: maybe(date),
  converted_at: maybe(date),
  ended_at: maybe(date),
});

export const operationShapes = {
  sends: named('Sends', { data: listOf(send).required(), next_cursor: maybe(Joi.string()) }),
  sendSummary: named('SendSummary', {
    since: date.required(),
    until: date.required(),
    hours: listOf(
      named('SendsOfHour', {
        hour: date.required(),
        ...Object.fromEntries(['sent', 'refused', 'failed', 'unknown', 'pending'].map((name) => [name, count.required()])),
      }),
    ).required(),
    channels: listOf(
      named('SendsOfChannel', {
        channel: Joi.string()
          .valid(...CHANNELS)
          .required(),
        ...Object.fromEntries(['sends', 'sent', 'converted'].map((name) => [name, count.required()])),
        ...Object.fromEntries(
          ['queued', 'provider'].flatMap((of) => ['p50', 'p90', 'p99'].map((part) => [`${of}_${part}`, maybe(count)] as const)),
        ),
      }),
    ).required(),
    reasons: listOf(
      named('SendsOfReason', {
        reason: Joi.string().required(),
        channel: Joi.string()
          .valid(...CHANNELS)
          .required(),
        provider: maybe(Joi.string()),
        provider_code: maybe(Joi.string()),
        sends: count.required(),
        last_at: date.required(),
      }),
    ).required(),
  }),
  queues: listOf(
    named('Queue', {
      queue: Joi.string().required(),
      waiting: count.required(),
      active: count.required(),
      delayed: count.required(),
      failed: count.required(),
      completed: count.required(),
      paused: Joi.boolean().required(),
      oldest_waiting_seconds: maybe(count),
      workers: maybe(count),
    }),
  ),
  queueJobs: named('QueueJobs', {
    data: listOf(
      named('QueueJob', {
        id: Joi.string().required(),
        kind: maybe(Joi.string()),
        state: Joi.string()
          .valid(...JOB_STATES)
          .required(),
        outcome: maybe(Joi.string()),
        reason: maybe(Joi.string()),
        text: maybe(Joi.string().allow('')),
        attempts: count.required(),
        request_id: maybe(Joi.string()),
        deadline: maybe(date),
        deadline_over: Joi.boolean().required(),
        created_at: date.required(),
        finished_at: maybe(date),
        age_seconds: count.required(),
      }),
    ).required(),
    next_cursor: maybe(Joi.string()),
  }),
  queueRetry: named('QueueRetry', {
    queue: Joi.string().required(),
    dry_run: Joi.boolean().required(),
    matched: count.required(),
    retried: count.required(),
    refused: named('QueueRetryRefused', {
      deadline_over: count.required(),
      may_have_arrived: count.required(),
      nobody_waits: count.required(),
      not_failed: count.required(),
    }).required(),
    complete: Joi.boolean().required(),
  }),
  queuePause: named('QueuePause', { queue: Joi.string().required(), paused: Joi.boolean().required() }),
  queueClean: named('QueueClean', {
    queue: Joi.string().required(),
    state: Joi.string().valid('completed', 'failed').required(),
    removed: count.required(),
    complete: Joi.boolean().required(),
  }),
  queueActions: named('QueueActions', {
    data: listOf(
      named('QueueAction', {
        id: longId.required(),
        source: Joi.string()
          .valid(...ACTION_SOURCES)
          .required(),
        account_id: maybe(id),
        account: Joi.string().required(),
        key_id: maybe(id),
        key_name: maybe(Joi.string()),
        ip: maybe(Joi.string()),
        action: Joi.string().required(),
        queue: maybe(Joi.string()),
        job: maybe(Joi.string()),
        filter: maybe(Joi.object().unknown()),
        outcome: Joi.string()
          .valid(...ACTION_OUTCOMES)
          .required(),
        affected: maybe(count),
        status: maybe(count),
        reason: maybe(Joi.string().allow('')),
        request_id: maybe(Joi.string()),
        created_at: date.required(),
        ended_at: maybe(date),
      }),
    ).required(),
    next_cursor: maybe(Joi.string()),
  }),
};
