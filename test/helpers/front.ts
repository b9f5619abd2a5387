// An HTTP front before `web`, as operators have them: it cuts a prefix off the path, names itself in Host or in X-Forwarded-Host, and perhaps
// ends TLS.
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './pki';

export interface FrontOptions {
  /** What it cuts: `/flexiapi`. Whatever does not begin so is of other applications of that host: 404. */
  prefix?: string;
  /** Serves TLS. */
  tls?: Certificate;
  /** Hands on Host as it came, or gives `web` its own name and says the other in X-Forwarded-Host; default: as it came. */
  host?: 'kept' | 'forwarded';
}

export class Front {
  /** What browsers open, with the prefix. */
  readonly url: string;
  /** `METHOD /path status` of all that was asked, in the order of the answers. */
  readonly passed: string[] = [];
  /** What was asked outside the prefix: its paths, each with the request's Cookie header. */
  readonly outside: { path: string; cookie: string | undefined }[] = [];

  private constructor(
    readonly server: Server,
    options: FrontOptions,
  ) {
    const { port } = server.address() as AddressInfo;
    this.url = `${options.tls ? 'https' : 'http'}://localhost:${port}${options.prefix ?? ''}`;
  }

  /**
   * @param target gives the URL of `web`, which may start after the front, whose address is one of its settings
   */
  static async start(target: () => string, options: FrontOptions = {}): Promise<Front> {
    const handle = (request: IncomingMessage, response: ServerResponse): void => front.#pass(request, response, target(), options);
    const server = options.tls ? createTlsServer({ key: options.tls.key, cert: options.tls.cert }, handle) : createServer(handle);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const front = new Front(server, options);
    return front;
  }

  #pass(request: IncomingMessage, response: ServerResponse, target: string, { prefix = '', tls, host = 'kept' }: FrontOptions): void {
    const path = request.url ?? '';
    if (!path.startsWith(`${prefix}/`)) {
      this.outside.push({ path, cookie: request.headers.cookie });
      response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Another application</h1>');
      return;
    }
    const { host: named = '', ...headers } = request.headers;
    const passed = httpRequest(
      new URL(target).origin + path.slice(prefix.length),
      {
        method: request.method,
        headers: {
          ...headers,
          ...(host === 'kept' ? { host: named } : { 'x-forwarded-host': named }),
          'x-forwarded-for': request.socket.remoteAddress,
          'x-forwarded-proto': tls ? 'https' : 'http',
        },
      },
      (answer) => {
        this.passed.push(`${request.method ?? ''} ${path} ${answer.statusCode ?? 0}`);
        response.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
        answer.pipe(response);
      },
    );
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}
