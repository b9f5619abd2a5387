// bull-board over all queues: its adapter for Express, with what it leaves to whoever mounts it. Loaded for the first super admin who looks at it.
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { AppControllerRoute, AppViewRoute } from '@bull-board/api/typings/app';
import { ExpressAdapter } from '@bull-board/express';
import type { Job } from 'bullmq';
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import { settings } from '../../config';
import { readJson } from '../http/body';
import { languageOf } from '../http/client';
import { withHttp2Support } from '../http/http2';
import { reportError, writeBytes } from '../http/reply';
import type { Caller, Client } from '../http/route';
import { render } from '../i18n';
import { ApiError, forbidden, unavailable } from '../infra/errors';
import { log, reasonOf } from '../infra/log';
import { requireWritable } from '../infra/redis';
import { gateOf } from '../infra/redis-gate';
import { QUEUE_NAMES, queuePrefix } from '../queues/contracts';
import { producerConnection, queueOf } from '../queues/producer';
import { assetUrl } from './assets';
import { isSending, mayChange, readsOnly, requireAllowed } from './board-rules';
import { rootOf } from './root';

const isReading = (method: string): boolean => method === 'GET' || method === 'HEAD';

/** What of a job's data people may see: no device address. */
function redact(data: unknown): unknown {
  const { payload, ...rest } = (data ?? {}) as { payload?: Record<string, unknown> };
  if (!payload) return data;
  return {
    ...rest,
    payload: 'prid' in payload ? { ...payload, prid: payload['prid'] === null ? null : '(hidden)', ip: undefined } : payload,
  };
}

/** bull-board waits for Redis as long as it takes. @throws {ApiError} 503 where that would be in vain */
async function requireQueues(): Promise<void> {
  const [connection, keys] = [producerConnection(), QUEUE_NAMES.map(queuePrefix)];
  try {
    await gateOf(connection).ask(keys[0] ?? '', () => requireWritable(connection, keys));
  } catch (error) {
    throw unavailable('server.queue', {}, { cause: error, headers: { 'retry-after': '5' } });
  }
}

/** A line for each try to change something, once it is answered: who, what, on which job, and what came of it. No data of jobs. */
function logAction(request: Request, response: Response, next: NextFunction): void {
  const { account_id, username, domain } = response.locals['caller'] as Caller;
  const { ip } = response.locals['client'] as Client;
  const { queueName, jobId, queueStatus, schedulerId } = request.params;
  // Of a route that bull-board does not have the method alone: the path may hold anything.
  const action = [request.method, (request.route as { path: string } | undefined)?.path].filter(Boolean).join(' ');
  response.once('close', () => {
    const { made, reason } = response.locals as { made?: string; reason?: string };
    log[response.statusCode < 500 ? 'info' : 'warn'](
      {
        account_id,
        account: `${username}@${domain}`,
        action,
        queue: queueName,
        job: jobId ?? made,
        state: queueStatus,
        scheduler: schedulerId,
        status: response.statusCode,
        reason,
        ip,
        ...(response.writableFinished ? {} : { aborted: true }),
      },
      'an action on the dashboard',
    );
  });
  next();
}

/** BullMQ's own refusals have a number below 0, such as that of a job that is not in the state in which it could be acted on. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' && error.code < 0;

/** Writes that something may not be done, and why, as the dashboard's script shows it: `error` is the headline. */
function writeRefusal(request: Request, response: Response, error: ApiError): void {
  const language = languageOf(request);
  response.locals['reason'] = reasonOf(error);
  const body = JSON.stringify({ error: render({ key: 'queue.forbidden', values: {} }, language), message: render(error.text, language) });
  writeBytes(response, error.status, 'application/json', body, { 'content-language': language });
}

/** Writes why a call failed, as the dashboard's script shows it. Redis may have gone silent in the middle of the call. */
async function writeFailure(request: Request, response: Response, error: unknown): Promise<void> {
  if (error instanceof ApiError && error.status === 403) {
    writeRefusal(request, response, error);
    return;
  }
  const away = await requireQueues().then(
    () => undefined,
    (unanswered: unknown) => unanswered,
  );
  const refused = away === undefined && isRefusal(error) ? error.message : undefined;
  const { status, text, details } =
    refused === undefined ? reportError(away ?? error) : new ApiError(409, { key: 'queue.refused', values: {} });
  const language = languageOf(request);
  response.locals['reason'] = reasonOf(error);
  const body = JSON.stringify({ error: render(text, language), message: refused });
  writeBytes(response, status, 'application/json', body, { 'content-language': language, ...details.headers });
}

