// Moments by the database's clock, and ages measured by it: the clocks of several machines differ, the database has one.
import { literal, Op, Transaction } from 'sequelize';

/** Sequelize takes an expression wherever it takes a value; its types do not say so of dates. */
const expression = (sql: string): Date => literal(sql) as unknown as Date;

/** When the transaction began; outside of one, when the statement did. */
export const NOW: Date = expression('now()');

/** A moment before NOW. @param minutes whole minutes */
export const minutesAgo = (minutes: number): Date => expression(`now() - make_interval(mins => ${Math.trunc(minutes)})`);

/** A moment before NOW. @param seconds whole seconds */
export const secondsAgo = (seconds: number): Date => expression(`now() - make_interval(secs => ${Math.trunc(seconds)})`);

/** A moment before NOW. @param days whole days, each of 24 hours: a day of the session's time zone may be longer or shorter */
export const daysAgo = (days: number): Date => secondsAgo(days * 24 * 60 * 60);

/** A deadline counted from when the statement runs, also late in a transaction. */
export const millisecondsFromNow = (milliseconds: number): Date =>
  expression(`clock_timestamp() + ${Math.trunc(milliseconds)} * interval '1 millisecond'`);

/** How long it is until the moment in a column, in milliseconds by the database's clock; for `attributes`. */
export const millisecondsUntil = (column: string): ReturnType<typeof literal> =>
  literal(`(extract(epoch FROM ${column} - clock_timestamp()) * 1000)::float8`);

/** Condition: rows made more than `minutes` ago. */
export const createdBefore = (minutes: number): { created_at: { [Op.lt]: Date } } => ({ created_at: { [Op.lt]: minutesAgo(minutes) } });

/** Condition: rows made in the last `minutes`. */
export const createdWithin = (minutes: number): { created_at: { [Op.gt]: Date } } => ({ created_at: { [Op.gt]: minutesAgo(minutes) } });

/** Condition: sends whose deadline has passed for so long that no process works on them any more. */
export const overdue = (): { send_deadline: { [Op.lt]: Date } } => ({ send_deadline: { [Op.lt]: minutesAgo(1) } });

/** For `find…({ lock: NO_KEY_UPDATE })`: keeps other changers of the row out, but not rows that come to refer to it. */
export const NO_KEY_UPDATE = Transaction.LOCK.NO_KEY_UPDATE;
