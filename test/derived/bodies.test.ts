// The document and the rules agree on what is accepted: whatever an endpoint takes, a client or a gateway that goes by the document may send.
import Ajv2020 from 'ajv/dist/2020';
import fc from 'fast-check';
import type Joi from 'joi';
import { parseSettings } from '../../config/settings';
import { api } from '../../src/api';
import { ApiError } from '../../src/infra/errors';
import { trim } from '../../src/http/body';
import { openApiDocument } from '../../src/http/openapi';
import { validate } from '../../src/http/validation';

type Json = Record<string, unknown>;
interface Operation {
  requestBody?: { required: boolean; content: { 'application/json': { schema: Json } } };
  parameters?: { name: string; in: string; schema: Json }[];
}
const document = openApiDocument(api, parseSettings({}), '1.0.0') as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json> };
};
const ajv = new Ajv2020({ strict: false, validateFormats: false, allowUnionTypes: true });
ajv.addSchema({ $id: 'document', components: document.components });
const checkOf = (schema: Json): ((value: unknown) => boolean) =>
  ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as Json) as (value: unknown) => boolean;

/** Among these is something good for each field. */
const VALUES: unknown[] = [
  'alice.test',
  'pässwörd',
  'SHA-256',
  'abcdefghijklm',
  '1234',
  ' 1234 ',
  '+33612345678',
  '+33 6 12 34 56 78 ',
  'alice@example.org',
  ' alice@sip.example.org\n',
  'sip:alice@sip.example.org',
  'sip.example.org',
  'sip.example.org:8080',
  'sipinfo',
  'fcm',
  'call',
  'urn:uuid:1',
  '~call.id_1@host-1',
  '2030-12-31',
  '2030-W05',
  '20301231T235959+01',
  '2030-12-31T23:59:59.5+01:00',
  '2030-12-31 23:59:59',
  'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Alice\r\nUID:1\r\nEND:VCARD\r\n',
  'Europe/Paris',
  'day',
  'sent',
  'accepted',
  'completed',
  ['accounts:read', 'accounts:read', '*'],
  ['10.0.0.0/8', '2001:db8::1'],
  0,
  1,
  200,
  '200',
  '-1',
  true,
  '1',
  [],
  {},
  { ring: 'bell', empty: '', none: null },
  { at: '2030-12-31T23:59:59Z', state: 'accepted', more: {} },
];
/** What a schema can say without rules of ours: here the document must not accept more than the endpoint either. */
const TYPES: unknown[] = [undefined, null, '', 1.5, [1], [[]], true, { at: [] }];

const accepts = (schema: Joi.ObjectSchema, value: unknown): boolean => {
  try {
    validate(schema, value);
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
};

const name = (endpoint: { method: string; path: string }): string => `${endpoint.method} ${endpoint.path}`;
const operationOf = (endpoint: { method: string; path: string }): Operation =>
  document.paths[endpoint.path.replace(/:(\w+)/g, '{$1}')]?.[endpoint.method] ?? {};
const keysOf = (schema: Joi.ObjectSchema): string[] => Object.keys((schema.describe() as { keys: object }).keys);
/** What of VALUES a member takes. */
const goodFor = (schema: Joi.ObjectSchema, key: string): unknown[] =>
  VALUES.filter((value) => {
    const { error } = schema.validate({ [key]: trim(value) }, { convert: false, stripUnknown: true, abortEarly: false });
    return error?.details.some(({ path }) => path[0] === key) !== true;
  });

/** Values that the document lists, the empty one with them, it lists without spaces around them, for the sake of those who make types of it. */
const asListed = (body: Json, { requestBody }: Operation): Json => {
  const { properties = {} } = resolved(requestBody?.content['application/json'].schema ?? {});
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => {
      const isListed = ['enum', 'anyOf'].some((word) => word in (properties[key] ?? {}));
      return [key, isListed && typeof value === 'string' ? value.trim() : value];
    }),
  );
};

/** A schema, or the named one that it refers to. */
function resolved(schema: Json): { properties?: Record<string, Json> } {
  const inner = (schema['anyOf'] as Json[] | undefined)?.[0] ?? schema;
  const named = /[^/]+$/.exec((inner['$ref'] as string | undefined) ?? '')?.[0] ?? '';
  return document.components.schemas[named] ?? inner;
}

const withBody = api.endpoints.filter(({ body }) => body).map((endpoint) => [name(endpoint), endpoint] as const);

