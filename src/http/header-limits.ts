// Headers that are taken apart are short: what reads them takes up to a tenth of a second for 16 kB, which is all that node:http admits.
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../infra/errors';
import { languageOf } from './client';
import { writeError } from './reply';

const MAX_CHARACTERS = 2048;
const LIMITED = ['from', 'accept', 'accept-language', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded'];

/** Refuses with 431 (RFC 6585 section 5) before anything reads such a header; the answer and the log do without it. */
export function limitHeaders(request: Request, response: Response, next: NextFunction): void {
  const long = LIMITED.filter((name) => String(request.headers[name] ?? '').length > MAX_CHARACTERS);
  if (long.length === 0) {
    next();
    return;
  }
  for (const name of long) delete request.headers[name];
  const values = { header: long[0] ?? '', limit: MAX_CHARACTERS };
  writeError(response, new ApiError(431, { key: 'request.header', values }), languageOf(request));
}
