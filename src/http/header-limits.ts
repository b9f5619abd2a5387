// Headers that are taken apart are short: what reads them takes up to a tenth of a second for 16 kB, which is all that node:http admits.
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../infra/errors';
import { languageOf } from './client';
import { writeError } from './reply';

const MAX_CHARACTERS = 2048;
/** Of one request, over HTTP/1.1 and HTTP/2. */
export const MAX_HEADER_FIELDS = 128;
const LIMITED = ['from', 'accept', 'accept-language', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded'];

/**
 * Refuses with 431 (RFC 6585 section 5) before anything reads such a header; the answer and the log do without it. So are more headers than any client
 * sends: node:http would leave out those behind the thousandth, the ones that say where a request came from among them.
 */
export function limitHeaders(request: Request, response: Response, next: NextFunction): void {
  if (request.rawHeaders.length / 2 > MAX_HEADER_FIELDS) {
    request.headers = { host: request.headers.host };
    writeError(response, new ApiError(431, { key: 'request.headers', values: { limit: MAX_HEADER_FIELDS } }), languageOf(request));
    return;
  }
  const long = LIMITED.filter((name) => String(request.headers[name] ?? '').length > MAX_CHARACTERS);
  if (long.length === 0) {
    next();
    return;
  }
  for (const name of long) delete request.headers[name];
  const values = { header: long[0] ?? '', limit: MAX_CHARACTERS };
  writeError(response, new ApiError(431, { key: 'request.header', values }), languageOf(request));
}
