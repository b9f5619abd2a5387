// DIGEST nonces that were used with success, and the moment before which none count any more.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select, selectShared } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, bigId, INTEGER, required, varchar } from '../columns';
import { createdBefore, minutesAgo } from '../moments';

/** Above any count that a client may send: a nonce with it accepts none any more. */
export const DESTROYED_COUNT = 2147483647;

/** A count that a request has shown. */
export type NonceCount = Pick<Attributes<Nonce>, 'account_id' | 'nonce' | 'nc'>;

/** Moves counts forward, of rows of `source` with (account, nonce, count): of two with one count, in any processes, one wins. */
const moveCounts = (source: string): string =>
  `INSERT INTO nonces (account_id, nonce, nc, created_at, updated_at) ${source}
   ON CONFLICT (nonce) DO UPDATE SET nc = excluded.nc, updated_at = now() WHERE nonces.nc < excluded.nc RETURNING nonce`;

const MOVE_ONE = moveCounts('VALUES ($1, $2, $3, now(), now())');

/** Accounts before what hangs on them, as everywhere, and of those nobody is waited for: one that is locked stops no other's request. */
const MOVE_MANY = `
WITH given AS (
  SELECT * FROM unnest($1::integer[], $2::text[], $3::integer[]) AS g (account_id, nonce, nc)
), held AS MATERIALIZED (
  SELECT id FROM accounts WHERE id = ANY ($1::integer[]) ORDER BY id FOR KEY SHARE SKIP LOCKED
), moved AS (
  ${moveCounts('SELECT account_id, nonce, nc, now(), now() FROM given JOIN held ON held.id = given.account_id ORDER BY nonce')}
)
SELECT g.nonce, m.nonce IS NOT NULL AS moved FROM given g JOIN held ON held.id = g.account_id LEFT JOIN moved m ON m.nonce = g.nonce`;

export class Nonce extends Model<InferAttributes<Nonce>, InferCreationAttributes<Nonce>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare nonce: string;
  /** The highest count seen. */
  declare nc: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * Moves the highest count seen of a nonce forward, or destroys the nonce: of two requests with one count one is a replay and nobody knows which.
   *
   * @returns whether the count was higher than all before
   */
  static async acceptCount(count: NonceCount): Promise<boolean> {
    const isHigher = (await select(MOVE_ONE, [count.account_id, count.nonce, count.nc])).length === 1;
    if (!isHigher) await Nonce.end(count.nonce);
    return isHigher;
  }

  /**
   * Moves the highest counts of many nonces forward in one statement, no nonce twice; destroys none.
   *
   * @returns of each, in the same order, whether it was higher than all before; null: its account is gone, or somebody has locked it, and nothing was done
   */
  static async moveCounts(counts: readonly NonceCount[]): Promise<(boolean | null)[]> {
    const columns = [counts.map((each) => each.account_id), counts.map(({ nonce }) => nonce), counts.map(({ nc }) => nc)];
    const rows = await selectShared<{ nonce: string; moved: boolean }>('look-ups', MOVE_MANY, columns);
    const moved = new Map(rows.map((row) => [row.nonce, row.moved]));
    return counts.map(({ nonce }) => moved.get(nonce) ?? null);
  }

  /** No count of a nonce is accepted any more. */
  static async end(nonce: Attributes<Nonce>['nonce']): Promise<void> {
    await Nonce.update({ nc: DESTROYED_COUNT }, { where: { nonce } });
  }
}
Nonce.init(
  {
    id: bigId,
    account_id: accountId,
    nonce: required(varchar(255)),
    nc: required(INTEGER, 0),
    ...dates,
  },
  { sequelize: database, tableName: 'nonces', ...dated },
);

/** `olderThan(minutes)`, by the database's clock. */
Nonce.addScope('olderThan', (minutes: number) => ({ where: createdBefore(minutes) }));

export class NonceClearing extends Model<InferAttributes<NonceClearing>, InferCreationAttributes<NonceClearing>> {
  declare cleared_before: Date;

  /** Remembers that nonces made over so many minutes ago, by the database's clock, count no more; the only clearing that is kept. */
  static async record(minutes: number): Promise<void> {
    await NonceClearing.destroy({ where: {} });
    await NonceClearing.create({ cleared_before: minutesAgo(minutes) });
  }
}
NonceClearing.init({ cleared_before: required(DATE) }, { sequelize: database, tableName: 'nonce_clearings' });
NonceClearing.removeAttribute('id');

/** SQL of the moment before which nonces count no more; null where none were ever cleared. */
export const CLEARED_BEFORE_SQL = '(SELECT max(cleared_before) FROM nonce_clearings)';
