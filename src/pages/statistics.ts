// /statistics: charts for admins over the endpoints of the same name. The page is made here, its figures by src/browser/statistics.ts.
import { Router, type Request, type Response } from 'express';
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';
import { languageOf } from '../http/client';
import type { Caller } from '../http/route';
import { catalogues, render, type Language, type MessageKey } from '../i18n';
import { writePage } from './layout';
import { rootOf } from './root';
import { mayUse } from '../services/credentials/identities';
import { listSpaces } from '../services/spaces/spaces';
import { protect } from './sign-in';

const BASE = '/statistics';
const TEXTS = 'page.statistics.';

type Say = (key: MessageKey) => string;

const option = (value: string, text: string): string => `<option value="${escapeHtml(value)}">${text}</option>`;
const field = (name: string, label: string, control: string): string =>
  `<div class="field" data-field="${name}"><label for="${name}">${label}</label>${control}</div>`;
const select = (name: string, label: string, options: string[]): string =>
  field(name, label, `<select id="${name}" name="${name}">${options.join('')}</select>`);
const date = (name: string, label: string): string => field(name, label, `<input id="${name}" name="${name}" type="date" required>`);

/** The texts that the script fills in, without the common beginning of their keys. */
function textsFor(language: Language): Record<string, string> {
  const all = Object.entries(catalogues[language].texts).filter(([key]) => key.startsWith(TEXTS));
  return Object.fromEntries(all.map(([key, text]) => [key.slice(TEXTS.length), text]));
}

/** An admin has the own Space, a super admin any: out of a list, which is the Spaces' to read; who may not is asked for a domain. */
function spaceField(say: Say, { super_admin, domain }: Caller, domains: string[] | null): string {
  const label = say(`${TEXTS}space`);
  if (!super_admin) return field('domain', label, `<output id="domain">${escapeHtml(domain)}</output>`);
  const all = say(`${TEXTS}all_spaces`);
  if (domains === null) return field('domain', label, `<input id="domain" name="domain" placeholder="${all}" spellcheck="false">`);
  return select('domain', label, [option('', all), ...domains.map((each) => option(each, escapeHtml(each)))]);
}

/** @param domains of all Spaces; null where the caller may not read them */
function body(say: Say, language: Language, caller: Caller, domains: string[] | null, root: string): string {
  const groupings = (['hour', 'day', 'week', 'month', 'year'] as const).map((by) => option(by, say(`${TEXTS}by_${by}`)));
  const ranges = (['hours', 'days', 'weeks', 'months', 'custom'] as const).map((range) => option(range, say(`${TEXTS}range_${range}`)));
  const data = JSON.stringify({ language, texts: textsFor(language) }).replaceAll('<', '\\u003c');
  return `<header>
<h1>${say(`${TEXTS}heading`)}</h1>
<nav>
<a href="${root}/api">${say(`${TEXTS}documentation`)}</a>
${caller.super_admin && mayUse(caller.scopes, 'queues:read') ? `<a href="${root}/queues">${say(`${TEXTS}queues`)}</a>` : ''}
<form method="post" action="${root}${BASE}/sign-out"><button>${say(`${TEXTS}sign_out`)}</button></form>
</nav>
</header>
<noscript><p class="error">${say(`${TEXTS}no_script`)}</p></noscript>
<form id="controls" aria-label="${say(`${TEXTS}controls`)}">
${select('range', say(`${TEXTS}range`), ranges)}
${date('from', say(`${TEXTS}from`))}
${date('to', say(`${TEXTS}to`))}
${select('by', say(`${TEXTS}by`), groupings)}
${spaceField(say, caller, domains)}
${select('direction', say(`${TEXTS}direction`), [option('sent', say(`${TEXTS}sent`)), option('received', say(`${TEXTS}received`))])}
</form>
<p id="status" role="status"></p>
<div id="figures"></div>
<script type="application/json" id="data">${data}</script>`;
}

async function show(request: Request, response: Response): Promise<void> {
  const language = languageOf(request);
  const say: Say = (key) => escapeHtml(render({ key, values: { app: settings.APP_NAME } }, language));
  const caller = response.locals['caller'] as Caller;
  const mayList = caller.super_admin && mayUse(caller.scopes, 'spaces:read');
  const domains = mayList ? (await listSpaces()).map(({ domain }) => domain) : null;
  writePage(response, {
    status: 200,
    language,
    title: say(`${TEXTS}title`),
    styles: ['statistics.css'],
    scripts: ['chart.js', 'statistics.js'],
    body: body(say, language, caller, domains, rootOf(request)),
  });
}

/** To be mounted at /statistics. */
export function statisticsPage(): Router {
  const router = Router();
  router.use(
    protect({
      base: BASE,
      access: 'admin',
      scope: 'statistics:read',
      title: `${TEXTS}title`,
      lead: `${TEXTS}lead`,
      wrong: `${TEXTS}wrong`,
    }),
  );
  router.get('/', show);
  return router;
}
