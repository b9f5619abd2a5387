// Load that costs little itself: requests as text over sockets that stay open, since node:http's client takes as much CPU as the server that is
// measured beside it.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Request } from './connection';
import type { Client } from './load';

/** What came back for a request. */
export interface Reply {
  status: number;
  body: string;
  ms: number;
}

/** Before the next request of a line. */
const REFUSED_PAUSE_MS = 50;
/** Of a line in a row: nobody serves it any more. */
const MAX_REFUSED = 200;
const BODILESS = new Set([204, 304]);

/** A connection to a web process, with one request under way at a time. */
export class Line {
  readonly #socket: Socket;
  #received = '';
  #waiting: { resolve: (reply: Omit<Reply, 'ms'>) => void; reject: (error: Error) => void } | undefined;

  private constructor(readonly port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk: string) => {
      this.#received += chunk;
      this.#read();
    });
    const ended = (): void => this.#fail(new Error('the connection ended'));
    this.#socket.on('error', ended).on('close', ended);
  }

  static async open(port: number): Promise<Line> {
    const line = new Line(port);
    await new Promise<void>((resolve, reject) => line.#socket.once('connect', resolve).once('error', reject));
    return line;
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #read(): void {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const head = this.#received.slice(0, headEnd);
    const status = Number(head.slice(9, 12));
    const length = BODILESS.has(status) ? '0' : /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) return this.#fail(new Error(`an answer without its length: ${head}`));
    const end = headEnd + 4 + Number(length);
    if (this.#received.length < end) return undefined;
    const body = this.#received.slice(headEnd + 4, end);
    this.#received = this.#received.slice(end);
    this.#waiting?.resolve({ status, body });
    this.#waiting = undefined;
    return undefined;
  }

  /** Sends one request. @throws {Error} where the connection ends before its answer */
  async ask({ method, path, headers, body }: Request): Promise<Reply> {
    const payload = body === undefined ? '' : JSON.stringify(body);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    if (body !== undefined) lines.push(`content-type: application/json\r\ncontent-length: ${Buffer.byteLength(payload)}\r\n`);
    if (this.#socket.destroyed) throw new Error('the connection has ended');
    const started = performance.now();
    const reply = await new Promise<Omit<Reply, 'ms'>>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${this.port}\r\n${lines.join('')}\r\n${payload}`);
    });
    return { ...reply, ms: performance.now() - started };
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Connections spread evenly over web processes. */
export const openLines = (count: number, ports: readonly number[]): Promise<Line[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => Line.open(ports[n % ports.length] ?? 0)));

/** What driveLines() has seen. */
export interface Driven {
  requests: number;
  ms: number;
  /** Of each request that was answered as asked. */
  times: number[];
  /** Answered 503, as a machine that others use as well may have it; they are in none of the other figures. */
  refused: number;
}

/**
 * All lines at once, each with a client of its own, for `ms` milliseconds or `max` requests, whichever is over first.
 *
 * @throws {Error} where an answer is neither a success nor 503, or nothing but that comes
 */
export async function driveLines(
  lines: readonly Line[],
  clients: readonly Client[],
  { ms, max }: { ms: number; max: number },
): Promise<Driven> {
  const started = performance.now();
  const times: number[] = [];
  let [begun, refused] = [0, 0];
  const work = async (line: Line, next: Client): Promise<void> => {
    let again: Request | undefined;
    let inARow = 0;
    while (again !== undefined || (performance.now() - started < ms && begun < max)) {
      begun += 1;
      const request = again ?? next();
      again = undefined;
      const reply = await line.ask(request);
      if (reply.status === 503) {
        refused += 1;
        inARow += 1;
        if (inARow === MAX_REFUSED) throw new Error(`${request.method} ${request.path}: nothing but 503, ${reply.body}`);
        // What comes after it may build on it.
        again = request;
        await sleep(REFUSED_PAUSE_MS);
        continue;
      }
      if (reply.status < 200 || reply.status > 299) throw new Error(`${request.method} ${request.path}: ${reply.status} ${reply.body}`);
      times.push(reply.ms);
      inARow = 0;
    }
  };
  await Promise.all(lines.map((line, n) => work(line, clients[n % clients.length] as Client)));
  return { requests: times.length, ms: performance.now() - started, times, refused };
}
