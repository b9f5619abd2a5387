// PostgreSQL as every part of the program may use it: transactions that every query inside joins by itself, and what its errors mean.
import { ConnectionError, TimeoutError } from 'sequelize';
import { closeDatabase, database, isInTransaction, longDatabase, onceMore, poolUse, type PoolUse } from './sequelize';

export { closeDatabase, isInTransaction, poolUse, type PoolUse };

/**
 * Runs `work` in one transaction (READ COMMITTED): committed when it returns, rolled back when it throws.
 * Queries inside join it by themselves; two of them must not overlap. Inside another transaction it is part of that.
 *
 * `work` runs a second time where PostgreSQL ended the transaction for the sake of another one (a deadlock), so it does nothing but query: adding
 * a job inside throws. Locks are taken in one order (docs/decisions.md#one-order-of-locks), so that this stays rare.
 */
export function inTransaction<T>(work: () => Promise<T>): Promise<T> {
  return isInTransaction() ? work() : onceMore(() => database.transaction(work));
}

/**
 * The same for work that no request waits for: each of its statements may take ten minutes. It has a small pool of its own; every query inside
 * joins it, from whichever pool it would come otherwise.
 */
export function inLongTransaction<T>(work: () => Promise<T>): Promise<T> {
  return isInTransaction() ? work() : onceMore(() => longDatabase().transaction(work));
}

// Classes 08 connection, 53 resources (too many connections), 57P0x shutdown or starting up, 58 system error; 25006: a standby. Its time limits:
// 57014 statement_timeout (or cancelled by an operator), 55P03 lock_timeout, 25P03 and 25P04 those of transactions. 40P01, 40001: a conflict that
// was lost twice.
const UNAVAILABLE = /^(08...|53...|57P0.|57014|55P03|25P0[34]|40P01|40001|58...|25006)$/;
const UNAVAILABLE_MESSAGES =
  /Query read timeout|Connection terminated|terminating connection|Client has encountered a connection error|not queryable/i;

/** Whether an error means that PostgreSQL did not answer, or not in time, as opposed to having refused something. */
export function isDatabaseUnavailable(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = (current as { parent?: unknown }).parent ?? current.cause) {
    if (current instanceof ConnectionError || current instanceof TimeoutError) return true;
    const code = (current as { code?: unknown }).code;
    if (typeof code === 'string' && (UNAVAILABLE.test(code) || /^E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_AGAIN)/.test(code))) return true;
    if (UNAVAILABLE_MESSAGES.test(current.message)) return true;
    if ((current as { parent?: unknown }).parent === current) return false;
  }
  return false;
}

/**
 * Runs a write, and says in its own words that another row has a value already: the database tells, also of two writes at the same moment.
 *
 * @param errors by the name of the unique constraint or index
 * @throws the error of the constraint that was violated; any other error as it is
 */
export async function onUniqueViolation<T>(errors: Record<string, () => Error>, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const original = (error as { original?: { code?: string; constraint?: string } } | undefined)?.original;
    const taken = original?.code === '23505' ? errors[original.constraint ?? ''] : undefined;
    throw taken?.() ?? error;
  }
}

/** Whether a write referred to a row that was deleted in the same moment. */
export const isForeignKeyViolation = (error: unknown): boolean =>
  (error as { original?: { code?: string } } | undefined)?.original?.code === '23503';
