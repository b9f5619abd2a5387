// HTTP/2 over TLS as Flexisip speaks it: ALPN offers h2 alone, the certificate is not verified, names are sent as SNI and addresses are not.
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { withTimeout } from '../../infra/timeout';
import { type ApiAddress, authorityOf } from './address';

/** For each step of a connection, and each answer. Flexisip waits for 30 s. */
const ANSWER_TIMEOUT_MS = 5000;
/** No answer of this server to what is asked is nearly as long, except the list of domains. */
const MAX_ANSWER_CHARACTERS = 4_000_000;

/** Waits for an event, an error or the time limit; the socket is ended where it is not the event. */
async function opened<S extends Socket>(socket: S, event: string, what: string): Promise<S> {
  const waiting = new Promise<S>((resolve, reject) => {
    socket.once(event, () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${what}: the server hung up`)));
  });
  try {
    return await withTimeout(waiting, ANSWER_TIMEOUT_MS, what);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Looks the name up and connects. @throws what the system says, or that the time is over */
export const openTcp = ({ host, port }: ApiAddress): Promise<Socket> => {
  const socket = connectTcp({ host, port });
  // Whatever comes later belongs to the layers above.
  socket.on('error', () => undefined);
  return opened(socket, 'connect', 'connecting');
};

/** Speaks TLS on it. @throws what the handshake says, or that the time is over */
export const openTls = async (socket: Socket, { host }: ApiAddress): Promise<TLSSocket> => {
  const secured = connectTls({
    socket,
    ALPNProtocols: ['h2'],
    // As Flexisip; what is wrong with the certificate is said apart.
    rejectUnauthorized: false,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  secured.on('error', () => undefined);
  return opened(secured, 'secureConnect', 'the TLS handshake');
};

/** An answer. */
export interface ApiAnswer {
  status: number;
  text: string;
  /** Of its `date` header, in milliseconds; undefined where there is none. */
  date?: number;
}

/** A connection on which Flexisip's requests are made. */
export class ApiSession {
  readonly #session: ClientHttp2Session;

  constructor(
    socket: TLSSocket,
    readonly address: ApiAddress,
  ) {
    this.#session = connectHttp2(`https://${authorityOf(address)}`, { createConnection: () => socket });
    this.#session.on('error', () => undefined);
  }

  /** One request. @param body as text; on GET Flexisip sends an empty one @throws where no answer comes in time */
  request(method: string, path: string, key: string, body: string): Promise<ApiAnswer> {
    const stream = this.#session.request(
      {
        ':method': method,
        ':path': path,
        ':authority': authorityOf(this.address),
        accept: 'application/json',
        'x-api-key': key,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
      { endStream: false },
    );
    const answer = new Promise<ApiAnswer>((resolve, reject) => {
      let status = 0;
      let date: number | undefined;
      let text = '';
      stream.setEncoding('utf8');
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
        date = headers.date === undefined ? undefined : Date.parse(headers.date);
      });
      stream.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_CHARACTERS) stream.destroy(new Error('the answer is longer than any of this server'));
      });
      stream.on('end', () => (status === 0 ? undefined : resolve({ status, text, ...(date === undefined ? {} : { date }) })));
      stream.on('error', reject);
      stream.on('close', () => reject(new Error('the server ended the connection without an answer')));
    });
    stream.end(body);
    return withTimeout(answer, ANSWER_TIMEOUT_MS, `${method} ${path}`);
  }

  /** Hangs up. */
  close(): void {
    this.#session.destroy();
  }
}
