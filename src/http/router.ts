// From rows to an Express router. The order of checks is api.md 1.2, the same for every row.
import { Router, type Request, type RequestHandler, type Response } from 'express';
import { match } from 'path-to-regexp';
import { settings } from '../../config';
import { ApiError, badRequest, notFound } from '../errors';
import { observeRequest } from '../metrics';
import { authorize } from './access';
import { authenticate, hasCredentials } from './authentication';
import { readBody } from './body';
import { clientOf, hostOf, languageOf } from './client';
import { countRequest } from './rate-limit';
import { writeError, writeReply } from './reply';
import type { AnyRow, Caller, Reply } from './route';
import { validate } from './validation';

async function identify(row: AnyRow, request: Request, response: Response): Promise<Caller | undefined> {
  const count = async (client: string): Promise<void> => {
    for (const [name, value] of Object.entries(await countRequest(client))) response.setHeader(name, value);
  };
  const byAddress = `ip:${clientOf(request).ip}`;
  if (row.access === 'public') {
    await count(byAddress);
    return undefined;
  }
  if (!hasCredentials(request)) await count(byAddress);
  let authenticated;
  try {
    authenticated = await authenticate(request);
  } catch (error) {
    // Wrong credentials count as a stranger's request: guessing is limited by address.
    if (error instanceof ApiError && error.status < 500 && hasCredentials(request)) await count(byAddress);
    throw error;
  }
  const { identity, headers = {} } = authenticated;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!row.unlimited) await count(`account:${identity.account_id}`);
  return authorize(identity, row.access);
}

async function answer(row: AnyRow, request: Request, response: Response): Promise<Reply> {
  const body = await readBody(request, response);
  const caller = await identify(row, request, response);
  if (row.when && !row.when(settings)) throw notFound('route.not_found');
  if (row.before && caller) await row.before(caller);
  const params = row.params ? validate(row.params, request.params) : request.params;
  return row.handler({
    params: params as Record<string, string>,
    body: row.body ? validate(row.body, body) : {},
    caller: caller,
    client: clientOf(request),
    language: languageOf(request),
    host: hostOf(request),
    headers: request.headers,
    query: (name) => {
      const value = request.query[name];
      return typeof value === 'string' ? value : undefined;
    },
  });
}

function handle(row: AnyRow): RequestHandler {
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
export function apiRouter(rows: readonly AnyRow[]): Router {
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
