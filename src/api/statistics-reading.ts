// What the figures that the SIP proxy reports are for: reading them, by period, as JSON or CSV.
import { stringify } from 'csv-stringify/sync';
import Joi from 'joi';
import { DateTime } from 'luxon';
import { type ApiError, fieldError, notFound, unprocessable } from '../infra/errors';
import { ok, route, type AnyEndpoint, type Call, type Reply } from '../http/route';
import {
  CALL_FIGURES,
  GROUPINGS,
  MESSAGE_FIGURES,
  MAX_PERIODS,
  periodsOf,
  readCalls,
  readMessages,
  type Direction,
  type Grouping,
  type Period,
  type Read,
  type Reading,
} from '../services/statistics/reading';
import { canonicalTimeZone } from '../services/statistics/time-zones';
import { presentDate } from './presenters';
import { isoText, text, timeZone } from './schemas';
import { shapes } from './shapes';

interface Query {
  from?: string;
  to?: string;
  by: Grouping;
  domain?: string;
  direction: Direction;
  timezone: string;
}

const query = Joi.object<Query, true>({
  from: isoText().description(
    'Since when; without a zone it is meant in `timezone`. Unset: 48 hours, 30 days, 26 weeks, 12 months or 10 years',
  ),
  to: isoText().description('Until when, itself left out; now where unset'),
  by: Joi.string()
    .valid(...GROUPINGS)
    .default('day')
    .description('How long a period is'),
  domain: text(256).description('Of a super admin; unset, all domains together'),
  direction: Joi.string().valid('sent', 'received').default('sent').description('From the domain, or to it'),
  timezone: timeZone().default('UTC').description('IANA name, such as Europe/Paris: where days begin'),
});

/** A day from the ends of the years 1 to 9999: whatever the zone, and cut to whole hours, periods stay in them. */
const EARLIEST = DateTime.utc(1, 1, 2);
const LATEST = DateTime.utc(9999, 12, 31);
const outOfRange = (name: 'from' | 'to'): ApiError =>
  unprocessable(fieldError(name, 'field.date_range', { min: EARLIEST.toFormat('yyyy-MM-dd'), max: LATEST.toFormat('yyyy-MM-dd') }));

/** @throws {ApiError} 422 */
function periodsAsked({ from, to, by, timezone: zone }: Query): Period[] {
  const timezone = canonicalTimeZone(zone) ?? 'UTC';
  const moment = (name: 'from' | 'to', given: string | undefined): DateTime | undefined => {
    if (given === undefined) return undefined;
    const meant = DateTime.fromISO(given, { zone: timezone });
    if (!(meant >= EARLIEST && meant <= LATEST)) throw outOfRange(name);
    return meant;
  };
  const periods = periodsOf({ from: moment('from', from), to: moment('to', to), by, timezone });
  // Without `from`, periods are counted back.
  if (periods?.[0] && periods[0].from < EARLIEST.toJSDate()) throw outOfRange('to');
  if (periods === null) throw unprocessable(fieldError('by', 'statistics.too_many_periods', { limit: MAX_PERIODS }));
  if (periods.length === 0) throw unprocessable(fieldError('to', 'field.after', { other: 'from' }));
  return periods;
}

/** An admin reads the own Space; a super admin any domain, or all. @throws {ApiError} 404 for another's */
function domainAsked({ caller, query: { domain } }: Call<string, unknown, 'admin', Query>): string | null {
  if (caller.super_admin) return domain ?? null;
  if (domain !== undefined && domain.toLowerCase() !== caller.domain) throw notFound('space.not_found');
  return caller.domain;
}

const present = ({ periods }: Reading): { period: string; from: string; to: string }[] =>
  periods.map(({ label, from, to, figures }) => ({ period: label, from: presentDate(from), to: presentDate(to), ...figures }));

function csv(records: object[], figures: string[], file: string): Reply {
  return {
    status: 200,
    type: 'text/csv; charset=utf-8',
    body: stringify(records, { header: true, columns: ['period', 'from', 'to', ...figures] }),
    headers: { 'content-disposition': `attachment; filename="${file}.csv"` },
  };
}

const reading = (kind: 'messages' | 'calls', read: Read, figures: string[]): AnyEndpoint =>
  route({
    method: 'get',
    changes: false,
    page: true,
    path: `/statistics/${kind}`,
    access: 'admin',
    scope: 'statistics:read',
    group: 'Statistics',
    summary: `Reads figures of ${kind} by period`,
    description:
      'Admins read their space, super admins all. Figures are of whole hours and some seconds old; shares are from 0 to 1, delays and durations in seconds, above ten of them to about a tenth. ' +
      'With `accept: text/csv` the periods come as CSV. At most 1000 periods.',
    query,
    formats: ['application/json', 'text/csv'],
    answers: {
      200: {
        description: 'Figures in total and by period',
        schema: shapes.reading(kind === 'messages' ? 'Messages' : 'Calls', figures),
        headers: { 'content-disposition': 'Of CSV: a name for the file' },
      },
      404: 'Not the own space',
    },
    handler: async (call) => {
      const { by, timezone, direction } = call.query;
      const domain = domainAsked(call);
      const periods = periodsAsked(call.query);
      const result = await read(domain, direction, periods);
      const records = present(result);
      const from = records[0]?.from ?? '';
      if (call.format === 'text/csv') return csv(records, figures, `${kind}-${from.slice(0, 10)}-by-${by}`);
      return ok({ from, to: records.at(-1)?.to ?? '', by, timezone, domain, direction, total: result.total, periods: records });
    },
  });

export const statisticsReading = [reading('messages', readMessages, MESSAGE_FIGURES), reading('calls', readCalls, CALL_FIGURES)];
