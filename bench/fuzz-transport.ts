// How a generated request goes out, and what comes back. Client libraries refuse to send much of what is wrong: that goes out as bytes.
import { createHash } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { withTimeout } from '../src/infra/timeout';
import { plainPlan, type Plan } from './fuzz-envelopes';
import { PASSWORD, type Member } from './fuzz-rows';

/** Longer than anybody may wait, so that it is known how long it took. */
const GIVE_UP_MS = 30_000;
/** Where a client has promised more than it sent, the server waits for it, and is right. */
const RAW_GIVE_UP_MS = 1500;

const LINGER_MS = 500;
/** What Node's clients refuse to send. */
const REFUSED_BY_CLIENTS = new Set([
  'ERR_INVALID_CHAR',
  'ERR_UNESCAPED_CHARACTERS',
  'ERR_INVALID_HTTP_TOKEN',
  'ERR_HTTP_INVALID_HEADER_VALUE',
  'ERR_HTTP2_HEADER_SINGLE_VALUE',
]);

/** What came of a request. */
export interface Seen {
  /** 0: no answer. */
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  ms: number;
  /** Why there is no answer, or only a part of one. */
  failure?: string;
}

/** Where requests go: `web` without TLS, and `web` with it. */
export interface Address {
  port: number;
  securePort: number;
  /** The certificate of the latter. */
  ca: string;
}

const flat = (headers: IncomingMessage['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
const reasonOf = (error: unknown): string =>
  error instanceof Error ? `${(error as NodeJS.ErrnoException).code ?? ''} ${error.message}`.trim() : String(error);

/** Not of HTTP/2 (RFC 9113 section 8.2.2), where the host is `:authority`. */
const OF_CONNECTIONS = new Set(['connection', 'transfer-encoding', 'upgrade', 'keep-alive', 'proxy-connection', 'te', 'host', 'expect']);

/** Connections to the system under test. */
export class Client {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https: HttpsAgent;
  #session: ClientHttp2Session | undefined;

  constructor(readonly address: Address) {
    this.#https = new HttpsAgent({ keepAlive: true, ca: address.ca, servername: 'localhost' });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
    this.#session?.destroy();
  }

  /** Sends a request, once. Never throws. */
  async send(plan: Plan): Promise<Seen> {
    const needsDigest = plan.member?.role === 'digest' && !plan.headers.some(([name]) => name === 'authorization');
    const whole: Plan =
      needsDigest && plan.member ? { ...plan, headers: [...plan.headers, ['authorization', await this.#digest(plan, plan.member)]] } : plan;
    const started = performance.now();
    const seen = await withTimeout(this.#once(whole), GIVE_UP_MS, 'the server').catch((error: unknown) => ({
      status: 0,
      headers: {},
      body: Buffer.alloc(0),
      failure: reasonOf(error),
    }));
    return { ...seen, ms: performance.now() - started };
  }

  async #once(plan: Plan): Promise<Omit<Seen, 'ms'>> {
    if (plan.transport === 'raw') return this.#raw(plan);
    try {
      return await (plan.transport === 'http2' ? this.#http2(plan) : this.#http1(plan));
    } catch (error) {
      // Not looked at by the server, whose connection has just been ended for another stream's sake (RFC 9113 section 8.7).
      if (/NGHTTP2_REFUSED_STREAM/.test(reasonOf(error))) return this.#http2(plan);
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && REFUSED_BY_CLIENTS.has(code)) {
        plan.transport = 'raw';
        return this.#raw(plan);
      }
      throw error;
    }
  }

  #http1(plan: Plan): Promise<Omit<Seen, 'ms'>> {
    const { method, target, body, chunked, transport } = plan;
    const secure = transport === 'https1';
    return new Promise((resolve, reject) => {
      const request = (secure ? httpsRequest : httpRequest)({
        agent: secure ? this.#https : this.#http,
        host: '127.0.0.1',
        port: secure ? this.address.securePort : this.address.port,
        method,
        path: target,
        setHost: !plan.headers.some(([name]) => name === 'host'),
        headers: headersOf(plan),
      });
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        const done = (failure?: string): void =>
          resolve({
            status: response.statusCode ?? 0,
            headers: flat(response.headers),
            body: Buffer.concat(chunks),
            ...(failure === undefined ? {} : { failure }),
          });
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('end', () => done());
        response.once('error', (error) => done(reasonOf(error)));
      });
      request.once('error', reject);
      if (chunked && body) {
        request.write(body.subarray(0, body.length >> 1));
        request.end(body.subarray(body.length >> 1));
      } else request.end(body);
    });
  }

  #connect(): ClientHttp2Session {
    const session = connectHttp2(`https://127.0.0.1:${this.address.securePort}`, { ca: this.address.ca, servername: 'localhost' });
    session.on('error', () => undefined);
    // Streams that are under way end by themselves.
    session.on('goaway', () => {
      if (this.#session === session) this.#session = undefined;
    });
    return session;
  }

  /** What is wrong may end a connection, and with it what others ask over it: it has one of its own. */
  #connectionFor({ spoiled }: Plan): { session: ClientHttp2Session; isShared: boolean } {
    if (spoiled.length > 0) return { session: this.#connect(), isShared: false };
    if (!this.#session || this.#session.closed || this.#session.destroyed) this.#session = this.#connect();
    return { session: this.#session, isShared: true };
  }

  #http2(plan: Plan): Promise<Omit<Seen, 'ms'>> {
    const headers: Record<string, string | string[]> = { ':method': plan.method, ':path': plan.target };
    for (const [name, value] of plan.headers) {
      if (name === 'host') headers[':authority'] = value;
      if (OF_CONNECTIONS.has(name)) continue;
      headers[name] = name in headers ? [headers[name] ?? '', value].flat() : value;
    }
    if (plan.body && !plan.chunked) headers['content-length'] = String(plan.body.length);
    const { session, isShared } = this.#connectionFor(plan);
    const answer = new Promise<Omit<Seen, 'ms'>>((resolve, reject) => {
      const stream = session.request(headers, { endStream: plan.body === undefined });
      let [status, received, failure]: [number, Record<string, string>, string | undefined] = [0, {}, undefined];
      const chunks: Buffer[] = [];
      stream.once('response', (head) => {
        status = Number(head[':status']);
        received = flat(head);
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('error', (error) => (failure = reasonOf(error)));
      const finish = (): void => {
        if (status === 0) {
          if (this.#session === session) this.#session = undefined;
          reject(new Error(failure ?? `stream closed with ${stream.rstCode}`));
        } else resolve({ status, headers: received, body: Buffer.concat(chunks), ...(failure === undefined ? {} : { failure }) });
      };
      stream.once('close', finish);
      // Answered; of a body that nobody reads the stream stays open in the other direction.
      stream.once('end', () => setTimeout(finish, LINGER_MS));
      if (plan.body) stream.end(plan.body);
    });
    return isShared ? answer : answer.finally(() => session.destroy());
  }

  #raw(plan: Plan): Promise<Omit<Seen, 'ms'>> {
    return new Promise((resolve) => {
      const socket = connectTcp(this.address.port, '127.0.0.1', () => socket.write(bytesOf(plan)));
      const chunks: Buffer[] = [];
      socket.setTimeout(RAW_GIVE_UP_MS, () => socket.destroy());
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.once('error', () => undefined);
      socket.once('close', () => resolve(parse(Buffer.concat(chunks))));
    });
  }

  /** A challenge of its own for each request: the counter of a nonce would go up and down where requests overtake each other. */
  async #digest({ method, target }: Plan, { username, domain }: Member): Promise<string> {
    const asked = plainPlan('GET', '/api/accounts/me', { headers: [['from', `sip:${username}@${domain}`]] });
    const { headers } = await withTimeout(this.#once(asked), GIVE_UP_MS, 'the server').catch(() => ({
      headers: {} as Record<string, string>,
    }));
    const challenge = headers['www-authenticate'] ?? '';
    const get = (name: string): string => [...challenge.matchAll(/\b([a-z]+)="?([^",]+)/g)].find(([, found]) => found === name)?.[2] ?? '';
    const algorithm = username.endsWith('1') ? 'MD5' : 'SHA-256';
    const hash = (text: string): string =>
      createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
        .update(text)
        .digest('hex');
    const response = hash(`${hash(`${username}:${domain}:${PASSWORD}`)}:${get('nonce')}:00000001:fuzz:auth:${hash(`${method}:${target}`)}`);
    return (
      `Digest username="${username}", realm="${get('realm')}", nonce="${get('nonce')}", uri="${target}", algorithm=${algorithm}, ` +
      `qop=auth, nc=00000001, cnonce="fuzz", response="${response}", opaque="${get('opaque')}"`
    );
  }
}

