// Raw statistics events, the keys that keep their ids unique, and their rollups by hour.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../database';
import { BIGINT, BOOLEAN, DATE, dated, INTEGER, INTEGERS, optional, required, TEXT, varchar } from './columns';

export class StatisticsMessageKey extends Model<InferAttributes<StatisticsMessageKey>, InferCreationAttributes<StatisticsMessageKey>> {
  declare id: string;
  declare from_domain: string;
  declare sent_at: Date;
}
StatisticsMessageKey.init(
  {
    id: { ...required(varchar(64)), primaryKey: true },
    from_domain: required(varchar(256)),
    sent_at: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_message_keys' },
);

export class StatisticsMessage extends Model<InferAttributes<StatisticsMessage>, InferCreationAttributes<StatisticsMessage>> {
  declare id: string;
  declare from_username: string;
  declare from_domain: string;
  declare sent_at: Date;
  declare encrypted: CreationOptional<boolean>;
  declare conference_id: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
StatisticsMessage.init(
  {
    id: { ...required(varchar(64)), primaryKey: true },
    from_username: required(varchar(256)),
    from_domain: required(varchar(256)),
    sent_at: { ...required(DATE), primaryKey: true },
    encrypted: required(BOOLEAN, false),
    conference_id: optional(varchar(255)),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'statistics_messages', ...dated },
);

export class StatisticsMessageDevice extends Model<
  InferAttributes<StatisticsMessageDevice>,
  InferCreationAttributes<StatisticsMessageDevice>
> {
  declare id: CreationOptional<number>;
  declare message_id: string;
  declare to_username: string;
  declare to_domain: string;
  declare device_id: string;
  declare last_status: number;
  declare received_at: Date;
  declare sent_at: Date;
  declare reports: CreationOptional<number>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
StatisticsMessageDevice.init(
  {
    id: { ...required(BIGINT), primaryKey: true, autoIncrement: true },
    message_id: required(varchar(64)),
    to_username: required(varchar(256)),
    to_domain: required(varchar(256)),
    device_id: required(varchar(255)),
    last_status: required(INTEGER),
    received_at: required(DATE),
    sent_at: { ...required(DATE), primaryKey: true },
    reports: required(INTEGER, 1),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'statistics_message_devices', ...dated },
);

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
    created_at: DATE,
    updated_at: DATE,
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
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'statistics_call_devices', ...dated },
);

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

/** One row at most: hours before `raw_since` have no raw events any more, only rollups. */
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
