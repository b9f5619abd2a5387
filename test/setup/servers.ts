// Where the servers of this test run are: handed from global setup to the test files through the environment.
export interface TestServers {
  /** URL of the server's own database `postgres`, for making others. */
  maintenanceUrl: string;
  redisUrl: string;
  /** Removed at the end. */
  directory: string;
}

export const TEMPLATE = 'flexiapi_template';

export const testServers = (): TestServers => JSON.parse(process.env['FLEXIAPI_TEST_SERVERS'] ?? '{}') as TestServers;

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
