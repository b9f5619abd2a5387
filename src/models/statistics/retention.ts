// Since when raw events are there.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { DATE, INTEGER, required } from '../columns';

export class StatisticsRetention extends Model<InferAttributes<StatisticsRetention>, InferCreationAttributes<StatisticsRetention>> {
  declare id: CreationOptional<number>;
  declare raw_since: Date;
}
StatisticsRetention.init(
  {
    id: { ...required(INTEGER, 1), primaryKey: true },
    raw_since: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_retention' },
);
