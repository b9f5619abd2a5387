// Every answer under /api that a test sees is held against the declaration of its endpoint: status, content type, body. A wrong document, or a
// wrong answer, fails the test that meets it.
import type Joi from 'joi';
import type { AnyEndpoint } from '../../src/http/route';

type Endpoints = { endpoint: AnyEndpoint; matches: (path: string) => boolean }[];
type OpenApi = typeof import('../../src/http/openapi');
type Contract = Pick<OpenApi, 'commonAnswersOf' | 'contentTypeOf'> &
  Pick<typeof import('../../src/http/route'), 'changesAnything'> & { endpoints: Endpoints; error: Joi.Schema };

let loaded: Contract | undefined;

/**
 * The endpoints, in a registry of modules of its own, so that pg in the test gives bigints as it does by itself. Loading them takes a while: a system
 * does it while its processes start, so that no answer that a test takes the time of waits for it.
 */
export function contract(): Contract {
  if (loaded) return loaded;
  let made: Contract | undefined;
  jest.isolateModules(() => {
    /* eslint-disable typescript/no-require-imports -- import() is asynchronous, and answers are checked in passing */
    const { match } = require('path-to-regexp') as typeof import('path-to-regexp');
    const { endpoints: declared } = require('../../src/api') as typeof import('../../src/api');
    const { shapes } = require('../../src/api/shapes') as typeof import('../../src/api/shapes');
    const { commonAnswersOf, contentTypeOf } = require('../../src/http/openapi') as OpenApi;
    const { changesAnything } = require('../../src/http/route') as typeof import('../../src/http/route');
    /* eslint-enable typescript/no-require-imports */
    const endpoints = declared.map((endpoint) => {
      const matches = match(endpoint.path, { sensitive: true, trailing: true });
      return { endpoint, matches: (path: string) => matches(path) !== false };
    });
    made = { commonAnswersOf, contentTypeOf, changesAnything, endpoints, error: shapes.error };
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
  const { endpoints, commonAnswersOf, contentTypeOf, changesAnything, error } = contract();
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
    return isHead ? [] : bodyFaults(error, 'application/json', contentType, text);
  }
  // The document names 500 for clients, who must be ready for it; no request of a test may end so.
  if (status === 500) return ['the server failed'];
  const declared = endpoint.answers[status];
  if (declared === undefined && !(status in commonAnswersOf(endpoint))) return [`status ${status} is not declared`];
  const schema = declared === undefined || typeof declared === 'string' ? undefined : declared.schema;
  if (!schema && status < 400) return [`status ${status} has no shape`];
  if (isHead) return [];
  const shape = schema ?? error;
  const expected = contentTypeOf(shape);
  const given = contentType?.split(';')[0];
  if (given !== expected && endpoint.formats?.some((format) => format === given)) return [];
  return bodyFaults(shape, expected, contentType, text);
}

function bodyFaults(shape: Joi.Schema, expected: string, contentType: string | null, text: string): string[] {
  const exact = expected === 'text/plain' ? 'text/plain; charset=utf-8' : expected;
  if (contentType !== exact) return [`content type ${contentType} instead of ${exact}`];
  const value: unknown = expected === 'text/plain' ? text : JSON.parse(text);
  const { error } = shape.required().validate(value, { abortEarly: false, convert: false });
  return error ? error.details.map(({ message }) => message) : [];
}

/** @throws where an answer is not as its endpoint declares */
export function checkAnswer(answer: SeenAnswer): void {
  const faults = faultsOf(answer);
  if (faults.length === 0) return;
  const { method, url, text } = answer;
  throw new Error(`${method} ${url}: not as the endpoint declares: ${faults.join('; ')}. Answer: ${text.slice(0, 2000)}`);
}
