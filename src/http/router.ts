// From rows to an Express router. The order of checks is api.md 1.2, the same for every row.
import { Router, type Request, type RequestHandler, type Response } from 'express';
import { match } from 'path-to-regexp';
import { settings } from '../../config';
import { ApiError, badRequest, notFound, unprocessable } from '../infra/errors';
import { observeRequest } from '../infra/metrics';
import { formatOf, readBody } from './body';
import { clientOf, hostOf, languageOf } from './client';
import { identify } from './identification';
import { writeError, writeReply } from './reply';
import type { AnyEndpoint, Reply } from './route';
import { validate } from './validation';

/** Undefined: larger than the limit, where the row has a field to blame for it. */
async function readBodyOf(row: AnyEndpoint, request: Request, response: Response): Promise<Record<string, unknown> | undefined> {
  try {
    return await readBody(request, response, row.formats);
  } catch (error) {
    if (row.oversized !== undefined && error instanceof ApiError && error.status === 413) return undefined;
    throw error;
  }
}

async function answer(row: AnyEndpoint, request: Request, response: Response): Promise<Reply> {
  const body = await readBodyOf(row, request, response);
  const caller = await identify(row, request, response);
  if (row.when && !row.when(settings)) throw notFound('route.not_found');
  if (row.before && caller) await row.before(caller, request.params as Record<string, string>);
  if (!body) throw unprocessable({ [row.oversized ?? '']: [{ key: 'request.too_large', values: {} }] });
  const params = row.params ? validate(row.params, request.params) : request.params;
  return row.handler({
    params: params as Record<string, string>,
    body: row.body ? validate(row.body, body) : {},
    caller: caller,
    client: clientOf(request),
    language: languageOf(request),
    host: hostOf(request),
    headers: request.headers,
    query: row.query ? validate(row.query, Object.fromEntries(Object.entries(request.query).filter(([, value]) => value !== ''))) : {},
    // Where there is JSON alone the header was looked at with the body.
    format: (row.formats && formatOf(request, row.formats)) ?? 'application/json',
  });
}

function handle(row: AnyEndpoint): RequestHandler {
  return async (request, response) => {
    response.locals['route'] = row.path;
    const observed = observeRequest(row.method, row.path);
    try {
      writeReply(response, await answer(row, request, response));
    } catch (error) {
      writeError(response, error, languageOf(request));
    }
    observed(response.statusCode);
  };
}

/** A router for all rows, and for what is no row: 405 with `Allow` where the path is known, else 404. */
export function apiRouter(rows: readonly AnyEndpoint[]): Router {
  const router = Router({ caseSensitive: true });
  for (const row of rows) router[row.method](row.path, handle(row));

  const paths = rows.map(({ path, method }) => ({
    path,
    matches: match(path, { sensitive: true, trailing: true }),
    method: method.toUpperCase(),
  }));
  router.use((request, response) => {
    // Of several patterns the first is the one that is meant: /accounts/me before /accounts/:id.
    const meant = paths.find(({ matches }) => matches(request.path) !== false)?.path;
    const known = new Set(paths.filter(({ path }) => path === meant).map(({ method }) => method));
    if (known.has('GET')) known.add('HEAD');
    const error =
      known.size === 0
        ? notFound('route.not_found')
        : new ApiError(
            405,
            { key: 'route.method_not_allowed', values: { method: request.method } },
            { headers: { allow: [...known].sort().join(', ') } },
          );
    writeError(response, error, languageOf(request));
  });
  // A percent sign without two hexadecimal digits reaches no row: the router itself refuses it.
  router.use((error: unknown, request: Request, response: Response, _next: unknown) => {
    const refused = error instanceof URIError || (error as { status?: number }).status === 400;
    writeError(response, refused ? badRequest('request.path') : error, languageOf(request));
  });
  return router;
}
