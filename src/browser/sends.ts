// The script of /sends: asks the endpoints of the same name, draws what came of sends, and lists them.
import type { Chart as ChartClass } from 'chart.js';
import type { Channel, Class, Hour, List, Part, Reason, Send, Summary } from './sends-answers';

declare const Chart: typeof ChartClass;

/** Where the API is, as the page was opened: this script lies in /assets beside it. */
const API = new URL('../api', import.meta.url).href;
const HOUR_MS = 3_600_000;
const PAGE_ROWS = 50;

const CLASSES = ['sent', 'refused', 'failed', 'unknown', 'pending'] as const satisfies readonly Class[];

const { language, texts } = JSON.parse(document.getElementById('data')?.textContent ?? '{}') as {
  language: string;
  texts: Record<string, string>;
};
const say = (key: string): string => texts[key] ?? key.split('.').at(-1) ?? key;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
/** The reader's own way of writing numbers and dates, where it is one of the page's language. */
const locale = navigator.languages.find((tag) => tag.split('-')[0] === language) ?? language;
const number = new Intl.NumberFormat(locale);
const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'medium' });
const hourText = new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit', hour: '2-digit', minute: '2-digit' });
const show = (value: number | null): string => (value === null ? '–' : number.format(value));

const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const [search, controls] = [byId('search') as HTMLFormElement, byId('controls') as HTMLFormElement];
const [status, content, figures, list, clear] = [byId('status'), byId('content'), byId('figures'), byId('list'), byId('clear')];

type Child = Node | string;
function element(name: string, attributes: Record<string, string> = {}, ...children: Child[]): HTMLElement {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}
const button = (text: string, act: () => void, attributes: Record<string, string> = {}): HTMLElement => {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', act);
  return made;
};

type Control = HTMLInputElement | HTMLSelectElement;
const control = (name: string): Control | null => (controls.elements.namedItem(name) ?? search.elements.namedItem(name)) as Control | null;
const valueOf = (name: string): string => control(name)?.value.trim() ?? '';

/** Which reason the list is narrowed to, by clicking one. */
let reason = '';
const KEPT = ['range', 'channel', 'state', 'domain', 'search_by', 'search_for'];

/** What is shown stands in the page's address, so that it can be kept and passed on; whom somebody has looked for does not: addresses are logged. */
function remember(): void {
  const isPrivate = valueOf('search_by') === 'recipient';
  const names = KEPT.filter((name) => !(isPrivate && name.startsWith('search_')));
  const state = [...names.map((name) => [name, valueOf(name)]), ['reason', reason]].filter(([, value]) => value !== '');
  history.replaceState(null, '', `?${new URLSearchParams(state).toString()}`);
}

function recall(): void {
  const given = new URLSearchParams(location.search);
  for (const name of KEPT) {
    const [input, value] = [control(name), given.get(name)];
    if (!input || value === null) continue;
    // An option that is not there would leave the list empty.
    if (input instanceof HTMLSelectElement && ![...input.options].some((option) => option.value === value)) continue;
    input.value = value;
  }
  reason = given.get('reason') ?? '';
}

/** The range that is shown: whole hours, the current one among them. */
function rangeAsked(): { since: string; until: string } {
  const until = Math.floor(Date.now() / HOUR_MS + 1) * HOUR_MS;
  return { since: new Date(until - Number(valueOf('range')) * 24 * HOUR_MS).toISOString(), until: new Date(until).toISOString() };
}

const isSearch = (): boolean => valueOf('search_for') !== '';
const SEARCHES: Record<string, string> = { recipient: 'recipient', account: 'account', request: 'request_id' };

function listQuery(cursor: string | null): URLSearchParams {
  const asked: Record<string, string> = {
    channel: valueOf('channel'),
    state: valueOf('state'),
    domain: valueOf('domain'),
    reason,
    limit: String(PAGE_ROWS),
    cursor: cursor ?? '',
  };
  // A person's sends are found however old they are.
  if (isSearch()) asked[SEARCHES[valueOf('search_by')] ?? 'recipient'] = valueOf('search_for');
  else asked['since'] = rangeAsked().since;
  return new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ''));
}

async function refusal(response: Response): Promise<Error> {
  // Signed out meanwhile: the page itself asks for the key again.
  if (response.status === 401) location.reload();
  const { message } = (await response.json().catch(() => ({}))) as { message?: string };
  return new Error(message ?? say('failed_to_load'));
}

