// The few pages that people open in a browser and that are not bull-board's or Swagger UI's own.
import type { Response } from 'express';
import { settings } from '../config';
import { render, type Language, type MessageKey } from './messages';

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(26rem, 100% - 2rem); }
h1 { font-size: 1.4rem; }
label { display: block; font-weight: 600; }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem; margin: .3rem 0 1rem; border: 1px solid #888; border-radius: .4rem; }
button { background: #c2410c; border-color: #c2410c; color: #fff; font-weight: 600; cursor: pointer; }
.error { border-left: .25rem solid #dc2626; padding-left: .7rem; }
small { opacity: .8; }`;

export const STYLESHEET_PATH = '/assets/page.css';
export const stylesheet = STYLE.trimStart();

interface Page {
  status: number;
  language: Language;
  /** HTML, as `body` is. */
  title: string;
  body: string;
}

export function writePage(response: Response, { status, language, title, body }: Page): void {
  response.status(status);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('content-language', language);
  response.type('html').send(`<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${title}</title>
<link rel="stylesheet" href="${STYLESHEET_PATH}">
<main>
<h1>${title}</h1>
${body}
</main>
</html>
`);
}

/** The form that asks for the API key of a super admin. */
export function writeSignIn(response: Response, language: Language, { action, wrong }: { action: string; wrong: boolean }): void {
  const say = (key: MessageKey): string => escapeHtml(render({ key, values: { app: settings.APP_NAME } }, language));
  writePage(response, {
    status: wrong ? 403 : 401,
    language,
    title: say('page.sign_in.title'),
    body: `<p>${say('page.sign_in.lead')}</p>
${wrong ? `<p class="error" role="alert">${say('page.sign_in.wrong')}</p>` : ''}
<form method="post" action="${escapeHtml(action)}">
<label for="api_key">${say('page.sign_in.key')}</label>
<input id="api_key" name="api_key" type="password" required autofocus autocomplete="off">
<button>${say('page.sign_in.submit')}</button>
</form>
<small>${say('page.sign_in.help')}</small>`,
  });
}

/** Swagger UI, from our own files. */
export const documentationPage = (): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(settings.APP_NAME)} API</title>
<link rel="stylesheet" href="/assets/swagger-ui/swagger-ui.css">
<div id="swagger-ui"></div>
<noscript>The machine-readable document is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript>
<script src="/assets/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/assets/documentation.js"></script>
</html>
`;

export const documentationScript = `SwaggerUIBundle({ url: '/api/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;
