// The body of a form (application/x-www-form-urlencoded, WHATWG URL Standard, section 5.1), as the few pages have one. Express's own parser
// repairs what it cannot read; here it is refused.
import type { Request, Response } from 'express';
import { ApiError, badRequest, fieldError, unprocessable } from '../infra/errors';
import { bodyReader, hasBody, mediaTypeOf, requireMediaType } from './body';

/** hCaptcha's answer, the longest field, has some 4 kB. */
const MAX_FORM_BYTES = 16 * 1024;
const MAX_FORM_FIELDS = 32;

const tooLarge = (): ApiError =>
  new ApiError(413, { key: 'request.form_too_large', values: { limit: MAX_FORM_BYTES / 1024, fields: MAX_FORM_FIELDS } });
const readBytes = bodyReader(MAX_FORM_BYTES, tooLarge);
const FORM = 'application/x-www-form-urlencoded';

function checkHeaders(request: Request): void {
  if (Number(request.headers['content-length'] ?? 0) > MAX_FORM_BYTES) throw tooLarge();
  // A form says what it is.
  if (mediaTypeOf(request) === undefined)
    throw new ApiError(415, { key: 'request.content_type_missing', values: { wanted: FORM } }, { headers: { accept: FORM } });
  requireMediaType(request, FORM);
}

/** @throws {ApiError} 400, 413 */
function parse(bytes: Buffer): [name: string, value: string][] {
  const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '));
  try {
    const pairs = new TextDecoder('utf-8', { fatal: true })
      .decode(bytes)
      .split('&')
      .filter((pair) => pair !== '');
    if (pairs.length > MAX_FORM_FIELDS) throw tooLarge();
    return pairs.map((pair) => {
      const [name = '', ...values] = pair.split('=');
      return [decode(name), decode(values.join('='))];
    });
  } catch (error) {
    // No UTF-8, or a percent sign that begins no escape.
    throw error instanceof ApiError ? error : badRequest('request.form');
  }
}

/**
 * Reads all fields of a form, as they came; of one that is there twice the last.
 *
 * @throws {ApiError} 413, 415, 400
 */
export async function readWholeForm(request: Request, response: Response): Promise<Record<string, string>> {
  if (!hasBody(request)) return {};
  checkHeaders(request);
  return Object.fromEntries(parse(await readBytes(request, response)));
}

/**
 * Reads a form.
 *
 * @param names of the fields that the page knows; others are dropped
 * @returns their values as they came; undefined where a field is not there
 * @throws {ApiError} 413, 415, 400, 422 where one of them is there twice
 */
export async function readForm<Name extends string>(
  request: Request,
  response: Response,
  names: readonly Name[],
): Promise<Record<Name, string | undefined>> {
  let fields: [string, string][] = [];
  if (hasBody(request)) {
    checkHeaders(request);
    fields = parse(await readBytes(request, response));
  }
  const valueOf = (name: Name): string | undefined => {
    const values = fields.filter(([found]) => found === name).map(([, value]) => value);
    if (values.length > 1) throw unprocessable(fieldError(name, 'field.once'));
    return values[0];
  };
  return Object.fromEntries(names.map((name) => [name, valueOf(name)])) as Record<Name, string | undefined>;
}
