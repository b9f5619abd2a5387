// What Flexisip reports: stored durably before the answer, many events in one statement, each with its own outcome.
// Every statement locks in the same order (keys by id, then rows by key, marks need no lock), so that batches of several processes cannot deadlock.
import { select } from '../../infra/sequelize';
import { statisticsBatch } from '../../infra/metrics';
import type { SipAddress } from '../../infra/sip-uri';
import { Batcher } from './batcher';

export interface MessageEvent {
  id: string;
  from: SipAddress;
  sent_at: Date;
  encrypted: boolean;
  conference_id: string | null;
}
export interface MessageDeviceEvent {
  message_id: string;
  to: SipAddress;
  device_id: string;
  last_status: number;
  received_at: Date;
}
export interface CallEvent {
  id: string;
  from: SipAddress;
  to: SipAddress;
  initiated_at: Date;
  ended_at: Date | null;
  conference_id: string | null;
}
/** A field that is null is not carried by the event: what is stored stays. */
export interface CallDeviceEvent {
  call_id: string;
  device_id: string;
  rang_at: Date | null;
  invite_terminated_at: Date | null;
  invite_terminated_state: string | null;
}
export interface CallEndEvent {
  id: string;
  ended_at: Date;
}

interface Dated {
  created_at: Date;
  updated_at: Date;
}
export interface MessageDeviceRow extends Dated {
  id: number;
  message_id: string;
  to_username: string;
  to_domain: string;
  device_id: string;
  last_status: number;
  received_at: Date;
}
export interface CallDeviceRow extends Dated {
  id: number;
  call_id: string;
  device_id: string;
  rang_at: Date | null;
  invite_terminated_at: Date | null;
  invite_terminated_state: string | null;
}
export interface CallRow extends Dated {
  id: string;
  from_username: string;
  from_domain: string;
  to_username: string;
  to_domain: string;
  initiated_at: Date;
  ended_at: Date | null;
  conference_id: string | null;
}

/** A stored device row, and whether this event made it. */
export interface Stored<Row> {
  row: Row;
  created: boolean;
}

const HOUR = (column: string): string => `date_trunc('hour', ${column}, 'UTC')`;
const INSERT_MARKS = 'INSERT INTO statistics_dirty_buckets (kind, hour, domain)';

const storeMessages = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[])
    WITH ORDINALITY AS i (id, from_username, from_domain, sent_at, encrypted, conference_id, n) ORDER BY id, n
), keys AS (
  INSERT INTO statistics_message_keys (id, from_domain, sent_at) SELECT id, from_domain, sent_at FROM input ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id
), stored AS (
  INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, encrypted, conference_id, created_at, updated_at)
  SELECT id, from_username, from_domain, sent_at, encrypted, conference_id, now(), now() FROM input JOIN keys USING (id)
  RETURNING id, sent_at, from_domain
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'messages', ${HOUR('sent_at')}, from_domain FROM stored
)
SELECT id FROM stored`;

const storeMessageDevices = `
WITH input AS (
  SELECT DISTINCT ON (message_id, to_username, to_domain, device_id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[])
    WITH ORDINALITY AS i (message_id, to_username, to_domain, device_id, last_status, received_at, n)
   ORDER BY message_id, to_username, to_domain, device_id, n DESC
), parents AS (
  SELECT id, from_domain, sent_at FROM statistics_message_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR KEY SHARE
), stored AS (
  INSERT INTO statistics_message_devices AS d (message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, created_at, updated_at)
  SELECT message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, now(), now()
    FROM input JOIN parents ON parents.id = input.message_id ORDER BY message_id, to_username, to_domain, device_id
  ON CONFLICT (message_id, to_username, to_domain, device_id, sent_at)
  DO UPDATE SET last_status = excluded.last_status, received_at = excluded.received_at, updated_at = excluded.updated_at, reports = d.reports + 1
  RETURNING id, message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, created_at, updated_at, (reports = 1) AS created
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'messages', ${HOUR('s.sent_at')}, d.domain
    FROM stored s JOIN parents p ON p.id = s.message_id CROSS JOIN LATERAL (VALUES (p.from_domain), (s.to_domain)) AS d (domain)
)
SELECT id, message_id, to_username, to_domain, device_id, last_status, received_at, created_at, updated_at, created FROM stored`;

const storeCalls = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
    WITH ORDINALITY AS i (id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, n) ORDER BY id, n
), keys AS (
  INSERT INTO statistics_call_keys (id, from_domain, to_domain, initiated_at) SELECT id, from_domain, to_domain, initiated_at FROM input ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id
), stored AS (
  INSERT INTO statistics_calls (id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, created_at, updated_at)
  SELECT id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, now(), now() FROM input JOIN keys USING (id)
  RETURNING id, initiated_at, from_domain, to_domain
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${HOUR('initiated_at')}, d.domain
    FROM stored CROSS JOIN LATERAL (VALUES (from_domain), (to_domain)) AS d (domain)
)
SELECT id FROM stored`;

