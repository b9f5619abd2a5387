// A gateway that lets nothing through which the server's own OpenAPI document does not describe: requests and answers.
import { type IncomingHttpHeaders, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import { middleware } from 'express-openapi-validator';

type Json = Record<string, unknown>;
interface Document {
  components: { responses: Record<string, Declared> };
}
interface Declared {
  $ref?: string;
  headers?: Json;
}

/** Those that are about this API; others are HTTP's, and helmet's. */
const OWN_HEADERS = /^(x-request-id|content-language|www-authenticate|retry-after|(x-)?ratelimit-.*|set-cookie|content-disposition)$/;

interface Forwarded {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
}

function forward(upstream: string, { method, originalUrl, rawHeaders }: Request, body: Buffer | undefined): Promise<Forwarded> {
  const { hostname, port } = new URL(upstream);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path: originalUrl, headers: rawHeaders }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(chunks) }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export class ValidatingProxy {
  readonly url: string;
  /** What did not fit, since the proxy was started. */
  readonly violations: string[];
  readonly #server: Server;

  private constructor(server: Server, violations: string[]) {
    this.#server = server;
    this.violations = violations;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param upstream URL of a server, whose own document is asked of it; @param change what is done to it before */
  static async start(upstream: string, change: (document: Json) => void = () => undefined): Promise<ValidatingProxy> {
    const document = (await (await fetch(`${upstream}/api/openapi.json`)).json()) as Json;
    change(document);
    const violations: string[] = [];
    const app = express();
    const bodies = new WeakMap<object, Buffer>();
    app.use(express.json({ strict: false, verify: (request, _response, bytes) => void bodies.set(request, bytes) }));
    app.use(
      middleware({ apiSpec: structuredClone(document) as never, validateRequests: true, validateResponses: true, validateSecurity: false }),
    );
    app.use(async (request: Request, response: Response) => {
      const { status, headers, bytes } = await forward(upstream, request, bodies.get(request));
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
      violations.push(...undeclaredHeaders(document as unknown as Document, request, status, headers));
      response.status(status);
      // What the validator looks at; then the bytes as they came.
      const validate = response.json.bind(response);
      const end = response.end.bind(response);
      response.send = () => end(bytes);
      if (headers['content-type'] === 'application/json') validate(JSON.parse(bytes.toString()));
      else end(bytes);
    });
    app.use((error: Error & { errors?: unknown }, request: Request, response: Response, _next: NextFunction) => {
      violations.push(`${request.method} ${request.originalUrl}: ${error.message}`);
      response.status(502).json({ message: violations.at(-1) });
    });
    const server = await new Promise<Server>((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
    });
    return new ValidatingProxy(server, violations);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function undeclaredHeaders({ components }: Document, request: Request, status: number, headers: IncomingHttpHeaders): string[] {
  const { schema } = (request as unknown as { openapi?: { schema: { responses: Record<string, Declared> } } }).openapi ?? {};
  const given = schema?.responses[status];
  const declared = given?.$ref === undefined ? given : components.responses[given.$ref.split('/').at(-1) ?? ''];
  return Object.keys(headers)
    .filter((name) => OWN_HEADERS.test(name) && !(name in (declared?.headers ?? {})))
    .map((name) => `${request.method} ${request.originalUrl}: header ${name} of ${status}`);
}
