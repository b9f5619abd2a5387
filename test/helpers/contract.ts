// Every answer under /api that a test sees is held against the OpenAPI document: status, content type, body. A wrong document, or a wrong answer,
// fails the test that meets it.
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { AnyEndpoint } from '../../src/http/route';

type Json = Record<string, unknown>;
interface Response {
  $ref?: string;
  content?: Record<string, { schema: Json }>;
}
interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Response> }>>;
  components: { schemas: Record<string, Json>; responses: Record<string, Response> };
}

const ERROR: Json = { $ref: '#/components/schemas/Error' };

/** An object that is made of others (`allOf`) as one: what is said of a member later is more than what was said of it before. */
function whole(schema: Json, named: Record<string, Json>): Json {
  const parts = schema['allOf'] as Json[] | undefined;
  if (!parts) return schema;
  const resolved = parts.map((part) =>
    whole(typeof part['$ref'] === 'string' ? (named[part['$ref'].split('/').at(-1) ?? ''] ?? {}) : part, named),
  );
  return {
    type: 'object',
    required: resolved.flatMap(({ required = [] }) => required),
    properties: Object.assign({}, ...resolved.map(({ properties }) => properties)) as Json,
  };
}

/** Clients must be ready for members that the document does not name; the tests are not: each must be declared. */
function closed(schema: Json): Json {
  const one = (inner: unknown): unknown => (typeof inner === 'object' && inner !== null ? closed(inner as Json) : inner);
  const entries = Object.entries(schema).map(([name, value]): [string, unknown] => {
    if (name === 'properties') return [name, Object.fromEntries(Object.entries(value as Json).map(([key, inner]) => [key, one(inner)]))];
    if (name === 'anyOf') return [name, (value as Json[]).map(one)];
    return [name, name === 'items' || name === 'additionalProperties' ? one(value) : value];
  });
  return { ...('anyOf' in schema || '$ref' in schema ? {} : { unevaluatedProperties: false }), ...Object.fromEntries(entries) };
}

interface Contract {
  endpoints: { endpoint: AnyEndpoint; matches: (path: string) => boolean }[];
  changesAnything: (endpoint: AnyEndpoint) => boolean;
  document: Document;
  /** A check for a schema of the document. */
  check: (schema: Json) => ValidateFunction;
}

let loaded: Contract | undefined;

/**
 * The document, made in a registry of modules of its own, so that pg in the test gives bigints as it does by itself. Loading takes a while: a system
 * does it while its processes start, so that no answer that a test takes the time of waits for it.
 */
export function contract(): Contract {
  if (loaded) return loaded;
  let made: Contract | undefined;
  jest.isolateModules(() => {
    /* eslint-disable typescript/no-require-imports -- import() is asynchronous, and answers are checked in passing */
    const { match } = require('path-to-regexp') as typeof import('path-to-regexp');
    const { api } = require('../../src/api') as typeof import('../../src/api');
    const { openApiDocument } = require('../../src/http/openapi') as typeof import('../../src/http/openapi');
    const { changesAnything } = require('../../src/http/route') as typeof import('../../src/http/route');
    const { parseSettings } = require('../../config/settings') as typeof import('../../config/settings');
    /* eslint-enable typescript/no-require-imports */
    const endpoints = api.endpoints.map((endpoint) => {
      const matches = match(endpoint.path, { sensitive: true, trailing: true });
      return { endpoint, matches: (path: string) => matches(path) !== false };
    });
    const document = openApiDocument(api, parseSettings({}), '1.0.0') as unknown as Document;
    const ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
    const named = document.components.schemas;
    const schemas = Object.fromEntries(Object.entries(named).map(([name, schema]) => [name, closed(whole(schema, named))]));
    ajv.addSchema({ $id: 'document', components: { schemas } });
    const checks = new Map<Json, ValidateFunction>();
    const check = (schema: Json): ValidateFunction => {
      const known = checks.get(schema) ?? ajv.compile(JSON.parse(JSON.stringify(closed(schema)).replaceAll('"#/', '"document#/')) as Json);
      checks.set(schema, known);
      return known;
    };
    made = { endpoints, changesAnything, document, check };
  });
  return (loaded = made as unknown as Contract);
}

/** Of pages, not of endpoints. */
const PAGES = new Set(['/api', '/api/', '/api/openapi.json']);

export interface SeenAnswer {
  method: string;
  /** With or without origin and query. */
  url: string;
  status: number;
  contentType: string | null;
  text: string;
}

/** What is wrong with an answer; empty where it is as declared, or is no answer of the API. */
export function faultsOf({ method, url, status, contentType, text }: SeenAnswer): string[] {
  const { pathname } = new URL(url, 'http://localhost');
  if (!pathname.startsWith('/api') || PAGES.has(pathname)) return [];
  const { endpoints, changesAnything, document } = contract();
  const path = pathname.slice('/api'.length);
  const isHead = method === 'HEAD';
  const asked = isHead ? 'get' : method.toLowerCase();
  let endpoint: AnyEndpoint | undefined;
  try {
    endpoint = endpoints.find(({ endpoint: { method: known }, matches }) => known === asked && matches(path))?.endpoint;
    // What changes something is not done for HEAD.
    if (isHead && endpoint && changesAnything(endpoint)) endpoint = undefined;
  } catch {
    // A percent sign without two hexadecimal digits: no endpoint sees it.
  }
  if (!endpoint) {
    // The router's own: path unreadable, unknown, or known with other methods; or asked too often.
    if (![400, 404, 405, 429].includes(status)) return [`no endpoint, and yet ${status}`];
    return isHead ? [] : bodyFaults(ERROR, 'application/json', contentType, text);
  }
  // The document names 500 for clients, who must be ready for it; no request of a test may end so.
  if (status === 500) return ['the server failed'];
  const operation = document.paths[endpoint.path.replace(/:(\w+)/g, '{$1}')]?.[endpoint.method];
  const declared = operation?.responses[status];
  if (!declared) return [`status ${status} is not declared`];
  const { content = {} } =
    declared.$ref === undefined ? declared : (document.components.responses[declared.$ref.split('/').at(-1) ?? ''] ?? {});
  if (isHead) return [];
  const given = contentType?.split(';')[0] ?? '';
  if (given === 'text/csv' && given in content) return [];
  const [[type, { schema }] = ['', { schema: {} }]] = Object.entries(content);
  return bodyFaults(schema, type, contentType, text);
}

function bodyFaults(schema: Json, expected: string, contentType: string | null, text: string): string[] {
  const exact = expected === 'text/plain' ? 'text/plain; charset=utf-8' : expected;
  if (contentType !== exact) return [`content type ${contentType} instead of ${exact}`];
  const check = contract().check(schema);
  if (check(expected === 'text/plain' ? text : JSON.parse(text))) return [];
  return (check.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath} ${message}${'unevaluatedProperty' in params ? `: ${params['unevaluatedProperty']}` : ''}`,
  );
}

/** @throws where an answer is not as its endpoint declares */
export function checkAnswer(answer: SeenAnswer): void {
  const faults = faultsOf(answer);
  if (faults.length === 0) return;
  const { method, url, text } = answer;
  throw new Error(`${method} ${url}: not as the endpoint declares: ${faults.join('; ')}. Answer: ${text.slice(0, 2000)}`);
}
