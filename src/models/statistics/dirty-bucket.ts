// Hours of a domain whose rollup must be counted again; an append-only table, so writers never wait for one another.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, DATE, required, TEXT, varchar } from '../columns';

export class StatisticsDirtyBucket extends Model<InferAttributes<StatisticsDirtyBucket>, InferCreationAttributes<StatisticsDirtyBucket>> {
  declare id: CreationOptional<number>;
  declare kind: string;
  declare hour: Date;
  declare domain: string;
}
StatisticsDirtyBucket.init(
  {
    id: { ...required(BIGINT), primaryKey: true, autoIncrement: true },
    kind: required(TEXT),
    hour: required(DATE),
    domain: required(varchar(256)),
  },
  { sequelize: database, tableName: 'statistics_dirty_buckets' },
);
