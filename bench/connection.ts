// A client of HTTP/1.1 that costs as little as can be, so that what is measured is the server: one request under way at a time, written at
// once, and of the answer no more is read than where it ends.
import { connect as connectSocket, type Socket } from 'node:net';

export interface Request {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: object;
}

/** What came back. */
export interface Received {
  status: number;
  body: () => string;
}

/** Takes one request at a time. */
export interface Connection {
  exchange: (request: Request) => Promise<Received>;
  close: () => void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

function wireText({ method, path, headers, body }: Request): string {
  const payload = body === undefined ? '' : JSON.stringify(body);
  const about = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(payload)}\r\n`;
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${fields.join('')}${about}\r\n${payload}`;
}

/** Whether an answer is whole, which tells the length in its head, or the end of what comes in chunks. */
function endOf(head: string): (octets: Buffer, headLength: number) => boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  return length === undefined
    ? (octets) => octets.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)
    : (octets, headLength) => octets.length >= headLength + Number(length);
}

class PlainConnection implements Connection {
  #request: Request | undefined;
  #wire = '';
  #received: Buffer = Buffer.alloc(0);
  #headLength = 0;
  #isWhole: ReturnType<typeof endOf> = () => false;
  #pending: { resolve: (answer: Received) => void; reject: (error: Error) => void } | undefined;

  constructor(readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.#pending?.reject(error));
    socket.on('close', () => this.#pending?.reject(new Error('the connection was closed before the answer')));
  }

  exchange(request: Request): Promise<Received> {
    // Who sends the same again and again gives the same object.
    if (request !== this.#request) {
      this.#request = request;
      this.#wire = wireText(request);
    }
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new Error('the server has closed the connection'));
        return;
      }
      this.#pending = { resolve, reject };
      this.socket.write(this.#wire);
    });
  }

  close(): void {
    this.#pending = undefined;
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const octets = this.#received;
    if (this.#headLength === 0) {
      const end = octets.indexOf(HEAD_END);
      if (end < 0) return;
      this.#headLength = end + HEAD_END.length;
      this.#isWhole = endOf(octets.toString('latin1', 0, end));
    }
    if (!this.#isWhole(octets, this.#headLength)) return;
    const [pending, headLength] = [this.#pending, this.#headLength];
    this.#pending = undefined;
    this.#received = Buffer.alloc(0);
    this.#headLength = 0;
    pending?.resolve({ status: Number(octets.toString('latin1', 9, 12)), body: () => octets.toString('utf8', headLength) });
  }
}

/** Connects to a port of this machine. */
export function connect(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(port, '127.0.0.1', () => resolve(new PlainConnection(socket)));
    socket.once('error', reject);
  });
}
