// Requests, made of the document, of what is there, and of what is wrong. The index of a request decides all about it, together with the seed and
// with the rows that are there: the same run asks the same again.
import fc from 'fast-check';
import { assetUrl } from '../src/pages/assets';
import { ENVELOPES, RAW_ENVELOPES, type Plan, type Transport } from './fuzz-envelopes';
import type { Cast, Member, Role, Row, Rows } from './fuzz-rows';
import { PASSWORD } from './fuzz-rows';
import { resolve, rightObject, rightValue, wrongText, wrongValue, type Json, type Known } from './fuzz-values';

/** An endpoint of the document, or a page, of which the document says nothing. */
export interface Operation {
  method: string;
  /** As in the document, `/accounts/{id}`; a page's from the root, `/provisioning/{token}`. */
  path: string;
  isPage: boolean;
  /** Of the document; empty for a page. */
  declared: Json;
}

const page = (method: string, path: string, declared: Json = {}): Operation => ({ method, path, isPage: true, declared });
const form = (...fields: string[]): Json => {
  const properties = Object.fromEntries(fields.map((name) => [name, { type: 'string' }]));
  return {
    requestBody: { content: { 'application/x-www-form-urlencoded': { schema: { type: 'object', properties, required: fields } } } },
  };
};
export const PAGES: readonly Operation[] = [
  page('GET', '/api'),
  page('GET', '/api/openapi.json'),
  page('GET', '/provisioning'),
  page('GET', '/provisioning/me'),
  page('GET', '/provisioning/{token}'),
  page('GET', '/provisioning/auth_token/{auth_token}'),
  page('GET', '/provisioning/qrcode/{token}'),
  page('GET', '/creation_token/check/{request_token}'),
  page('POST', '/creation_token/validate', form('account_creation_request_token', 'h-captcha-response')),
  page('GET', '/contacts/vcard'),
  page('GET', '/contacts/vcard/{sip}'),
  page('GET', '/vcards-storage'),
  page('GET', '/vcards-storage/{uuid}'),
  page('GET', '/queues'),
  page('GET', '/queues/api/queues'),
  page('POST', '/queues/sign-in', form('api_key')),
  page('POST', '/queues/sign-out', form()),
  page('GET', '/statistics'),
  page('GET', '/sends'),
  page('POST', '/statistics/sign-in', form('api_key')),
  page('GET', '/health/live'),
  page('GET', '/health/ready'),
  page('GET', '/metrics'),
  page('GET', '/assets/{file}'),
];

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** All endpoints of a document. */
export const operationsOf = (document: Json): Operation[] =>
  Object.entries(document['paths'] as Record<string, Json>).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, declared]) => ({ method: method.toUpperCase(), path, isPage: false, declared: declared as Json })),
  );

/** Parameters, and fields of the body, that belong together: rows of a list, by the beginning of `METHOD path`; the first that fits. */
const TOGETHER: readonly (readonly [pattern: RegExp, list: string])[] = [
  [/^(GET|PUT|DELETE) \/accounts\/\{id\}\/actions\/\{action_id\}/, 'action'],
  [/^(GET|DELETE) \/accounts\/\{id\}\/dictionary\/\{key\}/, 'dictionary'],
  [/^(GET|DELETE) \/accounts\/\{id\}\/contacts\/\{contact_id\}/, 'contact'],
  [/^DELETE \/contacts_lists\/\{contacts_list_id\}\/contacts/, 'listed'],
  [/^DELETE \/accounts\/\{id\}\/contacts_lists/, 'given_list'],
  [/^DELETE \/accounts\/\{id\}\/types/, 'typed'],
  [/^(GET|PUT|DELETE) \/accounts\/\{id\}\/vcards-storage\/\{uuid\}/, 'vcard'],
  [/^(GET|PUT|DELETE) \/accounts\/me\/vcards-storage\/\{uuid\}|^GET \/vcards-storage\/\{uuid\}/, 'own_vcard'],
  [/^(GET|DELETE) \/accounts\/\{id\}\/devices/, 'registered'],
  [/^PATCH \/statistics\/messages/, 'message'],
  [/^PATCH \/statistics\/calls/, 'call'],
  [/activate\/email$/, 'mailed_key'],
  [/activate\/phone$/, 'texted_key'],
  [/\/recover\/\{recover_key\}$/, 'recovery_key'],
  [/auth_token\/\{auth_token\}\/attach$/, 'open_auth_token'],
];

