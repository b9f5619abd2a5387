// The ledger of sends as people read it: found by whom it went to, by account or by what came of it, and figures of a range.
import {
  CHANNELS,
  type ListedSend,
  listSends,
  readClock,
  type SendFilter,
  type SendPlace,
  summarizeSends,
  type SendSummary,
} from '../../models/messaging/send-listing';
import type { Channel } from '../../models/messaging/send';
import type { Viewer } from '../../models/visibility';
import { canonicalEmail } from '../../infra/email-address';
import { normalisePhone } from '../../infra/phone-number';
import { withoutSipScheme } from '../../infra/sip-uri';
import { ledgerRecipient, recipientHash } from './recipients';

export { CHANNELS, LEDGER_KINDS, SEND_STATES, type SendSummary } from '../../models/messaging/send-listing';

/** Rows of a page at most. */
export const MAX_SENDS = 500;
/** Of a range without a recipient or an account, which are found by themselves however old they are. */
const DEFAULT_DAYS = 7;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Of the range of figures. */
export const MAX_SUMMARY_DAYS = 31;

/** A send, as it is shown. */
export type ShownSend = Omit<ListedSend, 'recipient' | 'recipient_mask'> & { recipient: string | null };

/** What is looked for. */
export interface SendQuery extends Omit<SendFilter, 'recipient_hashes' | 'after'> {
  /** As a person writes it: an address, a number, a SIP address, a device token. */
  recipient?: string;
  /** As `nextCursor` of the page before has it. */
  cursor?: string;
}

/** A recipient's spellings by the channels that it may be of. */
function spellingsOf(written: string): Record<Channel, string[]> {
  const text = written.trim();
  const phone = normalisePhone(text);
  const address = withoutSipScheme(text);
  const isAddress = address.includes('@');
  return {
    sms: phone === null ? [] : [phone],
    email: isAddress ? [canonicalEmail(text)] : [],
    message: isAddress ? [address] : [],
    // Of APNs the token may have a service behind it; tokens of FCM have a colon of their own.
    push: [...new Set([text, text.split(':')[0] ?? text])],
  };
}

/** Hashes under which the ledger may have a recipient. */
function hashesOf(written: string, channel: Channel | undefined): string[] {
  const spellings = spellingsOf(written);
  return (channel === undefined ? CHANNELS : [channel]).flatMap((each) => spellings[each].map((text) => recipientHash(each, text)));
}

const CURSOR = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)_(\d{1,16})$/;

const cursorOf = ({ created_at, id }: SendPlace): string => Buffer.from(`${created_at}_${id}`).toString('base64url');

/** The place that a cursor names; null where it is none. */
export function placeOf(cursor: string): SendPlace | null {
  const [, created_at, id] = CURSOR.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  return created_at === undefined || Number.isNaN(Date.parse(created_at)) ? null : { created_at, id: Number(id) };
}

function shown({ recipient_mask, recipient, ...row }: ListedSend): ShownSend {
  const mask = recipient_mask ?? (recipient === null ? null : ledgerRecipient(row.channel, recipient).recipient_mask);
  return { ...row, recipient: mask };
}

/**
 * A page of the ledger, newest first.
 *
 * @param viewer as of listSends()
 * @returns `nextCursor` null where nothing is behind it
 */
export async function readSends(
  { recipient, cursor, ...filter }: SendQuery,
  limit: number,
  viewer: Viewer | null,
): Promise<{ sends: ShownSend[]; nextCursor: string | null }> {
  const after = cursor === undefined ? null : placeOf(cursor);
  const isNarrow = recipient !== undefined || filter.account_id !== undefined || filter.ids !== undefined;
  const rows = await listSends(
    {
      ...(isNarrow ? {} : { since: new Date((filter.until ?? new Date()).getTime() - DEFAULT_DAYS * DAY_MS) }),
      ...filter,
      ...(recipient === undefined ? {} : { recipient_hashes: hashesOf(recipient, filter.channel) }),
      ...(after ? { after } : {}),
    },
    limit + 1,
    viewer,
  );
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return { sends: rows.slice(0, limit).map(shown), nextCursor: last ? cursorOf(last) : null };
}

/** Figures of a range, an hour or more old or of now alike. @param domain null: of all Spaces */
export const readSendSummary: (range: { since: Date; until: Date; channel?: Channel }, domain: string | null) => Promise<SendSummary> =
  summarizeSends;

/** For what is written late: a row is dated when its transaction begins. */
const OVERLAP_MS = 5000;
/** Sends under way that are looked at again; above it the oldest are left alone. */
const MAX_OPEN = 1000;
const FOLLOW_LIMIT = 1000;

/**
 * Sends as they end, each once, from the moment of the first call on.
 *
 * @returns a function that gives those that have ended since it was called last, oldest first
 */
export function followSends(query: SendQuery, viewer: Viewer): () => Promise<ShownSend[]> {
  let from: Date | undefined;
  /** When rows were read last: while the database does not answer that is long ago. */
  let read = 0;
  const open = new Set<number>();
  /** What was told, and is young enough to be read once more. */
  const told = new Map<number, number>();
  return async () => {
    const now = await readClock();
    from ??= now;
    const last = read === 0 ? now.getTime() : read;
    const { sends: recent } = await readSends({ ...query, since: new Date(Math.max(from.getTime(), last - 60_000)) }, FOLLOW_LIMIT, viewer);
    read = now.getTime();
    const waiting = [...open].filter((id) => !recent.some((send) => send.id === id)).slice(-MAX_OPEN);
    const { sends: older } = waiting.length === 0 ? { sends: [] } : await readSends({ ids: waiting }, MAX_OPEN, viewer);
    const ended = [...recent, ...older].filter(({ id, ended_at }) => ended_at !== null && !told.has(id));
    for (const { id, ended_at } of [...recent, ...older]) {
      if (ended_at === null) open.add(id);
      else open.delete(id);
    }
    for (const { id } of ended) told.set(id, now.getTime());
    for (const [id, moment] of told) if (moment < read - 2 * 60_000 - OVERLAP_MS) told.delete(id);
    return ended.toSorted((a, b) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : a.id - b.id));
  };
}
