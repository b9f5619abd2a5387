// The body of a request: size, content type, accept, JSON, in that order (docs/api-rules.md); then trimmed.
import express, { type Request, type Response } from 'express';
import { ApiError, badRequest } from '../infra/errors';
import type { MessageKey } from '../i18n';
import { countBody } from './body-memory';
import { faultOf } from './head';
import { findJsonFault, requireSmallJson } from './json';
import { parseMediaType, preferredType } from './negotiation';
import { membersOf } from './origin';
import type { Format } from './route';

const MAX_BODY_BYTES = 1024 * 1024;
const JSON_ALONE: readonly Format[] = ['application/json'];
/** A space at either end of a password is part of it, and lines of a vCard have numbers. */
const VERBATIM = new Set(['password', 'old_password', 'vcard']);
/** What is understood of Content-Encoding, `identity` apart. */
const ENCODINGS = 'gzip, deflate, br';
/** US-ASCII is UTF-8, too. */
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii']);
const MAX_QUOTED_CHARACTERS = 100;

/** @param headers what would be taken instead (RFC 9110, section 15.5.16) */
const unsupported = (key: MessageKey, values: Record<string, string>, headers: Record<string, string> = {}): ApiError => {
  const { given = '' } = values;
  return new ApiError(415, { key, values: { ...values, given: given.slice(0, MAX_QUOTED_CHARACTERS) } }, { headers });
};

const tooLarge = (): ApiError => new ApiError(413, { key: 'request.too_large', values: {} });

/** Whether a body follows the headers, an empty one apart. */
export function hasBody(request: Request): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** The media type of the body in lower case, without its parameters; undefined where the request names none. */
export const mediaTypeOf = ({ headers }: Request): string | undefined => parseMediaType(headers['content-type'])?.value;

/**
 * Holds the content type, where one is named, against the only one that is taken, in UTF-8.
 *
 * @throws {ApiError} 415 with what was sent and what would be right
 */
export function requireMediaType({ headers }: Request, wanted: string): void {
  const type = parseMediaType(headers['content-type']);
  if (!type) return;
  if (type.value !== wanted) throw unsupported('request.content_type', { wanted, given: type.value }, { accept: wanted });
  const charset = type.parameters.get('charset');
  if (charset !== undefined && !CHARSETS.has(charset.toLowerCase())) throw unsupported('request.charset', { given: charset });
}

/** The format that the client likes best; undefined where it admits none. @param formats in our own order of preference */
export const formatOf = ({ headers: { accept } }: Request, formats = JSON_ALONE): Format | undefined => preferredType(accept, formats);

function checkHeaders(request: Request, formats = JSON_ALONE): void {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  if (hasBody(request)) requireMediaType(request, 'application/json');
  if (!formatOf(request, formats)) throw new ApiError(406, { key: 'request.accept', values: { types: formats.join(', ') } });
}

/** Has Content-Encoding name what body-parser knows: `x-gzip` is `gzip`, and `identity` nothing (RFC 9110, sections 8.4.1.3 and 12.5.3). */
function readEncoding({ headers }: Request): void {
  const codings = membersOf(headers['content-encoding']).map((coding) => (coding.toLowerCase() === 'x-gzip' ? 'gzip' : coding));
  if (codings.length > 0) headers['content-encoding'] = codings.filter((coding) => coding.toLowerCase() !== 'identity').join(', ');
}

/** What body-parser says of a body, in our words: its own may quote it. */
function toFault(error: unknown, request: Request, refuseLarge: () => ApiError): unknown {
  const { type, expose } = error as { type?: string; expose?: boolean };
  if (error instanceof ApiError || expose !== true) return error;
  const given = request.headers['content-encoding'] ?? '';
  if (type === 'entity.too.large') return refuseLarge();
  if (type === 'encoding.unsupported')
    return unsupported('request.encoding', { given, encodings: ENCODINGS }, { 'accept-encoding': ENCODINGS });
  if (type === 'request.aborted' || type === 'request.size.invalid') return badRequest('request.aborted');
  return given === '' ? badRequest('request.malformed') : badRequest('request.encoding_broken', { given });
}

/**
 * Reads a body of at most so many bytes, decompressed.
 *
 * @param refuseLarge makes the error of one that is larger
 * @throws {ApiError} 400, 413, 415; 408 where it comes too slowly; 503 where too much is held
 */
export function bodyReader(limit: number, refuseLarge: () => ApiError): (request: Request, response: Response) => Promise<Buffer> {
  const readRaw = express.raw({ type: () => true, limit });
  return (request, response) =>
    new Promise((resolve, reject) => {
      const fault = faultOf(request);
      if (fault) {
        reject(fault);
        return;
      }
      readEncoding(request);
      countBody(request, response, reject);
      // What comes of it is no body (refusals.ts), or comes too slowly (unread.ts).
      request.once('refused', reject);
      readRaw(request, response, (error?: unknown) => {
        if (error) reject(toFault(error, request, refuseLarge));
        else resolve(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
      });
    });
}

const readBytes = bodyReader(MAX_BODY_BYTES, tooLarge);

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badRequest('json.not_utf8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest('json.invalid', findJsonFault(text));
  }
}

/**
 * Reads one JSON object. An empty body and `[]`, which PHP makes of an empty object, are `{}`.
 *
 * @param formats of the answer, for the accept header; JSON alone where left out
 * @throws {ApiError} 413, 415, 406, 400, in this order
 */
export async function readJson(request: Request, response: Response, formats?: readonly Format[]): Promise<Record<string, unknown>> {
  checkHeaders(request, formats);
  if (!hasBody(request)) return {};
  const bytes = await readBytes(request, response);
  const text = decode(bytes);
  if (text.trim() === '') return {};
  requireSmallJson(bytes);
  const value = parse(text);
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest('json.not_an_object');
  return value as Record<string, unknown>;
}

/** readJson() of what people write: trims the strings in it; one that is empty then is null. */
export const readBody = async (...of: Parameters<typeof readJson>): Promise<Record<string, unknown>> =>
  trim(await readJson(...of)) as Record<string, unknown>;

/** Trims strings, inside objects too; what is empty then is null. */
export function trim(value: unknown): unknown {
  if (typeof value === 'string') return value.trim() || null;
  if (Array.isArray(value)) return value.map(trim);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [name, VERBATIM.has(name) && typeof entry === 'string' ? entry : trim(entry)]),
  );
}
