// The listener of `web`: HTTP/1.1, or TLS with HTTP/2 and HTTP/1.1 by ALPN, and its end without losing what is in flight. Flexisip speaks
// HTTP/2 over TLS alone, keeps one connection for everything, and drops whatever is under way when it hears GOAWAY (clients.md 5.1).
import { readFileSync, statSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { log, reasonOf } from '../infra/log';

export interface Tls {
  certFile: string;
  keyFile: string;
}

export interface Listener {
  server: Server | Http2SecureServer;
  /** Accepts no more connections; resolves once every request under way has been answered and every connection closed. */
  drain: () => Promise<void>;
}

/** Longer than a client (50 s) or a balancer keeps an idle connection: who closes first loses no request. */
const KEEP_ALIVE = 75_000;
const IDLE_LOOK = 20;
/** Streams of one connection at once; Flexisip puts all it reports into one. */
const MOST_STREAMS = 1000;
/** Megabytes of one connection: the default of 10 would refuse streams whose bodies are large. */
const SESSION_MEMORY = 256;
/** A peer that is gone without a word is found by TCP: an idle HTTP/2 connection has no end of its own, and needs none while the peer is there. */
const PROBED = { keepAlive: true, keepAliveInitialDelay: 60_000 };
/** A client that never pauses gets GOAWAY when this part of the grace time is over; what is under way then is still answered. */
const PATIENCE = 0.6;
const CERTIFICATE_LOOK = 5_000;

const stamp = ({ certFile, keyFile }: Tls): string => [certFile, keyFile].map((file) => statSync(file).mtimeMs).join();

/** Takes a renewed certificate without a restart, which would lose what Flexisip has under way. A bad one leaves the old in force. */
function watchCertificate(server: Http2SecureServer, tls: Tls): void {
  let known = stamp(tls);
  const look = setInterval(() => {
    try {
      const now = stamp(tls);
      if (now === known) return;
      server.setSecureContext({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
      known = now;
      log.info('the renewed certificate is in force');
    } catch (error) {
      log.error({ reason: reasonOf(error) }, 'the renewed certificate cannot be used: the one before stays in force');
    }
  }, CERTIFICATE_LOOK);
  look.unref();
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

/** @throws where the certificate or its key cannot be read or do not fit */
function createServer(handler: RequestListener, tls: Tls | undefined): Server | Http2SecureServer {
  if (!tls) return createHttpServer(PROBED, handler);
  const options = {
    ...PROBED,
    allowHTTP1: true,
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    maxSessionMemory: SESSION_MEMORY,
    settings: { maxConcurrentStreams: MOST_STREAMS },
  };
  const server = createSecureServer(options, handler as never);
  watchCertificate(server, tls);
  return server;
}

/**
 * @param graceSeconds how long draining may take
 * @throws where the certificate or its key cannot be used
 */
export function createListener(handler: RequestListener, tls: Tls | undefined, graceSeconds: number): Listener {
  const server = createServer(handler, tls) as Server;
  server.keepAliveTimeout = KEEP_ALIVE;
  server.headersTimeout = KEEP_ALIVE + 5000;
  const connections = tls ? countStreams(server as unknown as Http2SecureServer) : new Set<Connection>();
  let stopping = false;
  server.prependListener('request', (request, response: ServerResponse) => {
    if (stopping && request.httpVersionMajor < 2) response.setHeader('connection', 'close');
  });

  const drain = (): Promise<void> =>
    new Promise((resolve) => {
      stopping = true;
      const patientUntil = Date.now() + graceSeconds * 1000 * PATIENCE;
      // A connection whose last answer was under way at close() stays open until it is idle: look again until none is left.
      const idle = setInterval(() => {
        server.closeIdleConnections();
        for (const { session, streams } of connections) if (streams === 0 || Date.now() > patientUntil) session.close();
      }, IDLE_LOOK);
      server.close(() => {
        clearInterval(idle);
        resolve();
      });
    });
  return { server, drain };
}
