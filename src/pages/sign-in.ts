// Pages behind an API key: a form that asks for it, a cookie that holds it, and a guard so that no other site can act with that cookie.
import { serialize as serializeCookie } from 'cookie';
import express, { Router, type NextFunction, type Request, type Response } from 'express';
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';
import { forbidden } from '../infra/errors';
import { authorize } from '../http/access';
import { authenticate } from '../http/authentication';
import { clientOf, languageOf } from '../http/client';
import { countRequest } from '../http/rate-limit';
import { toApiError, writeError } from '../http/reply';
import type { Access, Caller } from '../http/route';
import { render, type MessageKey } from '../i18n';
import { writePage } from './layout';

/** A page behind a key. */
export interface ProtectedPage {
  /** Where the page is mounted. */
  base: string;
  access: Exclude<Access, 'public'>;
  /** Texts of the form. */
  title: MessageKey;
  lead: MessageKey;
  wrong: MessageKey;
}

/** A form or script of another site must not act with the cookie of somebody who is signed in. @throws {ApiError} 403 */
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

async function callerOf(request: Request, access: ProtectedPage['access']): Promise<Caller> {
  requireSameOrigin(request);
  const { identity } = await authenticate(request);
  return authorize(identity, access);
}

const wantsHtml = (request: Request): boolean => request.method === 'GET' && request.accepts(['json', 'html']) === 'html';

/** Sent with all pages and the endpoints that they call; SameSite=Strict, so with no request that another site makes. */
const cookie = (request: Request, value: string, maxAgeSeconds: number | undefined): string =>
  serializeCookie('x-api-key', value, {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: request.secure,
    ...(maxAgeSeconds === undefined ? {} : { maxAge: maxAgeSeconds }),
  });

function writeForm(response: Response, { base, title, lead, wrong }: ProtectedPage, failed: boolean): void {
  const language = languageOf(response.req);
  const say = (key: MessageKey): string => escapeHtml(render({ key, values: { app: settings.APP_NAME } }, language));
  writePage(response, {
    status: failed ? 403 : 401,
    language,
    title: say(title),
    body: `<h1>${say(title)}</h1>
<p>${say(lead)}</p>
${failed ? `<p class="error" role="alert">${say(wrong)}</p>` : ''}
<form method="post" action="${escapeHtml(base)}/sign-in">
<label for="api_key">${say('page.sign_in.key')}</label>
<input id="api_key" name="api_key" type="password" required autofocus autocomplete="off">
<button>${say('page.sign_in.submit')}</button>
</form>
<small>${say('page.sign_in.help')}</small>`,
  });
}

/** As long as the key lives unused; undefined, a cookie of the browser's session, where it never expires. */
const cookieSeconds = (): number | undefined =>
  settings.APP_API_KEY_EXPIRATION_MINUTES === 0 ? undefined : settings.APP_API_KEY_EXPIRATION_MINUTES * 60;

/**
 * A router that lets only those through who may see the page; `response.locals.caller` says who. Others get the form, or where they
 * want no HTML, the error as JSON.
 */
export function protect(page: ProtectedPage): Router {
  const router = Router();
  router.post('/sign-in', express.urlencoded({ extended: false, limit: '4kb' }), async (request: Request, response: Response) => {
    const { api_key: given } = (request.body ?? {}) as { api_key?: unknown };
    const key = typeof given === 'string' ? given.trim() : '';
    request.headers['x-api-key'] = key;
    try {
      await countRequest(`ip:${clientOf(request).ip}`);
      await callerOf(request, page.access);
    } catch (error) {
      const { status } = toApiError(error);
      if (status !== 401 && status !== 403) throw error;
      writeForm(response, page, true);
      return;
    }
    response.setHeader('set-cookie', cookie(request, key, cookieSeconds()));
    response.redirect(303, page.base);
  });
  router.post('/sign-out', (request: Request, response: Response) => {
    requireSameOrigin(request);
    response.setHeader('set-cookie', cookie(request, '', 0));
    response.redirect(303, page.base);
  });
  router.use(async (request: Request, response: Response, next: NextFunction) => {
    try {
      response.locals['caller'] = await callerOf(request, page.access);
    } catch (error) {
      const { status } = toApiError(error);
      // Somebody signed in to another page may not see this one: another key may.
      if ((status === 401 || status === 403) && wantsHtml(request)) writeForm(response, page, status === 403);
      else writeError(response, error, languageOf(request));
      return;
    }
    next();
  });
  return router;
}
