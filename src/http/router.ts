// From endpoints to an Express router. The order of checks is the same for all of them (docs/api-rules.md).
import { Router, type Request, type RequestHandler, type Response } from 'express';
import { match } from 'path-to-regexp';
import { settings } from '../../config';
import { ApiError, notFound, unprocessable } from '../infra/errors';
import { observeRequest } from '../infra/metrics';
import { isOverloaded, overloaded } from '../infra/overload';
import { formatOf, readBody } from './body';
import { clientOf, hostOf, languageOf } from './client';
import { apiKeyCookie } from './cookies';
import { identify } from './identification';
import { writeError, writeReply } from './reply';
import { type AnyEndpoint, changesAnything, type Reply } from './route';
import { maySetCookie } from './same-origin';
import { refuseStranger } from './stranger';
import { validate } from './validation';

/** Undefined: larger than the limit, where the endpoint names a field to blame for it. */
async function readBodyOf(endpoint: AnyEndpoint, request: Request, response: Response): Promise<Record<string, unknown> | undefined> {
  try {
    return await readBody(request, response, endpoint.formats);
  } catch (error) {
    if (endpoint.oversized !== undefined && error instanceof ApiError && error.status === 413) return undefined;
    throw error;
  }
}

async function answer(endpoint: AnyEndpoint, request: Request, response: Response): Promise<Reply> {
  const body = await readBodyOf(endpoint, request, response);
  const { access, unlimited, page = false } = endpoint;
  const caller = await identify({ access, unlimited, page, changes: changesAnything(endpoint) }, request, response);
  if (endpoint.when && !endpoint.when(settings)) throw notFound('route.not_found');
  if (endpoint.before && caller) await endpoint.before(caller, request.params as Record<string, string>);
  if (!body) throw unprocessable({ [endpoint.oversized ?? '']: [{ key: 'request.too_large', values: {} }] });
  const params = endpoint.params ? validate(endpoint.params, request.params) : request.params;
  return endpoint.handler({
    params: params as Record<string, string>,
    body: endpoint.body ? validate(endpoint.body, body) : {},
    caller,
    client: clientOf(request),
    language: languageOf(request),
    host: hostOf(request),
    headers: request.headers,
    query: endpoint.query
      ? validate(endpoint.query, Object.fromEntries(Object.entries(request.query).filter(([, value]) => value !== '')))
      : {},
    // Where there is JSON alone the header was looked at with the body.
    format: (endpoint.formats && formatOf(request, endpoint.formats)) ?? 'application/json',
  });
}

async function write(reply: Reply, request: Request, response: Response): Promise<void> {
  if (reply.apiKeyCookie !== undefined && maySetCookie(request))
    response.setHeader('set-cookie', apiKeyCookie(request, reply.apiKeyCookie));
  await writeReply(response, reply);
}

function handle(endpoint: AnyEndpoint, refuse: RequestHandler): RequestHandler {
  return async (request, response, next) => {
    // Express does for HEAD what it does for GET.
    if (request.method === 'HEAD' && changesAnything(endpoint)) {
      await refuse(request, response, next);
      return;
    }
    response.locals['route'] = endpoint.path;
    const observed = observeRequest(endpoint.method, endpoint.path);
    try {
      if (!endpoint.unlimited && isOverloaded(request)) throw overloaded();
      await write(await answer(endpoint, request, response), request, response);
    } catch (error) {
      writeError(response, error, languageOf(request));
    }
    observed(response.statusCode);
  };
}

/** A router for all endpoints, and for what is none: 405 with `Allow` where the path is known, else 404. Errors are answered by it, too. */
export function apiRouter(endpoints: readonly AnyEndpoint[]): Router {
  const paths = endpoints.map((endpoint) => ({
    path: endpoint.path,
    matches: match(endpoint.path, { sensitive: true, trailing: true }),
    methods: endpoint.method === 'get' && !changesAnything(endpoint) ? ['GET', 'HEAD'] : [endpoint.method.toUpperCase()],
  }));
  const refuse: RequestHandler = (request, response) => {
    // Of several patterns the first is the one that is meant: /accounts/me before /accounts/:id.
    const meant = paths.find(({ matches }) => matches(request.path) !== false)?.path;
    const known = new Set(paths.filter(({ path }) => path === meant).flatMap(({ methods }) => methods));
    const allow = [...known].sort().join(', ');
    const values = { method: request.method, allow };
    const error =
      known.size === 0
        ? notFound('route.not_found')
        : new ApiError(405, { key: 'route.method_not_allowed', values }, { headers: { allow } });
    return refuseStranger(request, response, error);
  };

  const router = Router({ caseSensitive: true });
  for (const endpoint of endpoints) router[endpoint.method](endpoint.path, handle(endpoint, refuse));
  router.use(refuse);
  // A percent sign without two hexadecimal digits reaches no endpoint: the router itself refuses it.
  router.use((error: unknown, request: Request, response: Response, _next: unknown) => refuseStranger(request, response, error));
  return router;
}
