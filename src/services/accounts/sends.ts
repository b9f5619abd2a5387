// Mails and SMS about an account: their rows are made in the transaction of what they are about, taken by one worker at a time, and, where no request
// waits for them, tried for hours. Change codes have rows of their own: change-code-delivery.ts.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { context } from '../../infra/context';
import { inTransaction, isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';
import { sendsUnrecorded } from '../../infra/metrics';
import { Account, Send } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { type DueSend, type EndedSend, type OwedSend, type SendChannel, type SendKind, SILENT } from '../../models/messaging/send';
import { millisecondsFromNow } from '../../models/moments';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { FORGOTTEN, type SendReason } from '../../queues/contracts';
import { enqueue, rowJobId } from '../../queues/producer';
import { isActiveAccount } from '../credentials/standing';
import { ledgerEnd, type SendReport } from '../messaging/ledger';
import { ledgerRecipient } from '../messaging/recipients';

const MINUTE_MS = 60_000;
/** How long what nobody waits for is tried. */
const PATIENCE_MS = 24 * 60 * MINUTE_MS;
/** Before the second attempt; doubled before each further one, up to the longest. */
const FIRST_PAUSE_MS = MINUTE_MS;
const LONGEST_PAUSE_MS = 60 * MINUTE_MS;
/** What a worker has for a send and for saying what came of it; longer than either takes. */
const LEASE_MS = 3 * MINUTE_MS;
/** Without a lease a worker has as long, from the moment in which the row was made. */
const LEASE_SECONDS = LEASE_MS / 1000;
/** How far back a process that begins looks for such rows of workers that died before it. */
const LOOK_BACK_SECONDS = 7 * 24 * 60 * 60;
/** What one sweep looks at of those; the next one goes on. */
const MAX_LOOKS = 30;
/** What came of a send is said again where the database does not answer. */
const RECORD_ATTEMPTS = 5;
const RECORD_PAUSE_MS = 2000;

const digestOf = (key: string): string => createHash('sha256').update(key).digest('base64url');

/** A message that is to be sent. */
export interface NewSend {
  channel: SendChannel;
  kind: SendKind;
  account_id: number;
  /** An address, or a number in E.164. */
  recipient: string;
  /** Of the message, as `Language` of i18n has it. */
  language: string;
  /** The account's key, where the message carries it. */
  key?: string;
  /** A recovery code: good once a worker has it, the account's key once it was sent. */
  code?: string;
  /** For how long a request waits; absent where none does. */
  milliseconds?: number;
}

/** A row that was made. */
export type MadeSend = DueSend;

/** Makes the row of a message, in the transaction of what it is about: both or neither. */
export async function insertSend({ key, milliseconds = PATIENCE_MS, code, ...send }: NewSend): Promise<MadeSend> {
  const { channel, account_id, recipient } = send;
  const { id } = await Send.create({
    ...send,
    // Found, and shown to the admins of its Space, also before a worker has it.
    ...ledgerRecipient(channel, recipient),
    domain: Send.domainOf(account_id),
    code: code ?? null,
    key_digest: key === undefined ? null : digestOf(key),
    request_id: context.getStore()?.request_id ?? null,
    expires_at: millisecondsFromNow(milliseconds),
  });
  return { id, channel, attempts: 0 };
}

/**
 * Adds the job of a row that no request waits for, after the commit. The row says what is still to be done, so the job leaves nothing behind: one that
 * came to nothing can be added again. Never throws: where Redis does not answer the sweep adds it.
 */
export async function enqueueSend({ id, channel, attempts }: MadeSend): Promise<boolean> {
  try {
    await enqueue(channel, { kind: 'send', id }, `${rowJobId(channel, 'send', id)}-${attempts}`, { options: FORGOTTEN });
    return true;
  } catch (error) {
    log.debug({ reason: reasonOf(error), send: id }, 'a send has no job yet');
    return false;
  }
}

/** A message that a worker may send, and no other process. */
export interface ClaimedSend {
  row: OwedSend;
  kind: SendKind;
  recipient: string;
  language: string;
  person: { username: string; domain: string };
  /** The key or code that it carries; empty where it carries none. */
  key: string;
}

/**
 * Takes a row for sending. Where there is nothing to send any more (the account is blocked, its address or key another one) it ends here.
 *
 * @param by which provider it is sent, and for how many milliseconds its job waited
 * @returns null where there is nothing to send, or another worker sends it
 */
export async function claimSend(channel: SendChannel, id: number, by: { provider: string; queuedMs: number }): Promise<ClaimedSend | null> {
  return inTransaction(async () => {
    const row = await Send.lockDue(id, channel);
    if (!row) return null;
    const { kind, recipient, language, account_id, key_digest, code } = row;
    const account = await Account.scope(visibleTo(SYSTEM)).findByPk(account_id, {
      attributes: ['username', 'domain', 'email', 'phone', 'confirmation_key'],
      raw: true,
    });
    const key = account?.confirmation_key ?? '';
    let stop: string | null = null;
    if (!account || !(await isActiveAccount(account_id))) stop = 'the account may not act';
    else if (account[channel === 'email' ? 'email' : 'phone'] !== recipient) stop = 'the account has another address';
    else if (key_digest !== null && digestOf(key) !== key_digest) stop = 'the key was used or changed';
    else if (kind === 'account_recovery' && code === null) stop = 'the code is void';
    const to = ledgerRecipient(channel, recipient);
    if (!account || stop !== null) {
      await row.update(to);
      await row.end(ledgerEnd({ outcome: 'expired', reason_word: 'nothing_to_send', ...(stop === null ? {} : { reason: stop }) }));
      return null;
    }
    const { username, domain } = account;
    await row.take(LEASE_MS, { ...to, domain, provider: by.provider, queued_ms: Math.round(by.queuedMs) });
    return { row, kind, recipient, language, person: { username, domain }, key: code ?? (key_digest === null ? '' : key) };
  });
}

/** What came of a message, as a worker knows it. */
export interface OwedReport extends SendReport {
  /** Nothing was tried: the provider keeps failing. */
  held?: true;
  /** Milliseconds that the provider asks to wait. */
  again?: { after?: number };
}

/** A code that was sent, or may have been, is the account's key from now on, and what was good before it is void. Inside a transaction. */
async function adoptCode(row: Pick<OwedSend, 'id' | 'account_id'>): Promise<void> {
  await lockAccount(row.account_id);
  const current = await Send.findByPk(row.id, { attributes: ['code', 'guesses'], raw: true });
  // Redeemed meanwhile, or guessed at too often.
  if (!current || current.code === null) return;
  await Send.voidCodes(row.account_id);
  await Account.scope(visibleTo(SYSTEM)).update(
    { confirmation_key: current.code, confirmation_key_attempts: current.guesses, key_mailed_to: null },
    { where: { id: row.account_id } },
  );
}

async function record(row: OwedSend, report: OwedReport): Promise<void> {
  const { outcome, reason, held, again } = report;
  const end = ledgerEnd({ reason: outcome, ...report });
  await inTransaction(async () => {
    // What is not the message's or the recipient's fault is tried again.
    if (!row.isPatient || (outcome !== 'failed' && outcome !== 'expired')) {
      if (row.kind === 'account_recovery' && end.state !== 'failed') await adoptCode(row);
      await row.end(end);
      return;
    }
    const pause = held ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(row.attempts - 1, 16));
    const there = await row.postpone(Math.max(pause, again?.after ?? 0), held ? row.attempts - 1 : row.attempts, end);
    if (!there) log.warn({ send: row.id, reason, attempts: row.attempts }, 'a message is given up');
  });
}

