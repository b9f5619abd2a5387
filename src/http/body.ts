// The body of a request: size, content type, accept, JSON, in that order (docs/api-rules.md); then trimmed.
import express, { type Request, type Response } from 'express';
import { ApiError, badRequest } from '../infra/errors';
import type { MessageKey } from '../i18n';
import { countBody } from './body-memory';
import { memoized } from '../infra/memo';
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
  // What nearly all clients send.
  if (headers['content-type'] === wanted) return;
  const type = parseMediaType(headers['content-type']);
  if (!type) return;
  if (type.value !== wanted) throw unsupported('request.content_type', { wanted, given: type.value }, { accept: wanted });
  const charset = type.parameters.get('charset');
  if (charset !== undefined && !CHARSETS.has(charset.toLowerCase())) throw unsupported('request.charset', { given: charset });
}

/** The wishes of clients are few: of each list of formats the last ones are remembered. */
const preferredOf = new WeakMap<readonly Format[], (accept: string) => Format | undefined>();

/** The format that the client likes best; undefined where it admits none. @param formats in our own order of preference */
export function formatOf({ headers: { accept = '' } }: Request, formats = JSON_ALONE): Format | undefined {
  let find = preferredOf.get(formats);
  if (!find) preferredOf.set(formats, (find = memoized((text) => preferredType(text, formats))));
  return find(accept);
}

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

/** Takes a body as it comes. What is too much is read to its end as well, since a client that is still sending may not hear the answer before. */
function collect(
  request: Request,
  limit: number,
  refuseLarge: () => ApiError,
  resolve: (bytes: Buffer) => void,
  reject: (error: ApiError) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
    else chunks.length = 0;
  });
  request.once('end', () => {
    if (size > limit) reject(refuseLarge());
    else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
  });
  // Whoever sent it is gone, in the midst of it.
  const cut = (): void => reject(badRequest('request.aborted'));
  request.once('error', cut);
  request.once('close', () => {
    if (!request.readableEnded) cut();
  });
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
      countBody(request, response, reject);
      // What comes of it is no body (refusals.ts), or comes too slowly (unread.ts).
      request.once('refused', reject);
      if (request.headers['content-encoding'] === undefined) {
        collect(request, limit, refuseLarge, resolve, reject);
        return;
      }
      readEncoding(request);
      readRaw(request, response, (error?: unknown) => {
        if (error) reject(toFault(error, request, refuseLarge));
        else resolve(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
      });
    });
}

const readBytes = bodyReader(MAX_BODY_BYTES, tooLarge);

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
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

/** Trims strings, inside objects too; what is empty then is null. Objects and arrays are changed in place. @returns the value */
export function trim(value: unknown): unknown {
  if (typeof value === 'string') return value.trim() || null;
  if (typeof value !== 'object' || value === null) return value;
  for (const name of Object.keys(value)) {
    const entry = (value as Record<string, unknown>)[name];
    if (typeof entry === 'string' && VERBATIM.has(name) && !Array.isArray(value)) continue;
    const trimmed = trim(entry);
    // A member that is called `__proto__` is one like any other.
    if (trimmed !== entry) Object.defineProperty(value, name, { value: trimmed, writable: true, enumerable: true, configurable: true });
  }
  return value;
}
