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
import { ApiError, forbidden } from '../infra/errors';
import { log, reasonOf } from '../infra/log';
import type { ActionEnd } from '../models/operations/queue-action';
import { QUEUE_NAMES, type QueueName } from '../queues/contracts';
import { queueOf } from '../queues/producer';
import { requireQueues as requireWritableQueues, retryFailedJobs, retryJob } from '../queues/steering';
import { actorOf, beginAction, recordRefusal, type Actor, type BegunAction, type Intent } from '../services/operations/queue-actions';
import { queuesAway } from '../services/operations/queue-steering';
import { assetUrl } from './assets';
import { isSending, mayChange, readsOnly, requireAllowed } from './board-rules';
import { rootOf } from './root';

/** One call may put back as many as there is time for. */
const RETRY_ALL_MS = 2000;
const RETRY_ALL_ROUTE = '/api/queues/:queueName/retry/:queueStatus';

/** The queue that is named, where it sends. */
const sendingQueueOf = ({ queueName }: Request['params']): QueueName | undefined =>
  typeof queueName === 'string' && isSending(queueName) ? (queueName as QueueName) : undefined;

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
  try {
    await requireWritableQueues();
  } catch (error) {
    throw queuesAway(error);
  }
}

/** The action of a request, as bull-board declares it. Of a route that it does not have the method alone: the path may hold anything. */
const actionOf = ({ method, route }: Request): string => [method, (route as { path: string } | undefined)?.path].filter(Boolean).join(' ');

/** What the trail has of a try, beside who makes it. */
function intentOf(request: Request): Intent {
  const { queueName, jobId, queueStatus, schedulerId } = request.params as Record<string, string | undefined>;
  const filter = {
    ...(queueStatus === undefined ? {} : { state: queueStatus }),
    ...(schedulerId === undefined ? {} : { scheduler: schedulerId }),
  };
  return {
    action: actionOf(request),
    queue: queueName ?? null,
    job: jobId ?? null,
    filter: Object.keys(filter).length > 0 ? filter : null,
  };
}

function whoActs(response: Response): Actor {
  const { caller, client } = response.locals as { caller: Caller; client: Client };
  return actorOf('board', caller, client.ip);
}

/** A line for each try to change something, once it is answered: who, what, on which job, and what came of it. No data of jobs. */
function logAction(request: Request, response: Response, next: NextFunction): void {
  const { account_id, username, domain } = response.locals['caller'] as Caller;
  const { ip } = response.locals['client'] as Client;
  const { queueName, jobId, queueStatus, schedulerId } = request.params;
  const action = actionOf(request);
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

/** What a call that failed is answered with. */
interface Failure {
  error: ApiError;
  /** The words of BullMQ. */
  refused?: string;
}

/** Why a call failed; Redis may have gone silent in the middle of it. */
async function failureOf(thrown: unknown): Promise<Failure> {
  if (thrown instanceof ApiError && thrown.status === 403) return { error: thrown };
  const away = await requireQueues().then(
    () => undefined,
    (unanswered: unknown) => unanswered,
  );
  if (away === undefined && isRefusal(thrown))
    return { error: new ApiError(409, { key: 'queue.refused', values: {} }), refused: thrown.message };
  return { error: reportError(away ?? thrown) };
}

/** What the trail says of an action that was answered so. @param asked whether Redis may have been asked for it */
function endOf(status: number, asked: boolean): Pick<ActionEnd, 'outcome' | 'affected'> {
  if (status < 500) return { outcome: 'refused', affected: 0 };
  return asked ? { outcome: 'unknown' } : { outcome: 'failed', affected: 0 };
}

/** Writes why a call failed, as the dashboard's script shows it. @param reason for the log */
function writeFailure(request: Request, response: Response, { error, refused }: Failure, reason: string): void {
  if (error.status === 403) {
    writeRefusal(request, response, error);
    return;
  }
  const { status, text, details } = error;
  const language = languageOf(request);
  response.locals['reason'] = reason;
  const body = JSON.stringify({ error: render(text, language), message: refused });
  writeBytes(response, status, 'application/json', body, { 'content-language': language, ...details.headers });
}

/** BullMQ's own refusal of a job that is not in the state from which it is retried. */
const notFailed = (id: string): Error => Object.assign(new Error(`Job ${id} is not in the failed state. reprocessJob`), { code: -3 });

/** A queue whose jobs reach people: what was sent is not sent a second time. Which actions may be done to it at all is board-rules.ts. */
class SendingQueueAdapter extends BullMQAdapter {
  override readonly allowCompletedRetries = false;

  constructor(
    readonly sendingQueue: QueueName,
    options: { readOnlyMode: boolean },
  ) {
    super(queueOf(sendingQueue), options);
  }

  /**
   * bull-board retries a job from the state that it is in: between a look at it here and that another retry could have been done. What certainly was not sent
   * is retried; so is what is too late, which fails again.
   */
  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    if (job === undefined) return undefined;
    job.retry = async (state = 'failed') => {
      if (state !== 'failed') throw forbidden('queue.sent');
      const refusal = await retryJob(this.sendingQueue, id, { evenLate: true });
      if (refusal === 'not_failed') throw notFailed(id);
      if (refusal !== undefined) throw forbidden('queue.may_have_arrived');
    };
    return job;
  }
}

