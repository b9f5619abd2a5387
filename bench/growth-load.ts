// Load on web processes that may be too much for the machine: 503 is counted, and the request sent again.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Connection, type Request } from './connection';
import type { Client } from './load';

/** Before the next request of a connection. */
const REFUSED_PAUSE_MS = 50;
/** Of a connection in a row: nobody serves it any more. */
const MAX_REFUSED = 200;

/** Connections spread evenly over web processes. */
export const connectAll = (count: number, ports: readonly number[]): Promise<Connection[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => connect(ports[n % ports.length] ?? 0)));

/** What driveAll() has seen. */
export interface Driven {
  requests: number;
  ms: number;
  /** Of each request that was answered as asked. */
  times: number[];
  /** Answered 503, as a machine that others use as well may have it; they are in none of the other figures. */
  refused: number;
}

/**
 * All connections at once, each with a client of its own, for `ms` milliseconds or `max` requests, whichever is over first.
 *
 * @throws {Error} where an answer is neither a success nor 503, or nothing but that comes
 */
export async function driveAll(
  connections: readonly Connection[],
  clients: readonly Client[],
  { ms, max }: { ms: number; max: number },
): Promise<Driven> {
  const started = performance.now();
  const times: number[] = [];
  let [begun, refused] = [0, 0];
  const work = async (connection: Connection, next: Client): Promise<void> => {
    let again: Request | undefined;
    let inARow = 0;
    while (again !== undefined || (performance.now() - started < ms && begun < max)) {
      begun += 1;
      const request = again ?? next();
      again = undefined;
      const sent = performance.now();
      const reply = await connection.exchange(request);
      if (reply.status === 503) {
        refused += 1;
        inARow += 1;
        if (inARow === MAX_REFUSED) throw new Error(`${request.method} ${request.path}: nothing but 503, ${reply.body()}`);
        // What comes after it may build on it.
        again = request;
        await sleep(REFUSED_PAUSE_MS);
        continue;
      }
      if (reply.status < 200 || reply.status > 299) throw new Error(`${request.method} ${request.path}: ${reply.status} ${reply.body()}`);
      times.push(performance.now() - sent);
      inARow = 0;
    }
  };
  await Promise.all(connections.map((connection, n) => work(connection, clients[n % clients.length] as Client)));
  return { requests: times.length, ms: performance.now() - started, times, refused };
}
