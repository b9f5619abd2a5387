// The one kind of error that becomes an answer; http/reply.ts writes it.
import type { Message, MessageKey } from '../i18n';

/** Messages by field, in the order in which they are shown. */
export type FieldErrors = Record<string, Message[]>;

/** The error of one field: a message that names the field. @param values what else the message tells */
export const fieldError = (field: string, key: MessageKey, values: Message['values'] = {}): FieldErrors => ({
  [field]: [{ key, values: { attribute: field, ...values } }],
});

/** Thrown anywhere under a request: its status and a message for the caller, rendered in the caller's language when it is written. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly text: Message,
    readonly details: {
      errors?: FieldErrors;
      /** Why something was not sent: a word that programs read. */
      reason?: string;
      headers?: Record<string, string | string[]>;
      cause?: unknown;
    } = {},
  ) {
    super(`${status} ${text.key}`, { cause: details.cause });
    this.name = 'ApiError';
  }
}

const maker =
  (status: number) =>
  (key: MessageKey, values: Record<string, string | number> = {}, details: ConstructorParameters<typeof ApiError>[2] = {}): ApiError =>
    new ApiError(status, { key, values }, details);

/** Makers of ApiErrors: a message's key, its values, and what else belongs to the answer (`reason`, `headers`, `cause`). */
export const badRequest = maker(400);
export const unauthorized = maker(401);
export const forbidden = maker(403);
export const notFound = maker(404);
export const conflict = maker(409);
export const unavailable = maker(503);

/** 429. @param seconds until it may be asked again, for `retry-after` */
export const tooManyRequests = (seconds: number, text: Message, details: ConstructorParameters<typeof ApiError>[2] = {}): ApiError =>
  new ApiError(429, text, { ...details, headers: { ...details.headers, 'retry-after': String(seconds) } });

/**
 * 422. The message of the answer is the first of the errors, since apps show it alone.
 *
 * @param errors by field, in the order of the endpoint's parameters; nested fields dotted (`invite_terminated.at`)
 * @throws {Error} where there is none
 */
export function unprocessable(errors: FieldErrors): ApiError {
  const first = Object.values(errors)[0]?.[0];
  if (!first) throw new Error('unprocessable() needs at least one error');
  return new ApiError(422, first, { errors });
}
