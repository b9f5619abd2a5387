// What a client may keep waiting for: an answer that it does not read, and a body that it does not send. Both hold memory and a place.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { ApiError } from '../infra/errors';
import { endEarly, streamOf } from './http2';

/** Bounds on clients that do not go on. */
export interface Patience {
  /** Of an answer that has begun, without one octet of it being taken. */
  unreadAnswerMs: number;
  /** Until the whole body is there. */
  bodyMs: number;
}
export const PATIENCE: Patience = { unreadAnswerMs: 30_000, bodyMs: 120_000 };

/** Once its head is written, an answer of which nothing is taken for a while ends. Node counts each octet that the system takes as progress. */
function watchAnswer(response: ServerResponse, timeoutMs: number): void {
  const writeHead = response.writeHead.bind(response) as (...of: unknown[]) => ServerResponse;
  response.writeHead = (...of: unknown[]): ServerResponse => {
    (streamOf(response) ?? response).setTimeout(timeoutMs, () => endEarly(response, constants.NGHTTP2_CANCEL));
    return writeHead(...of);
  };
}

/** Of HTTP/1.1 node:http sees to that itself. */
function watchBody(request: IncomingMessage, response: ServerResponse, timeoutMs: number): void {
  const timer = setTimeout(() => {
    const fault = new ApiError(408, { key: 'request.timeout', values: {} });
    // Where nobody reads the body nobody can say so.
    if (response.headersSent || !request.emit('refused', fault)) endEarly(response, constants.NGHTTP2_CANCEL);
    // The answer is whole; the rest of the body is not asked for (RFC 9113, section 8.1).
    else response.once('finish', () => streamOf(response)?.close(constants.NGHTTP2_NO_ERROR));
  }, timeoutMs);
  const done = (): void => clearTimeout(timer);
  request.once('end', done);
  response.once('close', done);
}

/** Bounds what clients may leave unread and unsent. Called before anything else listens to requests. */
export function limitPatience(server: Server, { unreadAnswerMs, bodyMs }: Patience): void {
  server.requestTimeout = bodyMs;
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    watchAnswer(response, unreadAnswerMs);
    if (request.httpVersionMajor >= 2) watchBody(request, response, bodyMs);
  });
}
