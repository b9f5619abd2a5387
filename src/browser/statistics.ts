// The script of /statistics: asks the endpoints of the same name, draws what they answer, and writes it in a table beside.
import type { Chart as ChartClass, ChartConfiguration, ChartDataset } from 'chart.js';

declare const Chart: typeof ChartClass;

/** Where the API is, as the page was opened: this script lies in /assets beside it. */
const API = new URL('../api', import.meta.url).href;

type Figures = Record<string, number | null>;
interface Reading {
  from: string;
  to: string;
  timezone: string;
  total: Figures;
  periods: (Figures & { period: string })[];
}
type Unit = 'count' | 'share' | 'seconds';
interface Series {
  figure: string;
  text: string;
  unit: Unit;
  /** In the table only. */
  tableOnly?: true;
}
interface ChartSpec {
  title: string;
  kind: 'bar' | 'line';
  stacked?: true;
  series: Series[];
}
interface Kind {
  name: 'messages' | 'calls';
  empty: string;
  headline: Series[];
  charts: ChartSpec[];
}

const percentiles = (figure: string): Series[] =>
  ['p50', 'p90', 'p99'].map((part) => ({ figure: `${figure}_${part}`, text: part, unit: 'seconds' }));

const KINDS: Kind[] = [
  {
    name: 'messages',
    empty: 'empty_messages',
    headline: [
      { figure: 'messages', text: 'messages', unit: 'count' },
      { figure: 'delivery_rate', text: 'delivery_rate', unit: 'share' },
      { figure: 'encrypted_share', text: 'encrypted_share', unit: 'share' },
      { figure: 'delay_p50', text: 'median_delay', unit: 'seconds' },
    ],
    charts: [
      {
        title: 'chart_messages',
        kind: 'bar',
        series: [
          { figure: 'messages', text: 'messages', unit: 'count' },
          { figure: 'encrypted', text: 'encrypted', unit: 'count' },
          { figure: 'encrypted_share', text: 'encrypted_share', unit: 'share', tableOnly: true },
        ],
      },
      {
        title: 'chart_delivery',
        kind: 'line',
        series: [
          { figure: 'devices', text: 'devices', unit: 'count', tableOnly: true },
          { figure: 'delivered', text: 'delivered', unit: 'count', tableOnly: true },
          { figure: 'delivery_rate', text: 'delivery_rate', unit: 'share' },
        ],
      },
      { title: 'chart_delay', kind: 'line', series: percentiles('delay') },
    ],
  },
  {
    name: 'calls',
    empty: 'empty_calls',
    headline: [
      { figure: 'calls', text: 'calls', unit: 'count' },
      { figure: 'answered_share', text: 'answered_share', unit: 'share' },
      { figure: 'missed_share', text: 'missed_share', unit: 'share' },
      { figure: 'duration_p50', text: 'median_duration', unit: 'seconds' },
    ],
    charts: [
      {
        title: 'chart_calls',
        kind: 'bar',
        stacked: true,
        series: [
          { figure: 'calls', text: 'calls', unit: 'count', tableOnly: true },
          { figure: 'answered', text: 'answered', unit: 'count' },
          { figure: 'missed', text: 'missed', unit: 'count' },
          { figure: 'answered_share', text: 'answered_share', unit: 'share', tableOnly: true },
        ],
      },
      { title: 'chart_duration', kind: 'line', series: percentiles('duration') },
      { title: 'chart_ring', kind: 'line', series: percentiles('ring_time') },
    ],
  },
];

const { language, texts } = JSON.parse(document.getElementById('data')?.textContent ?? '{}') as {
  language: string;
  texts: Record<string, string>;
};
const say = (key: string): string => texts[key] ?? key;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const controls = document.getElementById('controls') as HTMLFormElement;
const status = document.getElementById('status') as HTMLElement;
const figures = document.getElementById('figures') as HTMLElement;

/** The reader's own way of writing numbers and dates, where it is one of the page's language. */
const locale = navigator.languages.find((tag) => tag.split('-')[0] === language) ?? language;
const numbers: Record<Unit, Intl.NumberFormat> = {
  count: new Intl.NumberFormat(locale),
  share: new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 }),
  seconds: new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }),
};
const show = (value: number | null | undefined, unit: Unit, withUnit = false): string =>
  value === null || value === undefined ? '–' : `${numbers[unit].format(value)}${withUnit && unit === 'seconds' ? ' s' : ''}`;