/** A queue whose jobs reach people: what was sent is not sent a second time. Which actions may be done to it at all is board-rules.ts. */
class SendingQueueAdapter extends BullMQAdapter {
  override readonly allowCompletedRetries = false;

  /** bull-board retries a job from the state that it is in: between a look at it here and that another retry could have been done. */
  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    if (job === undefined) return undefined;
    const retry = job.retry.bind(job);
    job.retry = (state = 'failed', options) => (state === 'failed' ? retry(state, options) : Promise.reject(forbidden('queue.sent')));
    return job;
  }
}

class Board extends ExpressAdapter {
  /**
   * The page, wherever a front has put it: its scripts take from `<base>` where they are, which a script of ours (queues-script.ts) makes absolute before. Without Google's
   * fonts, which the page's policy does not let in.
   */
  override setEntryRoute(definition: AppViewRoute): this {
    this.app.get(definition.route, (request, response, next) => {
      const basePath = `${rootOf(request)}/queues/`;
      const { name, params } = definition.handler({ basePath, uiConfig: this.uiConfig });
      response.render(name, params, (error: Error | null, html: string) => {
        if (error) {
          next(error);
          return;
        }
        const base = `<base href="${basePath}" />`;
        const own = `<script src="..${assetUrl('queues-base.js')}"></script>\n<link rel="stylesheet" href="..${assetUrl('queues.css')}">`;
        const lines = html.replace(base, `${base}\n${own}`).split('\n');
        response.setHeader('cache-control', 'no-store');
        response.type('html').send(lines.filter((line) => !line.includes('https://fonts.')).join('\n'));
      });
    });
    return this;
  }

  override setApiRoutes(routes: AppControllerRoute[]): this {
    const queues = this.bullBoardQueues;
    if (!queues) throw new Error('setApiRoutes() comes after setQueues()');
    for (const called of routes) {
      const answer: RequestHandler = async (request, response) => {
        const { query, params, headers, method, route } = request;
        try {
          if (!isReading(method)) {
            const { caller } = response.locals as { caller: Caller };
            // Before its body is read.
            requireAllowed(caller, { method: method.toLowerCase(), route: (route as { path: string }).path, params });
          }
          // By our own reader, which hears of what node:http refuses.
          const body = isReading(method) ? {} : await readJson(request, response);
          await requireQueues();
          const { status = 200, body: given } = await called.handler({
            queues,
            uiConfig: this.uiConfig,
            query,
            params,
            body,
            headers,
          } as never);
          response.locals['made'] = (given as { job?: { id?: string } } | undefined)?.job?.id;
          response.status(status).json(given);
        } catch (error) {
          await writeFailure(request, response, error);
        }
      };
      for (const method of [called.method].flat()) this.app[method](called.route, ...(method === 'get' ? [] : [logAction]), answer);
    }
    return this;
  }
}

/** @param readOnly without any button, and without an answer to what would change something */
function boardFor(readOnly: boolean): RequestHandler {
  const server = new Board();
  const adapters = QUEUE_NAMES.map((name) => {
    const adapter = new (isSending(name) ? SendingQueueAdapter : BullMQAdapter)(queueOf(name), { readOnlyMode: readOnly });
    adapter.setFormatter('data', redact);
    return adapter;
  });
  createBullBoard({
    queues: adapters,
    serverAdapter: server,
    options: { uiConfig: { boardTitle: `${settings.APP_NAME} queues`, hideRedisDetails: true } },
  });
  const app = server.getRouter() as Express;
  app.use((request, response, next) => {
    if (!readOnly || isReading(request.method)) next();
    else logAction(request, response, () => writeRefusal(request, response, readsOnly()));
  });
  return withHttp2Support(app) as RequestHandler;
}

/** A handler for whoever is let in, to be mounted at /queues: who may not change anything is shown nothing that would. */
export function createBoard(): RequestHandler {
  const boards = { reading: boardFor(true), writing: boardFor(false) };
  return (request, response, next) => {
    const { caller } = response.locals as { caller: Caller };
    boards[mayChange(caller) ? 'writing' : 'reading'](request, response, next);
  };
}
