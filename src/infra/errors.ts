// The one kind of error that becomes an answer; http/reply.ts writes it.
import type { Message, MessageKey } from '../i18n';

export type FieldErrors = Record<string, Message[]>;

/** Thrown anywhere under a request: its status and a message for the caller, in the caller's language. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly text: Message,
    readonly details: { errors?: FieldErrors; headers?: Record<string, string | string[]>; cause?: unknown } = {},
  ) {
    super(`${status} ${text.key}`, { cause: details.cause });
    this.name = 'ApiError';
  }
}

const maker =
  (status: number) =>
  (key: MessageKey, values: Record<string, string | number> = {}, details: ConstructorParameters<typeof ApiError>[2] = {}): ApiError =>
    new ApiError(status, { key, values }, details);

export const badRequest = maker(400);
export const unauthorized = maker(401);
export const forbidden = maker(403);
export const notFound = maker(404);
export const unavailable = maker(503);

/** 422: `errors` in the order of the endpoint's parameters; the first of them is the message (api.md 1.3). */
export function unprocessable(errors: FieldErrors): ApiError {
  const first = Object.values(errors)[0]?.[0];
  if (!first) throw new Error('unprocessable() needs at least one error');
  return new ApiError(422, first, { errors });
}