function element(name: string, attributes: Record<string, string> = {}, ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

const control = (name: string): HTMLInputElement | HTMLSelectElement | null =>
  controls.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement | null;
const valueOf = (name: string): string => control(name)?.value ?? '';

/** What each ready-made period is grouped by; the endpoint knows how far back it goes. */
const RANGES: Record<string, string> = { hours: 'hour', days: 'day', weeks: 'week', months: 'month' };
const isoDay = (moment: Date): string => new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
const dayAfter = (day: string): string => new Date(Date.parse(`${day}T12:00:00Z`) + 86_400_000).toISOString().slice(0, 10);

/** Where a ready-made range begins, in the reader's time zone: it ends with the current hour, day, week or month. */
function beginningOf(range: string): string {
  const now = new Date();
  const [year, month, day] = [now.getFullYear(), now.getMonth(), now.getDate()];
  if (range === 'hours') return new Date(Math.floor(now.getTime() / 3_600_000 - 47) * 3_600_000).toISOString();
  if (range === 'months') return isoDay(new Date(year, month - 11, 1));
  if (range === 'weeks') return isoDay(new Date(year, month, day - ((now.getDay() + 6) % 7) - 25 * 7));
  return isoDay(new Date(year, month, day - 29));
}

function query(): URLSearchParams {
  const parameters = new URLSearchParams({ by: valueOf('by'), direction: valueOf('direction'), timezone: zone });
  const range = valueOf('range');
  if (range === 'custom') {
    parameters.set('from', valueOf('from'));
    parameters.set('to', dayAfter(valueOf('to')));
  } else parameters.set('from', beginningOf(range));
  const domain = valueOf('domain');
  if (domain !== '') parameters.set('domain', domain);
  return parameters;
}

/** What is shown stands in the page's address, so that it can be kept and passed on. */
function remember(): void {
  const custom = valueOf('range') === 'custom';
  const names = ['range', ...(custom ? ['from', 'to'] : []), 'by', 'domain', 'direction'];
  const state = new URLSearchParams(names.map((name) => [name, valueOf(name)]).filter(([, value]) => value !== ''));
  history.replaceState(null, '', `?${state.toString()}`);
}

function recall(): void {
  const today = new Date();
  const initial: Record<string, string> = {
    range: 'days',
    by: 'day',
    direction: 'sent',
    to: isoDay(today),
    from: isoDay(new Date(today.getFullYear(), today.getMonth(), today.getDate() - 29)),
    ...Object.fromEntries(new URLSearchParams(location.search)),
  };
  for (const [name, value] of Object.entries(initial)) {
    const input = control(name);
    // An option that is not there leaves a list empty.
    if (input instanceof HTMLSelectElement && ![...input.options].some((option) => option.value === value)) continue;
    if (input) input.value = value;
  }
}

function showFields(): void {
  const custom = valueOf('range') === 'custom';
  for (const name of ['from', 'to']) {
    const field = controls.querySelector<HTMLElement>(`[data-field="${name}"]`);
    if (field) field.hidden = !custom;
  }
  // Of all Spaces together: whatever one sends another receives, so the direction means nothing.
  const direction = controls.querySelector<HTMLElement>('[data-field="direction"]');
  if (direction) direction.hidden = control('domain')?.value === '';
}

const charts: ChartClass[] = [];
/** Charts that are drawn once their sections are in the page: a canvas takes its size from the element around it. */
const undrawn: (() => ChartClass)[] = [];
const colour = (name: string): string => {
  // Resolved, so that the canvas gets what light-dark() stands for.
  const probe = element('span', { style: `color: var(--${name})` });
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
};

function configuration({ kind, stacked, series }: ChartSpec, periods: Reading['periods']): ChartConfiguration {
  const drawn = series.filter(({ tableOnly }) => !tableOnly);
  const unit = drawn[0]?.unit ?? 'count';
  const [text, line] = [colour('muted'), colour('line')];
  const datasets = drawn.map(({ figure, text: name }, index): ChartDataset => {
    const own = colour(`series-${index + 1}`);
    return {
      type: kind,
      label: say(name),
      // A point on the edge is not cut in half.
      clip: 8,
      data: periods.map((period) => period[figure] as number | null),
      backgroundColor: own,
      borderColor: own,
      // Told apart without colours, too.
      ...(kind === 'line'
        ? {
            borderDash: [[], [6, 4], [2, 3]][index] ?? [],
            pointStyle: (['circle', 'rect', 'triangle'] as const)[index],
            pointRadius: 3,
            spanGaps: false,
          }
        : {}),
    };
  });
  const scale = { ticks: { color: text }, grid: { color: line }, stacked: stacked === true };
  return {
    type: kind,
    data: { labels: periods.map(({ period }) => period), datasets },
    options: {
      animation: false,
      maintainAspectRatio: false,
      locale,
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: { ...scale, ticks: { color: text, maxRotation: 0, autoSkipPadding: 12 } },
        y: {
          ...scale,
          beginAtZero: true,
          ...(unit === 'share' ? { max: 1 } : {}),
          ticks: { color: text, callback: (value) => show(Number(value), unit), ...(unit === 'count' ? { precision: 0 } : {}) },
        },
      },
      plugins: {
        legend: { labels: { color: text, usePointStyle: kind === 'line' } },
        tooltip: { callbacks: { label: ({ dataset, parsed }) => `${dataset.label ?? ''}: ${show(parsed.y, unit, true)}` } },
      },
    },
  };
}