/** Where the values of a parameter are listed: list and column, by the end of the path up to it. */
const LISTED: readonly (readonly [pattern: RegExp, list: string, column: string])[] = [
  [/\/contacts_lists\/\{id\}$/, 'list', 'id'],
  [/\/api_keys\/\{id\}$/, 'named_key', 'id'],
  [/\/account_types\/\{id\}$/, 'type', 'id'],
  [/\{id\}$|\{contact_id\}$/, 'account', 'id'],
  [/\{contacts_list_id\}$/, 'list', 'id'],
  [/\{type_id\}$/, 'type', 'id'],
  [/\/contacts\/\{sip\}$|\/vcard\/\{sip\}$/, 'own_contact', 'sip'],
  [/\/queues\/\{queue\}/, 'queue', 'queue'],
  [/\{sip\}$|\{to\}$/, 'sip', 'sip'],
  [/\{email\}$/, 'email', 'email'],
  [/\{phone\}$/, 'phone', 'phone'],
  [/\/spaces\/\{domain\}$/, 'space', 'domain'],
  [/\/vcards-storage\/\{uuid\}$/, 'own_vcard', 'uuid'],
  [/\{auth_token\}$/, 'auth_token', 'auth_token'],
  [/\/qrcode\/\{token\}$|\/provisioning\/\{token\}$/, 'provisioning_token', 'token'],
  [/\{request_token\}$/, 'open_request_token', 'account_creation_request_token'],
];

/** Of what the registrar's Redis has, see fuzz-system.ts. */
export const DEVICE_UUID = 'urn:uuid:e1b0f0c4-5c4b-0031-9e7d-f1a4f6c1d2b3';
/** Of a device that its push service does not know any more. */
export const GONE = 'f'.repeat(64);

const ALIASES: Record<string, Record<string, string>> = {
  'POST /spaces': { domain: 'new_domain' },
  'GET /statistics/messages': { from: 'since', to: 'until' },
  'GET /statistics/calls': { from: 'since', to: 'until' },
  'GET /sends': { account: 'sender', recipient: 'email', cursor: 'send_cursor' },
  'GET /sends/summary': { since: 'days_ago', until: 'hours_ago' },
  'GET /accounts/{id}/sends': { cursor: 'send_cursor' },
};

type Mode = 'right' | 'mutated' | 'wild' | 'spoiled' | 'raw';
/** Of a hundred requests. */
const MODES: readonly (readonly [Mode, number])[] = [
  ['right', 48],
  ['mutated', 25],
  ['wild', 8],
  ['spoiled', 17],
  ['raw', 2],
];
const ROLE_SHARES: readonly (readonly [Role, number])[] = [
  ['super', 28],
  ['admin', 22],
  ['user', 16],
  ['stranger', 10],
  ['digest', 8],
  ['bearer', 6],
  ['cookie', 6],
  ['blocked', 2],
  ['expired', 2],
];
const TRANSPORTS: readonly (readonly [Transport, number])[] = [
  ['http1', 80],
  ['http2', 14],
  ['https1', 6],
];

function pick<T>(shares: readonly (readonly [T, number])[], n: number): T {
  let left = n % shares.reduce((sum, [, share]) => sum + share, 0);
  for (const [value, share] of shares) if ((left -= share) < 0) return value;
  throw new Error('no shares');
}

