// Express over HTTP/2 as well as HTTP/1.1. Express sets the prototypes of node:http's request and response on every request it is given,
// which breaks those of node:http2; for HTTP/2 requests the same app runs with prototypes of its own. An app that is
// mounted in another one needs the same.
import type { RequestListener } from 'node:http';
import { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';

type Handler = (request: Request, response: Response, next?: NextFunction) => void;

const own = (app: Express, methods: object, base: object): object =>
  Object.create(base, { ...Object.getOwnPropertyDescriptors(methods), app: { value: app } }) as object;

/** What HTTP/1.1 says in headers and HTTP/2 otherwise: the host, and that a body of unknown length follows. */
function addHeaders(request: Http2ServerRequest): void {
  const { headers, stream } = request;
  headers.host ??= request.authority;
  const { endAfterHeaders } = stream as unknown as { endAfterHeaders: boolean };
  if (!endAfterHeaders && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
}

/**
 * Makes an app answer HTTP/2 requests too.
 *
 * @param app an Express app, complete or not: what is mounted later is served as well
 * @returns a handler for node:http and node:http2 servers alike, which may also be mounted in another app
 */
export function withHttp2Support(app: Express): Handler & RequestListener {
  const twin = Object.create(app, {
    request: { value: own(app, express.request, Http2ServerRequest.prototype) },
    response: { value: own(app, express.response, Http2ServerResponse.prototype) },
  }) as Express;
  const { handle } = app as unknown as { handle: (this: Express, ...of: Parameters<Handler>) => void };
  const handler: Handler = (request, response, next) => {
    if (request.httpVersionMajor < 2) {
      handle.call(app, request, response, next);
      return;
    }
    addHeaders(request as unknown as Http2ServerRequest);
    handle.call(twin, request, response, next);
  };
  return handler as Handler & RequestListener;
}
