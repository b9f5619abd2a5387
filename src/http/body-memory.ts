// How much of bodies that are still on their way may be held at once: the streams of HTTP/2 connections could each send all but the last octet
// of a megabyte. While too much is held, bodies go on that fit into a packet or two, and large ones are put off.
import type { Request, Response } from 'express';
import type { ApiError } from '../infra/errors';
import { overloaded } from '../infra/overload';

const MAX_HELD_BYTES = 64 * 1024 * 1024;
const SMALL_BODY_BYTES = 64 * 1024;

let held = 0;

/**
 * Counts what comes of a body until its answer is out.
 *
 * @param refuse is called once with 503 where too much is held; what comes then is counted no more
 */
export function countBody(request: Request, response: Response, refuse: (error: ApiError) => void): void {
  let own = 0;
  const release = (): void => {
    held -= own;
    own = 0;
  };
  const count = (chunk: Buffer): void => {
    own += chunk.length;
    held += chunk.length;
    if (held <= MAX_HELD_BYTES || own <= SMALL_BODY_BYTES) return;
    request.off('data', count);
    // Nobody takes the rest: it is not read, and the connection ends with the answer.
    request.pause();
    if (request.httpVersionMajor < 2) response.setHeader('connection', 'close');
    response.once('finish', () => request.destroy());
    refuse(overloaded());
  };
  request.on('data', count);
  response.once('close', release);
}
