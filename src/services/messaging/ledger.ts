// The ledger of sends, as workers write it: a row when a send begins, and what came of it. A send never waits for the latter, is never refused because of
// it, and never done twice.
import { setTimeout as sleep } from 'node:timers/promises';
import { Batcher } from '../../infra/batcher';
import { context, inBackground } from '../../infra/context';
import { isDatabaseUnavailable } from '../../infra/database';
import { ApiError } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { sendsUnrecorded } from '../../infra/metrics';
import { withTimeout } from '../../infra/timeout';
import { Send } from '../../models';
import type { Channel, LedgerEnd, LedgerEntry, LedgerKind, LedgerRecipient, LedgerRow } from '../../models/messaging/send';
import { type NoAnswer, type PushJob, reasonWordOf, type SendResult } from '../../queues/contracts';
import { providerCode } from '../../queues/provider-code';
import { ledgerRecipient } from './recipients';

/** A send, as a worker knows it when it begins. */
export interface BegunSend {
  channel: Channel;
  kind: LedgerKind;
  /** An address, a number in E.164, `user@domain`, a device token; null where there is none. */
  recipient: string | null;
  account_id?: number | undefined;
  /** Of the Space that it is about; the account's where left out. */
  domain?: string | undefined;
  /** Id of the code's row. */
  subject_id?: number;
  provider: string;
  /** The topic or project. */
  target?: string | null;
  /** Milliseconds that its job waited; null where no worker took it. */
  queuedMs: number | null;
  requestId: string | null;
}

/** What came of a send, as its worker knows it. */
export interface SendReport extends SendResult<string> {
  /** The provider's own code. */
  code?: string;
  /** What the provider calls it. */
  provider_id?: string;
  /** How often the provider was asked; never where left out. */
  attempts?: number;
  /** For how long. */
  provider_ms?: number;
}

/** Said again where the database does not answer: with what one statement may take, for half a minute. */
const ATTEMPTS = 5;
const PAUSE_MS = 2000;
/** More that wait for the database are not kept. */
const MAX_UNWRITTEN = 10_000;
/** At the end of the process. */
const FLUSH_MS = 5000;
/** How long an end waits for others: with a statement for each, the ledger would cost a push a tenth of its time. */
const LINGER_MS = 100;
const MAX_AT_ONCE = 500;
/** Ids that are asked for at once. */
const IDS = 100;

const MAX_ID_CHARACTERS = 64;
const MAX_REASON_CHARACTERS = 200;

/** The columns of a send that has ended. */
export function ledgerEnd(report: SendReport): LedgerEnd {
  const { outcome, reason, code, provider_id, provider_ms } = report;
  const isSent = outcome === 'sent';
  return {
    state: isSent ? 'sent' : outcome === 'unknown' ? 'unknown' : 'failed',
    outcome,
    reason: reasonWordOf(report),
    last_reason: isSent ? null : (reason?.slice(0, MAX_REASON_CHARACTERS) ?? null),
    provider_code: providerCode(code).code ?? null,
    provider_id: provider_id?.slice(0, MAX_ID_CHARACTERS) ?? null,
    provider_ms: provider_ms ?? null,
  };
}

const NOBODY: LedgerRecipient = { recipient_mask: null, recipient_hash: null, country: null, phone_prefix: null };

/** The columns of a send that begins. */
export function ledgerEntry({ recipient, queuedMs, requestId, ...send }: BegunSend): LedgerEntry {
  const { account_id = null, domain = null, subject_id = null, target = null } = send;
  const to = recipient === null ? NOBODY : ledgerRecipient(send.channel, recipient);
  return {
    ...send,
    ...to,
    account_id,
    domain,
    subject_id,
    target,
    queued_ms: queuedMs === null ? null : Math.round(queuedMs),
    request_id: requestId,
  };
}

/** Writes that are not done yet, with the number of their sends. */
const unwritten = new Map<Promise<void>, number>();
let isEnding = false;

/** The database did not answer: also where a Batcher has given up waiting for it. */
const isAway = (error: unknown): boolean => isDatabaseUnavailable(error) || (error instanceof ApiError && error.status === 503);

/** Does a write of so many sends until it is done, for some seconds. Never throws. */
async function persist(write: () => Promise<unknown>, sends: number): Promise<void> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      await write();
      return;
    } catch (error) {
      if (isAway(error) && attempts < ATTEMPTS && !isEnding) {
        await sleep(PAUSE_MS);
        continue;
      }
      sendsUnrecorded.inc(sends);
      log.warn({ reason: reasonOf(error), sends }, 'what came of sends could not be recorded');
      return;
    }
  }
}

/** Begins a write of so many sends, for which nobody waits. */
function later(write: () => Promise<unknown>, sends = 1): void {
  if (unwritten.size >= MAX_UNWRITTEN) {
    sendsUnrecorded.inc(sends);
    return;
  }
  const written = inBackground(() => persist(write, sends)).finally(() => unwritten.delete(written));
  unwritten.set(written, sends);
}

/** Resolves once what came of all sends is written, or cannot be within some seconds. For the end of the process, when nothing is sent any more. */
export async function flushLedger(): Promise<void> {
  isEnding = true;
  writeEndings();
  const written = (async () => {
    while (unwritten.size > 0) await Promise.all(unwritten.keys());
  })();
  await withTimeout(written, FLUSH_MS, 'writing what came of sends').catch((error: unknown) => {
    const sends = [...unwritten.values()].reduce((sum, some) => sum + some, 0);
    sendsUnrecorded.inc(sends);
    log.warn({ reason: reasonOf(error), sends }, 'what came of sends could not be recorded');
  });
}

