// Express over HTTP/2 as well as HTTP/1.1. Express sets the prototypes of node:http's request and response on every request it is given,
// which breaks those of node:http2; for HTTP/2 requests the same app runs with prototypes of its own. An app that is
// mounted in another one needs the same.
import type { RequestListener, ServerResponse } from 'node:http';
import { Http2ServerRequest, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';

type Handler = (request: Request, response: Response, next?: NextFunction) => void;

/** Express's methods, and what the app has put in their place. */
const own = (methods: object, replaced: object, base: object): object =>
  Object.create(base, { ...Object.getOwnPropertyDescriptors(methods), ...Object.getOwnPropertyDescriptors(replaced) }) as object;

/** The stream of an answer over HTTP/2; HTTP/1.1 has none. */
export const streamOf = (response: ServerResponse): ServerHttp2Stream | undefined =>
  (response as unknown as { stream?: ServerHttp2Stream }).stream;

/**
 * Ends an answer before it is whole: the connection of HTTP/1.1, which cannot end an answer otherwise; of HTTP/2 the stream alone.
 *
 * @param code of HTTP/2 (RFC 9113, section 7)
 */
export function endEarly(response: ServerResponse, code: number): void {
  const stream = streamOf(response);
  if (stream) stream.close(code);
  else response.destroy();
}

/** What HTTP/1.1 says in a header and HTTP/2 otherwise: that a body of unknown length follows. */
function addHeaders({ headers, stream }: Http2ServerRequest): void {
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
    request: { value: own(express.request, app.request, Http2ServerRequest.prototype) },
    response: { value: own(express.response, app.response, Http2ServerResponse.prototype) },
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
