// The listener of `web`: HTTP/1.1, or TLS with HTTP/2 and HTTP/1.1 by ALPN, and its end without losing what is in flight. Flexisip speaks
// HTTP/2 over TLS alone, keeps one connection for everything, and when it receives GOAWAY it drops whatever is under way and sends none of it
// again (`src/utils/transport/http/http2client.*` in its sources).
import { readFileSync, statSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { log, reasonOf } from '../infra/log';
import { inLine } from '../infra/overload';
import { MAX_HEADER_BYTES, readHead } from './head';
import { type AppListener, isGone } from './http2';
import type { AppMessages } from './messages';
import { oneAtATime } from './pipelining';
import { answerRefusals } from './refusals';
import { PATIENCE, type Patience, watchPatience } from './unread';

/** Paths of PEM files. */
export interface Tls {
  /** The certificate with its chain. */
  certFile: string;
  keyFile: string;
}

/** A server that is not listening yet, and how it stops. */
export interface Listener {
  server: Server | Http2SecureServer;
  /**
   * For so many seconds all is accepted and answered as before, but every answer over HTTP/1.1 is the last one of its connection; 0: nothing happens.
   * A front's connections that are in use end so by themselves, and those that are not are for the front to close, not for us: what it sends at the
   * moment in which we close one is lost, and it may not send a POST twice.
   */
  retire: (seconds: number) => Promise<void>;
  /** Accepts no more connections; resolves once every request under way has been answered and every connection closed. */
  drain: () => Promise<void>;
}

/** Longer than a client (50 s) or a balancer keeps an idle connection: who closes first loses no request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** Node wants this one above the keep-alive timeout. */
const HEADERS_TIMEOUT_MS = KEEP_ALIVE_TIMEOUT_MS + 5000;
/** How often draining looks for connections that have become idle. */
const IDLE_CHECK_INTERVAL_MS = 20;
/**
 * Streams of one connection at once; Flexisip puts all it reports into one. The client keeps what is too many, and sends it as others are answered: a thousand
 * that come in one packet would all be read in one turn of the event loop. As few as RFC 9113, section 6.5.2, admits.
 */
const MAX_CONCURRENT_STREAMS = 100;
/** Of one HTTP/2 connection: Node's default of 10 would refuse streams whose bodies are large. */
const MAX_SESSION_MEMORY_MB = 256;
/** Of one request over HTTP/2, so that what is somewhat too much is answered 431 (head.ts): what node:http2 refuses itself ends the stream without an answer. */
const MAX_HEADER_LIST = { pairs: 512, bytes: 64 * 1024 };
/** A peer that vanished is found by TCP's own probes: an idle HTTP/2 connection has no timeout, and needs none while the peer is there. */
const TCP_KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };
/** A client that never pauses gets GOAWAY when this fraction of the grace time is over; what is under way then is still answered. */
const GOAWAY_AFTER_GRACE_FRACTION = 0.6;
const CERTIFICATE_CHECK_INTERVAL_MS = 5_000;

const modifiedAt = ({ certFile, keyFile }: Tls): string => [certFile, keyFile].map((file) => statSync(file).mtimeMs).join();

