// The only writer of an answer that is no page: exactly `application/json`, errors in the caller's language.
import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:http2';
import type { Response } from 'express';
import { databaseTime } from '../infra/context';
import { ApiError, badRequest, notFound, unavailable } from '../infra/errors';
import { isDatabaseUnavailable, isForeignKeyViolation } from '../infra/database';
import { log, reasonOf } from '../infra/log';
import { render, type Language, type Message, type MessageKey } from '../i18n';
import { exchangeOf, type Headers } from './exchange';
import { endEarly, isGone, streamOf } from './http2';
import type { Parts, Reply } from './route';
import { Turns } from './turns';

/**
 * Parts that are made at once: each is a page of a list, read from PostgreSQL and made text, which takes several times its size for a moment. A flood
 * of lists leaves connections of the pool to others.
 */
const turns = new Turns(4);

/** An answer in parts that ends within these is written whole, with its length. */
const MAX_WHOLE_CHARACTERS = 256 * 1024;

/**
 * The head of an answer that nobody may keep. Express's own json(), send() and type() append a charset (expressjs/express#2713): Linphone's library compares
 * the whole header, and reads nothing of an answer whose type is not exactly `application/json`.
 */
const headOf = (contentType: string, headers: Headers): Headers => ({
  'content-type': contentType,
  'cache-control': 'no-store',
  ...headers,
});

// oxlint-disable-next-line no-control-regex -- it is what has a code above
const BEYOND_ASCII = /[^\u0000-\u007f]/;
const isBeyondAscii = (value: string | string[]): boolean => BEYOND_ASCII.test(typeof value === 'string' ? value : value.join(''));

/** Whether the head has octets that are no ASCII, as a challenge with the realm of a domain may have. */
const hasOctets = (response: Response, headers: Headers): boolean =>
  Object.values(headers).some(isBeyondAscii) || Object.values(exchangeOf(response)?.added ?? {}).some(isBeyondAscii);

/**
 * Writes a whole answer; nothing of it may be kept by a cache. Where an answer has begun already the connection is destroyed.
 *
 * @param contentType written exactly so
 */
