// Pages behind an API key: a form that asks for it, and a cookie that holds it, which opens the pages and what they ask the API for.
import { Router, type NextFunction, type Request, type Response } from 'express';
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';
import { type ApiError, fieldError, unprocessable } from '../infra/errors';
import { log } from '../infra/log';
import { authorize } from '../http/access';
import { authenticate } from '../http/authentication';
import { clientOf, languageOf } from '../http/client';
import { noCookies, pageCookie } from '../http/cookies';
import { readForm } from '../http/form';
import { identifyCaller } from '../http/identification';
import { preferredType } from '../http/negotiation';
import { toApiError, writeError } from '../http/reply';
import type { Access, Caller, Scope } from '../http/route';
import { requireSameOrigin } from '../http/same-origin';
import { identifyByKey } from '../http/schemes/api-key';
import { countStranger } from '../http/stranger';
import { render, type Message, type MessageKey } from '../i18n';
import { limitWrongKeys } from '../services/limits/wrong-secrets';
import { wantsPage, writeErrorPage, writePage } from './layout';
import { rootOf } from './root';

/** A page behind a key. */
export interface ProtectedPage {
  /** Where the page is mounted. */
  base: string;
  access: Exclude<Access, 'public'>;
  /** What a named key must be allowed. */
  scope: Scope;
  /** Texts of the form. */
  title: MessageKey;
  lead: MessageKey;
  wrong: MessageKey;
}

/** @param fault what was wrong with the key before; undefined where none was given */
function writeForm(response: Response, { base, title, lead }: ProtectedPage, status: number, fault?: Message): void {
  const language = languageOf(response.req);
  const text = (message: Message): string => escapeHtml(render(message, language));
  const say = (key: MessageKey): string => text({ key, values: { app: settings.APP_NAME } });
  writePage(response, {
    status,
    language,
    title: say(title),
    body: `<h1>${say(title)}</h1>
<p>${say(lead)}</p>
${fault ? `<p class="error" role="alert">${text(fault)}</p>` : ''}
<form method="post" action="${rootOf(response.req)}${base}/sign-in">
<label for="api_key">${say('page.sign_in.key')}</label>
<input id="api_key" name="api_key" type="password" required autofocus autocomplete="off">
<button>${say('page.sign_in.submit')}</button>
</form>
<small>${say('page.sign_in.help')}</small>`,
  });
}

/** Refusals after which the form says what key it wants. All others say by themselves what is to be mended. */
const OF_THE_WRONG_KEY: ReadonlySet<MessageKey> = new Set(['auth.required', 'auth.api_key', 'auth.admin', 'auth.super_admin']);

const faultOf = ({ wrong }: ProtectedPage, { text }: ApiError): Message =>
  OF_THE_WRONG_KEY.has(text.key) ? { key: wrong, values: {} } : text;

/** Who comes without a key, or with one that nobody knows any more, is asked for one and told nothing. */
const faultOfVisitor = (page: ProtectedPage, refused: ApiError): Message | undefined =>
  refused.status === 401 && OF_THE_WRONG_KEY.has(refused.text.key) ? undefined : faultOf(page, refused);

/** Who came and went, for the log. */
const tell = (request: Request, { base }: ProtectedPage, what: string, more: object): void =>
  log.info({ page: base, ip: clientOf(request).ip, ...more }, what);

const whoIs = ({ account_id, username, domain }: Pick<Caller, 'account_id' | 'username' | 'domain'>): object => ({
  account_id,
  account: `${username}@${domain}`,
});

async function signIn(page: ProtectedPage, request: Request, response: Response): Promise<void> {
  // Before the body is read.
  await countStranger(request, response);
  requireSameOrigin(request);
  const key = (await readForm(request, response, ['api_key'])).api_key?.trim() ?? '';
  if (key === '') throw unprocessable(fieldError('api_key', 'field.required'));
  const { identity } = await limitWrongKeys(clientOf(request).ip, () => identifyByKey(request, key));
  const caller = authorize(identity, page.access, page.scope);
  response.setHeader('set-cookie', pageCookie(request, key));
  tell(request, page, 'signed in', whoIs(caller));
  response.redirect(303, rootOf(request) + page.base);
}

async function signOut(page: ProtectedPage, request: Request, response: Response): Promise<void> {
  await countStranger(request, response);
  requireSameOrigin(request);
  response.setHeader('set-cookie', noCookies(request));
  response.redirect(303, rootOf(request) + page.base);
  // Whose key it was matters to the log alone: an expired one signs out as well.
  const found = await authenticate(request, { changes: false, page: true }).catch(() => undefined);
  tell(request, page, 'signed out', found ? whoIs(found.identity) : { account_id: null });
}

/**
 * A router that lets only those through who may see the page; `response.locals.caller` says who. Others get the form, or where they
 * want no HTML, the error as JSON.
 */
export function protect(page: ProtectedPage): Router {
  const router = Router();
  router.post('/sign-in', async (request: Request, response: Response) => {
    response.locals['route'] = `${page.base}/sign-in`;
    try {
      await signIn(page, request, response);
    } catch (error) {
      const refused = toApiError(error);
      tell(request, page, 'not signed in', { status: refused.status, reason: refused.text.key });
      // The form again, where filling it in otherwise helps.
      if ([401, 403, 422].includes(refused.status) && wantsPage(request)) {
        writeForm(response, page, refused.status === 401 ? 403 : refused.status, faultOf(page, refused));
      } else writeErrorPage(request, response, error, page.base);
    }
  });
  router.post('/sign-out', async (request: Request, response: Response) => {
    response.locals['route'] = `${page.base}/sign-out`;
    try {
      await signOut(page, request, response);
    } catch (error) {
      writeErrorPage(request, response, error, page.base);
    }
  });
  router.use(async (request: Request, response: Response, next: NextFunction) => {
    response.locals['route'] = page.base;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    try {
      response.locals['caller'] = await identifyCaller(
        { access: page.access, scope: page.scope, changes: !reads, page: true },
        request,
        response,
      );
    } catch (error) {
      const refused = toApiError(error);
      const isPage = reads && preferredType(request.headers.accept, ['application/json', 'text/html']) === 'text/html';
      if (!isPage) writeError(response, error, languageOf(request));
      // Of those who are signed in some may see another page alone: another key may see this one.
      else if ([401, 403].includes(refused.status)) writeForm(response, page, refused.status, faultOfVisitor(page, refused));
      else writeErrorPage(request, response, error);
      return;
    }
    next();
  });
  return router;
}
