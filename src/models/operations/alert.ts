// What operators are told at ALERT_WEBHOOK_URL: a row an alert, from when its condition begins. Any number of processes may look; what stands here says what is new.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute, select } from '../../infra/sequelize';
import { bigId, DATE, optional, required, TEXT, varchar } from '../columns';

/** What is the case now. `labels`: as JSON, always in one order. */
export interface ActiveCondition {
  alert: string;
  labels: string;
  severity: string;
  summary: string;
}

/** What is yet to be told: that an alert fires, or is over. */
export interface AlertEvent extends ActiveCondition {
  id: number;
  state: 'firing' | 'resolved';
  since: Date;
  ended_at: Date | null;
}

/** Told or not: nobody wants to hear of it later. */
const KEPT = "interval '7 days'";

export class Alert extends Model<InferAttributes<Alert>, InferCreationAttributes<Alert>> {
  declare id: CreationOptional<number>;
  declare alert: string;
  /** JSON. */
  declare labels: string;
  declare severity: string;
  declare summary: string;
  /** When the condition began. */
  declare since: CreationOptional<Date>;
  /** When it had lasted for long enough; NULL: not yet. */
  declare fired_at: Date | null;
  declare fired_told_at: Date | null;
  declare ended_at: Date | null;
  declare ended_told_at: Date | null;

  /**
   * Records what is the case, in the transaction around it: what is new begins, what has lasted for long enough fires, what is over has ended. Statements of our own: times are
   * the database's, and Sequelize's `upsert` knows no partial index.
   *
   * @param active what is the case
   * @param known seconds that each alert must have lasted, of those alone that could be looked at: others stay as they are
   */
  static async settle(active: readonly ActiveCondition[], known: Readonly<Record<string, number>>): Promise<void> {
    const [now, lasts] = [JSON.stringify(active), JSON.stringify(known)];
    const isActive = `EXISTS (SELECT FROM jsonb_to_recordset($1::jsonb) AS n (alert text, labels text) WHERE n.alert = a.alert AND n.labels = a.labels)`;
    await execute(
      `INSERT INTO alerts (alert, labels, severity, summary)
       SELECT DISTINCT ON (alert, labels) alert, labels, severity, summary
         FROM jsonb_to_recordset($1::jsonb) AS n (alert text, labels text, severity text, summary text)
       ON CONFLICT (alert, labels) WHERE ended_at IS NULL DO UPDATE SET summary = EXCLUDED.summary WHERE alerts.fired_told_at IS NULL`,
      [now],
    );
    await execute(`DELETE FROM alerts a WHERE fired_at IS NULL AND $2::jsonb ? a.alert AND NOT ${isActive}`, [now, lasts]);
    await execute(`UPDATE alerts a SET ended_at = now() WHERE ended_at IS NULL AND $2::jsonb ? a.alert AND NOT ${isActive}`, [now, lasts]);
    await execute(
      `UPDATE alerts a SET fired_at = now()
        WHERE fired_at IS NULL AND $1::jsonb ? a.alert AND since <= now() - make_interval(secs => ($1::jsonb ->> a.alert)::float8)`,
      [lasts],
    );
    await execute(`DELETE FROM alerts WHERE ended_at < now() - ${KEPT}`);
  }

  /**
   * Records one that was told while the database was away.
   *
   * @param since when it began
   */
  static async adopt({ alert, labels, severity, summary }: ActiveCondition, since: Date): Promise<void> {
    await execute(
      `INSERT INTO alerts (alert, labels, severity, summary, since, fired_at, fired_told_at) VALUES ($1, $2, $3, $4, $5, $5, now())
       ON CONFLICT (alert, labels) WHERE ended_at IS NULL DO UPDATE SET fired_at = coalesce(alerts.fired_at, EXCLUDED.fired_at), fired_told_at = now()`,
      [alert, labels, severity, summary, since],
    );
  }

  /** What is yet to be told, in the order in which it happened. A statement of our own: a row is two events. @param limit how many at most */
  static untold(limit: number): Promise<AlertEvent[]> {
    return select<AlertEvent>(
      `SELECT id, alert, labels, severity, summary, state, since, CASE WHEN state = 'resolved' THEN ended_at END AS ended_at
         FROM (SELECT *, 'firing' AS state, fired_at AS at FROM alerts WHERE fired_at IS NOT NULL AND fired_told_at IS NULL
               UNION ALL
               SELECT *, 'resolved' AS state, ended_at AS at FROM alerts WHERE ended_at IS NOT NULL AND ended_told_at IS NULL) event
        ORDER BY at, state, id LIMIT $1`,
      [limit],
    );
  }

  /** Records that an event was told. */
  static async told({ id, state }: Pick<AlertEvent, 'id' | 'state'>): Promise<void> {
    const column = state === 'firing' ? 'fired_told_at' : 'ended_told_at';
    await execute(`UPDATE alerts SET ${column} = now() WHERE id = $1`, [id]);
  }
}
Alert.init(
  {
    id: bigId,
    alert: required(varchar(64)),
    labels: required(varchar(1024)),
    severity: required(TEXT),
    summary: required(varchar(1024)),
    since: required(DATE),
    fired_at: optional(DATE),
    fired_told_at: optional(DATE),
    ended_at: optional(DATE),
    ended_told_at: optional(DATE),
  },
  { sequelize: database, tableName: 'alerts', timestamps: false },
);