test.each(withBody)('%s: what is accepted, the document allows', (_name, endpoint) => {
  const body = endpoint.body as Joi.ObjectSchema;
  const operation = operationOf(endpoint);
  const { requestBody } = operation;
  const isDocumented = checkOf(requestBody?.content['application/json'].schema ?? {});
  const isAccepted = (value: unknown): boolean => accepts(body, Array.isArray(value) && value.length === 0 ? {} : trim(value));

  const good = Object.fromEntries(keysOf(body).map((key) => [key, goodFor(body, key)]));
  for (const [key, values] of Object.entries(good)) expect([key, values.length > 0]).toEqual([key, true]);

  const any = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...VALUES, ...TYPES.filter((value) => value !== undefined)) },
    { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
    { weight: 1, arbitrary: fc.string({ maxLength: 15 }).map((text) => ` \t${text}\u3000`) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  );
  const member = (values: unknown[]): fc.Arbitrary<unknown> =>
    fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...values) },
      { weight: 1, arbitrary: fc.constantFrom(null, '', ' ') },
      { weight: 1, arbitrary: any },
    );
  const bodies = fc
    .tuple(
      fc.record(Object.fromEntries(Object.entries(good).map(([key, values]) => [key, member(values)]))),
      fc.dictionary(fc.constantFrom('unknown', 'sip_call_id', 'devices'), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 1 }),
      fc.subarray(Object.keys(good), { maxLength: Math.min(2, Object.keys(good).length) }),
    )
    .map(([known, unknown, absent]) =>
      Object.fromEntries(Object.entries({ ...known, ...unknown }).filter(([key]) => !absent.includes(key))),
    );
  let accepted = 0;
  fc.assert(
    fc.property(bodies, (value) => {
      if (!isAccepted(value)) return true;
      accepted += 1;
      return isDocumented(asListed(value, operation));
    }),
    { numRuns: 400, seed: 42 },
  );
  // Not in vain.
  expect(accepted).toBeGreaterThan(20);
});

test.each(withBody)('%s: types, null and absence are as the document says', (_name, endpoint) => {
  const body = endpoint.body as Joi.ObjectSchema;
  const { requestBody } = operationOf(endpoint);
  const isDocumented = checkOf(requestBody?.content['application/json'].schema ?? {});
  const good = Object.fromEntries(keysOf(body).map((key) => [key, goodFor(body, key)[0]]));
  expect([isDocumented(good), accepts(body, trim(good))]).toEqual([true, true]);
  const wrong: unknown[] = [];
  for (const key of Object.keys(good)) {
    for (const value of TYPES) {
      const { [key]: _left, ...others } = good;
      const sent = value === undefined ? others : { ...others, [key]: value };
      if (isDocumented(sent) !== accepts(body, trim(sent))) wrong.push([key, value, isDocumented(sent)]);
    }
  }
  expect(wrong).toEqual([]);
  expect(requestBody?.required).toBe(!accepts(body, {}));
  expect(isDocumented([])).toBe(accepts(body, {}));
});

test('lengths are counted in characters, as JSON Schema does: an emoji is one, though two units of UTF-16', () => {
  const endpoint = api.endpoints.find(({ path }) => path === '/accounts/me/password');
  const isDocumented = checkOf(
    operationOf({ method: 'post', path: '/accounts/me/password' }).requestBody?.content['application/json'].schema ?? {},
  );
  for (const [password, isLongEnough] of [
    ['😀😀😀', false],
    ['😀😀😀😀😀😀', true],
  ] as const) {
    const body = { algorithm: 'MD5', password };
    expect([accepts(endpoint?.body as Joi.ObjectSchema, body), isDocumented(body)]).toEqual([isLongEnough, isLongEnough]);
  }
});

const withParameters = api.endpoints.filter(({ query, params }) => query ?? params).map((endpoint) => [name(endpoint), endpoint] as const);

test.each(withParameters)('%s: parameters that are accepted, the document allows', (_name, endpoint) => {
  const { parameters = [] } = operationOf(endpoint);
  for (const [place, schema] of [
    ['query', endpoint.query],
    ['path', endpoint.params],
  ] as const) {
    if (!schema) continue;
    const checks = parameters
      .filter((parameter) => parameter.in === place)
      .map((parameter) => [parameter.name, checkOf(parameter.schema)] as const);
    const texts = fc.oneof(
      fc.constantFrom(...VALUES.filter((value) => typeof value === 'string')),
      fc.string({ maxLength: 20 }),
      fc.constant(''),
    );
    const values = fc.record(Object.fromEntries(checks.map(([key]) => [key, texts])));
    fc.assert(
      fc.property(values, (sent) => {
        const present = place === 'query' ? Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== '')) : sent;
        return !accepts(schema as Joi.ObjectSchema, present) || checks.every(([key, check]) => check(sent[key]));
      }),
      { numRuns: 300, seed: 42 },
    );
  }
});
