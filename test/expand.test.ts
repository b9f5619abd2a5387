// Expand, then contract: processes of the release before go on working on the schema of this one.
import pg from 'pg';
import { migrate } from '../src/migrations';
import { MIGRATION_NAMES } from '../src/migrations/state';
import statements from './helpers/older-statements.json';
import { faultsBetween, readSchema } from './helpers/schema';
import { databaseName, testServers, withDatabase } from './setup/servers';

/** Those up to here have landed before the rule was written; 0005 broke it, and 0008 mended that. */
const FIRST = MIGRATION_NAMES.indexOf('0008-counting-defaults');

let client: pg.Client;
let url: string;

async function freshDatabase(): Promise<string> {
  const name = databaseName();
  const maintenance = new pg.Client({ connectionString: testServers().maintenanceUrl });
  await maintenance.connect();
  await maintenance.query(`CREATE DATABASE ${name}`);
  await maintenance.end();
  return withDatabase(testServers().maintenanceUrl, name);
}
beforeAll(async () => {
  url = await freshDatabase();
  await migrate(url, MIGRATION_NAMES.slice(0, FIRST));
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterAll(() => client.end());

// In order: each is compared with the one before it.
test.each(MIGRATION_NAMES.slice(FIRST))('%s takes nothing away from the release before', async (name) => {
  const before = await readSchema(client);
  await migrate(url, MIGRATION_NAMES.slice(0, MIGRATION_NAMES.indexOf(name) + 1));
  expect(faultsBetween(before, await readSchema(client))).toEqual([]);
});

describe.each(Object.entries(statements))('what was written at %s', (_name, recorded) => {
  test('is understood still', async () => {
    const refused: string[] = [];
    for (const sql of recorded) {
      await client.query(`PREPARE recorded AS ${sql}`).then(
        () => client.query('DEALLOCATE recorded'),
        (error: Error) => refused.push(`${error.message}: ${sql}`),
      );
    }
    expect(refused).toEqual([]);
  });
});

test('a worker from before 0005 counts hours', async () => {
  for (const sql of statements['0004-messages']) await client.query(sql);
  const { rows } = await client.query("SELECT missed, durations, rings FROM statistics_call_rollups WHERE domain = 'old.org'");
  expect(rows).toEqual([{ missed: 0, durations: [], rings: [] }]);
});

test.each([
  ['ALTER TABLE accounts DROP COLUMN display_name', 'accounts.display_name is gone'],
  ['ALTER TABLE accounts RENAME COLUMN display_name TO shown_name', 'accounts.display_name is gone'],
  ['DROP TABLE nonces', 'nonces.id is gone'],
  [
    'ALTER TABLE accounts ALTER COLUMN display_name TYPE varchar(20)',
    'accounts.display_name was character varying(255) and is character varying(20)',
  ],
  ['ALTER TABLE accounts ALTER COLUMN display_name SET NOT NULL', 'accounts.display_name is required'],
  ['ALTER TABLE statistics_call_rollups ALTER COLUMN missed DROP DEFAULT', 'statistics_call_rollups.missed has no default any more'],
  ['ALTER TABLE nonces ADD COLUMN realm text NOT NULL', 'nonces.realm is new, required, and has no default'],
  ['ALTER TABLE accounts ADD CHECK (length(username) > 2)', 'a new rule: accounts: CHECK ((length((username)::text) > 2))'],
  [
    'CREATE UNIQUE INDEX only_one ON accounts (display_name)',
    'a new rule: accounts: unique CREATE UNIQUE INDEX only_one ON public.accounts USING btree (display_name)',
  ],
])('%s is found', async (sql, fault) => {
  await client.query('BEGIN');
  const before = await readSchema(client);
  await client.query(sql);
  const faults = faultsBetween(before, await readSchema(client));
  await client.query('ROLLBACK');
  expect(faults).toContain(fault);
});

test.each([
  'ALTER TABLE accounts ALTER COLUMN confirmation_key_attempts TYPE bigint',
  'ALTER TABLE accounts ALTER COLUMN display_name TYPE text',
  'ALTER TABLE accounts ADD COLUMN note text',
  "ALTER TABLE accounts ADD COLUMN note text NOT NULL DEFAULT ''",
  'CREATE TABLE something (id integer PRIMARY KEY, name text NOT NULL UNIQUE)',
  'CREATE INDEX any_number ON accounts (display_name)',
])('%s is no fault', async (sql) => {
  await client.query('BEGIN');
  const before = await readSchema(client);
  await client.query(sql);
  const faults = faultsBetween(before, await readSchema(client));
  await client.query('ROLLBACK');
  expect(faults).toEqual([]);
});
