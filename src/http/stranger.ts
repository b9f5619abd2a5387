// Requests of which nobody asks who sent them: counted by address, whatever credentials came along.
import type { Request, Response } from 'express';
import { clientOf, languageOf } from './client';
import { countRequest } from './rate-limit';
import { writeError } from './reply';

/** Counts a request for its address; the answer gets the headers of the rate limit. @throws {ApiError} 429 over the limit */
export async function countStranger(request: Request, response: Response): Promise<void> {
  for (const [name, value] of Object.entries(await countRequest(`ip:${clientOf(request).ip}`))) response.setHeader(name, value);
}

/** Answers what reached no endpoint and no page: with an error, or over the limit with 429. */
export async function refuseStranger(request: Request, response: Response, error: unknown): Promise<void> {
  const refusal = await countStranger(request, response).then(
    () => error,
    (limited: unknown) => limited,
  );
  writeError(response, refusal, languageOf(request));
}
