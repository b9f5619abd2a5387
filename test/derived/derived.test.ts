// What is derived from one declaration, or must agree with another: settings, catalogues, models, the OpenAPI document.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import SwaggerParser from '@apidevtools/swagger-parser';
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import Joi from 'joi';
import pg from 'pg';
import { DataTypes, type ModelStatic, type Model } from 'sequelize';
import { envExample, parseSettings, SettingsError, table } from '../../config/settings';
import { api } from '../../src/api';
import { SchemaWriter } from '../../src/http/json-schema';
import { openApiDocument } from '../../src/http/openapi';
import { catalogues, render, type MessageKey } from '../../src/i18n';
import { migrate } from '../../src/migrations';
import { MIGRATION_NAMES } from '../../src/migrations/state';
import * as models from '../../src/models';
import { parseRedisUrl } from '../../config/redis-url';
import { startSystem, type System } from '../helpers/system';
import { databaseName, testServers, withDatabase } from '../setup/servers';

const root = path.join(__dirname, '..', '..');

describe('settings', () => {
  const faultsOf = (environment: Record<string, string>): string[] => {
    try {
      parseSettings(environment);
      return [];
    } catch (error) {
      return (error as SettingsError).faults;
    }
  };

  test('.env.example is what the table says', () => {
    expect(readFileSync(path.join(root, '.env.example'), 'utf8')).toBe(envExample());
  });

  test('every default is valid, and every setting of the example with it', () => {
    expect(faultsOf({})).toEqual([]);
    const example = Object.fromEntries(Object.entries(table).map(([name, { example: value }]) => [name, value]));
    expect(parseSettings(example)).toEqual(parseSettings({}));
  });

  test('all faults at once, with name, value and what is allowed; no secret', () => {
    expect(
      faultsOf({
        PORT: 'eighty',
        LOG_LEVEL: 'loud',
        DATABASE_URL: 'mysql://root:geheim@db',
        WORKER_QUEUES: 'push,fax',
        APNS_KEY_FILE: 'k.p8',
        APP_DANGEROUS_ENDPOINTS: 'maybe',
        ACCOUNT_USERNAME_REGEX: '(',
      }),
    ).toEqual([
      'PORT=eighty: must be a whole number from 0 to 65535',
      'DATABASE_URL=(hidden): must begin with postgres:// or postgresql://',
      'ACCOUNT_USERNAME_REGEX=(: must be a regular expression',
      'APP_DANGEROUS_ENDPOINTS=maybe: must be true or false',
      'WORKER_QUEUES=push,fax: must be queue names separated by commas, of push, sms, email, messages, api-keys, statistics, maintenance, chores',
      'LOG_LEVEL=loud: must be one of fatal, error, warn, info, debug, trace, silent',
      'APNS_KEY_ID is missing: APNS_KEY_FILE needs it',
      'APNS_TEAM_ID is missing: APNS_KEY_FILE needs it',
    ]);
    expect(faultsOf({ NODE_ENV: 'production' })).toEqual(
      ['DATABASE_URL', 'REDIS_URL', 'APP_KEY'].map((name) => `${name} is missing: NODE_ENV=production needs it`),
    );
  });

  test('values that are more than text', () => {
    const settings = parseSettings({
      TRUST_PROXY: '2',
      APP_URL: 'https://x.org/',
      FIREBASE_SERVICE_ACCOUNTS: 'one:a.json  two:b.json',
      ACCOUNT_BLACKLISTED_USERNAMES: 'root, admin.*',
    });
    expect(settings).toMatchObject({
      TRUST_PROXY: 2,
      APP_URL: 'https://x.org',
      FIREBASE_SERVICE_ACCOUNTS: [
        { project: 'one', file: 'a.json' },
        { project: 'two', file: 'b.json' },
      ],
      ACCOUNT_BLACKLISTED_USERNAMES: ['root', 'admin.*'],
    });
    expect(parseSettings({ PORT: '9000' }).APP_URL).toBe('http://localhost:9000');
  });

  test("a Redis' address", () => {
    expect(parseRedisUrl('redis+sentinel://:p%40ss@one:26379,two/main/3')).toMatchObject({
      kind: 'sentinel',
      hosts: [
        { host: 'one', port: 26379 },
        { host: 'two', port: 26379 },
      ],
      master: 'main',
      password: 'p@ss',
      db: 3,
      tls: false,
    });
    expect(parseRedisUrl('rediss+sentinel://me:a@b@[::1]:7,two?sentinel_username=s&sentinel_password=%2B&family=6')).toEqual({
      kind: 'sentinel',
      hosts: [
        { host: '::1', port: 7 },
        { host: 'two', port: 26379 },
      ],
      master: 'mymaster',
      username: 'me',
      password: 'a@b',
      sentinelUsername: 's',
      sentinelPassword: '+',
      db: 0,
      family: 6,
      tls: true,
    });
    expect(parseRedisUrl('rediss://me:pw@a:1,b')).toMatchObject({
      kind: 'cluster',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      username: 'me',
      password: 'pw',
      tls: true,
    });
    expect(parseRedisUrl('redis://a/2')).toMatchObject({ kind: 'server', hosts: [{ host: 'a', port: 6379 }], db: 2 });
  });

  test.each([
    ['redis://a?connectTimeout=1000', 'has the parameter «connectTimeout», which is not known here: family can be given'],
    ['redis://a?sentinel_password=x', 'has the parameter «sentinel_password», which is not known here: family can be given'],
    [
      'redis+sentinel://a/m?x=1',
      'has the parameter «x», which is not known here: family, sentinel_username, sentinel_password can be given',
    ],
    ['redis+sentinel://a/m?sentinel_username=x', 'has the parameter «sentinel_username» without «sentinel_password»'],
    ['redis://me@a', 'has a user without a password: write user:password@, or :password@ for the default user'],
    ['redis://me:%zz@a', 'has a % in its password that no two hexadecimal digits follow: write it as %25'],
    ['redis://a/one', 'has a database that is no number'],
    ['redis://a,b/1', 'has a database: a Cluster has none but 0'],
    ['redis://a,rediss://b', 'has nodes of different schemes'],
    ['redis://x:1@a,y:2@b', 'has nodes with different users or passwords'],
    ['redis://a?family=5', 'has a parameter «family» that is neither 4 nor 6'],
    ['http://a', 'must begin with redis:// or rediss:// or redis+sentinel:// or rediss+sentinel://'],
    ['redis://:p#w@a', 'has a blank or a # in it: write them as %20 and %23'],
    ['redis+sentinel://a/m/1/2', /^has too long a path; must be redis/],
    ['redis://', /^has a host that is none; must be redis/],
    ['redis://a:70000', /^has a host that is none; must be redis/],
  ])('%s is refused by name', (url, fault) => {
    const [found = ''] = faultsOf({ REDIS_URL: url });
    expect(found.replace('REDIS_URL=(hidden): ', '')).toMatch(fault);
    expect(faultsOf({ FLEXISIP_REDIS_URL: url })).toHaveLength(1);
  });
});

