// What node:http refuses before there is a request: malformed heads and bodies, too much, too slow. It is answered as any other request is, by the
// same handler: as JSON, with the headers and the line in the log that all answers have. node:http's own words are for nobody.
import { IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError } from '../infra/errors';
import type { MessageKey } from '../i18n';
import { MAX_HEADER_KIB, METHODS, refuse, refuseRequest } from './head';
import { unanswered } from './pipelining';

/** As node:http and llhttp give it. */
interface ParserError extends Error {
  code?: string;
  /** What exactly is wrong. */
  reason?: string;
  /** Bytes in which it is, and how far they were read. */
  rawPacket?: Buffer;
  bytesParsed?: number;
}

/** Who is refused may still be sending: so long is read on, since a connection that is closed before resets, and with it goes the answer (RFC 9112, section 9.6). */
const LINGER_MS = 1000;
/** What TLS begins with: a handshake (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 0x16;
const METHOD = /^([A-Z][A-Z-]{0,19}) \S/;

const MESSAGES: Record<string, MessageKey> = {
  HPE_INVALID_CONTENT_LENGTH: 'request.content_length',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'request.content_length',
  HPE_INVALID_CHUNK_SIZE: 'request.chunk',
  HPE_STRICT: 'request.chunk',
  HPE_INVALID_URL: 'request.target',
  HPE_INVALID_CONSTANT: 'request.line',
  HPE_INVALID_HEADER_TOKEN: 'request.header_syntax',
  HPE_LF_EXPECTED: 'request.line_end',
  HPE_CR_EXPECTED: 'request.line_end',
  HPE_INVALID_EOF_STATE: 'request.ended',
};

/** The line at which the parser stopped. */
function lineOf({ rawPacket, bytesParsed = 0 }: ParserError): Buffer {
  const bytes = rawPacket ?? Buffer.alloc(0);
  return bytes.subarray(bytes.lastIndexOf('\n', Math.max(0, bytesParsed - 1)) + 1);
}

const unknownMethod = (method: string): ApiError =>
  new ApiError(405, { key: 'request.method', values: { method } }, { headers: { allow: METHODS } });

/**
 * The answer to what node:http refuses. RFC 9110 would have 501 and 505 for what this server does not know; but an answer from 500 on says that the server
 * failed, which is what operators are woken for, and no stranger may do that.
 */
function toFault(error: ParserError): ApiError {
  const { code = '', reason = '' } = error;
  // content-length and transfer-encoding; the code is that of the one which stands second.
  if (reason.includes("can't be present with")) return refuse(400, 'request.two_lengths');
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return refuse(431, 'request.header_bytes', { limit: MAX_HEADER_KIB });
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return refuse(413, 'request.chunk_extensions');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refuse(408, 'request.timeout');
    case 'ERR_SSL_HTTP_REQUEST':
      return refuse(400, 'request.tls_needed');
    case 'HPE_INVALID_METHOD': {
      const line = lineOf(error);
      if (line[0] === TLS_HANDSHAKE) return refuse(400, 'request.tls_unknown');
      const [, method] = METHOD.exec(line.toString('latin1', 0, 64)) ?? [];
      return method === undefined ? refuse(400, 'request.line') : unknownMethod(method);
    }
    case 'HPE_INVALID_VERSION':
      return refuse(400, reason.startsWith('Expected') ? 'request.line_end' : 'request.version');
    case 'HPE_PAUSED_H2_UPGRADE':
      return refuse(400, 'request.version');
    case 'HPE_INVALID_TRANSFER_ENCODING':
      return refuse(400, 'request.transfer_encoding');
    default:
      return refuse(400, MESSAGES[code] ?? 'request.malformed');
  }
}

/** A request that never came to be, and its answer, after which the connection ends. */
function answerWith(handler: RequestListener, socket: Duplex, fault: ApiError): void {
  const request = new IncomingMessage(socket as Socket);
  Object.assign(request, { httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1, method: '', url: '/', complete: true });
  request.push(null);
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.once('finish', () => {
    response.detachSocket(socket as Socket);
    response.emit('close');
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
  refuseRequest(request, fault);
  handler(request, response);
}

/**
 * Has a server's handler answer what node:http refuses: after the answers that are under way on the connection, and never into the middle of one.
 *
 * @param handler of single requests, in turn (`oneAtATime()`), which asks `faultOf()`
 */
export function answerRefusals(server: Server, handler: RequestListener): void {
  const refused = new WeakSet<Duplex>();

  const refuseOn = (socket: Duplex, fault: ApiError): void => {
    // What is read on is no request, and is said to be none each time.
    if (refused.has(socket)) return;
    refused.add(socket);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const last = unanswered(socket).at(-1);
    if (!last || last.request.complete) {
      answerWith(handler, socket, fault);
      return;
    }
    // Its body is what broke off.
    const { request, response } = last;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.shouldKeepAlive = false;
    refuseRequest(request, fault);
    // Who reads the body hears of it, who is yet to read it asks faultOf() (body.ts). Others answer without it.
    request.emit('refused', fault);
  };

  server.on('clientError', (error: ParserError, socket: Duplex) => {
    // TLS has closed what it was to speak over; what it read was no TLS, so that the answer is none either.
    const { _parent: plain } = socket as { _parent?: Duplex };
    if (error.code === 'ERR_SSL_HTTP_REQUEST' && plain) refuseOn(plain, toFault(error));
    else if (error.code === 'ECONNRESET') socket.destroy();
    else refuseOn(socket, toFault(error));
  });
  server.on('connect', (request: IncomingMessage, socket: Duplex | ServerResponse) => {
    const fault = unknownMethod('CONNECT');
    if (request.httpVersionMajor < 2) {
      refuseOn(socket as Duplex, fault);
      return;
    }
    refuseRequest(request, fault);
    handler(request, socket as ServerResponse);
  });
  // Another expectation than 100-continue: head.ts refuses it.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => server.emit('request', request, response));
}
