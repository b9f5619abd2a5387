// Mails and SMS about an account: their rows are made in the transaction of what they are about, taken by one worker at a time, and, where no request
// waits for them, tried for hours. Change codes have rows of their own: change-code-delivery.ts.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { context } from '../../infra/context';
import { inTransaction, isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';
import { Account, Send } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import type { SendChannel, SendKind } from '../../models/messaging/send';
import { millisecondsFromNow } from '../../models/moments';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { FORGOTTEN, type SendOutcome } from '../../queues/contracts';
import { enqueue, rowJobId } from '../../queues/producer';
import { isActiveAccount } from '../credentials/standing';

const MINUTE_MS = 60_000;
/** How long what nobody waits for is tried. */
const PATIENCE_MS = 24 * 60 * MINUTE_MS;
/** Before the second attempt; doubled before each further one, up to the longest. */
const FIRST_PAUSE_MS = MINUTE_MS;
const LONGEST_PAUSE_MS = 60 * MINUTE_MS;
/** What a worker has for a send and for saying what came of it; longer than either takes. */
const LEASE_MS = 3 * MINUTE_MS;
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
export type MadeSend = Pick<Send, 'id' | 'channel' | 'attempts'>;

/** Makes the row of a message, in the transaction of what it is about: both or neither. */
export async function insertSend({ key, milliseconds = PATIENCE_MS, code, ...send }: NewSend): Promise<MadeSend> {
  const { id, channel } = await Send.create({
    ...send,
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
  row: Send;
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
 * @returns null where there is nothing to send, or another worker sends it
 */
export async function claimSend(channel: SendChannel, id: number): Promise<ClaimedSend | null> {
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
    if (!account || stop !== null) {
      await row.end('failed', stop);
      return null;
    }
    await row.take(LEASE_MS);
    const { username, domain } = account;
    return { row, kind, recipient, language, person: { username, domain }, key: code ?? (key_digest === null ? '' : key) };
  });
}

/** What came of a message, as a worker knows it. */
export interface SendReport {
  outcome: SendOutcome;
  reason?: string;
  /** Nothing was tried: the provider keeps failing. */
  held?: true;
  /** Milliseconds that the provider asks to wait. */
  again?: { after?: number };
}

/** A code that was sent, or may have been, is the account's key from now on, and what was good before it is void. Inside a transaction. */
async function adoptCode(row: Send): Promise<void> {
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

async function record(row: Send, { outcome, reason, held, again }: SendReport): Promise<void> {
  await inTransaction(async () => {
    if (outcome === 'sent' || outcome === 'unknown') {
      if (row.kind === 'account_recovery') await adoptCode(row);
      await row.end(outcome, outcome === 'sent' ? null : (reason ?? null));
      return;
    }
    // What is not the message's or the recipient's fault is tried again.
    if (!row.isPatient || (outcome !== 'failed' && outcome !== 'expired')) {
      await row.end('failed', reason ?? outcome);
      return;
    }
    const pause = held ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(row.attempts - 1, 16));
    const there = await row.postpone(Math.max(pause, again?.after ?? 0), held ? row.attempts - 1 : row.attempts, reason ?? null);
    if (!there) log.warn({ send: row.id, reason, attempts: row.attempts }, 'a message is given up');
  });
}

/**
 * Records what came of a send. Where the database does not answer it is said again for some seconds; after that the row is unknown once its lease ends,
 * and a message that was certainly not sent is lost, rather than one that was be sent twice.
 */
export async function recordSend({ row }: ClaimedSend, report: SendReport): Promise<void> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      await record(row, report);
      return;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      if (attempts === RECORD_ATTEMPTS) {
        log.warn({ reason: reasonOf(error), send: row.id, outcome: report.outcome }, 'what came of a send could not be recorded');
        return;
      }
      await sleep(RECORD_PAUSE_MS);
    }
  }
}

/** Takes back a row that no worker has begun, because its request is answered that it was not sent. */
export async function withdrawSend({ id }: MadeSend): Promise<void> {
  await Send.update({ state: 'failed', code: null, last_reason: 'its request was answered' }, { where: { id, state: 'due' } });
}

/** Closes rows whose time is over, and adds jobs for those that are due. @returns how many of each */
export async function sweepSends(): Promise<{ expired: number; unknown: number; enqueued: number }> {
  const closed = await Send.closeOverdue();
  if (closed.expired + closed.unknown > 0) log.warn(closed, 'messages are given up, or nobody knows whether they were sent');
  let enqueued = 0;
  for (const due of await Send.findForgotten()) {
    if (!(await enqueueSend(due))) break;
    enqueued += 1;
  }
  return { ...closed, enqueued };
}
