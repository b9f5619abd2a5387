// Since when events count for the domain of a Space that was deleted (deletion.ts writes it, rollup-statements.ts reads it).
import { type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { DATE, required, varchar } from '../columns';

export class StatisticsFloor extends Model<InferAttributes<StatisticsFloor>, InferCreationAttributes<StatisticsFloor>> {
  declare domain: string;
  declare since: Date;
}
StatisticsFloor.init(
  {
    domain: { ...required(varchar(256)), primaryKey: true },
    since: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_floors' },
);
