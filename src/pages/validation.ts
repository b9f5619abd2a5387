// The page on which a person validates a request token. Works without scripts where hCaptcha is off; opening it changes nothing.
import { Router, type Request, type Response } from 'express';
import helmet from 'helmet';
import { settings } from '../../config';
import { fieldError, unprocessable } from '../infra/errors';
import { escapeHtml } from '../infra/html';
import { clientOf, languageOf } from '../http/client';
import { readForm } from '../http/form';
import { countStranger } from '../http/stranger';
import { log, reasonOf } from '../infra/log';
import { render, type MessageKey } from '../i18n';
import { writeErrorPage, writePage } from './layout';
import { rootOf } from './root';
import { AccountCreationRequestToken } from '../models';
import { isHcaptchaOn, verifyHcaptcha } from '../services/tokens/hcaptcha';

const HCAPTCHA = ['https://hcaptcha.com', 'https://*.hcaptcha.com'];

const policy = helmet.contentSecurityPolicy({
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    imgSrc: ["'self'"],
    styleSrc: ["'self'", ...(isHcaptchaOn() ? HCAPTCHA : [])],
    formAction: ["'self'"],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
    ...(isHcaptchaOn() ? { scriptSrc: HCAPTCHA, frameSrc: HCAPTCHA, connectSrc: HCAPTCHA } : {}),
  },
});

interface Shown {
  status: number;
  title: MessageKey;
  lead: MessageKey;
  /** Shows the form for this token. */
  token?: string;
  error?: MessageKey;
}

function show(request: Request, response: Response, { status, title, lead, token, error }: Shown): void {
  const language = languageOf(request);
  const say = (key: MessageKey): string => escapeHtml(render({ key, values: { app: settings.APP_NAME } }, language));
  const captcha = isHcaptchaOn()
    ? `<div class="h-captcha" data-sitekey="${escapeHtml(settings.HCAPTCHA_SITEKEY ?? '')}"></div>\n<script src="https://js.hcaptcha.com/1/api.js?hl=${language}" async defer></script>`
    : '';
  const form =
    token === undefined
      ? ''
      : `<form method="post" action="${rootOf(request)}/creation_token/validate">
<input type="hidden" name="account_creation_request_token" value="${escapeHtml(token)}">
${captcha}
<button>${say('page.validation.submit')}</button>
</form>`;
  writePage(response, {
    status,
    language,
    title: say(title),
    body: `<h1>${say(title)}</h1>\n<p>${say(lead)}</p>\n${error ? `<p class="error" role="alert">${say(error)}</p>` : ''}\n${form}`,
  });
}

const gone: Shown = { status: 404, title: 'page.validation.gone_title', lead: 'page.validation.gone' };
const formFor = (token: string, status = 200, error?: MessageKey): Shown => ({
  status,
  title: 'page.validation.title',
  lead: 'page.validation.lead',
  token,
  ...(error ? { error } : {}),
});

const findToken = (token: string): Promise<AccountCreationRequestToken | null> =>
  AccountCreationRequestToken.scope('alive').findOne({ attributes: ['token'], where: { token } });

async function check(request: Request, response: Response): Promise<void> {
  const found = await findToken(String(request.params['token']));
  show(request, response, found ? formFor(found.token) : gone);
}

async function validate(request: Request, response: Response): Promise<void> {
  const form = await readForm(request, response, ['account_creation_request_token', 'h-captcha-response']);
  const token = form.account_creation_request_token;
  if (token === undefined) throw unprocessable(fieldError('account_creation_request_token', 'field.required'));
  if (!(await findToken(token))) {
    show(request, response, gone);
    return;
  }
  if (isHcaptchaOn()) {
    const answer = form['h-captcha-response'];
    try {
      const passed = answer !== undefined && answer !== '' && (await verifyHcaptcha(answer, clientOf(request).ip));
      if (!passed) {
        show(request, response, formFor(token, 422, 'page.validation.captcha'));
        return;
      }
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'hCaptcha does not answer');
      show(request, response, formFor(token, 503, 'page.validation.captcha_unavailable'));
      return;
    }
  }
  show(
    request,
    response,
    (await AccountCreationRequestToken.validateToken(token))
      ? { status: 200, title: 'page.validation.done_title', lead: 'page.validation.done' }
      : gone,
  );
}

/** The page's router. Its form needs no CSRF token: it does nothing without the request token, which no other site knows. */
export function validationPage(): Router {
  const router = Router();
  const limited =
    (path: string, work: (request: Request, response: Response) => Promise<void>) =>
    async (request: Request, response: Response): Promise<void> => {
      response.locals['route'] = `/creation_token${path}`;
      try {
        // Before the body is read.
        await countStranger(request, response);
        await work(request, response);
      } catch (error) {
        writeErrorPage(request, response, error);
      }
    };
  router.use(policy);
  router.get('/check/:token', limited('/check/:token', check));
  router.post('/validate', limited('/validate', validate));
  return router;
}
