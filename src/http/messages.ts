// The requests and answers of an Express app as the listener makes them. Express gives each request and each answer its methods by changing the prototype,
// after which V8 can optimise nothing that touches them: three quarters of what a small request costs. Here they are born with the methods, so that
// Express finds the prototype that it wants in place; HTTP/2 has other ones than HTTP/1.1. The head of an answer goes out in one call.
import { IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import express, { type Express } from 'express';
import { exchangeOf, type Headers } from './exchange';

/** Classes of one version of HTTP, as the options of node:http and node:http2 servers take them. */
interface Messages {
  request: typeof IncomingMessage;
  response: typeof ServerResponse;
}

/** Of both versions that an app answers. */
export interface AppMessages {
  http1: Messages;
  http2: { request: typeof Http2ServerRequest; response: typeof Http2ServerResponse };
}

/** Is called when the head of an answer goes out. */
type HeadWatcher = (response: ServerResponse) => void;

const WATCHER = Symbol('watcher');
type Answer = ServerResponse & { [WATCHER]?: HeadWatcher };

/** Has an answer tell when its head goes out; one of the classes here. */
export function watchHead(response: ServerResponse, watcher: HeadWatcher): void {
  (response as Answer)[WATCHER] = watcher;
}

type WriteHead = (this: ServerResponse, status: number, ...more: unknown[]) => ServerResponse;

/** Headers as writeHead() takes them, as an object. */
function toObject(given: OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined): Headers {
  if (!Array.isArray(given)) return (given ?? {}) as Headers;
  const headers: Headers = {};
  for (let at = 0; at < given.length; at += 2) headers[String(given[at]).toLowerCase()] = String(given[at + 1]);
  return headers;
}

/** A writeHead() that adds the headers of the exchange, in one call of node's own. */
const completed = (writeHead: WriteHead): WriteHead =>
  function completedHead(status, ...more) {
    (this as Answer)[WATCHER]?.(this);
    const exchange = exchangeOf(this);
    if (!exchange) return writeHead.call(this, status, ...more);
    const given = toObject(more.find((each) => typeof each === 'object') as OutgoingHttpHeaders | undefined);
    return writeHead.call(this, status, exchange.headWith(given, this.getHeaderNames()));
  };

/** Gives a class the methods that an object has, and the app's own. */
function lend(prototype: object, methods: object, own: object): void {
  Object.defineProperties(prototype, { ...Object.getOwnPropertyDescriptors(methods), ...Object.getOwnPropertyDescriptors(own) });
}

/**
 * Makes the classes of an app's requests and answers.
 *
 * @param app whose `request` and `response` have what is to be lent by now
 */
export function messagesOf(app: Express): AppMessages {
  class Http1Request extends IncomingMessage {}
  class Http1Response<Of extends IncomingMessage = IncomingMessage> extends ServerResponse<Of> {}
  class Http2Request extends Http2ServerRequest {}
  class Http2Response<Of extends Http2ServerRequest = Http2ServerRequest> extends Http2ServerResponse<Of> {}
  for (const { prototype } of [Http1Request, Http2Request]) lend(prototype, express.request, app.request);
  for (const { prototype } of [Http1Response, Http2Response]) {
    const { writeHead } = prototype as unknown as { writeHead: WriteHead };
    lend(prototype, express.response, app.response);
    Object.defineProperty(prototype, 'writeHead', { value: completed(writeHead), configurable: true, writable: true });
  }
  return { http1: { request: Http1Request, response: Http1Response }, http2: { request: Http2Request, response: Http2Response } };
}