/** Takes a renewed certificate without a restart, which would lose what Flexisip has under way. A bad one leaves the old in force. */
function watchCertificate(server: Http2SecureServer, tls: Tls): void {
  let known = modifiedAt(tls);
  const timer = setInterval(() => {
    try {
      const now = modifiedAt(tls);
      if (now === known) return;
      server.setSecureContext({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
      known = now;
      log.info('the renewed certificate is in force');
    } catch (error) {
      log.error({ reason: reasonOf(error) }, 'the renewed certificate cannot be used: the one before stays in force');
    }
  }, CERTIFICATE_CHECK_INTERVAL_MS);
  timer.unref();
}

interface Connection {
  session: ServerHttp2Session;
  streams: number;
}

/** HTTP/2 sessions with how many of their streams are open. */
function countStreams(server: Http2SecureServer): Set<Connection> {
  const connections = new Set<Connection>();
  server.on('session', (session) => {
    const connection: Connection = { session, streams: 0 };
    connections.add(connection);
    session.on('stream', (stream) => {
      connection.streams += 1;
      stream.once('close', () => (connection.streams -= 1));
    });
    session.once('close', () => connections.delete(connection));
    // A client that breaks the protocol, or hangs up, ends its own connection and nothing else.
    session.on('error', (error: Error) => log.debug({ reason: error.message }, 'an HTTP/2 connection broke'));
  });
  return connections;
}

/** What tells whether this process is well: it waits behind nothing. */
const isWatch = ({ url = '' }: IncomingMessage): boolean => url.startsWith('/health/') || url === '/metrics';

/** @throws where the certificate or its key cannot be read or do not fit */
function createServer(handler: RequestListener, { http1, http2 }: AppMessages, tls: Tls | undefined): Server | Http2SecureServer {
  const both = { ...TCP_KEEP_ALIVE, maxHeaderSize: MAX_HEADER_BYTES };
  // A missing Host is head.ts' to refuse.
  if (!tls) {
    const options = { ...both, requireHostHeader: false, IncomingMessage: http1.request, ServerResponse: http1.response };
    return createHttpServer(options, handler);
  }
  const options = {
    ...both,
    Http1IncomingMessage: http1.request,
    Http1ServerResponse: http1.response,
    Http2ServerRequest: http2.request,
    Http2ServerResponse: http2.response,
    maxHeaderListPairs: MAX_HEADER_LIST.pairs,
    allowHTTP1: true,
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    maxSessionMemory: MAX_SESSION_MEMORY_MB,
    settings: { maxConcurrentStreams: MAX_CONCURRENT_STREAMS, maxHeaderListSize: MAX_HEADER_LIST.bytes },
  };
  const server = createSecureServer(options, handler as never);
  watchCertificate(server, tls);
  return server;
}

/**
 * The listener of `web`; nothing listens before `server.listen()`.
 *
 * @param handler of HTTP/1.1 and, with TLS, of HTTP/2 requests, with the classes that these are to have (`withHttp2Support()`)
 * @param tls paths of PEM files; undefined: HTTP/1.1 without TLS
 * @param graceSeconds how long draining may take
 * @param patience with clients that do not read, or do not send
 * @throws where the certificate or its key cannot be used
 */
export function createListener(handler: AppListener, tls: Tls | undefined, graceSeconds: number, patience: Patience = PATIENCE): Listener {
  let stopping = false;
  const inTurn = oneAtATime((request, response) => {
    readHead(request);
    if (isWatch(request)) handler(request, response);
    // Who has gone meanwhile has sent no more than this head, or waits for nothing.
    else inLine(request, () => isGone(response) || handler(request, response));
  });
  const watch = watchPatience(patience);
  const begin: RequestListener = (request, response) => {
    if (stopping && request.httpVersionMajor < 2) response.setHeader('connection', 'close');
    watch(request, response);
    inTurn(request, response);
  };
  const server = createServer(begin, handler.messages, tls) as Server;
  answerRefusals(server, inTurn);
  // Of HTTP/1.1 node:http sees to that itself.
  server.requestTimeout = patience.bodyMs;
  // All that MAX_HEADER_BYTES admits are read: head.ts refuses what is too many, node:http would leave out the last ones.
  server.maxHeadersCount = 0;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  const connections = tls ? countStreams(server as unknown as Http2SecureServer) : new Set<Connection>();

  const retire = async (seconds: number): Promise<void> => {
    if (seconds === 0) return;
    stopping = true;
    await sleep(seconds * 1000);
  };
  const drain = (): Promise<void> =>
    new Promise((resolve) => {
      stopping = true;
      const goawayAt = Date.now() + graceSeconds * 1000 * GOAWAY_AFTER_GRACE_FRACTION;
      // A connection whose last answer was under way at close() stays open until it is idle: check until none is left.
      const timer = setInterval(() => {
        server.closeIdleConnections();
        for (const { session, streams } of connections) if (streams === 0 || Date.now() > goawayAt) session.close();
      }, IDLE_CHECK_INTERVAL_MS);
      server.close(() => {
        clearInterval(timer);
        resolve();
      });
    });
  return { server, retire, drain };
}