/**
 * Records what came of a send. Where the database does not answer it is said again for some seconds; after that the row is unknown once its lease ends,
 * and a message that was certainly not sent is lost, rather than one that was be sent twice.
 */
export async function recordSend({ row }: ClaimedSend, report: OwedReport): Promise<void> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      await record(row, report);
      return;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      if (attempts === RECORD_ATTEMPTS) {
        sendsUnrecorded.inc();
        log.warn({ reason: reasonOf(error), send: row.id, outcome: report.outcome }, 'what came of a send could not be recorded');
        return;
      }
      await sleep(RECORD_PAUSE_MS);
    }
  }
}

/** How a row is closed whose worker did not say how it ended. */
interface Closing {
  state: 'sent' | 'failed' | 'unknown';
  outcome: string;
  reason: SendReason | null;
  last_reason: string | null;
}

/** Ends rows that the transaction around it has locked, as their worker would have, had it said so. */
async function close(rows: readonly EndedSend[], howOf: (row: EndedSend) => Closing): Promise<void> {
  const closed = [];
  for (const row of rows) {
    const { id, channel, recipient } = row;
    closed.push({ id, ...howOf(row), ...(recipient === null ? {} : ledgerRecipient(channel, recipient)) });
  }
  await Send.close(closed);
}

/** The same of those that have a code which may have arrived, and so counts: each by itself, its account first, as everybody locks them. @returns how many */
async function closeWithCodes(which: 'silent' | 'unclean'): Promise<number> {
  const found = await Send.findWithCodes(which);
  let closed = 0;
  for (const { id, account_id } of found) {
    closed += await inTransaction(async () => {
      await lockAccount(account_id);
      const row = await Send.lockToEnd(which, id);
      if (!row) return 0;
      await adoptCode({ id, account_id });
      await close([row], () => UNHEARD_OF);
      return 1;
    });
  }
  return closed;
}

