// Requests of one HTTP/1.1 connection that come at once (pipelining, RFC 9112 section 9.3.2) are handled one after another: node:http hands all of them
// over together, hundreds in one packet, and each would hold its answer in memory until those before it are read.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const waiting = new WeakMap<Socket, (() => void)[]>();

/** @param handler of single requests @returns one that begins with a request of a connection when the answer before it is out */
export function oneAtATime(handler: RequestListener): RequestListener {
  const begin = (request: IncomingMessage, response: ServerResponse, socket: Socket): void => {
    response.once('close', () => {
      const next = socket.destroyed ? undefined : waiting.get(socket)?.shift();
      if (next) next();
      else waiting.delete(socket);
    });
    handler(request, response);
  };
  return (request, response) => {
    if (request.httpVersionMajor >= 2) {
      handler(request, response);
      return;
    }
    const { socket } = request;
    const queue = waiting.get(socket);
    if (queue) queue.push(() => begin(request, response, socket));
    else {
      waiting.set(socket, []);
      begin(request, response, socket);
    }
  };
}
