// One endpoint, declared, and what handlers read and give. The router, the OpenAPI document and the access tests are derived from these declarations.
import type { IncomingHttpHeaders } from 'node:http';
import type Joi from 'joi';
import type { Language } from '../i18n';
import type { Settings } from '../../config';
import { notFound } from '../infra/errors';
import { type SipAddress, withoutSipScheme } from '../infra/sip-uri';
import type { Scope, Scopes, Viewed } from '../services/credentials/identities';

export type { Scope };
export type Access = 'public' | 'user' | 'admin' | 'super_admin';
export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Who calls, once authenticated. */
export interface Caller {
  account_id: number;
  username: string;
  domain: string;
  admin: boolean;
  super_admin: boolean;
  /** What the named key is limited to that was shown; null: no named key was, so that only the role limits. */
  scopes: Scopes;
  /** Of the named key that was shown. */
  named_key_id?: number;
  /** The own account as presenters show it, of the moment in which the credentials were looked up; where the endpoint asked for it, and they were by key or DIGEST. */
  view?: Viewed['view'];
}

/** Where a request comes from. */
export interface Client {
  /** As TRUST_PROXY resolves it, in one spelling; IPv4 without the IPv6 prefix. */
  ip: string;
  user_agent: string | undefined;
}

/** Names in a path literal: `/a/:b/c/:d` → `b` | `d`. */
type ParamNames<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<`/${Rest}`>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never;

/** What an endpoint may answer with; the first of its list where the client has no wish. */
export type Format = 'application/json' | 'text/csv' | 'text/plain';

/** All that a handler gets; it never sees the request or the response. */
export interface Call<Path extends string, Body, A extends Access, Query = unknown> {
  params: { [Name in ParamNames<Path>]: string };
  body: Body;
  caller: A extends 'public' ? undefined : Caller;
  client: Client;
  language: Language;
  /** The Host header without its port, in lower case: it picks the request's Space. */
  host: string;
  headers: IncomingHttpHeaders;
  query: Query;
  /** The one of the endpoint's formats that the client prefers. */
  format: Format;
}

/** A body in parts, each made when the one before it was taken. */
export type Parts = AsyncGenerator<string, void, undefined>;

/** All that a handler gives. Text is sent as text/plain where it names no other type, parts as JSON, anything else is made JSON. */
export interface Reply {
  status: number;
  /** A function that gives Parts is an answer of any length: they are written as fast as the client reads. */
  body: unknown;
  type?: string;
  headers?: Record<string, string>;
  /** An API key that a browser gets as a cookie as well, unless another site or a link asked for it. */
  apiKeyCookie?: string;
  /** Called once: whether the whole answer was given to the client's connection. Never throws. */
  settle?: (isDelivered: boolean) => Promise<void>;
}

/** What an endpoint says of one status. */
export interface Answer {
  description: string;
  /** Shape of the body; the tests hold every answer that they see against it. */
  schema?: Joi.Schema;
  /** What its own headers say, by their names in lower case. */
  headers?: Record<string, string>;
}

/**
 * Whether a call changes anything. Of a GET the method does not tell, since existing apps change things by GET: its row must say it. One that
 * changes is not answered for HEAD, and with a cookie only for the server's own pages (same-origin.ts).
 */
type Effect =
  | {
      method: 'get';
      changes: false;
      /** The server's own pages ask for it: their sign-in cookie opens it, as it opens nothing else under /api. */
      page?: true;
    }
  | { method: 'get'; changes: true; page?: undefined }
  | { method: Exclude<Method, 'get'>; changes?: undefined; page?: undefined };

/** A declaration; docs/api-rules.md has the order in which its checks run. */
export type Endpoint<Path extends string = string, Body = unknown, A extends Access = Access, Query = unknown> = Effect &
  Declaration<Path, Body, A, Query>;