test('both catalogues have the same keys, and the same values to fill in', () => {
  const placeholders = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  const { en, fr } = catalogues;
  expect(Object.keys(fr.texts).sort()).toEqual(Object.keys(en.texts).sort());
  for (const key of Object.keys(en.texts) as MessageKey[])
    expect([key, placeholders(fr.texts[key])]).toEqual([key, placeholders(en.texts[key])]);
  expect(render({ key: 'field.required', values: { attribute: 'username' } }, 'fr')).toBe('Le champ pseudo est obligatoire.');
  expect(render({ key: 'field.required', values: { attribute: 'sent_at' } }, 'en')).toBe('The sent at field is required.');
});

describe('data model', () => {
  // A copy: no other suite can copy the template while somebody is connected to it.
  let system: System;
  let db: pg.Pool;
  beforeAll(async () => {
    system = await startSystem({ webs: 0, workers: 0 });
    ({ db } = system);
  });
  afterAll(() => system.stop());

  test('every model is its table: columns, types, null', async () => {
    const { rows } = await db.query<{ table_name: string; column_name: string; udt_name: string; is_nullable: string }>(
      "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_schema = 'public' AND table_name !~ '_(default|\\d{4}_\\d\\d)$' AND table_name <> 'migrations'",
    );
    const types: [unknown, string][] = [
      // The narrower ones first: they are INTEGERs to Sequelize, too.
      [DataTypes.SMALLINT, 'int2'],
      [DataTypes.BIGINT, 'int8'],
      [DataTypes.INTEGER, 'int4'],
      [DataTypes.STRING, 'varchar'],
      [DataTypes.TEXT, 'text'],
      [DataTypes.BOOLEAN, 'bool'],
      [DataTypes.DATE, 'timestamptz'],
      [DataTypes.ARRAY, '_int4'],
    ];
    const typeOf = (type: unknown): string | undefined => types.find(([known]) => type instanceof (known as new () => object))?.[1];
    const inModels = (Object.values(models) as ModelStatic<Model>[]).flatMap((model) =>
      Object.entries(model.getAttributes()).map(
        ([name, { type, allowNull, primaryKey }]) =>
          `${model.getTableName() as string}.${name} ${typeOf(type)} ${allowNull === false || primaryKey ? 'NO' : 'YES'}`,
      ),
    );
    const dates = /\.(created_at|updated_at) /;
    const inTables = rows.map((row) => `${row.table_name}.${row.column_name} ${row.udt_name} ${row.is_nullable}`);
    expect(inModels.filter((line) => !dates.test(line)).sort()).toEqual(inTables.filter((line) => !dates.test(line)).sort());
    const names = (lines: string[]): string[] =>
      lines
        .filter((line) => dates.test(line))
        .map((line) => line.split(' ')[0] ?? '')
        .sort();
    expect(names(inModels)).toEqual(names(inTables));
  });

  test('the countries are the phone library’s, all deactivated', async () => {
    const { rows } = await db.query(
      "SELECT count(*)::int AS n, bool_or(activated) AS any, max(country_code) FILTER (WHERE code = 'FR') AS france FROM phone_countries",
    );
    expect(rows).toEqual([{ n: expect.any(Number) as number, any: false, france: '33' }]);
    expect((rows[0] as { n: number }).n).toBeGreaterThan(240);
  });

  test('ten processes that migrate at once migrate once', async () => {
    const maintenance = new pg.Client({ connectionString: testServers().maintenanceUrl });
    await maintenance.connect();
    const name = databaseName();
    await maintenance.query(`CREATE DATABASE ${name}`);
    const fresh = withDatabase(testServers().maintenanceUrl, name);
    const applied = await Promise.all(Array.from({ length: 10 }, () => migrate(fresh)));
    expect(applied.flat()).toEqual(MIGRATION_NAMES);
    await maintenance.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await maintenance.end();
  });
});

