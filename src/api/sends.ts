// The ledger of sends: what was sent to whom, what came of it, and figures of it.
import { stringify } from 'csv-stringify/sync';
import Joi from 'joi';
import { DateTime } from 'luxon';
import { fieldError, notFound, unprocessable } from '../infra/errors';
import { type Call, type Caller, ok, type Reply, route } from '../http/route';
import { SEND_REASONS, type SendReason } from '../queues/contracts';
import {
  CHANNELS,
  LEDGER_KINDS,
  MAX_SENDS,
  MAX_SUMMARY_DAYS,
  placeOf,
  readSends,
  readSendSummary,
  SEND_STATES,
  type SendQuery,
  type ShownSend,
} from '../services/messaging/sends-reading';
import { presentDate } from './presenters';
import { integer, isoText, text } from './schemas';
import { shapes } from './shapes';
import { SEND_OUTCOMES } from './shapes-operations';
import { requireAccount } from './visible-account';

const DEFAULT_LIMIT = 100;
const DAY_MS = 24 * 60 * 60 * 1000;

interface OfAccount {
  channel?: (typeof CHANNELS)[number];
  kind?: (typeof LEDGER_KINDS)[number];
  state?: (typeof SEND_STATES)[number];
  outcome?: string;
  reason?: SendReason;
  request_id?: string;
  since?: string;
  until?: string;
  cursor?: string;
  limit: number;
}
interface Query extends OfAccount {
  account?: number;
  recipient?: string;
  domain?: string;
}

const oneOf = (...words: readonly string[]): Joi.StringSchema =>
  Joi.string()
    .valid(...words)
    .empty(null);
const channel = (): Joi.StringSchema => oneOf(...CHANNELS);
const since = (unset: string): Joi.StringSchema => isoText().description(`Since when, in ISO 8601; no zone = UTC. Unset: ${unset}`);
const until = (): Joi.StringSchema => isoText().description('Until when, itself left out; now where unset');
const domain = (): Joi.StringSchema => text(256).description('Of a super admin; unset, all domains');

const ofAccount = {
  channel: channel(),
  kind: oneOf(...LEDGER_KINDS),
  state: oneOf(...SEND_STATES).description('`due`: waits for its next attempt; `unknown`: it may have arrived, and is never sent again'),
  outcome: oneOf(...SEND_OUTCOMES),
  reason: oneOf(...SEND_REASONS).description('Why not'),
  request_id: text(128).description('`x-request-id` of the request that it was sent for'),
  since: since('of a recipient and of an account as long as sends are kept, else 7 days'),
  until: until(),
  cursor: text(128).description('`next_cursor` of the page before'),
  limit: integer(1, MAX_SENDS).default(DEFAULT_LIMIT),
};
const query = Joi.object<Query, true>({
  ...ofAccount,
  account: integer(1).description('Number of an account'),
  recipient: text(255).description('As a person writes it: an address, a phone number, a SIP address, a device token'),
  domain: domain(),
});
const ofAccountQuery = Joi.object<OfAccount, true>(ofAccount);

const ASKED_MOMENT = { min: '0001-01-01', max: '9999-12-31' };

/** @throws {ApiError} 422 */
function momentOf(name: 'since' | 'until', given: string | undefined): Date | undefined {
  if (given === undefined) return undefined;
  const moment = DateTime.fromISO(given, { zone: 'utc' });
  // With a zone it may lie beyond the last year.
  if (moment.toUTC().year < 1 || moment.toUTC().year > 9999) throw unprocessable(fieldError(name, 'field.date_range', ASKED_MOMENT));
  return moment.toJSDate();
}

/** @throws {ApiError} 422 */
function rangeOf({ since: from, until: to }: Pick<Query, 'since' | 'until'>): Pick<SendQuery, 'since' | 'until'> {
  const [begin, end] = [momentOf('since', from), momentOf('until', to)];
  if (begin && end && end <= begin) throw unprocessable(fieldError('until', 'field.after', { other: 'since' }));
  return { ...(begin ? { since: begin } : {}), ...(end ? { until: end } : {}) };
}

/** An admin reads the own Space. @throws {ApiError} 404 for another's */
function requireOwn(caller: Caller, asked: string | undefined): string | undefined {
  if (!caller.super_admin && asked !== undefined && asked.toLowerCase() !== caller.domain) throw notFound('space.not_found');
  return asked?.toLowerCase();
}

/** What a filter is of a query. @throws {ApiError} 422 */
function filterOf({ since: from, until: to, limit: _limit, ...equal }: OfAccount): SendQuery {
  if (equal.cursor !== undefined && placeOf(equal.cursor) === null) throw unprocessable(fieldError('cursor', 'field.invalid'));
  return { ...equal, ...rangeOf({ ...(from === undefined ? {} : { since: from }), ...(to === undefined ? {} : { until: to }) }) };
}

