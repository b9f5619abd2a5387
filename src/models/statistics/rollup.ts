// Figures by hour, domain and direction.
import { type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, DATE, INTEGER, INTEGERS, required, TEXT, varchar } from '../columns';

export class StatisticsMessageRollup extends Model<
  InferAttributes<StatisticsMessageRollup>,
  InferCreationAttributes<StatisticsMessageRollup>
> {
  declare domain: string;
  declare direction: string;
  declare hour: Date;
  declare messages: number;
  declare encrypted: number;
  declare devices: number;
  declare delivered: number;
  declare delays: number[];
}
StatisticsMessageRollup.init(
  {
    domain: { ...required(varchar(256)), primaryKey: true },
    direction: { ...required(TEXT), primaryKey: true },
    hour: { ...required(DATE), primaryKey: true },
    messages: required(INTEGER),
    encrypted: required(INTEGER),
    devices: required(INTEGER),
    delivered: required(INTEGER),
    delays: required(INTEGERS),
  },
  { sequelize: database, tableName: 'statistics_message_rollups' },
);

export class StatisticsCallRollup extends Model<InferAttributes<StatisticsCallRollup>, InferCreationAttributes<StatisticsCallRollup>> {
  declare domain: string;
  declare direction: string;
  declare hour: Date;
  declare calls: number;
  declare answered: number;
  declare missed: number;
  declare ended: number;
  declare seconds: number;
  declare durations: number[];
  declare rings: number[];
}
StatisticsCallRollup.init(
  {
    domain: { ...required(varchar(256)), primaryKey: true },
    direction: { ...required(TEXT), primaryKey: true },
    hour: { ...required(DATE), primaryKey: true },
    calls: required(INTEGER),
    answered: required(INTEGER),
    missed: required(INTEGER),
    ended: required(INTEGER),
    seconds: required(BIGINT),
    durations: required(INTEGERS),
    rings: required(INTEGERS),
  },
  { sequelize: database, tableName: 'statistics_call_rollups' },
);
