// /queues: bull-board, for super admins. It has no login, no CSRF token and wants Google's fonts (pitfalls B8.68, 69); what is here makes up for that.
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { serialize as serializeCookie } from 'cookie';
import express, { Router, type NextFunction, type Request, type Response } from 'express';
import { settings } from '../config';
import { overBothVersions } from './both-versions';
import { forbidden } from './errors';
import { authorize } from './http/access';
import { authenticate } from './http/authentication';
import { clientOf, languageOf } from './http/client';
import { countRequest } from './http/rate-limit';
import { toApiError, writeError } from './http/reply';
import { writeSignIn } from './pages';
import { queueOf, QUEUE_NAMES } from './queues';

const BASE = '/queues';
const SIGN_IN = `${BASE}/sign-in`;

/** What of a job's data people may see: no device address. */
function redact(data: unknown): unknown {
  const { payload, ...rest } = (data ?? {}) as { payload?: Record<string, unknown> };
  if (!payload) return data;
  return {
    ...rest,
    payload: 'prid' in payload ? { ...payload, prid: payload['prid'] === null ? null : '(hidden)', ip: undefined } : payload,
  };
}

/** A form or script of another site must not act with the cookie of somebody who is signed in. */
function requireSameOrigin(request: Request): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const { origin } = request.headers;
  if (origin === undefined) {
    // Browsers send Origin or Sec-Fetch-Site with such requests; curl sends neither and has no cookie of anybody's.
    if (request.headers['sec-fetch-site'] !== undefined && request.headers['sec-fetch-site'] !== 'same-origin')
      throw forbidden('auth.origin');
    return;
  }
  // A page may name no origin («null»): that is another one.
  if (!URL.canParse(origin) || new URL(origin).host !== (request.headers.host ?? '')) throw forbidden('auth.origin');
}

async function requireSuperAdmin(request: Request): Promise<void> {
  requireSameOrigin(request);
  const { identity } = await authenticate(request);
  authorize(identity, 'super_admin');
}

const wantsHtml = (request: Request): boolean => request.method === 'GET' && request.accepts(['json', 'html']) === 'html';

async function signIn(request: Request, response: Response): Promise<void> {
  const { api_key: key } = (request.body ?? {}) as { api_key?: unknown };
  request.headers['x-api-key'] = typeof key === 'string' ? key.trim() : '';
  try {
    await countRequest(`ip:${clientOf(request).ip}`);
    await requireSuperAdmin(request);
  } catch (error) {
    if (toApiError(error).status === 401 || toApiError(error).status === 403) {
      writeSignIn(response, languageOf(request), { action: SIGN_IN, wrong: true });
      return;
    }
    throw error;
  }
  const cookie = serializeCookie('x-api-key', request.headers['x-api-key'], {
    path: BASE,
    httpOnly: true,
    sameSite: 'strict',
    secure: request.secure,
    ...(settings.APP_API_KEY_EXPIRATION_MINUTES === 0 ? {} : { maxAge: settings.APP_API_KEY_EXPIRATION_MINUTES * 60 }),
  });
  response.setHeader('set-cookie', cookie);
  response.redirect(303, BASE);
}

async function guard(request: Request, response: Response, next: NextFunction): Promise<void> {
  try {
    await requireSuperAdmin(request);
  } catch (error) {
    if (toApiError(error).status === 401 && wantsHtml(request))
      writeSignIn(response, languageOf(request), { action: SIGN_IN, wrong: false });
    else writeError(response, error, languageOf(request));
    return;
  }
  next();
}

/** The dashboard's router, to be mounted at /queues. */
export function dashboard(): Router {
  const server = new ExpressAdapter();
  server.setBasePath(BASE);
  const adapters = QUEUE_NAMES.map((name) => {
    const adapter = new BullMQAdapter(queueOf(name));
    adapter.setFormatter('data', redact);
    return adapter;
  });
  createBullBoard({
    queues: adapters,
    serverAdapter: server,
    options: { uiConfig: { boardTitle: `${settings.APP_NAME} queues`, hideRedisDetails: true } },
  });
  const router = Router();
  router.post('/sign-in', express.urlencoded({ extended: false, limit: '4kb' }), signIn);
  router.use(guard, overBothVersions(server.getRouter() as express.Express));
  // bull-board's own failures, Redis away among them.
  router.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    writeError(response, error, languageOf(request)),
  );
  return router;
}