/** bull-board's own answer to a retry of all failed jobs, whose jobs it takes from no adapter's getJob(). */
async function retryAll(name: QueueName): Promise<{ status: number; body: object }> {
  const { matched, retried } = await retryFailedJobs(name, { milliseconds: RETRY_ALL_MS });
  return { status: 200, body: { retried, skipped: matched - retried } };
}

/** How many jobs bull-board says that it has changed; null where it does not say. */
const affectedOf = (body: unknown, job: string | undefined): number | null => {
  const { retried } = (body ?? {}) as { retried?: unknown };
  if (typeof retried === 'number') return retried;
  return job === undefined ? null : 1;
};

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
        const path = (route as { path: string }).path;
        let begun: BegunAction | undefined;
        let asked = false;
        try {
          if (!isReading(method)) {
            const { caller } = response.locals as { caller: Caller };
            // Before its body is read.
            requireAllowed(caller, { method: method.toLowerCase(), route: path, params });
            begun = await beginAction(whoActs(response), intentOf(request));
          }
          // By our own reader, which hears of what node:http refuses.
          const body = isReading(method) ? {} : await readJson(request, response);
          await requireQueues();
          asked = true;
          const all = method === 'PUT' && path === RETRY_ALL_ROUTE ? sendingQueueOf(params) : undefined;
          const { status = 200, body: given } = await (all === undefined
            ? called.handler({ queues, uiConfig: this.uiConfig, query, params, body, headers } as never)
            : retryAll(all));
          const made = (given as { job?: { id?: string } } | undefined)?.job?.id;
          response.locals['made'] = made;
          const isDone = status < 400;
          const job = (params['jobId'] as string | undefined) ?? made;
          await begun?.end({ outcome: isDone ? 'done' : 'refused', status, affected: isDone ? affectedOf(given, job) : 0 });
          response.status(status).json(given);
        } catch (error) {
          const failure = await failureOf(error);
          const { status } = failure.error;
          const end: ActionEnd = { ...endOf(status, asked), status, reason: reasonOf(error) };
          if (begun) await begun.end(end);
          // Where it could not be written down it is no use to try again.
          else if (!isReading(method) && status < 500) await recordRefusal(whoActs(response), intentOf(request), end);
          writeFailure(request, response, failure, reasonOf(error));
        }
      };
      for (const method of [called.method].flat()) this.app[method](called.route, ...(method === 'get' ? [] : [logAction]), answer);
    }
    return this;
  }
}

/** Refuses whatever who only reads would change, whether bull-board knows it or not. */
async function refuseReader(request: Request, response: Response): Promise<void> {
  const error = readsOnly();
  await recordRefusal(whoActs(response), intentOf(request), {
    outcome: 'refused',
    affected: 0,
    status: error.status,
    reason: reasonOf(error),
  });
  writeRefusal(request, response, error);
}

/** @param readOnly without any button, and without an answer to what would change something */
function boardFor(readOnly: boolean): RequestHandler {
  const server = new Board();
  const adapters = QUEUE_NAMES.map((name) => {
    const options = { readOnlyMode: readOnly };
    const adapter = isSending(name) ? new SendingQueueAdapter(name, options) : new BullMQAdapter(queueOf(name), options);
    adapter.setFormatter('data', redact);
    return adapter;
  });
  createBullBoard({
    queues: adapters,
    serverAdapter: server,
    options: {
      uiConfig: {
        boardTitle: `${settings.APP_NAME} queues`,
        hideRedisDetails: true,
        miscLinks: [
          { text: 'Sends', url: '../sends' },
          { text: 'Statistics', url: '../statistics' },
        ],
      },
    },
  });
  const app = server.getRouter() as Express;
  app.use((request, response, next) => {
    if (!readOnly || isReading(request.method)) next();
    else logAction(request, response, () => void refuseReader(request, response));
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
