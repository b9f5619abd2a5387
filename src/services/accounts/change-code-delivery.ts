// Change codes on their way to a person: taken by a worker once, then sent, failed, or unknown. Who may have one: change-codes.ts.
import { inTransaction, isDatabaseUnavailable } from '../../infra/database';
import { log, reasonOf } from '../../infra/log';
import { lockAccount } from '../../models/accounts/account';
import { CHANGE_CODES, type ChangeCode, type Channel } from '../../models/accounts/change-code';
import { millisecondsUntil } from '../../models/moments';
import { Send } from '../../models';
import { endSend, ledgerEntry, type SendReport } from '../messaging/ledger';

/** What jobs call the code of a channel. */
const JOB_KINDS = { email: 'email_change', phone: 'phone_change' } as const satisfies Record<Channel, string>;
const CHANNELS = Object.keys(JOB_KINDS) as Channel[];

/** A code that a worker may send, and no other process: by which address or number, in which language. `send`: its row in the ledger. */
export type ClaimedCode = Pick<ChangeCode, 'id' | 'account_id' | 'recipient' | 'language'> & { code: string; send: number };

/** What a worker does it with: the provider, how long its job waited, and the request that caused it. */
export interface ClaimedBy {
  provider: string;
  queuedMs: number;
  requestId: string | null;
}

/** What a code's send is in the ledger. */
export function sentAsCode(channel: Channel, { id, account_id, recipient }: Pick<ChangeCode, 'id' | 'account_id' | 'recipient'>) {
  return { channel: channel === 'email' ? 'email' : 'sms', kind: JOB_KINDS[channel], recipient, account_id, subject_id: id } as const;
}

/** Takes a due code for sending, and begins its row in the ledger. @returns null where it is gone, redeemed, too late, or another worker's */
export async function claimChangeCode(channel: Channel, rowId: number, by: ClaimedBy): Promise<ClaimedCode | null> {
  return inTransaction(async () => {
    const claimed = await CHANGE_CODES[channel].claim(rowId);
    if (!claimed) return null;
    const { id, account_id, recipient, language, code } = claimed;
    const [send = 0] = await Send.record([{ ...ledgerEntry({ ...sentAsCode(channel, claimed), ...by }), state: 'sending' }]);
    return { id, account_id, recipient, language, code: code ?? '', send };
  });
}

/**
 * Records what came of a send. Sent, or unknown: the code counts, and older ones are void. Not sent: the row is deleted, as if it
 * had not been asked for. Where the database does not answer it is logged alone, since the send is over: a row under way can be redeemed, and
 * closeOverdueCodes() closes it. The ledger is told in any case.
 */
export async function recordDeliveryOutcome(channel: Channel, code: ClaimedCode, report: SendReport): Promise<void> {
  endSend(code.send, report);
  const { outcome } = report;
  const codes = CHANGE_CODES[channel];
  try {
    if (outcome === 'sent' || outcome === 'unknown')
      await inTransaction(async () => {
        await lockAccount(code.account_id);
        await codes.recordSent(code);
      });
    else await codes.destroy({ where: { id: code.id } });
  } catch (error) {
    if (!isDatabaseUnavailable(error)) throw error;
    log.warn({ reason: reasonOf(error), outcome }, 'what came of a send could not be recorded');
  }
}

/** Of each channel; the sweep comes again, and finds those first whose time is over first. */
const MAX_DUE_AT_ONCE = 1000;

/** A code that needs a job. */
export interface DueCode {
  kind: (typeof JOB_KINDS)[Channel];
  id: number;
  /** Milliseconds until its time is over, by the database's clock. */
  within: number;
}

/** Codes that need a job and may have none: the process that made them may have died before it added the job. */
export async function findDueCodes(): Promise<DueCode[]> {
  const found: DueCode[] = [];
  for (const channel of CHANNELS) {
    const codes = await CHANGE_CODES[channel].scope(['due', 'stale']).findAll({
      attributes: ['id', [millisecondsUntil('send_deadline'), 'within']],
      order: [['send_deadline', 'ASC']],
      limit: MAX_DUE_AT_ONCE,
      raw: true,
    });
    for (const { id, within } of codes as unknown as Pick<DueCode, 'id' | 'within'>[]) found.push({ kind: JOB_KINDS[channel], id, within });
  }
  return found;
}

/** Closes codes whose time is over: never begun → deleted; begun by a worker that died → it stays valid. @returns how many */
export async function closeOverdueCodes(): Promise<number> {
  let closed = 0;
  for (const channel of CHANNELS) closed += await CHANGE_CODES[channel].closeOverdue();
  return closed;
}
