// Calls as Flexisip reports them, their devices, and the keys that keep ids unique across months. Locks are taken in the order of message.ts.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database, selectShared } from '../../infra/sequelize';
import { DATE, dated, dates, INTEGER, optional, required, varchar, bigId } from '../columns';
import { columnsOf, hourOf, INSERT_MARKS } from './batch';

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
StatisticsCallKey.addScope('before', (moment: Date) => ({ where: { initiated_at: { [Op.lt]: moment } } }));

const CALL_REPORT = [
  'id',
  'from_username',
  'from_domain',
  'to_username',
  'to_domain',
  'initiated_at',
  'ended_at',
  'conference_id',
] as const;
/** What is reported of a call when it starts. */
export type CallReport = Pick<Attributes<StatisticsCall>, (typeof CALL_REPORT)[number]>;
/** When a call ended. */
export type CallEndReport = Pick<Attributes<StatisticsCall>, 'id'> & { ended_at: Date };
/** A call's row after its end was reported. */
export type StoredCall = CallReport & { created_at: Date; updated_at: Date };

const STORE_CALLS = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
    WITH ORDINALITY AS i (${CALL_REPORT.join(', ')}, n) ORDER BY id, n
), keys AS (
  INSERT INTO statistics_call_keys (id, from_domain, to_domain, initiated_at) SELECT id, from_domain, to_domain, initiated_at FROM input ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id
), stored AS (
  INSERT INTO statistics_calls (id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, created_at, updated_at)
  SELECT id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id, now(), now() FROM input JOIN keys USING (id)
  RETURNING id, initiated_at, from_domain, to_domain
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${hourOf('initiated_at')}, d.domain
    FROM stored CROSS JOIN LATERAL (VALUES (from_domain), (to_domain)) AS d (domain)
)
SELECT id FROM stored`;

const STORE_CALL_ENDS = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS i (id, ended_at, n) ORDER BY id, n DESC
), parents AS (
  SELECT id, initiated_at FROM statistics_call_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE
), stored AS (
  UPDATE statistics_calls c SET ended_at = input.ended_at, updated_at = now()
    FROM input JOIN parents USING (id) WHERE c.id = parents.id AND c.initiated_at = parents.initiated_at
  RETURNING c.*
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${hourOf('initiated_at')}, d.domain
    FROM stored CROSS JOIN LATERAL (VALUES (from_domain), (to_domain)) AS d (domain)
)
SELECT ${CALL_REPORT.join(', ')}, created_at, updated_at FROM stored`;

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

  /**
   * Stores calls whose ids are new, with their keys and marks. One statement for all of them: a round trip and a commit for each event is
   * what limits how many can be taken.
   *
   * @returns the ids that were new, each once; of several reports with one id the first is stored
   */
  static async store(reports: readonly CallReport[]): Promise<Pick<Attributes<StatisticsCall>, 'id'>[]> {
    return selectShared<Pick<Attributes<StatisticsCall>, 'id'>>('reports', STORE_CALLS, columnsOf(reports, CALL_REPORT));
  }

  /**
   * Stores when calls ended, with marks; of several reports of one call the last one counts. One statement for all of them: each has a
   * value of its own, which an UPDATE of Sequelize's cannot carry.
   *
   * @returns the calls, each once; none where it is not known
   */
  static async storeEnds(reports: readonly CallEndReport[]): Promise<StoredCall[]> {
    return selectShared<StoredCall>('reports', STORE_CALL_ENDS, columnsOf(reports, ['id', 'ended_at']));
  }
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

const DEVICE_REPORT = ['call_id', 'device_id', 'rang_at', 'invite_terminated_at', 'invite_terminated_state'] as const;
/** What is reported of a device that was called. A field that is null is not carried by the report: what is stored stays. */
export type CallDeviceReport = Pick<Attributes<StatisticsCallDevice>, (typeof DEVICE_REPORT)[number]>;
/** A device's row after a report. `created`: a report of this batch made it. */
export type StoredCallDevice = CallDeviceReport &
  Pick<Attributes<StatisticsCallDevice>, 'id'> & { created_at: Date; updated_at: Date; created: boolean };

// Several reports of one device in a batch fold into one row: of each field the last value that is carried.
const lastOf = (column: string): string => `(array_agg(${column} ORDER BY n DESC) FILTER (WHERE ${column} IS NOT NULL))[1] AS ${column}`;

const STORE_CALL_DEVICES = `
WITH input AS (
  SELECT call_id, device_id, ${lastOf('rang_at')}, ${lastOf('invite_terminated_at')}, ${lastOf('invite_terminated_state')}
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    WITH ORDINALITY AS i (${DEVICE_REPORT.join(', ')}, n) GROUP BY call_id, device_id
), parents AS (
  SELECT id, from_domain, to_domain, initiated_at FROM statistics_call_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR KEY SHARE
), stored AS (
  INSERT INTO statistics_call_devices AS d (call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, initiated_at, created_at, updated_at)
  SELECT call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, initiated_at, now(), now()
    FROM input JOIN parents ON parents.id = input.call_id ORDER BY call_id, device_id
  ON CONFLICT (call_id, device_id, initiated_at) DO UPDATE SET
    rang_at = coalesce(excluded.rang_at, d.rang_at),
    invite_terminated_at = coalesce(excluded.invite_terminated_at, d.invite_terminated_at),
    invite_terminated_state = coalesce(excluded.invite_terminated_state, d.invite_terminated_state),
    updated_at = excluded.updated_at,
    reports = least(d.reports, 2147483646) + 1
  RETURNING id, call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state, created_at, updated_at, (reports = 1) AS created
), marks AS (
  ${INSERT_MARKS} SELECT DISTINCT 'calls', ${hourOf('p.initiated_at')}, d.domain
    FROM stored s JOIN parents p ON p.id = s.call_id CROSS JOIN LATERAL (VALUES (p.from_domain), (p.to_domain)) AS d (domain)
)
SELECT * FROM stored`;

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

  /**
   * Stores what devices did with calls that are known, with marks. One statement for all of them, and the row is made or changed without
   * being read before.
   *
   * @returns the rows, each once; none where the call is not known
   */
  static async store(reports: readonly CallDeviceReport[]): Promise<StoredCallDevice[]> {
    return selectShared<StoredCallDevice>('reports', STORE_CALL_DEVICES, columnsOf(reports, DEVICE_REPORT));
  }
}
StatisticsCallDevice.init(
  {
    id: bigId,
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
