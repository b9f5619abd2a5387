// What a worker answers over HTTP, where WORKER_PORT is set: whether it is well, and its metrics. By node:http alone, since nobody else asks it anything.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { settings } from '../config';
import { log, reasonOf } from '../src/infra/log';
import { countResponse } from '../src/infra/metrics';
import { METRICS_TYPE, metricsNow } from '../src/services/operations/metrics';
import { readinessNow } from '../src/services/operations/readiness';

/** Who asks sends a head of some hundred bytes, and at once. */
const HEAD_TIMEOUT_MS = 5000;
const MAX_HEAD_BYTES = 8192;
const MAX_CONNECTIONS = 100;

interface Answer {
  status: number;
  type?: string;
  text: string;
}
const json = (status: number, body: object): Answer => ({ status, text: JSON.stringify(body) });

const PLACES: Readonly<Record<string, () => Promise<Answer>>> = {
  '/health/live': () => Promise.resolve(json(200, { status: 'ok' })),
  '/health/ready': async () => {
    const readiness = await readinessNow();
    return json(readiness.status === 'ok' ? 200 : 503, readiness);
  },
  '/metrics': async () => ({ status: 200, type: METRICS_TYPE, text: await metricsNow() }),
};

async function answer({ method = '', url = '' }: IncomingMessage): Promise<Answer> {
  const path = url.replace(/\?.*$/s, '');
  const place = Object.hasOwn(PLACES, path) ? PLACES[path] : undefined;
  if (!place) return json(404, { message: 'There is nothing here: a worker answers /metrics, /health/live and /health/ready' });
  return method === 'GET' || method === 'HEAD' ? place() : json(405, { message: 'GET and HEAD alone' });
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // What it may send is of no interest; unread it would hold up the next request.
  request.resume();
  response.once('close', () =>
    countResponse(request.method ?? '', request.url ?? '', response.headersSent ? response.statusCode : undefined),
  );
  const {
    status,
    type = 'application/json',
    text,
  } = await answer(request).catch((error: unknown) => {
    log.error({ reason: reasonOf(error) }, 'a question about this worker could not be answered');
    return json(500, { message: 'Internal error' });
  });
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

/**
 * Listens on WORKER_PORT of HOST; where it is not set, nothing is done.
 *
 * @returns ends it at once; undefined where nothing listens
 * @throws {Error} where the port cannot be had; its message says what to set
 */
export async function watchable(): Promise<(() => Promise<void>) | undefined> {
  const { WORKER_PORT: port, HOST: host } = settings;
  if (port === undefined) return undefined;
  const server: Server = createServer(
    { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: HEAD_TIMEOUT_MS, maxHeaderSize: MAX_HEAD_BYTES, keepAliveTimeout: 75_000 },
    (request, response) => void serve(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`WORKER_PORT ${port} of ${host} is in use: stop what uses it, or set another WORKER_PORT; each worker needs its own`)
          : error,
      ),
    );
    server.listen(port, host, resolve);
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}
