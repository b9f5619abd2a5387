// Since when raw events are there.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute } from '../../infra/sequelize';
import { DATE, INTEGER, required } from '../columns';

export class StatisticsRetention extends Model<InferAttributes<StatisticsRetention>, InferCreationAttributes<StatisticsRetention>> {
  declare id: CreationOptional<number>;
  declare raw_since: Date;

  /**
   * Records that raw events before `moment` are gone. One statement of our own, since an upsert of Sequelize would let an earlier
   * moment replace a later one.
   */
  static async raise(moment: Date): Promise<void> {
    await execute(
      `INSERT INTO statistics_retention (id, raw_since) VALUES (1, $1)
       ON CONFLICT (id) DO UPDATE SET raw_since = greatest(statistics_retention.raw_since, excluded.raw_since)`,
      [moment],
    );
  }
}
StatisticsRetention.init(
  {
    id: { ...required(INTEGER, 1), primaryKey: true },
    raw_since: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_retention' },
);
