// /sends: the ledger of sends for admins, over the endpoints of the same name. The page is made here, what it shows by src/browser/sends.ts.
import type { Router } from 'express';
import { mayUse } from '../services/credentials/identities';
import { CHANNELS, SEND_STATES } from '../services/messaging/sends-reading';
import { dataFor, field, option, type Say, select, spaceField, textsFor } from './controls';
import { figuresPage, type Shown } from './figures-page';

const BASE = '/sends';
const TEXTS = 'page.sends.';

function body(say: Say, { language, caller, domains, root }: Shown): string {
  const by = (['recipient', 'account', 'request'] as const).map((each) => option(each, say(`${TEXTS}by_${each}`)));
  const ranges = (['1', '2', '7', '31'] as const).map((days) => option(days, say(`${TEXTS}range_${days}`)));
  const channels = CHANNELS.map((channel) => option(channel, say(`${TEXTS}channel.${channel}`)));
  const states = SEND_STATES.map((state) => option(state, say(`${TEXTS}state.${state}`)));
  const mayStatistics = mayUse(caller.scopes, 'statistics:read');
  const mayQueues = caller.super_admin && mayUse(caller.scopes, 'queues:read');
  return `<header>
<h1>${say(`${TEXTS}heading`)}</h1>
<nav>
<a href="${root}/api">${say(`${TEXTS}documentation`)}</a>
${mayStatistics ? `<a href="${root}/statistics">${say(`${TEXTS}statistics`)}</a>` : ''}
${mayQueues ? `<a href="${root}/queues">${say(`${TEXTS}queues`)}</a>` : ''}
<form method="post" action="${root}${BASE}/sign-out"><button>${say(`${TEXTS}sign_out`)}</button></form>
</nav>
</header>
<noscript><p class="error">${say(`${TEXTS}no_script`)}</p></noscript>
<form id="search" role="search" aria-label="${say(`${TEXTS}search`)}">
${select('search_by', say(`${TEXTS}search_by`), by)}
${field('search_for', say(`${TEXTS}search_for`), '<input id="search_for" name="search_for" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="255">')}
<button>${say(`${TEXTS}find`)}</button>
<button type="button" id="clear" hidden>${say(`${TEXTS}clear`)}</button>
</form>
<form id="controls" aria-label="${say(`${TEXTS}controls`)}">
${select('range', say(`${TEXTS}range`), ranges)}
${select('channel', say(`${TEXTS}channel`), [option('', say(`${TEXTS}all_channels`)), ...channels])}
${select('state', say(`${TEXTS}state`), [option('', say(`${TEXTS}all_states`)), ...states])}
${spaceField(say(`${TEXTS}space`), say(`${TEXTS}all_spaces`), caller, domains)}
</form>
<p id="status" role="status"></p>
<div id="content"><div id="figures"></div><section id="list" aria-labelledby="list-heading"></section></div>
${dataFor({ language, texts: textsFor(TEXTS, language) })}`;
}

/** To be mounted at /sends. */
export const sendsPage = (): Router =>
  figuresPage({
    base: BASE,
    texts: TEXTS,
    scope: 'accounts:read',
    styles: ['statistics.css', 'sends.css'],
    scripts: ['chart.js', 'sends.js'],
    body,
  });