async function ask<T>(path: string, query: URLSearchParams): Promise<T> {
  const headers = { accept: 'application/json', 'accept-language': language };
  const response = await fetch(`${API}${path}?${query.toString()}`, { headers });
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as T;
}

function complain(error: unknown): void {
  status.className = 'error';
  status.textContent = error instanceof Error && !(error instanceof TypeError) ? error.message : say('failed_to_load');
}

let chart: ChartClass | undefined;
const colour = (name: string): string => {
  // Resolved, so that the canvas gets what light-dark() stands for.
  const probe = element('span', { style: `color: var(--${name})` });
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
};

const NONE: Record<Class, number> = { sent: 0, refused: 0, failed: 0, unknown: 0, pending: 0 };

/** Every hour of the range, those without a send as well. */
function allHours({ since, until, hours }: Summary): Hour[] {
  const known = new Map(hours.map((row) => [Date.parse(row.hour), row]));
  const all: Hour[] = [];
  for (let hour = Date.parse(since); hour < Date.parse(until); hour += HOUR_MS)
    all.push(known.get(hour) ?? { ...NONE, hour: new Date(hour).toISOString() });
  return all;
}

function drawChart(canvas: HTMLCanvasElement, hours: Hour[]): ChartClass {
  const [text, line] = [colour('muted'), colour('line')];
  return new Chart(canvas, {
    type: 'bar',
    data: {
      labels: hours.map(({ hour }) => hourText.format(new Date(hour))),
      datasets: CLASSES.map((name) => ({
        label: say(`class.${name}`),
        data: hours.map((row) => row[name]),
        backgroundColor: colour(name),
        // Told apart without colours, too: each part of a bar has an edge.
        borderColor: colour('card'),
        borderWidth: { top: 1 },
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      locale,
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: { stacked: true, ticks: { color: text, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
        y: { stacked: true, beginAtZero: true, ticks: { color: text, precision: 0 }, grid: { color: line } },
      },
      plugins: { legend: { labels: { color: text, boxWidth: 14 } } },
    },
  });
}

const cell = (text: string, attributes: Record<string, string> = {}): HTMLElement => element('td', attributes, text);
/** @param isText which columns hold text, by their numbers: all others hold figures */
const heads = (names: string[], isText = (n: number): boolean => n === 0): HTMLElement =>
  element(
    'thead',
    {},
    element('tr', {}, ...names.map((name, n) => element('th', { scope: 'col', ...(isText(n) ? { class: 'text' } : {}) }, name))),
  );
/** A table that scrolls by itself, with the keyboard as well. */
const scrolled = (label: string, ...children: Child[]): HTMLElement =>
  element('div', { class: 'table', tabindex: '0', role: 'region', 'aria-label': label }, element('table', {}, ...children));

const countsRow = (head: string, counts: Record<Class, number>): HTMLElement =>
  element('tr', {}, element('th', { scope: 'row' }, head), ...CLASSES.map((name) => cell(number.format(counts[name]))));

function hoursTable(hours: Hour[], total: Record<Class, number>): HTMLElement {
  const rows = hours.filter((row) => CLASSES.some((name) => row[name] > 0)).toReversed();
  return scrolled(
    say('table'),
    element('caption', {}, say('table')),
    heads([say('hour'), ...CLASSES.map((name) => say(`class.${name}`))]),
    element('tbody', {}, ...rows.map((row) => countsRow(hourText.format(new Date(row.hour)), row))),
    element('tfoot', {}, countsRow(say('total'), total)),
  );
}

const PARTS: Part[] = ['p50', 'p90', 'p99'];

function latency(channels: Channel[]): HTMLElement {
  const rows = channels.map((row) =>
    element(
      'tr',
      { 'data-channel': row.channel },
      element('th', { scope: 'row' }, say(`channel.${row.channel}`)),
      ...(['queued', 'provider'] as const).flatMap((of) => PARTS.map((part) => cell(show(row[`${of}_${part}`])))),
      cell(number.format(row.sends)),
      cell(percent.format(row.sent / row.sends)),
      cell(number.format(row.converted)),
    ),
  );
  const columns = [
    say('channel'),
    ...['queued', 'provider'].flatMap((of) => PARTS.map((part) => `${say(of)} ${say(part)}`)),
    say('total'),
    say('sent_share'),
    say('converted'),
  ];
  return element(
    'article',
    { id: 'latency' },
    element('h3', {}, say('latency')),
    element('p', {}, say('latency_note')),
    scrolled(say('latency'), heads(columns), element('tbody', {}, ...rows)),
  );
}

function narrow(to: string): void {
  reason = to;
  remember();
  void load().then(() => list.scrollIntoView({ block: 'start' }));
}

function reasonsOf(reasons: Reason[]): HTMLElement {
  const made = element('article', { id: 'reasons' }, element('h3', {}, say('reasons')));
  if (reasons.length === 0) {
    made.append(element('p', {}, say('none_failed')));
    return made;
  }
  const rows = reasons.map((row) =>
    element(
      'tr',
      { 'data-reason': row.reason },
      element(
        'td',
        { class: 'text' },
        button(say(`reason.${row.reason}`), () => narrow(row.reason), { class: 'plain', title: row.reason }),
      ),
      cell(number.format(row.sends)),
      cell(say(`channel.${row.channel}`), { class: 'text' }),
      cell([row.provider, row.provider_code].filter((part) => part !== null).join(' '), { class: 'text wrap' }),
      cell(moment.format(new Date(row.last_at)), { class: 'text' }),
    ),
  );
  const head = heads(['reason', 'count', 'channel', 'code', 'last'].map(say), (n) => n !== 1);
  made.append(element('p', {}, say('reasons_note')), scrolled(say('reasons'), head, element('tbody', {}, ...rows)));
  return made;
}

function drawFigures(summary: Summary): void {
  chart?.destroy();
  chart = undefined;
  const hours = allHours(summary);
  const total = { ...NONE };
  for (const row of hours) for (const name of CLASSES) total[name] += row[name];
  const all = CLASSES.reduce((sum, name) => sum + total[name], 0);
  const heading = element('h2', { id: 'overview-heading' }, say('overview'));
  if (all === 0) {
    figures.replaceChildren(
      element('section', { 'aria-labelledby': 'overview-heading' }, heading, element('p', { class: 'empty' }, say('empty'))),
    );
    return;
  }
  const headline = CLASSES.map((name) =>
    element(
      'div',
      {},
      element('dt', {}, say(`class.${name}`)),
      element('dd', { 'data-figure': name }, number.format(total[name]), ' ', element('small', {}, percent.format(total[name] / all))),
    ),
  );
  const canvas = element('canvas', { role: 'img', 'aria-label': `${say('chart')}. ${say('table')} ↓` }) as HTMLCanvasElement;
  figures.replaceChildren(
    element(
      'section',
      { 'aria-labelledby': 'overview-heading' },
      heading,
      element(
        'dl',
        {},
        element('div', {}, element('dt', {}, say('total')), element('dd', { 'data-figure': 'total' }, number.format(all))),
        ...headline,
      ),
      element('article', {}, element('h3', {}, say('chart')), element('div', { class: 'drawing' }, canvas), hoursTable(hours, total)),
      element('div', { class: 'two' }, reasonsOf(summary.reasons), latency(summary.channels)),
    ),
  );
  // Once it is in the page: a canvas takes its size from the element around it.
  chart = drawChart(canvas, hours);
}

/** What came of a send, as a person reads it: its state, why not, and what its provider and its recipient have said since. */
function outcomeOf(send: Send): HTMLElement[] {
  const refused = send.outcome === 'already_sent' || send.outcome === 'limit_reached';
  const told = [
    send.reason === null ? null : say(`reason.${send.reason}`),
    send.provider_code ?? (send.reason === null ? null : send.detail),
    send.delivery === null ? null : say(send.delivery),
    send.converted_at === null ? null : say('entered'),
    send.attempts > 1 ? say('attempts').replace('{count}', String(send.attempts)) : null,
  ].filter((part) => part !== null);
  return [
    element('span', { class: `state is-${refused ? 'refused' : send.state}` }, refused ? say('class.refused') : say(`state.${send.state}`)),
    element('small', {}, told.length === 0 ? '' : ` ${told.join(' · ')}`),
  ];
}

const LIST_COLUMNS = ['time', 'what', 'recipient', 'outcome', 'duration', 'account', 'request'];

function listRow(send: Send): HTMLElement {
  const labelled = (name: string, ...children: Child[]): HTMLElement => element('td', { 'data-label': say(name) }, ...children);
  const { account_id, request_id } = send;
  const find = (by: string, what: string): void => {
    (control('search_by') as HTMLSelectElement).value = by;
    (control('search_for') as HTMLInputElement).value = what;
    reason = '';
    remember();
    void load();
  };
  const milliseconds = [send.queued_ms, send.provider_ms];
  return element(
    'tr',
    { 'data-send': String(send.id), 'data-state': send.state },
    labelled('time', moment.format(new Date(send.created_at))),
    labelled(
      'what',
      say(`kind.${send.kind}`),
      element('small', {}, ` ${[say(`channel.${send.channel}`), send.provider].filter(Boolean).join(' · ')}`),
    ),
    labelled('recipient', send.recipient ?? '–', element('small', {}, send.country === null ? '' : ` ${send.country}`)),
    labelled('outcome', ...outcomeOf(send)),
    labelled('duration', milliseconds.every((each) => each === null) ? '–' : `${milliseconds.map(show).join(' + ')} ${say('ms')}`),
    labelled(
      'account',
      account_id === null ? '–' : button(String(account_id), () => find('account', String(account_id)), { class: 'plain' }),
    ),
    labelled(
      'request',
      request_id === null ? '–' : button(request_id.slice(0, 8), () => find('request', request_id), { class: 'plain', title: request_id }),
    ),
  );
}

async function download(): Promise<void> {
  const query = listQuery(null);
  query.set('limit', '500');
  const response = await fetch(`${API}/sends?${query.toString()}`, { headers: { accept: 'text/csv', 'accept-language': language } });
  if (!response.ok) throw await refusal(response);
  const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'sends.csv';
  const url = URL.createObjectURL(await response.blob());
  element('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function drawList({ data, next_cursor }: List): void {
  const title = isSearch() ? say('list_of').replace('{what}', valueOf('search_for')) : say('list');
  const tools = element('div', { class: 'tools' });
  if (reason !== '')
    tools.append(
      element(
        'span',
        { class: 'chip' },
        say('filter').replace('{what}', say(`reason.${reason}`)),
        button(say('remove_filter'), () => narrow(''), { class: 'plain' }),
      ),
    );
  if (data.length > 0) tools.append(button(say('csv'), () => void download().catch(complain)));
  list.replaceChildren(element('div', { class: 'heading' }, element('h2', { id: 'list-heading' }, title), tools));
  if (data.length === 0) {
    list.append(element('p', { class: 'empty' }, say(isSearch() ? 'empty_search' : 'empty')));
    return;
  }
  const body = element('tbody', {}, ...data.map(listRow));
  list.append(
    element(
      'article',
      {},
      scrolled(
        title,
        heads(LIST_COLUMNS.map(say), () => true),
        body,
      ),
    ),
  );
  let cursor = next_cursor;
  const more = button(say('more'), () => {
    const from = cursor;
    if (from === null) return;
    // Not twice, however often it is pressed.
    cursor = null;
    void ask<List>('/sends', listQuery(from)).then((page) => {
      body.append(...page.data.map(listRow));
      cursor = page.next_cursor;
      if (cursor === null) more.remove();
    }, complain);
  });
  if (cursor !== null) list.append(more);
}

let requests = 0;
let shown: Summary | undefined;

/** Asks for what the controls say, and draws it. */
async function load(): Promise<void> {
  const own = (requests += 1);
  status.className = '';
  status.textContent = say('loading');
  clear.hidden = !isSearch();
  const range = rangeAsked();
  const asked = new URLSearchParams(
    Object.entries({ ...range, channel: valueOf('channel'), domain: valueOf('domain') }).filter(([, value]) => value !== ''),
  );
  try {
    const [found, summary] = await Promise.all([ask<List>('/sends', listQuery(null)), ask<Summary>('/sends/summary', asked)]);
    // Another request was made meanwhile: its answer is shown instead.
    if (own !== requests) return;
    shown = summary;
    drawFigures(summary);
    drawList(found);
    // Who looks for somebody sees that first.
    if (isSearch()) content.prepend(list);
    else content.append(list);
    const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
    status.textContent = say('shown')
      .replace('{from}', day.format(new Date(summary.since)))
      .replace('{to}', day.format(new Date(summary.until)))
      .replace('{zone}', zone);
  } catch (error) {
    if (own === requests) complain(error);
  }
}

controls.addEventListener('change', () => {
  remember();
  void load();
});
controls.addEventListener('submit', (event) => event.preventDefault());
search.addEventListener('submit', (event) => {
  event.preventDefault();
  reason = '';
  remember();
  void load();
});
clear.addEventListener('click', () => {
  (control('search_for') as HTMLInputElement).value = '';
  remember();
  void load();
  control('search_for')?.focus();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => shown && drawFigures(shown));
recall();
void load();
