// The frame of the few pages that people open in a browser and that are not bull-board's or Swagger UI's own.
import type { Request, Response } from 'express';
import { languageOf } from '../http/client';
import { preferredType } from '../http/negotiation';
import { reportError, writeError } from '../http/reply';
import { render, type Language } from '../i18n';
import { escapeHtml } from '../infra/html';
import { type AssetName, assetUrl } from './assets';
import { rootOf } from './root';

interface Page {
  status: number;
  language: Language;
  /** HTML, as `body` is: escaped by the caller. */
  title: string;
  body: string;
  /** Stylesheets instead of the one for short pages. */
  styles?: AssetName[];
  /** ES modules, in the order in which they load. */
  scripts?: AssetName[];
}

/** Writes a page, not to be cached. What goes into it is HTML already: text in it was escaped by the caller. */
export function writePage(response: Response, { status, language, title, body, styles = ['page.css'], scripts = [] }: Page): void {
  const root = rootOf(response.req);
  response.status(status);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('content-language', language);
  response.type('html').send(`<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${title}</title>
<link rel="icon" href="${root}/favicon.ico">
${styles.map((style) => `<link rel="stylesheet" href="${root}${assetUrl(style)}">`).join('\n')}
${scripts.map((script) => `<script type="module" src="${root}${assetUrl(script)}"></script>`).join('\n')}
<main>
${body}
</main>
</html>
`);
}

/** Whether an answer to a form is for a person: where the client admits a page, it is one. */
export const wantsPage = (request: Request): boolean =>
  preferredType(request.headers.accept, ['text/html', 'application/json']) === 'text/html';

/**
 * Writes an error as a page in the person's language, or as JSON where no page is wanted; logs what only operators should know.
 *
 * @param back path of the page to go on with, such as `/statistics`; undefined: there is none
 */
export function writeErrorPage(request: Request, response: Response, error: unknown, back?: string): void {
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
  const link = back === undefined ? '' : `\n<p><a href="${rootOf(request)}${back}">${say({ key: 'page.back', values: {} })}</a></p>`;
  writePage(response, { status, language, title, body: `<h1>${title}</h1>\n<p>${lead}</p>${link}` });
}