interface Declaration<Path extends string, Body, A extends Access, Query> {
  /** Under /api, in Express's notation. */
  path: Path;
  access: A;
  /** What a named key must be allowed, beside the role of its account; null: the endpoint is public, and looks at no key. */
  scope: A extends 'public' ? null : Scope;
  /** Group in the documentation. */
  group: string;
  summary: string;
  description?: string;
  /** Set where clients should use something else. */
  deprecated?: true;
  /** Checked as a body is: 422 names the parameter. */
  params?: Joi.ObjectSchema;
  body?: Joi.ObjectSchema<Body>;
  /** Parameters after the `?`; unknown ones are ignored, empty ones are none. */
  query?: Joi.ObjectSchema<Query>;
  /** What `accept` may ask for; JSON alone where unset. A text is text/plain for whoever asks for JSON, too. */
  formats?: readonly Format[];
  answers: Record<number, string | Answer>;
  /** Where false the endpoint is switched off: 404, after the role was checked, so that only those hear of it who may call it. */
  when?: (settings: Settings) => boolean;
  /** Set where a refusal would lose data for ever: no rate limit by account. Unauthenticated requests are limited all the same. */
  unlimited?: true;
  /** What is refused before the body is validated; for the few endpoints of docs/api-rules.md whose clients rely on that order. */
  before?: (caller: Caller, params: Record<string, string>) => Promise<void>;
  /** Told of a caller whose role is enough and whose named key lacks the scope, before the 403: where each try is written down. Never throws. */
  refused?: (caller: Caller, params: Record<string, string>, client: Client) => Promise<void>;
  /** The handler shows the caller's own account: `caller.view`, where the credentials are looked up by one statement with it. */
  callerView?: true;
  /** The field at fault where the body is larger than the limit: 422 in validation's place, not 413. */
  oversized?: string;
  handler: (call: Call<Path, Body, A, Query>) => Promise<Reply>;
}

/** Any endpoint, whatever the types of its path, body and query. */
export type AnyEndpoint = Endpoint;

/** All that the OpenAPI document is made of. */
export interface Api {
  /** In matching order. */
  endpoints: readonly AnyEndpoint[];
  /** What each group is about. */
  groups: Record<string, string>;
  /** What parameters of paths are, by name, where an endpoint has no rule of its own for them (`params`). */
  parameters: Record<string, Joi.Schema>;
  /** Shape of an error. */
  error: Joi.Schema;
}

/** Whether a call of the endpoint changes anything. */
export const changesAnything = ({ changes = true }: AnyEndpoint): boolean => changes;

/** Declares an endpoint; one without `access` or `scope`, and a GET without `changes`, does not compile. @returns the same object, for lists of endpoints */
export function route<const Path extends string, Body, const A extends Access, Query = unknown>(
  endpoint: Endpoint<Path, Body, A, Query>,
): AnyEndpoint {
  return endpoint as unknown as AnyEndpoint;
}

/** 200; `{}` where there is nothing to say. */
export const ok = (body: unknown = {}): Reply => ({ status: 200, body });
async function* joined<Row>(pages: AsyncIterable<Row[]>, [open, close]: [string, string], write: (row: Row) => string): Parts {
  let separator = open;
  for await (const rows of pages) {
    if (rows.length === 0) continue;
    const text = separator + rows.map(write).join(',');
    // A suspended generator keeps what it had in hand: without this, a list that nobody reads held each page twice.
    rows.length = 0;
    yield text;
    separator = ',';
  }
  yield separator === open ? open + close : close;
}

/** 200 with a JSON array of a list that is read page by page. */
export const okList = <Row>(pages: () => AsyncIterable<Row[]>, present: (row: Row) => object): Reply =>
  ok(() => joined(pages(), ['[', ']'], (row) => JSON.stringify(present(row))));

/** 200 with a JSON object of such a list, by a key that each row has for itself. */
export const okByKey = <Row>(pages: () => AsyncIterable<Row[]>, keyOf: (row: Row) => string, present: (row: Row) => object): Reply =>
  ok(() => joined(pages(), ['{', '}'], (row) => `${JSON.stringify(keyOf(row))}:${JSON.stringify(present(row))}`));

/** 201: a POST that made a resource, which is the body. */
export const created = (body: unknown): Reply => ({ status: 201, body });

/** A number in the path. @throws {ApiError} 404 where it is none that a row could have */
export function pathId(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) > 2147483647) throw notFound('route.not_found');
  return Number(text);
}

/** `user@domain` in the path, a leading `sip:` or `sips:` tolerated. @throws {ApiError} 404 without `@` */
export function pathSip(text: string): SipAddress {
  const address = withoutSipScheme(text.trim());
  const at = address.lastIndexOf('@');
  // A character that no column can hold names nothing.
  if (at < 1 || address.includes('\u0000')) throw notFound('account.not_found');
  return { username: address.slice(0, at), domain: address.slice(at + 1).toLowerCase() };
}

/** Text in the path that a column is compared with. @throws {ApiError} 404 for a character that no column can hold */
export function pathText(text: string): string {
  if (text.includes('\u0000')) throw notFound('route.not_found');
  return text;
}