const NEVER_TAKEN: Closing = { state: 'failed', outcome: 'expired', reason: 'timeout', last_reason: 'expired' };
const UNHEARD_OF: Closing = { state: 'unknown', outcome: 'unknown', reason: 'error', last_reason: SILENT };

/**
 * Closes rows whose time is over: never taken → failed; taken by a worker that said nothing within its lease → unknown, since it may have been sent.
 *
 * @returns how many of each
 */
async function closeOverdue(): Promise<{ expired: number; unknown: number }> {
  const expired = await inTransaction(async () => {
    const rows = await Send.findToEnd('expired');
    await close(rows, () => NEVER_TAKEN);
    return rows.length;
  });
  const unknown = await inTransaction(async () => {
    const rows = await Send.findToEnd('silent');
    await close(rows, () => UNHEARD_OF);
    return rows.length;
  });
  return { expired, unknown: unknown + (await closeWithCodes('silent')) };
}

/** Takes out of rows that the release before has ended what is not kept of them. A part of the cleaning. @returns how many */
export async function cleanSends(): Promise<number> {
  let cleaned = await closeWithCodes('unclean');
  for (;;) {
    const some = await inTransaction(async () => {
      const rows = await Send.findToEnd('unclean');
      await close(rows, ({ state }) => {
        const ended = state as Closing['state'];
        return { state: ended, outcome: ended, reason: ended === 'sent' ? null : 'error', last_reason: null };
      });
      return rows.length;
    });
    cleaned += some;
    if (some === 0) return cleaned;
  }
}

/** Takes back a row that no worker has begun, because its request is answered that it was not sent. @param reason why nobody has, as a word */
export async function withdrawSend({ id }: MadeSend, reason: SendReason): Promise<void> {
  await inTransaction(async () => {
    const row = await Send.lockToEnd('untaken', id);
    if (row) await close([row], () => ({ ...NEVER_TAKEN, reason, last_reason: 'its request was answered' }));
  });
}

/** Up to when this process has looked for rows without a lease whose worker died: seconds ago, or a moment. */
let looked: number | string = LOOK_BACK_SECONDS;

/** Closes rows that a worker has begun and will not end, of sends that are not due. @returns how many */
async function closeAbandoned(): Promise<number> {
  let closed = 0;
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const { ended, last, isAll } = await Send.endAbandoned(looked, LEASE_SECONDS);
    closed += ended;
    looked = last;
    if (isAll) break;
  }
  return closed;
}

/** Closes rows whose time is over, and adds jobs for those that are due. @returns how many of each */
export async function sweepSends(): Promise<{ expired: number; unknown: number; enqueued: number }> {
  const { expired, unknown } = await closeOverdue();
  const closed = { expired, unknown: unknown + (await closeAbandoned()) };
  if (closed.expired + closed.unknown > 0) log.warn(closed, 'messages are given up, or nobody knows whether they were sent');
  let enqueued = 0;
  for (const due of await Send.findForgotten()) {
    if (!(await enqueueSend(due))) break;
    enqueued += 1;
  }
  return { ...closed, enqueued };
}
