// Messages as Flexisip reports them, their devices, and the keys that keep ids unique across months.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BIGINT, BOOLEAN, DATE, dated, dates, INTEGER, optional, required, varchar } from '../columns';

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
    ...dates,
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
    ...dates,
  },
  { sequelize: database, tableName: 'statistics_message_devices', ...dated },
);
