// Load over HTTP: some clients, each with one request under way at a time, over connections that stay open.
import { type Agent, request as httpRequest } from 'node:http';
import { withTimeout } from '../src/infra/timeout';
import type { Connection, Request } from './connection';

/** Makes a client's next request; where all are the same it gives the same object. */
export type Client = () => Request;

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** Sends one request with node:http, and reads all of the answer. */
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

/** After the time of a load: a request that takes so long will not be answered. */
const GIVE_UP_MS = 30_000;

/** What became of a load. */
export interface Driven {
  requests: number;
  /** From the first request to the last answer. */
  ms: number;
  /** Of each request, in the order of the answers. */
  latenciesMs: number[];
}

/**
 * All clients at once, each over the connection with its number, for `ms` milliseconds or `max` requests, whichever is over first.
 *
 * @throws where an answer is no success, since a rate of refusals says nothing, and where none comes
 */
export async function drive(
  connections: readonly Connection[],
  clients: readonly Client[],
  { ms, max }: { ms: number; max: number },
): Promise<Driven> {
  const latenciesMs: number[] = [];
  const started = performance.now();
  let [requests, now] = [0, started];
  const work = async (next: Client, connection: Connection): Promise<void> => {
    while (now - started < ms && requests < max) {
      requests += 1;
      const request = next();
      const sent = performance.now();
      const answer = await connection.exchange(request);
      now = performance.now();
      latenciesMs.push(now - sent);
      if (answer.status < 200 || answer.status > 299)
        throw new Error(`${request.method} ${request.path}: ${answer.status} ${answer.body()}`);
    }
  };
  const all = Promise.all(clients.map((client, index) => work(client, connections[index % connections.length] as Connection)));
  await withTimeout(all, ms + GIVE_UP_MS, 'a load');
  return { requests, ms: performance.now() - started, latenciesMs };
}
