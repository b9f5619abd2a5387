// Load over HTTP: some clients, each with one request under way at a time, over connections that stay open.
import { Agent, request as httpRequest } from 'node:http';

export interface Request {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: object;
}
/** Makes a client's next request. */
export type Client = () => Request;

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** Sends one request. */
export function send(agent: Agent, port: number, { method, path, headers, body }: Request): Promise<Answer> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        agent,
        host: '127.0.0.1',
        port,
        method,
        path,
        headers: {
          ...headers,
          ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(payload);
  });
}

/**
 * All clients at once, for `ms` milliseconds or `max` requests, whichever is over first.
 *
 * @returns how many requests were answered, and how long that took
 * @throws where an answer is no success: a rate of refusals says nothing
 */
export async function drive(
  agent: Agent,
  port: number,
  clients: readonly Client[],
  { ms, max }: { ms: number; max: number },
): Promise<{ requests: number; ms: number }> {
  const started = performance.now();
  let requests = 0;
  const work = async (next: Client): Promise<void> => {
    while (performance.now() - started < ms && requests < max) {
      requests += 1;
      const request = next();
      const { status, text } = await send(agent, port, request);
      if (status < 200 || status > 299) throw new Error(`${request.method} ${request.path}: ${status} ${text}`);
    }
  };
  await Promise.all(clients.map(work));
  return { requests, ms: performance.now() - started };
}
