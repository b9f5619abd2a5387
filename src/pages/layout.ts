// The frame of the few pages that people open in a browser and that are not bull-board's or Swagger UI's own.
import type { Request, Response } from 'express';
import { languageOf } from '../http/client';
import { reportError, writeError } from '../http/reply';
import { render, type Language } from '../i18n';
import { escapeHtml } from '../infra/html';

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

/** Where `stylesheet` is served. */
export const STYLESHEET_PATH = '/assets/page.css';
/** CSS of the short pages. */
export const stylesheet = STYLE.trimStart();

interface Page {
  status: number;
  language: Language;
  /** HTML, as `body` is: escaped by the caller. */
  title: string;
  body: string;
  /** Stylesheets instead of the one for short pages, and scripts: addresses of our own. */
  styles?: string[];
  /** Addresses of ES modules, in the order in which they load. */
  scripts?: string[];
}

/** Writes a page, not to be cached. What goes into it is HTML already: text in it was escaped by the caller. */
export function writePage(response: Response, { status, language, title, body, styles = [STYLESHEET_PATH], scripts = [] }: Page): void {
  response.status(status);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('content-language', language);
  response.type('html').send(`<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${title}</title>
${styles.map((style) => `<link rel="stylesheet" href="${style}">`).join('\n')}
${scripts.map((script) => `<script type="module" src="${script}"></script>`).join('\n')}
<main>
${body}
</main>
</html>
`);
}

/** Whether an answer to a form is for a person: where the client admits a page, it is one. */
export const wantsPage = (request: Request): boolean => request.accepts(['html', 'json']) === 'html';

/** Writes an error as a page in the person's language, or as JSON where no page is wanted; logs what only operators should know. */
export function writeErrorPage(request: Request, response: Response, error: unknown): void {
  const language = languageOf(request);
  if (!wantsPage(request)) {
    writeError(response, error, language);
    return;
  }
  const { status, text, details } = reportError(error);
  for (const [name, value] of Object.entries(details.headers ?? {})) response.setHeader(name, value);
  const say = (message: typeof text): string => escapeHtml(render(message, language));
  const title = say({ key: 'page.failed_title', values: {} });
  const lead = say(status === 500 ? { key: 'page.failed', values: {} } : text);
  writePage(response, { status, language, title, body: `<h1>${title}</h1>\n<p>${lead}</p>` });
}
