// From endpoints to a middleware of Express. The order of checks is the same for all of them (docs/api-rules.md).
import type { RequestHandler, Request, Response } from 'express';
import { settings } from '../../config';
import { ApiError, badRequest, notFound, unprocessable } from '../infra/errors';
import { durationsOf } from '../infra/metrics';
import { isOverloaded, overloaded } from '../infra/overload';
import { callerLackingScope } from './access';
import { formatOf, readBody } from './body';
import { clientOf, hostOf, languageOf } from './client';
import { apiKeyCookie } from './cookies';
import { decodeParameters, EndpointMap } from './endpoint-map';
import { type Demand, identify } from './identification';
import { writeError, writeReply } from './reply';
import { type AnyEndpoint, type Caller, changesAnything, type Reply } from './route';
import { maySetCookie } from './same-origin';
import { refuseStranger } from './stranger';
import { validate } from './validation';

/** An endpoint with all that depends on it alone, made once. */
interface Row {
  endpoint: AnyEndpoint;
  demand: Demand;
  /** Takes a status and seconds. */
  observe: (status: number, seconds: number) => void;
}

function rowOf(endpoint: AnyEndpoint): Row {
  const { access, scope, unlimited, page = false, callerView = false } = endpoint;
  const demand: Demand = { access, scope, unlimited, page, changes: changesAnything(endpoint), withView: callerView };
  return { endpoint, demand, observe: durationsOf(endpoint.method, endpoint.path) };
}

/** Undefined: larger than the limit, where the endpoint names a field to blame for it. */
async function readBodyOf(endpoint: AnyEndpoint, request: Request, response: Response): Promise<Record<string, unknown> | undefined> {
  try {
    return await readBody(request, response, endpoint.formats);
  } catch (error) {
    if (endpoint.oversized !== undefined && error instanceof ApiError && error.status === 413) return undefined;
    throw error;
  }
}

/** Parameters behind the `?`; empty ones are none. */
const queryOf = (request: Request): Record<string, unknown> =>
  Object.fromEntries(Object.entries(request.query).filter(([, value]) => value !== ''));

/** identify(), after which an endpoint that writes each try down has heard of a key that lacks its scope. */
async function identifyFor(
  endpoint: AnyEndpoint,
  demand: Demand,
  given: Record<string, string>,
  request: Request,
  response: Response,
): Promise<Caller | undefined> {
  try {
    return await identify(demand, request, response);
  } catch (error) {
    const caller = endpoint.refused && callerLackingScope(error);
    if (caller) await endpoint.refused?.(caller, given, clientOf(request));
    throw error;
  }
}

async function answer({ endpoint, demand }: Row, given: Record<string, string>, request: Request, response: Response): Promise<Reply> {
  const body = await readBodyOf(endpoint, request, response);
  const caller = await identifyFor(endpoint, demand, given, request, response);
  if (endpoint.when && !endpoint.when(settings)) throw notFound('route.not_found');
  if (endpoint.before && caller) await endpoint.before(caller, given);
  if (!body) throw unprocessable({ [endpoint.oversized ?? '']: [{ key: 'request.too_large', values: {} }] });
  const params = endpoint.params ? (validate(endpoint.params, given) as Record<string, string>) : given;
  return endpoint.handler({
    params,
    body: endpoint.body ? validate(endpoint.body, body) : {},
    caller,
    client: clientOf(request),
    language: languageOf(request),
    host: hostOf(request),
    headers: request.headers,
    query: endpoint.query ? validate(endpoint.query, queryOf(request)) : {},
    // Where there is JSON alone the header was looked at with the body.
    format: (endpoint.formats && formatOf(request, endpoint.formats)) ?? 'application/json',
  });
}

async function serve(row: Row, given: Record<string, string>, request: Request, response: Response): Promise<void> {
  const began = performance.now();
  try {
    if (!row.demand.unlimited && isOverloaded(request)) throw overloaded();
    const reply = await answer(row, given, request, response);
    if (reply.apiKeyCookie !== undefined && maySetCookie(request))
      response.setHeader('set-cookie', apiKeyCookie(request, reply.apiKeyCookie));
    await writeReply(response, reply);
  } catch (error) {
    writeError(response, error, languageOf(request));
  }
  row.observe(response.statusCode, (performance.now() - began) / 1000);
}

/** The middlewares of all endpoints. */
export interface ApiRouter {
  /** Answers what is an endpoint, below `/api`; all else goes on. */
  serve: RequestHandler;
  /** Answers what is none: 405 with `Allow` where the path is known, else 404. */
  refuse: RequestHandler;
}

/** As Express mounts it: in any letter case. */
const PREFIX = /^\/api(?=\/)/i;

const methodsOf = (endpoint: AnyEndpoint): string[] =>
  endpoint.method === 'get' && !changesAnything(endpoint) ? ['GET', 'HEAD'] : [endpoint.method.toUpperCase()];

/** @throws {Error} where an endpoint is declared twice */
export function apiRouter(endpoints: readonly AnyEndpoint[]): ApiRouter {
  const map = new EndpointMap<Row>();
  for (const endpoint of endpoints) map.add(endpoint, rowOf(endpoint));
  /** Also where Express has cut the prefix, which is cut once: below `/api/api` is nothing. */
  const pathOf = ({ baseUrl, path }: Request): string => (baseUrl + path).replace(PREFIX, '');

  const refuse: RequestHandler = (request, response) => {
    const methods = map.findAll(pathOf(request)).flatMap(({ row }) => methodsOf(row.endpoint));
    const allow = methods.sort().join(', ');
    const values = { method: request.method, allow };
    const error =
      methods.length === 0
        ? notFound('route.not_found')
        : new ApiError(405, { key: 'route.method_not_allowed', values }, { headers: { allow } });
    return refuseStranger(request, response, error);
  };

  const serveRow: RequestHandler = (request, response, next) => {
    if (!PREFIX.test(request.path)) {
      next();
      return undefined;
    }
    const path = pathOf(request);
    const isHead = request.method === 'HEAD';
    const found = map.find(isHead ? 'GET' : request.method, path);
    // What has the path with another method is told what is wrong with the path first.
    const meant = found ?? map.findAll(path)[0];
    if (!meant) {
      next();
      return undefined;
    }
    const given = decodeParameters(meant.names, meant.values);
    if (!given) return refuseStranger(request, response, badRequest('request.path'));
    // A HEAD does not do what a GET does.
    if (!found || (isHead && found.row.demand.changes)) return refuse(request, response, next);
    response.locals['route'] = found.row.endpoint.path;
    return serve(found.row, given, request, response);
  };

  return { serve: serveRow, refuse };
}
