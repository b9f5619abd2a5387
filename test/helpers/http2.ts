// An HTTP/2 client, as Flexisip is one: one connection, many streams.
import { connect, type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { checkAnswer } from './contract';

export interface Http2Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

export class Http2Client {
  readonly session: ClientHttp2Session;
  /** How often the server said that it goes away. */
  goaways = 0;

  constructor(url: string, ca: string) {
    this.session = connect(url, { ca, servername: 'localhost' });
    this.session.on('goaway', () => (this.goaways += 1));
    this.session.on('error', () => undefined);
  }

  /** `body` is sent without its length where `length` is false. */
  request(method: string, path: string, headers: OutgoingHttpHeaders = {}, body?: string, { length = true } = {}): Promise<Http2Answer> {
    return new Promise((resolve, reject) => {
      const fields = {
        ':method': method,
        ':path': path,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', ...(length ? { 'content-length': Buffer.byteLength(body) } : {}) }),
        ...headers,
      };
      const stream = this.session.request(fields, { endStream: body === undefined });
      let received: IncomingHttpHeaders = {};
      let text = '';
      stream.setEncoding('utf8');
      stream.on('response', (answer) => (received = answer));
      stream.on('data', (chunk: string) => (text += chunk));
      stream.on('end', () => {
        const answer = { status: Number(received[':status']), headers: received, text };
        try {
          checkAnswer({ method, url: path, status: answer.status, contentType: received['content-type'] ?? null, text });
          resolve(answer);
        } catch (error) {
          reject(error);
        }
      });
      stream.on('error', reject);
      stream.on('close', () => reject(new Error('the stream was closed without an answer')));
      if (body !== undefined) stream.end(body);
    });
  }

  close(): void {
    this.session.close();
  }
}
