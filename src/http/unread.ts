// What a client may keep waiting for: an answer that it does not read, and a body that it does not send. Both hold memory and a place.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest } from 'node:http2';
import { ApiError } from '../infra/errors';
import { bodyFollows, endEarly, streamOf } from './http2';
import { watchHead } from './messages';

/** Bounds on clients that do not go on. */
export interface Patience {
  /** Of an answer that has begun, without one octet of it being taken. */
  unreadAnswerMs: number;
  /** Until the whole body is there. */
  bodyMs: number;
}
export const PATIENCE: Patience = { unreadAnswerMs: 30_000, bodyMs: 120_000 };

/** Once its head is written, an answer of which nothing is taken for a while ends. Node counts each octet that the system takes as progress. */
const answerWatcher =
  (timeoutMs: number) =>
  (response: ServerResponse): void => {
    (streamOf(response) ?? response).setTimeout(timeoutMs, () => endEarly(response, constants.NGHTTP2_CANCEL));
  };

/** Of HTTP/2: of HTTP/1.1 node:http sees to that itself. */
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

/** @returns what bounds what the client of a request may leave unread and unsent; to be called before anything else is done with it */
export function watchPatience({ unreadAnswerMs, bodyMs }: Patience): (request: IncomingMessage, response: ServerResponse) => void {
  const watchAnswer = answerWatcher(unreadAnswerMs);
  return (request, response) => {
    watchHead(response, watchAnswer);
    if (request.httpVersionMajor >= 2 && bodyFollows(request as unknown as Http2ServerRequest)) watchBody(request, response, bodyMs);
  };
}