describe('OpenAPI document', () => {
  interface Operation {
    operationId: string;
    summary: string;
    description: string;
    parameters?: { name: string }[];
  }
  const document = openApiDocument(api, parseSettings({ APP_URL: 'https://sip.example.org/flexiapi' }), '1.0.0') as unknown as {
    servers: { url: string }[];
    tags: { name: string; description?: string }[];
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, object> };
  };
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

  test('is valid OpenAPI 3.1 and has every endpoint', async () => {
    await SwaggerParser.validate(structuredClone(document) as never);
    expect(operations).toHaveLength(api.endpoints.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    expect(document.servers).toEqual([{ url: 'https://sip.example.org/flexiapi/api' }]);
  });

  test('its schemas are JSON Schemas, those that many use have names, and none forbids members that it does not know', () => {
    const ajv = addFormats(new Ajv2020({ strict: false }));
    ajv.addSchema({ $id: 'document', components: document.components });
    for (const name of Object.keys(document.components.schemas)) {
      expect(() => ajv.compile({ $ref: `document#/components/schemas/${name}` })).not.toThrow();
    }
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['Account', 'Space', 'Contact', 'Device', 'ContactsList', 'AccountType', 'AccountAction', 'Vcard', 'Error']),
    );
    const text = JSON.stringify(document);
    expect(text).not.toMatch(/"(additional|unevaluated)Properties":false/);
    // Wherever an account is, it is a reference to the one.
    expect(text.match(/"provisioning_token_expire_at":\{/g)).toHaveLength(1);
  });

  test('every group, operation and parameter is described', () => {
    expect(Object.keys(api.groups)).toEqual(document.tags.map(({ name }) => name));
    for (const { description = '' } of document.tags) expect(description.length).toBeGreaterThan(10);
    for (const { summary, description } of operations) expect([summary.length > 3, description.length > 10]).toEqual([true, true]);
    const named = operations.flatMap(({ parameters = [] }) => parameters.map(({ name }) => name));
    const checked = api.endpoints.flatMap(({ params, query }) => [params, query].flatMap((schema) => [...(schema?.$_terms['keys'] ?? [])]));
    const known = new Set([...Object.keys(api.parameters), ...(checked as { key: string }[]).map(({ key }) => key)]);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(Object.keys(api.parameters).filter((name) => !named.includes(name))).toEqual([]);
  });

  test('no endpoint is hidden by an earlier one', () => {
    const seen = api.endpoints.map(({ method, path: route }) => `${method} ${route.replace(/:\w+/g, ':')}`);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('one name is for one schema, and what is made of a named one has a name of its own', () => {
    const account = Joi.object({ id: Joi.number() }).meta({ name: 'Thing' });
    const writer = new SchemaWriter();
    writer.of(account, 'answer');
    expect(() => writer.of(account.keys({ more: Joi.number() }), 'answer')).toThrow('Two schemas have the name Thing');
    const larger = account.keys({ more: Joi.number() }).meta({ name: 'Larger', base: { schema: () => account, own: ['more'] } });
    expect(writer.of(larger, 'answer')).toEqual({ $ref: '#/components/schemas/Larger' });
    expect(() => writer.of(larger.keys({ most: Joi.number() }), 'answer')).toThrow('Made of Larger');
  });

  test('the schemes are those that the server takes', () => {
    const schemesOf = (environment: Record<string, string>): string[] =>
      Object.keys((openApiDocument(api, parseSettings(environment), '1')['components'] as { securitySchemes: object }).securitySchemes);
    expect(schemesOf({})).toEqual(['api_key', 'api_key_cookie', 'digest']);
  });
});