/** A send that has ended. `entry`: where its row may not be there yet, what it is. */
interface Ending {
  id: number;
  report: SendReport;
  entry?: LedgerEntry;
}

/** Ends that wait for others: nobody waits for them. */
let endings: Ending[] = [];
let timer: NodeJS.Timeout | undefined;

/** Writes ends, in one statement where none of them is at fault. */
async function finish(given: readonly Ending[]): Promise<void> {
  const columns = given.map(({ id, report }) => ({ ...ledgerEnd(report), id, attempts: report.attempts ?? 0 }));
  try {
    const found = await Send.finish(columns);
    const missing = columns.flatMap((end, n) => {
      const entry = given[n]?.entry;
      return entry === undefined || found.has(end.id) ? [] : [{ ...entry, ...end }];
    });
    if (missing.length === 0) return;
    const made = new Set(await Send.record(missing));
    // What is there after all was written in this moment.
    const late = missing.filter(({ id }) => !made.has(id));
    if (late.length > 0) await Send.finish(late);
  } catch (error) {
    if (given.length === 1 || isAway(error)) throw error;
    const middle = given.length >> 1;
    later(() => finish(given.slice(0, middle)), middle);
    later(() => finish(given.slice(middle)), given.length - middle);
  }
}

/** Writes the ends that wait. */
function writeEndings(): void {
  clearTimeout(timer);
  timer = undefined;
  const given = endings;
  endings = [];
  if (given.length > 0) later(() => finish(given), given.length);
}

/** Writes an end within a moment, with those of others. */
function addEnding(ending: Ending): void {
  endings.push(ending);
  if (isEnding || endings.length >= MAX_AT_ONCE) writeEndings();
  else timer ??= inBackground(() => setTimeout(writeEndings, LINGER_MS));
}

/** Sends that begin at once share a statement. A row that is there already is left as it is: it was written although nobody was told. */
const rows = new Batcher<LedgerRow & { id: number }, boolean>(
  async (given) => {
    const made = new Set(await Send.record(given));
    return given.map(({ id }) => made.has(id));
  },
  { keyOf: ({ id }) => String(id), sameKey: 'queued' },
);

let reserved: number[] = [];
const reservations = new Batcher<null, void>(
  async (askers) => {
    if (reserved.length < askers.length) reserved = [...reserved, ...(await Send.reserveIds(Math.max(IDS, askers.length)))];
    return askers.map(() => undefined);
  },
  { size: 1000 },
);

/** An id that no other row has, and not always a higher one than those of rows that were made before: a row whose writing was not answered is written again under it, and is not there twice. */
async function takeId(): Promise<number> {
  for (;;) {
    const id = reserved.shift();
    if (id !== undefined) return id;
    await reservations.submit(null);
  }
}

/** Says what came of a send whose row was made by what decided about it. Written soon; where the row is gone, with its account, nothing is. */
export function endSend(id: number, report: SendReport): void {
  addEnding({ id, report });
}

/** A send of which nothing decides but its worker. */
export interface OpenedSend {
  /** Says what came of it. */
  end: (report: SendReport) => void;
}

/** Begins the row of such a send, which waits neither for this nor for its end: where its row could not be made it is made at the end. */
export function openSend(send: BegunSend): OpenedSend {
  const entry = ledgerEntry(send);
  let id: number | undefined;
  const begun = inBackground(async () => {
    id = await takeId();
    await rows.submit({ ...entry, id, state: 'sending' });
  }).catch((error: unknown) => log.debug({ reason: reasonOf(error) }, 'a send has no row yet'));
  return {
    end: (report) =>
      later(async () => {
        await begun;
        id ??= await takeId();
        addEnding({ id, report, entry });
      }),
  };
}

/** Writes the row of a send for which no provider was asked. */
export function recordUnsent(send: BegunSend, report: SendReport): void {
  const entry = ledgerEntry(send);
  let id: number | undefined;
  later(async () => {
    id ??= await takeId();
    await rows.submit({ ...entry, id, ...ledgerEnd(report), attempts: 0 });
  });
}

/** What a push is in the ledger. */
export function sentByPush(job: PushJob): Pick<BegunSend, 'channel' | 'kind' | 'recipient' | 'account_id' | 'domain' | 'provider'> {
  return {
    channel: 'push',
    kind: job.kind,
    // Of APNs what the token is followed by (`:remote`) does not belong to it.
    recipient: (job.provider === 'fcm' ? job.prid : job.prid?.split(':')[0]) || null,
    account_id: job.kind === 'notification' ? job.account_id : undefined,
    domain: job.domain,
    provider: job.provider,
  };
}

/**
 * Writes the row of a send that no worker has begun and none will, as its asker knows: what a worker takes is that worker's to write down.
 *
 * @param result what the asker was told
 */
export function recordUnbegun(send: Omit<BegunSend, 'queuedMs' | 'requestId'>, result: SendResult<string> | NoAnswer): void {
  const reason_word = reasonWordOf(result) ?? 'timeout';
  const outcome = reason_word === 'timeout' || result.outcome === 'expired' ? 'expired' : 'failed';
  const requestId = context.getStore()?.request_id ?? null;
  recordUnsent({ ...send, queuedMs: null, requestId }, { ...result, outcome, reason_word });
}