const COLUMNS = [
  'id',
  'created_at',
  'channel',
  'kind',
  'account_id',
  'domain',
  'recipient',
  'country',
  'phone_prefix',
  'provider',
  'target',
  'state',
  'outcome',
  'reason',
  'provider_code',
  'detail',
  'attempts',
  'queued_ms',
  'provider_ms',
  'request_id',
  'delivery',
  'delivered_at',
  'converted_at',
  'ended_at',
] as const satisfies readonly (keyof ShownSend)[];

async function list(
  call: Pick<Call<string, unknown, 'admin', OfAccount>, 'format' | 'query'>,
  filter: SendQuery,
  viewer: Caller | null,
): Promise<Reply> {
  const { sends, nextCursor } = await readSends(filter, call.query.limit, viewer);
  if (call.format !== 'text/csv')
    return ok({ data: sends.map((send) => Object.fromEntries(COLUMNS.map((column) => [column, send[column]]))), next_cursor: nextCursor });
  return {
    status: 200,
    type: 'text/csv; charset=utf-8',
    // A spreadsheet calculates what begins like a formula; what providers and apps say stands here.
    body: stringify(sends, { header: true, columns: [...COLUMNS], escape_formulas: true }),
    headers: {
      'content-disposition': `attachment; filename="sends-${new Date().toISOString().slice(0, 10)}.csv"`,
      ...(nextCursor === null ? {} : { 'x-next-cursor': nextCursor }),
    },
  };
}

const listed = {
  description: 'Newest first',
  schema: shapes.sends,
  headers: {
    'content-disposition': 'Of CSV: a name for the file',
    'x-next-cursor': 'Of CSV: what `next_cursor` is in JSON; absent on the last page',
  },
};
const WHAT =
  'Of a recipient enough is shown to be recognised. Codes, tokens and texts are not in the ledger. Rows are kept for `SENDS_RETENTION_DAYS`. With `accept: text/csv` as CSV.';

export const sends = [
  route({
    method: 'get',
    changes: false,
    page: true,
    path: '/sends',
    access: 'admin',
    scope: 'accounts:read',
    group: 'Sends',
    summary: 'Lists pushes, SMS, mails and SIP messages',
    description: `Admins read their space, super admins all. ${WHAT}`,
    query,
    formats: ['application/json', 'text/csv'],
    answers: { 200: listed, 404: 'Not the own space' },
    handler: async (call) => {
      const { account, recipient, domain: asked, ...rest } = call.query;
      const ofDomain = requireOwn(call.caller, asked);
      const filter = {
        ...filterOf(rest),
        ...(account === undefined ? {} : { account_id: account }),
        ...(recipient === undefined ? {} : { recipient }),
        ...(ofDomain === undefined ? {} : { domain: ofDomain }),
      };
      return list(call, filter, call.caller);
    },
  }),
  route({
    method: 'get',
    changes: false,
    page: true,
    path: '/sends/summary',
    access: 'admin',
    scope: 'accounts:read',
    group: 'Sends',
    summary: 'Reads figures of sends: by hour, by channel, and failures by reason',
    description: `Admins read their space, super admins all. Percentiles are in milliseconds. At most ${MAX_SUMMARY_DAYS} days.`,
    query: Joi.object<Pick<Query, 'channel' | 'since' | 'until' | 'domain'>, true>({
      channel: channel(),
      since: since('24 hours'),
      until: until(),
      domain: domain(),
    }),
    answers: { 200: { description: 'Figures of a range', schema: shapes.sendSummary }, 404: 'Not the own space' },
    handler: async ({ query: asked, caller }) => {
      const own = requireOwn(caller, asked.domain);
      const range = rangeOf(asked);
      const end = range.until ?? new Date();
      const begin = range.since ?? new Date(end.getTime() - DAY_MS);
      if (begin >= end) throw unprocessable(fieldError('until', 'field.after', { other: 'since' }));
      if (end.getTime() - begin.getTime() > MAX_SUMMARY_DAYS * DAY_MS)
        throw unprocessable(fieldError('since', 'field.range_days', { limit: MAX_SUMMARY_DAYS }));
      const of = { since: begin, until: end, ...(asked.channel === undefined ? {} : { channel: asked.channel }) };
      const { hours, channels, reasons } = await readSendSummary(of, caller.super_admin ? (own ?? null) : caller.domain);
      return ok({
        since: presentDate(begin),
        until: presentDate(end),
        hours: hours.map(({ hour, ...counts }) => ({ hour: presentDate(hour), ...counts })),
        channels,
        reasons: reasons.map(({ last_at, ...row }) => ({ ...row, last_at: presentDate(last_at) })),
      });
    },
  }),
  route({
    method: 'get',
    changes: false,
    page: true,
    path: '/accounts/:id/sends',
    access: 'admin',
    scope: 'accounts:read',
    group: 'Sends',
    summary: 'Lists what was sent to an account, or for it',
    description: WHAT,
    query: ofAccountQuery,
    formats: ['application/json', 'text/csv'],
    answers: { 200: listed, 404: 'No such account' },
    handler: async (call) => {
      const { id } = await requireAccount(call.params.id, call.caller);
      return list(call, { ...filterOf(call.query), account_id: id }, null);
    },
  }),
];
