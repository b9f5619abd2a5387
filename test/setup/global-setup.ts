// Starts PostgreSQL and Redis for the run (or takes the PostgreSQL of TEST_DATABASE_URL), and migrates one template database.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startPostgres, type EmbeddedServer } from '../../src/start/postgres';
import { startRedis } from '../../src/start/redis';
import { migrate } from '../../src/migrations';
import { TEMPLATE, withDatabase, type TestServers } from './servers';

declare global {
  // eslint-disable-next-line no-var -- jest keeps nothing else between setup and teardown
  var testServersToStop: EmbeddedServer[];
}

export default async function setup(): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-test-'));
  globalThis.testServersToStop = [];
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const redis = await startRedis(directory, say, false);
  globalThis.testServersToStop.push(redis);
  let maintenanceUrl = process.env['TEST_DATABASE_URL'];
  if (maintenanceUrl === undefined) {
    const postgres = await startPostgres(directory, ['fsync=off', 'max_connections=300']);
    globalThis.testServersToStop.push(postgres);
    maintenanceUrl = withDatabase(postgres.url, 'postgres');
  }
  const client = new pg.Client({ connectionString: maintenanceUrl });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  await migrate(withDatabase(maintenanceUrl, TEMPLATE));
  const servers: TestServers = { maintenanceUrl, redisUrl: redis.url, directory };
  process.env['FLEXIAPI_TEST_SERVERS'] = JSON.stringify(servers);
}
