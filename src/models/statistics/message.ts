// Messages as Flexisip reports them, their devices, and the keys that keep ids unique across months.
// Every statement locks in the same order (keys by id, then rows by key; marks need no lock), so that batches of several processes cannot
// deadlock.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database, selectShared } from '../../infra/sequelize';
import { BOOLEAN, DATE, dated, dates, INTEGER, optional, required, varchar, bigId } from '../columns';
import { columnsOf, hourOf, INSERT_MARKS } from './batch';

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
StatisticsMessageKey.addScope('before', (moment: Date) => ({ where: { sent_at: { [Op.lt]: moment } } }));

const MESSAGE_REPORT = ['id', 'from_username', 'from_domain', 'sent_at', 'encrypted', 'conference_id'] as const;
/** What is reported of a message. */
export type MessageReport = Pick<Attributes<StatisticsMessage>, (typeof MESSAGE_REPORT)[number]>;

const STORE_MESSAGES = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[])
    WITH ORDINALITY AS i (${MESSAGE_REPORT.join(', ')}, n) ORDER BY id, n
), keys AS (
  INSERT INTO statistics_message_keys (id, from_domain, sent_at) SELECT id, from_domain, sent_at FROM input ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id
), stored AS (
  INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, encrypted, conference_id, created_at, updated_at)
  SELECT id, from_username, from_domain, sent_at, encrypted, conference_id, now(), now() FROM input JOIN keys USING (id)
  RETURNING id, sent_at, from_domain
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'messages', ${hourOf('sent_at')}, from_domain FROM stored
)
SELECT id FROM stored`;

export class StatisticsMessage extends Model<InferAttributes<StatisticsMessage>, InferCreationAttributes<StatisticsMessage>> {
  declare id: string;
  declare from_username: string;
  declare from_domain: string;
  declare sent_at: Date;
  declare encrypted: CreationOptional<boolean>;
  declare conference_id: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * Stores messages whose ids are new, with their keys and marks. One statement for all of them: a round trip and a commit for each event
   * is what limits how many can be taken.
   *
   * @returns the ids that were new, each once; of several reports with one id the first is stored
   */
  static async store(reports: readonly MessageReport[]): Promise<Pick<Attributes<StatisticsMessage>, 'id'>[]> {
    return selectShared<Pick<Attributes<StatisticsMessage>, 'id'>>('reports', STORE_MESSAGES, columnsOf(reports, MESSAGE_REPORT));
  }
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

const DEVICE_REPORT = ['message_id', 'to_username', 'to_domain', 'device_id', 'last_status', 'received_at'] as const;
/** What is reported of a device that a message went to. */
export type MessageDeviceReport = Pick<Attributes<StatisticsMessageDevice>, (typeof DEVICE_REPORT)[number]>;
/** A device's row after a report. `created`: a report of this batch made it. */
export type StoredMessageDevice = MessageDeviceReport &
  Pick<Attributes<StatisticsMessageDevice>, 'id'> & { created_at: Date; updated_at: Date; created: boolean };

const STORE_MESSAGE_DEVICES = `
WITH input AS (
  SELECT DISTINCT ON (message_id, to_username, to_domain, device_id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[])
    WITH ORDINALITY AS i (${DEVICE_REPORT.join(', ')}, n)
   ORDER BY message_id, to_username, to_domain, device_id, n DESC
), parents AS (
  SELECT id, from_domain, sent_at FROM statistics_message_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR KEY SHARE
), stored AS (
  INSERT INTO statistics_message_devices AS d (message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, created_at, updated_at)
  SELECT message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, now(), now()
    FROM input JOIN parents ON parents.id = input.message_id ORDER BY message_id, to_username, to_domain, device_id
  ON CONFLICT (message_id, to_username, to_domain, device_id, sent_at)
  DO UPDATE SET last_status = excluded.last_status, received_at = excluded.received_at, updated_at = excluded.updated_at, reports = least(d.reports, 2147483646) + 1
  RETURNING id, message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, created_at, updated_at, (reports = 1) AS created
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'messages', ${hourOf('s.sent_at')}, d.domain
    FROM stored s JOIN parents p ON p.id = s.message_id CROSS JOIN LATERAL (VALUES (p.from_domain), (s.to_domain)) AS d (domain)
)
SELECT id, message_id, to_username, to_domain, device_id, last_status, received_at, created_at, updated_at, created FROM stored`;

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

  /**
   * Stores what devices answered to messages that are known, with marks; of several reports of one device the last one counts. One
   * statement for all of them, and the row is made or changed without being read before.
   *
   * @returns the rows, each once; none where the message is not known
   */
  static async store(reports: readonly MessageDeviceReport[]): Promise<StoredMessageDevice[]> {
    return selectShared<StoredMessageDevice>('reports', STORE_MESSAGE_DEVICES, columnsOf(reports, DEVICE_REPORT));
  }
}
StatisticsMessageDevice.init(
  {
    id: bigId,
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