// Several events of one device in a batch fold into one row: of each field the last value that is carried.
const lastOf = (column: string): string => `(array_agg(${column} ORDER BY n DESC) FILTER (WHERE ${column} IS NOT NULL))[1] AS ${column}`;

const storeCallDevices = `
WITH input AS (
  SELECT call_id, device_id, ${lastOf('rang_at')}, ${lastOf('invite_terminated_at')}, ${lastOf('invite_terminated_state')}
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    WITH ORDINALITY AS i (call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, n) GROUP BY call_id, device_id
), parents AS (
  SELECT id, from_domain, to_domain, initiated_at FROM statistics_call_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR KEY SHARE
), stored AS (
  INSERT INTO statistics_call_devices AS d (call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, initiated_at, created_at, updated_at)
  SELECT call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, initiated_at, now(), now()
    FROM input JOIN parents ON parents.id = input.call_id ORDER BY call_id, device_id
  ON CONFLICT (call_id, device_id, initiated_at) DO UPDATE SET
    rang_at = coalesce(excluded.rang_at, d.rang_at),
    invite_terminated_at = coalesce(excluded.invite_terminated_at, d.invite_terminated_at),
    invite_terminated_state = coalesce(excluded.invite_terminated_state, d.invite_terminated_state),
    updated_at = excluded.updated_at,
    reports = d.reports + 1
  RETURNING id, call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, created_at, updated_at, (reports = 1) AS created
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${HOUR('p.initiated_at')}, d.domain
    FROM stored s JOIN parents p ON p.id = s.call_id CROSS JOIN LATERAL (VALUES (p.from_domain), (p.to_domain)) AS d (domain)
)
SELECT * FROM stored`;

