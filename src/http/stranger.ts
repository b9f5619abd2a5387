// Requests of which nobody asks who sent them: counted by address, whatever credentials came along.
import type { Request, Response } from 'express';
import { clientOf, languageOf } from './client';
import { addressClient, countRequest } from './rate-limit';
import { writeError } from './reply';

/** Counts a request for its address; the answer gets the headers of the rate limit. @returns takes it back @throws {ApiError} 429 over the limit */
export const countStranger = (request: Request, response: Response): Promise<() => Promise<void>> =>
  countRequest(addressClient(clientOf(request).ip), response);

/** Answers what reached no endpoint and no page: with an error, or over the limit with 429. */
export async function refuseStranger(request: Request, response: Response, error: unknown): Promise<void> {
  const refusal = await countStranger(request, response).then(
    () => error,
    (limited: unknown) => limited,
  );
  writeError(response, refusal, languageOf(request));
}
