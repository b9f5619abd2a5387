// Hours of a domain whose rollup must be counted again; an append-only table, so writers never wait for one another.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database, select, selectShared } from '../../infra/sequelize';
import { DATE, required, TEXT, varchar, bigId } from '../columns';
import { ALL_DOMAINS } from './batch';

export type StatisticsKind = 'messages' | 'calls';
/** A domain's hour, as it is counted. */
export type Bucket = Pick<Attributes<StatisticsDirtyBucket>, 'hour' | 'domain'>;
/** `has_raw`: whether the raw events of the hour are still there; of all domains together they are not asked for. `set_aside`: it could not be counted. */
export type TakenMark = Pick<Attributes<StatisticsDirtyBucket>, 'kind' | 'hour' | 'domain'> & { has_raw: boolean; set_aside: boolean };

export class StatisticsDirtyBucket extends Model<InferAttributes<StatisticsDirtyBucket>, InferCreationAttributes<StatisticsDirtyBucket>> {
  declare id: CreationOptional<number>;
  declare kind: StatisticsKind;
  declare hour: Date;
  declare domain: string;

  /**
   * Takes the oldest marks away, for whoever counts them in the same transaction. One statement: what is deleted is exactly what is given,
   * and whether raw events are still there is read in the same snapshot.
   *
   * @param max how many marks at most
   */
  static async take(max: number): Promise<TakenMark[]> {
    return select<TakenMark>(
      `WITH taken AS (
         DELETE FROM statistics_dirty_buckets WHERE id IN (SELECT id FROM statistics_dirty_buckets ORDER BY id LIMIT $1) RETURNING kind, hour, domain)
       SELECT kind, hour, domain,
              domain = '${ALL_DOMAINS}' OR hour >= coalesce((SELECT raw_since FROM statistics_retention), '-infinity') AS has_raw,
              EXISTS (SELECT 1 FROM statistics_failed_buckets f WHERE f.kind = t.kind AND f.hour = t.hour AND f.domain = t.domain) AS set_aside
         FROM taken t`,
      [max],
    );
  }

  /**
   * How many marks wait. A statement of our own: for those who look whether all is well, on their own connections, and no more is counted than they need.
   *
   * @param max counted at most
   */
  static async waiting(max: number): Promise<number> {
    const [found] = await selectShared<{ marks: number }>(
      'health',
      'SELECT count(*)::int AS marks FROM (SELECT FROM statistics_dirty_buckets ORDER BY id LIMIT $1) some',
      [max],
    );
    return found?.marks ?? 0;
  }
}
StatisticsDirtyBucket.init(
  {
    id: bigId,
    kind: required(TEXT),
    hour: required(DATE),
    domain: required(varchar(256)),
  },
  { sequelize: database, tableName: 'statistics_dirty_buckets' },
);
StatisticsDirtyBucket.addScope('before', (moment: Date) => ({ where: { hour: { [Op.lt]: moment } } }));