const storeCallEnds = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS i (id, ended_at, n) ORDER BY id, n DESC
), parents AS (
  SELECT id, initiated_at FROM statistics_call_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE
), stored AS (
  UPDATE statistics_calls c SET ended_at = input.ended_at, updated_at = now()
    FROM input JOIN parents USING (id) WHERE c.id = parents.id AND c.initiated_at = parents.initiated_at
  RETURNING c.*
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${HOUR('initiated_at')}, d.domain
    FROM stored CROSS JOIN LATERAL (VALUES (from_domain), (to_domain)) AS d (domain)
)
SELECT id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, created_at, updated_at FROM stored`;

/** Gives each item the row of its key; of several items with one key the first is the one that may have made it. */
function align<In, Row extends object>(
  items: In[],
  keyOfItem: (item: In) => string,
  stored: (Row & { created: boolean })[],
  keyOfRow: (row: Row) => string,
): (Stored<Row> | null)[] {
  const byKey = new Map(stored.map(({ created, ...row }) => [keyOfRow(row as unknown as Row), { row: row as unknown as Row, created }]));
  return items.map((item) => {
    const found = byKey.get(keyOfItem(item));
    if (!found) return null;
    const result = { ...found };
    found.created = false;
    return result;
  });
}

/** Whether the event's id was new: the first of several with one id is stored, the others are told so. */
function firstOfEach(items: { id: string }[], stored: { id: string }[]): boolean[] {
  const fresh = new Set(stored.map(({ id }) => id));
  return items.map(({ id }) => fresh.delete(id));
}

const pluck = <T, K>(items: T[], field: (item: T) => K): K[] => items.map(field);
const key = (...parts: string[]): string => JSON.stringify(parts);

/** false: a message with that id is there already. */
export const messages = new Batcher<MessageEvent, boolean>(async (items) => {
  statisticsBatch.observe({ kind: 'messages' }, items.length);
  const stored = await select<{ id: string }>(storeMessages, [
    pluck(items, (event) => event.id),
    pluck(items, (event) => event.from.username),
    pluck(items, (event) => event.from.domain),
    pluck(items, (event) => event.sent_at),
    pluck(items, (event) => event.encrypted),
    pluck(items, (event) => event.conference_id),
  ]);
  return firstOfEach(items, stored);
});

/** null: no such message. */
export const messageDevices = new Batcher<MessageDeviceEvent, Stored<MessageDeviceRow> | null>(async (items) => {
  statisticsBatch.observe({ kind: 'message_devices' }, items.length);
  const stored = await select<MessageDeviceRow & { created: boolean }>(storeMessageDevices, [
    pluck(items, (event) => event.message_id),
    pluck(items, (event) => event.to.username),
    pluck(items, (event) => event.to.domain),
    pluck(items, (event) => event.device_id),
    pluck(items, (event) => event.last_status),
    pluck(items, (event) => event.received_at),
  ]);
  return align(
    items,
    (event) => key(event.message_id, event.to.username, event.to.domain, event.device_id),
    stored,
    (row) => key(row.message_id, row.to_username, row.to_domain, row.device_id),
  );
});

/** false: a call with that id is there already. */
export const calls = new Batcher<CallEvent, boolean>(async (items) => {
  statisticsBatch.observe({ kind: 'calls' }, items.length);
  const stored = await select<{ id: string }>(storeCalls, [
    pluck(items, (event) => event.id),
    pluck(items, (event) => event.from.username),
    pluck(items, (event) => event.from.domain),
    pluck(items, (event) => event.to.username),
    pluck(items, (event) => event.to.domain),
    pluck(items, (event) => event.initiated_at),
    pluck(items, (event) => event.ended_at),
    pluck(items, (event) => event.conference_id),
  ]);
  return firstOfEach(items, stored);
});

/** null: no such call. */
export const callDevices = new Batcher<CallDeviceEvent, Stored<CallDeviceRow> | null>(async (items) => {
  statisticsBatch.observe({ kind: 'call_devices' }, items.length);
  const stored = await select<CallDeviceRow & { created: boolean }>(storeCallDevices, [
    pluck(items, (event) => event.call_id),
    pluck(items, (event) => event.device_id),
    pluck(items, (event) => event.rang_at),
    pluck(items, (event) => event.invite_terminated_at),
    pluck(items, (event) => event.invite_terminated_state),
  ]);
  return align(
    items,
    (event) => key(event.call_id, event.device_id),
    stored,
    (row) => key(row.call_id, row.device_id),
  );
});

/** null: no such call. */
export const callEnds = new Batcher<CallEndEvent, CallRow | null>(async (items) => {
  statisticsBatch.observe({ kind: 'call_ends' }, items.length);
  const stored = await select<CallRow>(storeCallEnds, [pluck(items, (event) => event.id), pluck(items, (event) => event.ended_at)]);
  const byId = new Map(stored.map((row) => [row.id, row]));
  return items.map(({ id }) => byId.get(id) ?? null);
});

/** Resolves once every event that was accepted is stored or refused. */
export async function statisticsIdle(): Promise<void> {
  await Promise.all([messages, messageDevices, calls, callDevices, callEnds].map((batcher) => batcher.idle()));
}
