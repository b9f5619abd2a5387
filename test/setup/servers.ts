// Where the servers of this test run are: handed from global setup to the test files through the environment.
import { randomBytes } from 'node:crypto';

export interface TestServers {
  /** URL of the server's own database `postgres`, for making others. */
  maintenanceUrl: string;
  redisUrl: string;
  /** Removed at the end. */
  directory: string;
  /** Begins the names of all databases of this run: another run may use the same server. Those that are left are dropped at the end. */
  databasePrefix: string;
  /** The migrated database that all others are copied from. */
  template: string;
}

export const testServers = (): TestServers => JSON.parse(process.env['FLEXIAPI_TEST_SERVERS'] ?? '{}') as TestServers;

/** A fresh name of a database of this run. */
export const databaseName = (): string => `${testServers().databasePrefix}${randomBytes(6).toString('hex')}`;

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
