// What must hold for every answer, whatever was asked: held against the document that the server itself gives out.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { match } from 'path-to-regexp';
import type { Plan } from './fuzz-envelopes';
import { operationsOf, PAGES, type Operation } from './fuzz-requests';
import type { Seen } from './fuzz-transport';
import { resolve, type Json } from './fuzz-values';

/** The longest that anybody may wait for an answer. */
const MAX_ANSWER_MS = 5000;
/** What is said of an answer that took longer. */
export const LATE = `answered after ${MAX_ANSWER_MS / 1000} s or more`;

/** Words of programs, which mean nothing to who asked, and too much to who attacks. */
const WORDS_OF_PROGRAMS: readonly RegExp[] = [
  // V8, Node and their libraries.
  /Unexpected (?:token|end|string|number|non)|JSON at position|Maximum call stack|\bundefined\b|\bNaN\b|URI malformed|Error:|node:internal/,
  /Cannot (?:read|set|convert|destructure|access)|is not (?:a function|iterable|defined)|\[object |\bERR_[A-Z]|\bECONN|\bEPIPE\b|\.js:\d/,
  // PostgreSQL and Sequelize.
  /invalid input syntax|duplicate key value|violates |(?:relation|column) "|out of range for type|Sequelize|deadlock|SQL/,
  // Joi.
  /"value" (?:must|failed|contains|does)|regular expression/,
];
/** A text whose values were not filled in. */
const UNFILLED = /\{\{|\{#?[a-z_]+\}/;

const REFUSED_BY_ROUTER = new Set([400, 404, 405, 417, 429, 431]);
/** Of these HTTP/2 ends the stream, or says itself that they are malformed (RFC 9113 section 8.1.1). */
const MALFORMED_FOR_HTTP2 = new Set(['header host', 'long header', 'many headers', 'absolute form', 'odd path', 'over-long']);
/** With DIGEST the target is there twice. */
const HALF_OF_ALL_HEADERS = 7000;
/** Whether no answer is one, too: the bytes are no request, or the server may well not read all that comes. */
const mayHangUp = ({ broken, transport, spoiled, target }: Plan): boolean =>
  broken ||
  spoiled.includes('long header') ||
  (transport === 'http2' && target.length > HALF_OF_ALL_HEADERS) ||
  (transport === 'http2' && spoiled.some((name) => MALFORMED_FOR_HTTP2.has(name)));
/** What may be said to bytes that are no HTTP, or none that is known here; `0`: it hangs up. */
const REFUSED_BY_PARSER = new Set([0, 400, 405, 408, 413, 414, 417, 431]);

interface Known {
  operation: Operation;
  matches: (path: string) => boolean;
  /** How many parts of the path are literal, from the left: the more, the earlier it is tried. */
  rank: string;
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Judges answers by a document. */
export class Judge {
  readonly #known: Known[];
  readonly #validators = new Map<string, ValidateFunction>();
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });

  constructor(readonly document: Json) {
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, 'document');
    const prefixed = operationsOf(document).map((operation) => ({ ...operation, path: `/api${operation.path}` }));
    this.#known = [...PAGES, ...prefixed]
      .map((operation) => ({
        operation,
        matches: matcher(operation.path),
        rank: operation.path
          .split('/')
          .map((part) => (part.startsWith('{') ? '1' : '0'))
          .join(''),
      }))
      .toSorted((a, b) => a.rank.localeCompare(b.rank));
  }

  /** The endpoint, or page, that a request reaches; undefined where it reaches none. */
  operationOf(method: string, target: string): Operation | undefined {
    const path = pathOf(target);
    return this.#known.find(({ operation, matches }) => operation.method === method && matches(path))?.operation;
  }

  /** What is wrong with an answer; empty where it is as it should be. */
  faultsOf(plan: Plan, seen: Seen): string[] {
    const faults: string[] = [];
    const { status, ms, headers } = seen;
    if (ms > MAX_ANSWER_MS) faults.push(LATE);
    if (seen.failure !== undefined && !(mayHangUp(plan) && status === 0)) return [...faults, `connection broken: ${seen.failure}`];
    if (status === 0 || (plan.broken && REFUSED_BY_PARSER.has(status))) return faults;
    if (status >= 500 && !(status === 503 && isProvoked(plan))) faults.push(`status ${status}`);
    if (!(headers['x-request-id'] ?? '')) faults.push('no x-request-id');
    const operation = this.operationOf(plan.method === 'HEAD' ? 'GET' : plan.method, plan.target);
    const path = pathOf(plan.target);
    if (operation?.isPage || (!operation && !path.startsWith('/api'))) return faults;
    const schema = this.#schemaOf(operation, plan, seen);
    if (typeof schema === 'string') return [...faults, schema];
    if (plan.method === 'HEAD') return seen.body.length > 0 ? [...faults, 'a body in answer to HEAD'] : faults;
    return [...faults, ...this.#bodyFaults(schema, plan, seen)];
  }

  /** The declared content by type with the place of its schema, or what is wrong. */
  #schemaOf(operation: Operation | undefined, { method }: Plan, { status }: Seen): Record<string, Place> | string {
    const error: Record<string, Place> = {
      'application/json': { pointer: '/components/schemas/Error', schema: at(this.document, ['components', 'schemas', 'Error']) },
    };
    const declared = operation?.declared['responses'] as Record<string, Json> | undefined;
    if (!declared || !operation) return REFUSED_BY_ROUTER.has(status) ? error : `no endpoint, and yet ${status}`;
    // A GET that changes something is none for HEAD.
    if (method === 'HEAD' && status === 405) return error;
    const given = declared[status];
    // An expectation that cannot be met is refused before any endpoint is looked for (RFC 9110 section 10.1.1).
    if (!given && status === 417) return error;
    if (!given) return `status ${status} is not declared`;
    const content = (resolve(this.document, given)['content'] ?? {}) as Record<string, Json>;
    const path = ['paths', operation.path.slice('/api'.length), operation.method.toLowerCase(), 'responses', String(status), 'content'];
    const pointer = typeof given['$ref'] === 'string' ? given['$ref'].slice(1).concat('/content') : `/${path.map(escaped).join('/')}`;
    return Object.fromEntries(
      Object.entries(content).map(([type, { schema }]) => [
        type,
        { pointer: `${pointer}/${escaped(type)}/schema`, schema: schema as Json },
      ]),
    );
  }

  #bodyFaults(content: Record<string, Place>, plan: Plan, { headers, body }: Seen): string[] {
    const type = headers['content-type'] ?? '';
    const bare = type.split(';')[0] ?? '';
    const place = content[bare];
    if (!place) return [`content type «${type}» is not declared`];
    const text = body.toString('utf8');
    if (bare !== 'application/json') return [];
    if (type !== bare) return [`content type «${type}»`];
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return ['the body is no JSON'];
    }
    const validate = this.#validator(place.pointer);
    const faults = validate(value)
      ? []
      : (validate.errors ?? []).slice(0, 5).map(({ instancePath, message }) => `body${instancePath.replace(/\/\d+/g, '/*')}: ${message}`);
    faults.push(...new Set(undeclared(this.document, place.schema, value, 'body')));
    if (isObject(value) && typeof value['message'] === 'string') faults.push(...textFaults(value, plan));
    return faults;
  }

  #validator(pointer: string): ValidateFunction {
    const known = this.#validators.get(pointer) ?? this.#ajv.compile({ $ref: `document#${pointer}` });
    this.#validators.set(pointer, known);
    return known;
  }
}