/** A number of its own for each index: mixes well enough for choices (Wang's integer hash). */
function mix(seed: number, index: number): number {
  let value = (seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0;
  value = Math.imul(value ^ (value >>> 16), 0x21f0aaad) >>> 0;
  value = Math.imul(value ^ (value >>> 15), 0x735a2d97) >>> 0;
  return (value ^ (value >>> 15)) >>> 0;
}

interface Parts {
  path: Record<string, unknown>;
  query: Record<string, unknown>;
  body: unknown;
  envelopes: { which: number; n: number }[];
}

/** Everything that decides a request. */
export interface Draft {
  operation: Operation;
  role: Role;
  /** Made anew by fast-check from the seed, and shrunk by it. */
  arbitrary: fc.Arbitrary<Plan>;
  seed: number;
}

const jsonText = (value: unknown): string => JSON.stringify(value) ?? 'null';
const pathText = (value: unknown): string =>
  encodeURIComponent((typeof value === 'string' ? value : jsonText(value)).replace(/\p{Surrogate}/gu, '\ufffd').slice(0, 3000))
    .replaceAll('%40', '@')
    .replaceAll('%3A', ':');

/** Makes the requests of a run. */
export class Generator {
  readonly operations: readonly Operation[];
  #rows: Rows = {};

  constructor(
    readonly document: Json,
    readonly cast: Cast,
    readonly seed: number,
    only = '',
  ) {
    this.operations = [...operationsOf(document), ...PAGES].filter(({ method, path }) => `${method} ${path}`.includes(only));
    if (this.operations.length === 0) throw new TypeError(`no endpoint has «${only}» in it`);
  }

  /** What is there from now on. */
  know(rows: Rows): void {
    this.#rows = rows;
  }

  draft(index: number): Draft {
    const hash = (what: number): number => mix(this.seed + what * 7919, index);
    const operation = this.operations[index % this.operations.length] as Operation;
    const role = pick(ROLE_SHARES, hash(1));
    const members = this.cast.of(role);
    const member = members[hash(2) % Math.max(1, members.length)];
    const mode = pick(MODES, hash(3));
    const transport = pick(TRANSPORTS, hash(4));
    const parts = this.#parts(operation, mode, member);
    const arbitrary = parts.map((made) => this.#plan(operation, member, transport, mode, made));
    return { operation, role, arbitrary, seed: hash(5) };
  }

  /** The request of a draft, the same whenever it is asked for while the same rows are there. */
  plan({ arbitrary, seed }: Draft): Plan {
    const [plan] = fc.sample(arbitrary, { seed, numRuns: 1 });
    if (!plan) throw new Error('nothing was generated');
    return plan;
  }

  #known(member: Member | undefined, key: string): Known {
    const column = (list: string, name: string): unknown[] => (this.#rows[list] ?? []).map((row) => row[name]);
    const own = (list: string, name: string): unknown[] =>
      (this.#rows[list] ?? []).filter(({ account_id: owner }) => owner === member?.id).map((row) => row[name]);
    return (name) => {
      switch (name) {
        case 'code':
          return own(key.includes('/phone') ? 'own_phone_code' : 'own_email_code', 'code').slice(0, 1);
        case 'old_password':
          return [PASSWORD];
        case 'domain':
          return [...new Set([...(member ? [member.domain] : []), ...column('space', 'domain').slice(0, 3)])];
        case 'account_creation_token':
          return column('creation_token', name);
        case 'account_creation_request_token':
          return column(key.includes('/creation_token') ? 'open_request_token' : 'request_token', name);
        case 'id':
          return [...column('message', 'message_id'), ...column('call', 'call_id')];
        case 'pn_prid':
          return [GONE];
        case 'h-captcha-response':
          return ['a-person'];
        case 'api_key':
          return member ? [member.key] : [];
        default:
          return column(name, name);
      }
    };
  }

  /** Of what is everybody's, and of one's own. */
  #rowsFor(member: Member | undefined, list: string): Row[] {
    return (this.#rows[list] ?? []).filter(({ account_id: owner }) => owner === undefined || owner === member?.id);
  }

  #pathValues(operation: Operation, member: Member | undefined, known: Known): fc.Arbitrary<Record<string, unknown>> {
    const { path } = operation;
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
    const single = (name: string): fc.Arbitrary<unknown> => {
      const upTo = path.slice(0, path.indexOf(`{${name}}`) + name.length + 2);
      const [, list = '', column = ''] = LISTED.find(([pattern]) => pattern.test(upTo)) ?? [];
      const rows = this.#rowsFor(member, list);
      if (rows.length > 0) return fc.constantFrom(...rows.map((row) => row[column]));
      if (name === 'uuid') return fc.constantFrom(DEVICE_UUID, 'urn:uuid:unknown');
      if (name === 'file') return fc.constantFrom(assetUrl('swagger-ui.css').replace(/^.*\//, ''), 'unknown.js');
      const declared = (operation.declared['parameters'] ?? []) as Json[];
      const found = declared.map((each) => resolve(this.document, each)).find((each) => each['name'] === name && each['in'] === 'path');
      return rightValue(this.document, (found?.['schema'] ?? { type: 'string' }) as Json, name, known);
    };
    return fc.record(Object.fromEntries(names.map((name) => [name, single(name)])));
  }

  #rightParts(operation: Operation, member: Member | undefined): fc.Arbitrary<Parts> {
    const key = `${operation.method} ${operation.path}`;
    const known = this.#known(member, key);
    const alias = (name: string): string => ALIASES[key]?.[name] ?? name;
    const parameters = ((operation.declared['parameters'] ?? []) as Json[]).map((each) => resolve(this.document, each));
    const inQuery = parameters.filter((each) => each['in'] === 'query');
    const query = rightObject(
      this.document,
      { properties: Object.fromEntries(inQuery.map((each) => [each['name'], each['schema'] ?? {}])) },
      known,
      alias,
    );
    const schema = bodySchema(this.document, operation);
    const body = schema ? rightObject(this.document, schema, known, alias) : fc.constant(undefined);
    const [, list] = TOGETHER.find(([pattern]) => pattern.test(key)) ?? [];
    const rows = list === undefined ? [] : this.#rowsFor(member, list);
    const row: fc.Arbitrary<Row> = rows.length > 0 ? fc.constantFrom(...rows) : fc.constant({});
    return fc
      .record({ path: this.#pathValues(operation, member, known), query, body, row })
      .map(({ path, query: asked, body: given, row: together }) => {
        const made: Parts = { path: { ...path }, query: asked, body: given && { ...(given as Row) }, envelopes: [] };
        for (const [name, value] of Object.entries(together)) {
          if (name in made.path) made.path[name] = value;
          else if (made.body && name !== 'account_id') (made.body as Row)[name] = value;
        }
        return made;
      });
  }

  #parts(operation: Operation, mode: Mode, member: Member | undefined): fc.Arbitrary<Parts> {
    const right = this.#rightParts(operation, member);
    const envelope = fc.record({ which: fc.nat(), n: fc.nat(100_000) });
    switch (mode) {
      case 'right':
        return right;
      case 'mutated':
        return fc.tuple(right, fc.array(fc.tuple(fc.nat(), fc.nat(5), wrongValue()), { minLength: 1, maxLength: 2 })).map(mutated);
      case 'wild':
        return fc.tuple(right, fc.infiniteStream(wrongValue()), fc.infiniteStream(wrongText())).map(([parts, values, texts]) => ({
          path: Object.fromEntries(Object.keys(parts.path).map((name) => [name, texts.next().value])),
          query: Object.fromEntries(Object.keys(parts.query).map((name) => [name, texts.next().value])),
          body: parts.body && Object.fromEntries(Object.keys(parts.body).map((name) => [name, values.next().value])),
          envelopes: [],
        }));
      case 'spoiled':
        return fc.tuple(right, fc.array(envelope, { minLength: 1, maxLength: 3 })).map(([parts, envelopes]) => ({ ...parts, envelopes }));
      case 'raw':
        return fc.tuple(right, envelope).map(([parts, one]) => ({ ...parts, envelopes: [one] }));
    }
  }

  #plan(operation: Operation, member: Member | undefined, transport: Transport, mode: Mode, parts: Parts): Plan {
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => pathText(parts.path[name] ?? ''));
    const query = Object.entries(parts.query)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${pathText(value)}`);
    const isForm = operation.isPage && parts.body !== undefined;
    const plan: Plan = {
      method: operation.method,
      target: (operation.isPage ? '' : '/api') + path + (query.length > 0 ? `?${query.join('&')}` : ''),
      headers: [],
      body: undefined,
      transport,
      chunked: false,
      spoiled: [],
      member,
      broken: false,
    };
    if (parts.body !== undefined) {
      const fields = Object.entries(parts.body as Row).map(([name, value]) => [name, typeof value === 'string' ? value : jsonText(value)]);
      plan.body = Buffer.from(isForm ? new URLSearchParams(fields as [string, string][]).toString() : jsonText(parts.body));
      plan.headers.push(['content-type', isForm ? 'application/x-www-form-urlencoded' : 'application/json']);
    }
    // Without it most of them answer that they are for phones alone.
    if (operation.path.startsWith('/provisioning')) plan.headers.push(['x-linphone-provisioning', '1']);
    authorize(plan);
    const list = mode === 'raw' ? RAW_ENVELOPES : ENVELOPES;
    for (const { which, n } of parts.envelopes) {
      const envelope = list[which % list.length];
      if (!envelope) continue;
      envelope.spoil(plan, n);
      plan.spoiled.push(envelope.name);
    }
    return plan;
  }
}

/** The credentials of roles that need no challenge; DIGEST comes when it is sent. */
function authorize(plan: Plan): void {
  const { member } = plan;
  if (!member) return;
  if (member.role === 'bearer') plan.headers.push(['authorization', `Bearer ${member.token}`]);
  else if (member.role === 'cookie') plan.headers.push(['cookie', `x-api-key=${member.key}`], ['sec-fetch-site', 'same-origin']);
  else if (member.role === 'digest') plan.headers.push(['from', `sip:${member.username}@${member.domain}`]);
  else plan.headers.push(['x-api-key', member.key]);
}

function bodySchema(document: Json, { declared }: Operation): Json | undefined {
  if (!declared['requestBody']) return undefined;
  const content = resolve(document, declared['requestBody'] as Json)['content'] as Record<string, Json>;
  return Object.values(content)[0]?.['schema'] as Json | undefined;
}

/** Each change: which member, how, and with what. */
function mutated([parts, changes]: [Parts, (readonly [number, number, unknown])[]]): Parts {
  const made: Parts = { ...parts, path: { ...parts.path }, query: { ...parts.query }, body: parts.body && { ...(parts.body as Row) } };
  const { path, query, body } = made;
  const places = [path, query, ...(body ? [body as Row] : [])].flatMap((holder) =>
    Object.keys(holder).map((name) => [holder, name] as const),
  );
  for (const [which, how, value] of changes) {
    const [holder, name] = places[which % Math.max(1, places.length)] ?? [];
    if (!holder || name === undefined) continue;
    const was = holder[name];
    if (how === 0 && holder !== path) delete holder[name];
    else if (how === 1) holder[name] = holder === path ? value : null;
    else if (how === 2 && holder !== path) holder[name] = [was];
    else if (how === 3 && typeof was === 'number') holder[name] = String(was);
    else if (how === 3 && typeof was === 'string') holder[name] = `${was}${typeof value === 'string' ? value : ''}`;
    else holder[name] = value;
  }
  return made;
}