function table({ title, series }: ChartSpec, { periods, total }: Reading): HTMLElement {
  const cells = (from: Figures): HTMLElement[] => series.map(({ figure, unit }) => element('td', {}, show(from[figure], unit)));
  const head = [say('period'), ...series.map(({ text }) => say(text))].map((text) => element('th', { scope: 'col' }, text));
  const body = periods.map((period) => element('tr', {}, element('th', { scope: 'row' }, period.period), ...cells(period)));
  const sum = element('tr', {}, element('th', { scope: 'row' }, 'Σ'), ...cells(total));
  return element(
    'div',
    { class: 'table', tabindex: '0', role: 'region', 'aria-label': `${say(title)}: ${say('table')}` },
    element(
      'table',
      {},
      element('caption', {}, say('table')),
      element('thead', {}, element('tr', {}, ...head)),
      element('tbody', {}, ...body),
      element('tfoot', {}, sum),
    ),
  );
}

async function download(kind: Kind['name']): Promise<void> {
  const response = await fetch(`${API}/statistics/${kind}?${query().toString()}`, {
    headers: { accept: 'text/csv', 'accept-language': language },
  });
  if (!response.ok) throw await refusal(response);
  const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? `${kind}.csv`;
  const url = URL.createObjectURL(await response.blob());
  element('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function refusal(response: Response): Promise<Error> {
  // Signed out meanwhile: the page itself asks for the key again.
  if (response.status === 401) location.reload();
  const { message } = (await response.json().catch(() => ({}))) as { message?: string };
  return new Error(message ?? say('failed'));
}

function complain(error: unknown): void {
  status.className = 'error';
  status.textContent = error instanceof Error && !(error instanceof TypeError) ? error.message : say('failed');
}

function draw(kind: Kind, reading: Reading): HTMLElement {
  const button = element('button', { type: 'button' }, say('csv').replace('{kind}', say(kind.name)));
  button.addEventListener('click', () => void download(kind.name).catch(complain));
  const section = element(
    'section',
    { 'aria-labelledby': `${kind.name}-heading` },
    element('div', { class: 'heading' }, element('h2', { id: `${kind.name}-heading` }, say(kind.name)), button),
  );
  if (reading.total[kind.name] === 0) {
    section.append(element('p', { class: 'empty' }, say(kind.empty).replace('{prefix}', `${new URL(API).pathname}/statistics/`)));
    return section;
  }
  const headline = kind.headline.map(({ figure, text, unit }) =>
    element('div', {}, element('dt', {}, say(text)), element('dd', { 'data-figure': figure }, show(reading.total[figure], unit, true))),
  );
  section.append(element('dl', {}, ...headline));
  for (const spec of kind.charts) {
    const canvas = element('canvas', { role: 'img', 'aria-label': `${say(spec.title)}. ${say('table')} ↓` }) as HTMLCanvasElement;
    section.append(
      element('article', {}, element('h3', {}, say(spec.title)), element('div', { class: 'drawing' }, canvas), table(spec, reading)),
    );
    undrawn.push(() => new Chart(canvas, configuration(spec, reading.periods)));
  }
  return section;
}

let shown: Reading[] = [];

function redraw(): void {
  for (const chart of charts.splice(0)) chart.destroy();
  const sections = KINDS.map((kind, index) => shown[index] && draw(kind, shown[index]));
  figures.replaceChildren(...sections.filter((section) => section !== undefined));
  charts.push(...undrawn.splice(0).map((make) => make()));
}

let requests = 0;

async function load(): Promise<void> {
  const own = (requests += 1);
  status.className = '';
  status.textContent = say('loading');
  try {
    const search = query().toString();
    const readings = await Promise.all(
      KINDS.map(async ({ name }) => {
        const response = await fetch(`${API}/statistics/${name}?${search}`, {
          headers: { accept: 'application/json', 'accept-language': language },
        });
        if (!response.ok) throw await refusal(response);
        return (await response.json()) as Reading;
      }),
    );
    // Another request was made meanwhile: its answer is shown instead.
    if (own !== requests) return;
    shown = readings;
    redraw();
    const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
    const [first] = readings;
    status.textContent = say('shown')
      .replace('{from}', day.format(new Date(first?.from ?? 0)))
      .replace('{to}', day.format(new Date(first?.to ?? 0)))
      .replace('{zone}', zone);
  } catch (error) {
    if (own === requests) complain(error);
  }
}

controls.addEventListener('change', ({ target }) => {
  const range = valueOf('range');
  const grouping = RANGES[range];
  if ((target as HTMLElement).id === 'range' && grouping) (control('by') as HTMLSelectElement).value = grouping;
  showFields();
  if (!controls.reportValidity()) return;
  remember();
  void load();
});
controls.addEventListener('submit', (event) => event.preventDefault());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
recall();
showFields();
void load();
