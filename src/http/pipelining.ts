// Requests of one HTTP/1.1 connection that come at once (pipelining, RFC 9112 section 9.3.2) are handled one after another: node:http hands all of them
// over together, hundreds in one packet, and each would hold its answer in memory until those before it are read.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Of one request. */
interface Turn {
  request: IncomingMessage;
  response: ServerResponse;
}

const TURNS = Symbol('turns');
type Connection = Duplex & { [TURNS]?: Turn[] };

/** Requests of a connection that are not answered yet, in their order; the first is under way. */
export const unanswered = (socket: Duplex): readonly Turn[] => (socket as Connection)[TURNS] ?? [];

/** @param handler of single requests @returns one that begins with a request of a connection when the answer before it is out */
export function oneAtATime(handler: RequestListener): RequestListener {
  const begin = ({ request, response }: Turn, socket: Duplex, queue: Turn[]): void => {
    response.once('close', () => {
      queue.shift();
      const next = socket.destroyed ? undefined : queue[0];
      if (next) begin(next, socket, queue);
    });
    // Behind another answer it is given the connection by node:http, where that has made it.
    if (!response.socket && !response.destroyed) response.assignSocket(socket as never);
    handler(request, response);
  };
  return (request, response) => {
    if (request.httpVersionMajor >= 2) {
      handler(request, response);
      return;
    }
    const socket: Connection = request.socket;
    const queue = (socket[TURNS] ??= []);
    const turn = { request, response };
    queue.push(turn);
    if (queue.length === 1) begin(turn, socket, queue);
  };
}