function headersOf({ headers, body, chunked }: Plan): string[] | Record<string, string | string[]> {
  const made: Record<string, string | string[]> = {};
  for (const [name, value] of headers) made[name] = name in made ? [made[name] ?? '', value].flat() : value;
  if (body && !chunked && !('content-length' in made)) made['content-length'] = String(body.length);
  if (body && chunked) made['transfer-encoding'] = 'chunked';
  return made;
}

const CRLF = '\r\n';
/** The bytes of a request over HTTP/1.1. */
export function bytesOf({ method, target, headers, body }: Plan): Buffer {
  const given = headers.map(([name]) => name);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...(given.includes('host') ? [] : ['host: 127.0.0.1']),
    ...(given.includes('connection') ? [] : ['connection: close']),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(!body || given.includes('content-length') || given.includes('transfer-encoding') ? [] : [`content-length: ${body.length}`]),
  ];
  return Buffer.concat([Buffer.from(`${lines.join(CRLF)}${CRLF}${CRLF}`, 'latin1'), ...(body ? [body] : [])]);
}

/** The first answer in what came over a connection. */
function parse(bytes: Buffer): Omit<Seen, 'ms'> {
  const text = bytes.toString('latin1').replace(/^(HTTP\/1\.1 1\d\d[^\r]*\r\n\r\n)+/, '');
  const end = text.indexOf(CRLF + CRLF);
  const [first = '', ...lines] = text.slice(0, Math.max(0, end)).split(CRLF);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  if (status === 0)
    return { status, headers: {}, body: Buffer.alloc(0), failure: bytes.length === 0 ? 'closed without an answer' : 'no HTTP answer' };
  const headers: Record<string, string> = {};
  for (const line of lines) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
  const rest = Buffer.from(text.slice(end + 4), 'latin1');
  if (headers['transfer-encoding'] !== 'chunked')
    return { status, headers, body: rest.subarray(0, Number(headers['content-length'] ?? rest.length)) };
  const chunks: Buffer[] = [];
  for (let at = 0; at < rest.length;) {
    const line = rest.indexOf(CRLF, at);
    const size = Number.parseInt(rest.subarray(at, line).toString(), 16);
    if (line < 0 || !(size > 0)) break;
    chunks.push(rest.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
  return { status, headers, body: Buffer.concat(chunks) };
}