interface Place {
  pointer: string;
  schema: Json;
}

const at = (document: Json, path: string[]): Json => path.reduce<unknown>((value, name) => (value as Json)[name], document) as Json;
const escaped = (part: string): string => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

/** As the server looks at a request target: absolute forms (RFC 9112 section 3.2.2) without their origin, no query, no fragment. */
export const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0] ?? '';

function matcher(path: string): (asked: string) => boolean {
  const matches = match(path.replace(/\{(\w+)\}/g, ':$1'), { sensitive: true, trailing: true });
  return (asked) => {
    try {
      return matches(asked) !== false;
    } catch {
      // A percent sign without two hexadecimal digits: no endpoint sees it.
      return false;
    }
  };
}

/** Whether a message goes out while the client waits. */
export const isSend = ({ target }: Plan): boolean =>
  /\/((email|phone)\/request|recover-by-phone|send-by-push|push_notification|messages)\/?$/.test(pathOf(target));
/** Whether a provider was made to refuse: devices are named that it does not know, or none at all. */
const isProvoked = ({ target, body }: Plan): boolean => /\/(send-by-push|push_notification)\/?$/.test(pathOf(target)) && body !== undefined;

/** Texts that are not for people. What stands in the request itself may come back. */
function textFaults({ message, errors }: Json, { method, target, headers, body }: Plan): string[] {
  const texts = [message, ...(isObject(errors) ? Object.values(errors).flat() : [])].filter((text) => typeof text === 'string');
  const asked = `${method} ${decoded(target)} ${headers.flat().join(' ')} ${body?.toString('utf8') ?? ''}`;
  return texts.flatMap((text) => {
    const words = WORDS_OF_PROGRAMS.map((pattern) => pattern.exec(text)?.[0]).find((found) => found !== undefined);
    const unfilled = UNFILLED.exec(text)?.[0];
    return [
      ...(words !== undefined && !asked.includes(words) ? [`a program's words: «${words}»`] : []),
      ...(unfilled !== undefined && !asked.includes(unfilled) ? [`not filled in: «${text}»`] : []),
    ];
  });
}

function decoded(target: string): string {
  try {
    return decodeURIComponent(target);
  } catch {
    return target;
  }
}

/** Members that no branch of the schema names: a document may let answers grow, but those of today it must show. */
function undeclared(document: Json, given: Json, value: unknown, where: string): string[] {
  const branches = branchesOf(document, given);
  if (Array.isArray(value)) {
    const items = branches.map(({ items: each }) => each as Json | undefined).filter((each) => each !== undefined);
    return items.length === 0 ? [] : value.flatMap((each) => undeclared(document, { anyOf: items }, each, `${where}/*`));
  }
  if (!isObject(value)) return [];
  const open = branches.map(({ additionalProperties: more }) => more).filter(isObject);
  const isFree = branches.some(
    ({ properties, additionalProperties: more, patternProperties }) =>
      !properties && (more === true || more === undefined || patternProperties),
  );
  return Object.entries(value).flatMap(([name, member]) => {
    const named = branches
      .map(({ properties }) => (properties as Record<string, Json> | undefined)?.[name])
      .filter((each) => each !== undefined);
    if (named.length > 0) return undeclared(document, { anyOf: named }, member, `${where}/${name}`);
    if (open.length > 0) return undeclared(document, { anyOf: open }, member, `${where}/*`);
    return isFree ? [] : [`${where}/${name} is not declared`];
  });
}

/** All schemas that say something of a value: the schema with what it refers to, joins or chooses from. */
function branchesOf(document: Json, given: Json): Json[] {
  const schema = resolve(document, given);
  const below = ['allOf', 'anyOf', 'oneOf'].flatMap((name) => (schema[name] as Json[] | undefined) ?? []);
  const self = below.length > 0 && !schema['properties'] && !schema['type'] ? [] : [schema];
  return [...self, ...below.flatMap((each) => branchesOf(document, each))];
}
