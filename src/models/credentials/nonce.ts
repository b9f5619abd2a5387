// DIGEST nonces that were used with success, and the moment before which none count any more.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, bigId, INTEGER, required, varchar } from '../columns';
import { createdBefore, minutesAgo } from '../moments';

/** Above any count that a client may send: a nonce with it accepts none any more. */
export const DESTROYED_COUNT = 2147483647;

export class Nonce extends Model<InferAttributes<Nonce>, InferCreationAttributes<Nonce>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare nonce: string;
  /** The highest count seen. */
  declare nc: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * Moves the highest count seen of a nonce forward. One conditional statement: of two requests with one count, in any processes, one wins.
   * The loser's nonce is destroyed, since one of the two is a replay and nobody knows which.
   *
   * @returns whether the count was higher than all before
   */
  static async acceptCount({ account_id, nonce, nc }: Pick<Attributes<Nonce>, 'account_id' | 'nonce' | 'nc'>): Promise<boolean> {
    const moved = await select(
      `INSERT INTO nonces (account_id, nonce, nc, created_at, updated_at) VALUES ($1, $2, $3, now(), now())
       ON CONFLICT (nonce) DO UPDATE SET nc = excluded.nc, updated_at = now() WHERE nonces.nc < excluded.nc RETURNING id`,
      [account_id, nonce, nc],
    );
    if (moved.length === 1) return true;
    await Nonce.update({ nc: DESTROYED_COUNT }, { where: { nonce } });
    return false;
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
