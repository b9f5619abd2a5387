// The body of a request: size, content type, accept, JSON, in that order (docs/api-rules.md); then trimmed.
import Negotiator from 'negotiator';
import express, { type Request, type Response } from 'express';
import { ApiError, badRequest } from '../infra/errors';
import { countBody } from './body-memory';
import { requireSmallJson } from './json';
import type { Format } from './route';

const MAX_BODY_BYTES = 1024 * 1024;
const JSON_ALONE: readonly Format[] = ['application/json'];
/** A space at either end of a password is part of it, and lines of a vCard have numbers. */
const VERBATIM = new Set(['password', 'old_password', 'vcard']);

const refuse = (
  status: number,
  key: 'request.too_large' | 'request.content_type' | 'request.accept',
  values: Record<string, string> = {},
): ApiError => new ApiError(status, { key, values });

/** Whether a body follows the headers, an empty one apart. */
export function hasBody(request: Request): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** The content type in lower case, its charset apart; undefined where the request names none. */
export function contentTypeOf({ headers }: Request): { media: string; charset: string | undefined } | undefined {
  const type = headers['content-type'];
  if (type === undefined) return undefined;
  const [media = '', ...parameters] = type.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='));
  return { media, charset: charset?.slice(8).replaceAll('"', '') };
}

/** Whether it is UTF-8, or nothing is said of it. */
export const isUtf8 = (charset: string | undefined): boolean => charset === undefined || charset === 'utf-8' || charset === 'utf8';

/**
 * The format that the client prefers (RFC 9110 12.5.1); undefined where it admits none. A charset beside a type does not make it another type.
 *
 * @param formats in our own order of preference
 */
export function formatOf({ headers: { accept } }: Request, formats = JSON_ALONE): Format | undefined {
  if (accept === undefined || accept.trim() === '') return formats[0];
  const plain = accept.replace(/;\s*charset=[^;,]*/gi, '');
  return new Negotiator({ headers: { accept: plain } }).mediaType([...formats]) as Format | undefined;
}

function checkHeaders(request: Request, formats = JSON_ALONE): void {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw refuse(413, 'request.too_large');
  const type = contentTypeOf(request);
  if (type && hasBody(request) && (type.media !== 'application/json' || !isUtf8(type.charset))) throw refuse(415, 'request.content_type');
  if (!formatOf(request, formats)) throw refuse(406, 'request.accept', { types: formats.join(', ') });
}

/** Reads a body of at most so many bytes, decompressed; what cannot be read rejects with body-parser's own error, which has a `status`. */
export function bodyReader(limit: number): (request: Request, response: Response) => Promise<Buffer> {
  const readRaw = express.raw({ type: () => true, limit });
  return (request, response) =>
    new Promise((resolve, reject) => {
      countBody(request, response, reject);
      readRaw(request, response, (error?: unknown) => {
        if (error) reject(error);
        else resolve(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
      });
    });
}

const readRawJson = bodyReader(MAX_BODY_BYTES);

async function readBytes(request: Request, response: Response): Promise<Buffer> {
  try {
    return await readRawJson(request, response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const { type } = error as { type?: string };
    if (type === 'entity.too.large') throw refuse(413, 'request.too_large');
    if (type === 'encoding.unsupported') throw refuse(415, 'request.content_type');
    if (type === 'request.aborted' || type === 'request.size.invalid') throw badRequest('request.aborted');
    throw badRequest('json.invalid');
  }
}

/**
 * Reads one JSON object and trims the strings in it; one that is empty then is null. An empty body and `[]`, which PHP makes of an empty
 * object, are `{}`.
 *
 * @param formats of the answer, for the accept header; JSON alone where left out
 * @throws {ApiError} 413, 415, 406, 400, in this order
 */
export async function readBody(request: Request, response: Response, formats?: readonly Format[]): Promise<Record<string, unknown>> {
  checkHeaders(request, formats);
  if (!hasBody(request)) return {};
  const bytes = await readBytes(request, response);
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.trim() === '') return {};
    requireSmallJson(bytes);
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    // The parser's own message quotes the body, passwords too.
    throw badRequest('json.invalid');
  }
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest('json.not_an_object');
  return trim(value) as Record<string, unknown>;
}

/** Trims strings, inside objects too; what is empty then is null. */
export function trim(value: unknown): unknown {
  if (typeof value === 'string') return value.trim() || null;
  if (Array.isArray(value)) return value.map(trim);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [name, VERBATIM.has(name) && typeof entry === 'string' ? entry : trim(entry)]),
  );
}
