// One connection of HTTP/2 with TLS, with many requests under way, as Flexisip sends all that it reports.
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import type { Connection, Received, Request } from './connection';

class SecureConnection implements Connection {
  constructor(readonly session: ClientHttp2Session) {
    session.on('error', () => undefined);
  }

  exchange({ method, path, headers, body }: Request): Promise<Received> {
    const stream = this.session.request({
      ':method': method,
      ':path': path,
      ...headers,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    });
    return new Promise((resolve, reject) => {
      let [status, text] = [0, ''];
      stream.setEncoding('utf8');
      stream.on('response', (head) => (status = head[':status'] ?? 0));
      stream.on('data', (chunk: string) => (text += chunk));
      stream.on('end', () => resolve({ status, body: () => text }));
      stream.on('error', reject);
      stream.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  close(): void {
    this.session.destroy();
  }
}

/** Connects to a port of this machine. @param ca the certificate that it must show */
export function connectSecurely(port: number, ca: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca, servername: 'localhost' }, () =>
      resolve(new SecureConnection(session)),
    );
    session.once('error', reject);
  });
}
