// Express over HTTP/2 as well as HTTP/1.1. Express sets the prototypes of node:http's request and response on every request it is given,
// which breaks those of node:http2; the same app runs with prototypes of their own for either (messages.ts). An app that is
// mounted in another one needs the same.
import type { RequestListener, ServerResponse } from 'node:http';
import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2';
import type { Express, NextFunction, Request, Response } from 'express';
import { type AppMessages, messagesOf } from './messages';

type Handler = (request: Request, response: Response, next?: NextFunction) => void;

/** An app as a handler of node:http and node:http2 servers, and what their requests and answers are to be. */
export type AppListener = Handler & RequestListener & { messages: AppMessages };

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

/** Whether nobody is there any more who could read; the answers of node:http2 do not say so themselves. */
export function isGone(response: ServerResponse): boolean {
  const stream = streamOf(response);
  return response.closed || response.destroyed || stream?.closed === true || stream?.destroyed === true;
}

/** Whether a body follows the head of a request over HTTP/2. */
export const bodyFollows = ({ stream }: Http2ServerRequest): boolean =>
  !(stream as unknown as { endAfterHeaders: boolean }).endAfterHeaders;

/** What HTTP/1.1 says in a header and HTTP/2 otherwise: that a body of unknown length follows. */
function addHeaders(request: Http2ServerRequest): void {
  const { headers } = request;
  if (bodyFollows(request) && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
}

/** The app with other prototypes; what is mounted in it later is served as well. */
const twinOf = (app: Express, { request, response }: AppMessages[keyof AppMessages]): Express =>
  Object.create(app, { request: { value: request.prototype }, response: { value: response.prototype } }) as Express;

/**
 * Makes an app answer HTTP/2 requests too.
 *
 * @param app an Express app, complete or not
 * @returns a handler for node:http and node:http2 servers alike, which may also be mounted in another app
 */
export function withHttp2Support(app: Express): AppListener {
  const messages = messagesOf(app);
  const [first, second] = [twinOf(app, messages.http1), twinOf(app, messages.http2)];
  const { handle } = app as unknown as { handle: (this: Express, ...of: Parameters<Handler>) => void };
  const handler: Handler = (request, response, next) => {
    if (request.httpVersionMajor < 2) {
      handle.call(first, request, response, next);
      return;
    }
    addHeaders(request as unknown as Http2ServerRequest);
    handle.call(second, request, response, next);
  };
  return Object.assign(handler, { messages }) as unknown as AppListener;
}
