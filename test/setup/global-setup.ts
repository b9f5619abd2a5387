// Starts PostgreSQL and Redis for the run (or takes the PostgreSQL of TEST_DATABASE_URL), and migrates one template database.
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startPostgres, type EmbeddedServer } from '../../src/start/postgres';
import { startRedis } from '../../src/start/redis';
import { migrate } from '../../src/migrations';
import { withDatabase, type TestServers } from './servers';

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
  const databasePrefix = `test_${randomBytes(4).toString('hex')}_`;
  const template = `${databasePrefix}template`;
  const servers: TestServers = { maintenanceUrl, redisUrl: redis.url, directory, databasePrefix, template };
  // Known to the teardown before the first database is there.
  process.env['FLEXIAPI_TEST_SERVERS'] = JSON.stringify(servers);
  const client = new pg.Client({ connectionString: maintenanceUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${template}`);
  await client.end();
  await migrate(withDatabase(maintenanceUrl, template));
}
