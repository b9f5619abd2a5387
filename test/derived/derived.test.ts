// What is derived from one declaration, or must agree with another: settings, catalogues, models, the OpenAPI document.
import SwaggerParser from '@apidevtools/swagger-parser';
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import Joi from 'joi';
import pg from 'pg';
import { DataTypes, type ModelStatic, type Model } from 'sequelize';
import { parseSettings } from '../../config/settings';
import { api } from '../../src/api';
import { SchemaWriter } from '../../src/http/json-schema';
import { openApiDocument } from '../../src/http/openapi';
import { catalogues, render, type MessageKey } from '../../src/i18n';
import { migrate } from '../../src/migrations';
import { MIGRATION_NAMES } from '../../src/migrations/state';
import * as models from '../../src/models';
import { startSystem, type System } from '../helpers/system';
import { databaseName, testServers, withDatabase } from '../setup/servers';

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
      "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_schema = 'public' AND table_name !~ '_(default|\\d{4}_\\d\\d)$' AND table_name <> 'migrations' AND table_name NOT IN (SELECT viewname FROM pg_views)",
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
      [DataTypes.CIDR, 'cidr'],
      [DataTypes.JSONB, 'jsonb'],
    ];
    const typeOf = (type: unknown): string | undefined => {
      if (type instanceof DataTypes.ARRAY) return `_${typeOf((type as unknown as { type: unknown }).type)}`;
      return types.find(([known]) => type instanceof (known as new () => object))?.[1];
    };
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
