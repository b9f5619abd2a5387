// What reading statistics needs of the hourly rollups: missed calls, and durations as counts in bins; and since
// when raw events are still there. Hours that were counted before are counted again.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    ALTER TABLE statistics_message_rollups ADD COLUMN delays integer[] NOT NULL DEFAULT '{}';
    ALTER TABLE statistics_call_rollups
      ADD COLUMN missed integer NOT NULL DEFAULT 0,
      ADD COLUMN durations integer[] NOT NULL DEFAULT '{}',
      ADD COLUMN rings integer[] NOT NULL DEFAULT '{}';
    ALTER TABLE statistics_message_rollups ALTER COLUMN delays DROP DEFAULT;
    ALTER TABLE statistics_call_rollups ALTER COLUMN missed DROP DEFAULT, ALTER COLUMN durations DROP DEFAULT, ALTER COLUMN rings DROP DEFAULT;
    INSERT INTO statistics_dirty_buckets (kind, hour, domain) SELECT DISTINCT 'messages', hour, domain FROM statistics_message_rollups;
    INSERT INTO statistics_dirty_buckets (kind, hour, domain) SELECT DISTINCT 'calls', hour, domain FROM statistics_call_rollups;

    -- Counting an hour of a sender's domain reads the devices' rows of that hour, not of the month.
    CREATE INDEX statistics_message_devices_sent_at_idx ON statistics_message_devices (sent_at);
    CREATE INDEX statistics_call_devices_initiated_at_idx ON statistics_call_devices (initiated_at);

    -- One row at most: hours before it have no raw events any more.
    CREATE TABLE statistics_retention (
      id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
      raw_since timestamptz NOT NULL
    );
  `);
}
