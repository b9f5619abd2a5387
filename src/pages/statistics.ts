// /statistics: charts for admins over the endpoints of the same name. The page is made here, its figures by src/browser/statistics.ts.
import type { Router } from 'express';
import { dataFor, field, option, type Say, select, spaceField, textsFor } from './controls';
import { figuresPage, type Shown } from './figures-page';
import { mayUse } from '../services/credentials/identities';

const BASE = '/statistics';
const TEXTS = 'page.statistics.';

const date = (name: string, label: string): string => field(name, label, `<input id="${name}" name="${name}" type="date" required>`);

function body(say: Say, { language, caller, domains, root }: Shown): string {
  const groupings = (['hour', 'day', 'week', 'month', 'year'] as const).map((by) => option(by, say(`${TEXTS}by_${by}`)));
  const ranges = (['hours', 'days', 'weeks', 'months', 'custom'] as const).map((range) => option(range, say(`${TEXTS}range_${range}`)));
  return `<header>
<h1>${say(`${TEXTS}heading`)}</h1>
<nav>
<a href="${root}/api">${say(`${TEXTS}documentation`)}</a>
${mayUse(caller.scopes, 'accounts:read') ? `<a href="${root}/sends">${say(`${TEXTS}sends`)}</a>` : ''}
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
${spaceField(say(`${TEXTS}space`), say(`${TEXTS}all_spaces`), caller, domains)}
${select('direction', say(`${TEXTS}direction`), [option('sent', say(`${TEXTS}sent`)), option('received', say(`${TEXTS}received`))])}
</form>
<p id="status" role="status"></p>
<div id="figures"></div>
${dataFor({ language, texts: textsFor(TEXTS, language) })}`;
}

/** To be mounted at /statistics. */
export const statisticsPage = (): Router =>
  figuresPage({
    base: BASE,
    texts: TEXTS,
    scope: 'statistics:read',
    styles: ['statistics.css'],
    scripts: ['chart.js', 'statistics.js'],
    body,
  });
