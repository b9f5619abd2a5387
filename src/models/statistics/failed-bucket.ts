// Hours of a domain that could not be counted, set aside so that all others are.
import { type Attributes, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute, selectShared } from '../../infra/sequelize';
import { DATE, required, TEXT, varchar } from '../columns';
import { INSERT_MARKS } from './batch';

/** After which an hour that was set aside is tried again. */
const RETRY_MINUTES = 60;

export class StatisticsFailedBucket extends Model<
  InferAttributes<StatisticsFailedBucket>,
  InferCreationAttributes<StatisticsFailedBucket>
> {
  declare kind: string;
  declare hour: Date;
  declare domain: string;
  declare reason: string;
  declare failed_at: Date;

  /** Sets an hour aside with its marks; later ones are passed over until it is tried again. Of our own: one statement, which also counts anew from when. */
  static async setAside({ kind, hour, domain, reason }: Omit<Attributes<StatisticsFailedBucket>, 'failed_at'>): Promise<void> {
    await execute(
      `WITH marks AS (DELETE FROM statistics_dirty_buckets WHERE kind = $1 AND hour = $2 AND domain = $3)
       INSERT INTO statistics_failed_buckets (kind, hour, domain, reason, failed_at) VALUES ($1, $2, $3, left($4, 500), now())
       ON CONFLICT (kind, hour, domain) DO UPDATE SET reason = excluded.reason, failed_at = now()`,
      [kind, hour, domain, reason],
    );
  }

  /** How many there are. For those who look whether all is well, on their own connections. */
  static async waiting(): Promise<number> {
    const [row] = await selectShared<{ hours: number }>('health', 'SELECT count(*)::int AS hours FROM statistics_failed_buckets', []);
    return row?.hours ?? 0;
  }

  /** Marks again what was set aside long enough ago. One statement, so that nothing is lost or marked twice. */
  static async retry(): Promise<void> {
    await execute(
      `WITH again AS (DELETE FROM statistics_failed_buckets WHERE failed_at < now() - make_interval(mins => $1) RETURNING kind, hour, domain)
       ${INSERT_MARKS} SELECT kind, hour, domain FROM again`,
      [RETRY_MINUTES],
    );
  }
}
StatisticsFailedBucket.init(
  {
    kind: { ...required(TEXT), primaryKey: true },
    hour: { ...required(DATE), primaryKey: true },
    domain: { ...required(varchar(256)), primaryKey: true },
    reason: required(TEXT),
    failed_at: required(DATE),
  },
  { sequelize: database, tableName: 'statistics_failed_buckets' },
);
