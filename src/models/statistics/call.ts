// Calls as Flexisip reports them, their devices, and the keys that keep ids unique across months.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, DATE, dated, dates, INTEGER, optional, required, varchar } from '../columns';

export class StatisticsCallKey extends Model<InferAttributes<StatisticsCallKey>, InferCreationAttributes<StatisticsCallKey>> {
  declare id: string;
  declare from_domain: string;
  declare to_domain: string;
  declare initiated_at: Date;
}
StatisticsCallKey.init(
  {
    id: { ...required(varchar(64)), primaryKey: true },
    from_domain: required(varchar(256)),
    to_domain: required(varchar(256)),
    initiated_at: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_call_keys' },
);

export class StatisticsCall extends Model<InferAttributes<StatisticsCall>, InferCreationAttributes<StatisticsCall>> {
  declare id: string;
  declare from_username: string;
  declare from_domain: string;
  declare to_username: string;
  declare to_domain: string;
  declare initiated_at: Date;
  declare ended_at: CreationOptional<Date | null>;
  declare conference_id: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
StatisticsCall.init(
  {
    id: { ...required(varchar(64)), primaryKey: true },
    from_username: required(varchar(256)),
    from_domain: required(varchar(256)),
    to_username: required(varchar(256)),
    to_domain: required(varchar(256)),
    initiated_at: { ...required(DATE), primaryKey: true },
    ended_at: optional(DATE),
    conference_id: optional(varchar(255)),
    ...dates,
  },
  { sequelize: database, tableName: 'statistics_calls', ...dated },
);

export class StatisticsCallDevice extends Model<InferAttributes<StatisticsCallDevice>, InferCreationAttributes<StatisticsCallDevice>> {
  declare id: CreationOptional<number>;
  declare call_id: string;
  declare device_id: string;
  declare rang_at: CreationOptional<Date | null>;
  declare invite_terminated_at: CreationOptional<Date | null>;
  declare invite_terminated_state: CreationOptional<string | null>;
  declare initiated_at: Date;
  declare reports: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
StatisticsCallDevice.init(
  {
    id: { ...required(BIGINT), primaryKey: true, autoIncrement: true },
    call_id: required(varchar(64)),
    device_id: required(varchar(255)),
    rang_at: optional(DATE),
    invite_terminated_at: optional(DATE),
    invite_terminated_state: optional(varchar(255)),
    initiated_at: { ...required(DATE), primaryKey: true },
    reports: required(INTEGER, 1),
    ...dates,
  },
  { sequelize: database, tableName: 'statistics_call_devices', ...dated },
);
