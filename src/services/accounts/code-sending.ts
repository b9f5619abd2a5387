// Codes on their way to a person: claimed once, then sent, failed, or unknown.
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import type { SendOutcome } from '../../queues/contracts';

const TABLES = { email_change: 'email_change_codes', phone_change: 'phone_change_codes' } as const;
export type CodeKind = keyof typeof TABLES;

export interface ClaimedCode {
  id: number;
  account_id: number;
  code: string;
  /** The address or number that it goes to. */
  recipient: string;
  language: string;
}

/** Takes a due row for sending; null where it is gone, spent, too late, or another worker's. One conditional statement. */
export async function claimCode(kind: CodeKind, id: number): Promise<ClaimedCode | null> {
  const recipient = kind === 'email_change' ? 'email' : 'phone';
  const [row] = await select<ClaimedCode>(
    `UPDATE ${TABLES[kind]} SET send_state = 'sending', updated_at = now()
      WHERE id = $1 AND send_state = 'due' AND send_deadline > now() AND code IS NOT NULL
      RETURNING id, account_id, code, ${recipient} AS recipient, language`,
    [id],
  );
  return row ?? null;
}

/**
 * Records what came of a send (api.md 4, «Accounts email»): sent, or nobody knows → the code counts and older ones are void;
 * not sent → the row is gone, as if it had not been asked for.
 */
export async function settleCode(kind: CodeKind, { id, account_id }: ClaimedCode, outcome: SendOutcome): Promise<void> {
  const table = TABLES[kind];
  await inTransaction(async () => {
    if (outcome !== 'sent' && outcome !== 'unknown') {
      await execute(`DELETE FROM ${table} WHERE id = $1`, [id]);
      return;
    }
    await execute(`UPDATE ${table} SET send_state = 'sent', updated_at = now() WHERE id = $1`, [id]);
    await execute(`UPDATE ${table} SET code = NULL, updated_at = now() WHERE account_id = $1 AND id < $2 AND code IS NOT NULL`, [
      account_id,
      id,
    ]);
  });
}

export interface DueCode {
  kind: CodeKind;
  id: number;
  deadline: Date;
}

/** Rows that need a job and may have none. A moment's grace leaves the process that made them the time to add it itself. */
export async function dueCodes(): Promise<DueCode[]> {
  const due = (kind: CodeKind): string =>
    `SELECT '${kind}' AS kind, id, send_deadline AS deadline FROM ${TABLES[kind]}
      WHERE send_state = 'due' AND send_deadline > now() AND created_at < now() - interval '2 seconds'`;
  return select<DueCode>(`${due('email_change')} UNION ALL ${due('phone_change')}`);
}

/**
 * Closes rows whose time is over: never begun → gone; begun by a worker that died → it may have been sent, so it stays valid.
 *
 * @returns how many rows
 */
export async function failOverdueCodes(): Promise<number> {
  let closed = 0;
  for (const table of Object.values(TABLES)) {
    closed += await execute(`DELETE FROM ${table} WHERE send_state = 'due' AND send_deadline < now() - interval '1 minute'`);
    closed += await execute(
      `UPDATE ${table} SET send_state = 'failed' WHERE send_state = 'sending' AND send_deadline < now() - interval '1 minute'`,
    );
  }
  return closed;
}