export function writeBytes(response: Response, status: number, contentType: string, body: string | Buffer, headers: Headers = {}): void {
  if (response.headersSent) {
    // So that no client can take it for a whole one.
    endEarly(response, constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  response.writeHead(status, { ...headOf(contentType, headers), 'content-length': String(Buffer.byteLength(body)) });
  if (response.req.method === 'HEAD') response.end();
  // A text goes out with the head, in one write; but node:http would write octets of the head as UTF-8, too.
  else response.end(typeof body === 'string' && hasOctets(response, headers) ? Buffer.from(body) : body);
}

/**
 * Tells, once, whether the answer that is about to be written was given to the client's connection as a whole. A connection that is cut later may
 * still lose it; that nobody can see here.
 */
export function tellDelivery(response: Response, settle: (isDelivered: boolean) => Promise<void>): void {
  if (isGone(response)) {
    void settle(false);
    return;
  }
  const stream = streamOf(response);
  // Events of HTTP/2 come in no request's context; what is logged then is in this one's name.
  const settleHere = AsyncResource.bind(settle);
  response.once('close', () => {
    // Over HTTP/2 an answer that was cut «finishes» as well.
    void settleHere(stream ? stream.writableFinished && stream.rstCode === constants.NGHTTP2_NO_ERROR : response.writableFinished);
  });
}

/** Resolves once the client has read what was written, or is gone. */
function drained(response: Response): Promise<void> {
  return new Promise((resolve) => {
    // Its `close` would be waited for in vain.
    if (isGone(response)) resolve();
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

/**
 * Writes an answer part by part, each when the client has read those before it: an answer that nobody reads costs one part of memory. A short one
 * is written like any other.
 *
 * @throws what the parts throw; where the answer has begun by then, `writeError()` destroys the connection
 */
export async function writeParts(
  response: Response,
  status: number,
  contentType: string,
  parts: Parts,
  headers: Headers = {},
): Promise<void> {
  let text = '';
  let next = await turns.take(() => parts.next());
  for (; next.done !== true && text.length < MAX_WHOLE_CHARACTERS; next = await turns.take(() => parts.next())) text += next.value;
  if (next.done === true) {
    writeBytes(response, status, contentType, text, headers);
    return;
  }
  response.writeHead(status, headOf(contentType, headers));
  try {
    text += next.value;
    while (response.req.method !== 'HEAD' && !isGone(response)) {
      // As octets: a string is given three times its length. Nothing else of the part is kept while the client takes its time.
      const isTaken = response.write(Buffer.from(text));
      text = '';
      if (!isTaken) await drained(response);
      databaseTime()?.renew();
      const { done, value = '' } = isGone(response) ? { done: true } : await turns.take(() => parts.next());
      if (done === true) break;
      text = value;
    }
    if (!isGone(response)) response.end();
  } finally {
    await parts.return();
  }
}

/** Writes what a handler gives: text as text, anything else as JSON. @throws what the parts of its body throw */
export async function writeReply(
  response: Response,
  { status, body, type = 'text/plain; charset=utf-8', headers = {}, settle }: Reply,
): Promise<void> {
  if (settle) tellDelivery(response, settle);
  if (typeof body === 'function') await writeParts(response, status, 'application/json', (body as () => Parts)(), headers);
  else if (typeof body === 'string') writeBytes(response, status, type, body, headers);
  else writeBytes(response, status, 'application/json', JSON.stringify(body), headers);
}

/** What Express and its body parsers say of a request that they cannot read; their messages are in English and may quote it. */
const UNREADABLE: Record<number, MessageKey> = { 413: 'request.body_too_large', 415: 'request.unsupported' };

/** The status with which a package refuses a request (`http-errors`, or the router's own), if that is what an error is. */
function refusedStatus(error: unknown): number | undefined {
  const { status, expose } = (error ?? {}) as { status?: unknown; expose?: unknown };
  const isRefusal = expose === true || error instanceof URIError;
  return isRefusal && typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

/**
 * What an error is to the caller: an ApiError is itself, a request that a package refused has that package's status, a database that does not
 * answer is 503, what was deleted meanwhile 404, all else 500 without detail.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const refused = refusedStatus(error);
  // A percent sign without two hexadecimal digits: the router cannot tell what it should stand for.
  if (error instanceof URIError && refused === 400) return badRequest('request.path');
  if (refused !== undefined) return new ApiError(refused, { key: UNREADABLE[refused] ?? 'request.malformed', values: {} });
  if (isDatabaseUnavailable(error)) return unavailable('server.database', {}, { cause: error, headers: { 'retry-after': '5' } });
  if (isForeignKeyViolation(error)) return notFound('row.gone', {}, { cause: error });
  return new ApiError(500, { key: 'server.error', values: {} }, { cause: error });
}

/** toApiError(), and logs what only operators should know. */
export function reportError(error: unknown): ApiError {
  const known = toApiError(error);
  const { status, details } = known;
  if (status === 500) log.error({ err: details.cause ?? error }, 'a request failed');
  else if (status === 503 && details.cause) log.warn({ reason: reasonOf(details.cause) }, 'a request was refused');
  return known;
}

/** Writes an error as JSON, `message`, where something was not sent `reason`, and where fields are at fault `errors` by field; and logs what only operators should know. */
export function writeError(response: Response, error: unknown, language: Language): void {
  const { status, text, details } = reportError(error);
  const say = (message: Message): string => render(message, language);
  const body: { message: string; reason?: string; errors?: Record<string, string[]> } = { message: say(text) };
  if (details.reason !== undefined) body.reason = details.reason;
  if (details.errors) {
    body.errors = Object.fromEntries(Object.entries(details.errors).map(([field, messages]) => [field, messages.map(say)]));
  }
  writeBytes(response, status, 'application/json', JSON.stringify(body), { 'content-language': language, ...details.headers });
}
