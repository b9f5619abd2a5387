// Drops the run's databases where the server outlives the run, and stops the servers that the run started.
import { rmSync } from 'node:fs';
import pg from 'pg';
import { testServers } from './servers';

async function dropDatabases(): Promise<void> {
  const { maintenanceUrl, databasePrefix } = testServers();
  const client = new pg.Client({ connectionString: maintenanceUrl });
  await client.connect();
  const { rows } = await client.query<{ datname: string }>('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [
    databasePrefix,
  ]);
  // FORCE: a process that a test killed may have left a connection.
  for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  await client.end();
}

export default async function teardown(): Promise<void> {
  if (process.env['TEST_DATABASE_URL'] !== undefined) await dropDatabases();
  for (const server of globalThis.testServersToStop.toReversed()) await server.stop();
  rmSync(testServers().directory, { recursive: true, force: true });
}
