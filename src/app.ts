// The order of middlewares on one page, and the routes that are not endpoints of the API: health, metrics, documentation, pages.
import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { settings } from '../config';
import { api } from './api';
import { context } from './infra/context';
import { dashboard } from './pages/queues';
import { notFound } from './infra/errors';
import { isStopping } from './infra/shutdown';
import { METRICS_TYPE, metricsNow } from './services/operations/metrics';
import { readinessNow } from './services/operations/readiness';
import { languageOf } from './http/client';
import { beginExchange, Exchange, type Headers } from './http/exchange';
import { faultOf, METHODS } from './http/head';
import { openApiDocument } from './http/openapi';
import { originOf, useOrigins } from './http/origin';
import { writeBytes, writeError, writeReply } from './http/reply';
import { apiRouter } from './http/router';
import { countStranger, refuseStranger } from './http/stranger';
import { plainLog } from './infra/log';
import { VERSION } from './infra/version';
import { countResponse, methodLabel } from './infra/metrics';
import { tracing } from './infra/tracing';
import { isOverloaded, overloaded } from './infra/overload';
import { assets } from './pages/assets';
import { documentationPage } from './pages/documentation';
import { hooks } from './pages/hooks';
import { provisioning } from './pages/provisioning';
import { sendsPage } from './pages/sends';
import { statisticsPage } from './pages/statistics';
import { validationPage } from './pages/validation';
import { vcardTexts } from './pages/vcard-texts';

/** What a middleware that looks at no request sets, once for all. */
function headersOf(middleware: RequestHandler): Headers {
  const headers: Headers = {};
  const answer = { setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value), removeHeader: () => undefined };
  void middleware({} as Request, answer as unknown as Response, () => undefined);
  return headers;
}

const apiHeaders = headersOf(
  helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // Of this host alone: another one of the operator's domain may not speak TLS.
    strictTransportSecurity: { includeSubDomains: false },
    // Not helmet's no-referrer: under it a browser names no origin with a form's POST, and the dashboard asks for one.
    referrerPolicy: { policy: 'same-origin' },
  }),
);

/** Everything from our own address, inline style apart, which both bull-board and Swagger UI write; no fonts of Google's. */
const pagesPolicy = helmet.contentSecurityPolicy({
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    fontSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    baseUri: ["'self'"],
    frameAncestors: ["'none'"],
  },
});

/** Refuses what is wrong with the request itself, and answers what is asked of the server as a whole (RFC 9110, section 9.3.7). */
function admitRequest(request: Request, response: Response, next: NextFunction): void {
  const fault = faultOf(request);
  if (fault) {
    // Where its body ends cannot be told: what follows may be no request (RFC 9112, section 6.3).
    if (request.headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false;
    writeError(response, fault, languageOf(request));
  } else if (request.url !== '*') next();
  else
    countStranger(request, response).then(() => {
      response.status(204).setHeader('allow', METHODS).end();
    }, next);
}

/** What balancers and open pages ask for every few seconds, and files. */
const UNLOGGED = /^\/(health|metrics|assets|queues\/(static|api))/;
const isUnlogged = ({ method, originalUrl }: Request): boolean => (method === 'GET' || method === 'HEAD') && UNLOGGED.test(originalUrl);

/** Names a route for the log. */
const named =
  (route: string): RequestHandler =>
  (_request, response, next) => {
    response.locals['route'] = route;
    next();
  };

const { LOG_REQUESTS: logged } = settings;

/** One line a request. It has the endpoint's pattern instead of the path, and no header, since tokens and keys stand in both. */
function logAnswer(response: Response, { request_id, began }: Exchange, method: string, ip: string): void {
  const { statusCode: status, writableFinished: isWhole } = response;
  if (logged === 'errors' && status < 500 && isWhole) return;
  const level = status === 500 ? 'error' : status > 500 ? 'warn' : 'info';
  const route = (response.locals['route'] as string | undefined) ?? null;
  const line = { request_id, method: method || null, route, status, ms: Math.round(performance.now() - began), ip };
  plainLog[level](isWhole ? line : { ...line, aborted: true }, 'request');
}

/** Begins the exchange of a request and its answer, and says what came of it. */
function beginRequest(request: Request, response: Response, next: NextFunction): void {
  const exchange = new Exchange(request.headers['x-request-id'], apiHeaders);
  beginExchange(response, exchange);
  // Now: a stream of HTTP/2 may outlive its connection, which has no address then.
  const { ip } = originOf(request);
  const { method } = request;
  const isWatch = isUnlogged(request);
  const isLogged = logged !== 'off' && !isWatch;
  const span = isWatch ? undefined : tracing()?.request(methodLabel(method), request.headers['traceparent'], exchange.request_id);
  response.once('close', () => {
    exchange.end();
    const status = response.headersSent ? response.statusCode : undefined;
    countResponse(method, request.originalUrl, status);
    span?.end(response.locals['route'] as string | undefined, status);
    if (isLogged) logAnswer(response, exchange, method, ip);
  });
  if (span) span.run(() => context.run(exchange, admitRequest, request, response, next));
  else context.run(exchange, admitRequest, request, response, next);
}

/**
 * The whole API and its pages as an Express app, which does not listen yet, and connects to no server before a request
 * asks for it.
 */
export function createApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  useOrigins(app);
  const { serve, refuse } = apiRouter(api.endpoints);
  app.use(beginRequest, serve, (request, response, next) => {
    if (isOverloaded(request)) writeError(response, overloaded(), languageOf(request));
    else next();
  });

  app.get('/health/live', (_request, response) => writeReply(response, { status: 200, body: { status: 'ok' } }));
  app.get('/health/ready', async (_request, response) => {
    // At once, whatever the servers behind do: a balancer is to take this process out before it accepts nothing more.
    if (isStopping()) {
      await writeReply(response, { status: 503, body: { status: 'stopping', version: VERSION } });
      return;
    }
    const readiness = await readinessNow();
    await writeReply(response, { status: readiness.status === 'ok' ? 200 : 503, body: readiness });
  });
  app.get('/metrics', async (_request, response) => writeBytes(response, 200, METRICS_TYPE, await metricsNow()));

  // Made of every endpoint's schemas, which would cost each start a tenth of its time: so for the first who reads it.
  let document: Buffer | undefined;
  app.get('/api/openapi.json', named('/api/openapi.json'), (_request, response) => {
    document ??= Buffer.from(JSON.stringify(openApiDocument(api, settings, VERSION)));
    writeBytes(response, 200, 'application/json', document);
  });
  app.get('/api', named('/api'), pagesPolicy, (request, response) => {
    // It names files of this version.
    response.setHeader('cache-control', 'no-store');
    response.type('html').send(documentationPage(request));
  });
  app.get('/favicon.ico', named('/favicon.ico'), (_request, response) => {
    response.status(204).end();
  });
  app.use(assets());
  app.use(hooks());
  app.use('/api', refuse);

  app.use('/creation_token', validationPage());
  app.use('/provisioning', provisioning());
  app.use(vcardTexts());
  app.use('/queues', pagesPolicy, dashboard());
  app.use('/statistics', pagesPolicy, statisticsPage());
  app.use('/sends', pagesPolicy, sendsPage());
  app.use((request, response) => refuseStranger(request, response, notFound('route.not_found')));
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => refuseStranger(request, response, error));
  return app;
}
