// The alerts and the dashboard that are handed out: each rule by promtool, and on the running program by Prometheus itself.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { freePort } from '../src/start/ports';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { hasPrometheus, startPrometheus, type Prometheus } from './helpers/prometheus';
import { killServers, serve, type Server } from './helpers/redis';
import { eventually, request, startSystem, type Process, type System } from './helpers/system';

const DEPLOY = path.join(__dirname, '..', 'deploy');
const RULES = path.join(DEPLOY, 'prometheus', 'rules.yml');
const read = (...of: string[]): string => readFileSync(path.join(DEPLOY, ...of), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  for: string;
  labels: Record<string, string>;
  annotations: { summary: string; runbook_url: string };
}
const { groups } = parse(read('prometheus', 'rules.yml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

interface Panel {
  title: string;
  targets?: { expr: string }[];
}
const dashboard = JSON.parse(read('grafana', 'flexiapi.json')) as {
  panels: Panel[];
  templating: { list: { definition?: string }[] };
};
/** As Grafana asks Prometheus. */
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.*') })),
);

/** Names of series in an expression. */
const namesIn = (text: string): string[] => text.match(/\b(?:flexiapi|nodejs|process)_[a-z0-9_]+\b/g) ?? [];

// A machine without it is told so once.
const isThere = hasPrometheus();
const ifThere = isThere ? test : test.skip;

let redis: Server;
let world: OutsideWorld;
let system: System;
let worker: Process;
let workerPort: number;
let prometheus: Prometheus | undefined;

const startWorker = async (): Promise<Process> => system.startWorker({ WORKER_PORT: String(workerPort) });

beforeAll(async () => {
  redis = await serve(['maxmemory-policy noeviction']);
  world = await startOutsideWorld();
  system = await startSystem({
    workers: 0,
    environment: { ...world.environment, REDIS_URL: `redis://127.0.0.1:${redis.port}`, PUSH_TIMEOUT_SECONDS: '2' },
  });
  workerPort = await freePort();
  worker = await startWorker();
  // As in rules.yml, but nobody waits.
  const impatient = read('prometheus', 'rules.yml')
    .replaceAll(/^( +for:) .*$/gm, '$1 1s')
    .replaceAll('interval: 15s', 'interval: 1s');
  const web = new URL(system.urls[0] ?? '').host;
  prometheus = isThere
    ? await startPrometheus(impatient, { 'flexiapi-web': [web], 'flexiapi-worker': [`127.0.0.1:${workerPort}`] })
    : undefined;
}, 120_000);
afterAll(async () => {
  await prometheus?.stop();
  await system.stop();
  await world.close();
  killServers();
});

ifThere('promtool finds every rule right, and each is tried', () => {
  for (const parameters of [
    ['check', 'rules', RULES],
    ['test', 'rules', path.join(DEPLOY, 'prometheus', 'rules.test.yml')],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', parameters, { encoding: 'utf8' });
    expect([stdout, stderr, status]).toEqual([stdout, stderr, 0]);
  }
  const tried = (parse(read('prometheus', 'rules.test.yml')) as { tests: { alert_rule_test: { alertname: string; exp_alerts: [] }[] }[] })
    .tests;
  const cases = tried.flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert } of rules)
    expect([alert, cases.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length)]).toEqual([
      alert,
      [0, 1, 0],
    ]);
});

test('each alert says how bad it is, what is the matter and where to read on', () => {
  const operating = readFileSync(path.join(__dirname, '..', 'docs', 'operating.md'), 'utf8');
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, labels, annotations } of rules) {
    expect([alert, labels['severity']]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)]);
    expect([alert, annotations.runbook_url]).toEqual([alert, `docs/operating.md#${alert.toLowerCase()}`]);
    expect(operating).toContain(`\n#### ${alert}\n`);
  }
});

/** Names of all series that `web` and a worker show. */
async function shown(): Promise<Set<string>> {
  const texts = await Promise.all(
    [system.url, `http://127.0.0.1:${workerPort}`].map(async (url) => (await request(`${url}/metrics`)).text),
  );
  const names = texts.flatMap((text) => [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)]);
  return new Set(
    names.flatMap(([, name = '', type]) => (type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : [name])),
  );
}

test('every metric that an alert, the dashboard or its document names is there', async () => {
  const there = await shown();
  const texts = {
    rules: rules.map(({ expr }) => expr).join('\n'),
    dashboard: [...queries.map(({ expr }) => expr), ...dashboard.templating.list.map(({ definition = '' }) => definition)].join('\n'),
  };
  for (const [where, text] of Object.entries(texts)) {
    const names = namesIn(text);
    expect([where, names.length > 15]).toEqual([where, true]);
    expect([where, names.filter((name) => !there.has(name))]).toEqual([where, []]);
  }
});

ifThere('Prometheus understands every query of the dashboard, and those of what is always there find something', async () => {
  await system.api('/nowhere');
  const ask = async (expr: string): Promise<unknown[]> =>
    ((await prometheus?.api(`/query?query=${encodeURIComponent(expr)}`)) as { result: unknown[] } | undefined)?.result ?? [];
  for (const { title, expr } of queries)
    await ask(expr).catch((error: unknown) => {
      throw new Error(`${title}: ${String(error)}`);
    });
  for (const title of ['Servers', 'Workers by queue', 'Age of recurring tasks', 'Memory of Redis', 'Months of partitions ahead']) {
    const [query] = queries.filter((each) => each.title === title);
    await eventually(
      () => ask(query?.expr ?? ''),
      (result) => result.length > 0,
      30,
    );
  }
});

/** Waits until an alert fires, or none of that name does. */
const alert = (name: string, labels: Record<string, string> | undefined, seconds = 40): Promise<unknown> =>
  eventually(
    async () => (await prometheus?.firing())?.filter(({ alertname }) => alertname === name) ?? [],
    (found) =>
      labels === undefined ? found.length === 0 : found.some((of) => Object.entries(labels).every(([label, value]) => of[label] === value)),
    seconds,
  );

ifThere(
  'a worker that ends, a provider that fails and a Redis that is silent are told, and that they are back',
  async () => {
    await eventually(
      async () => (await prometheus?.firing())?.filter(({ alertname }) => alertname === 'FlexiapiNoWorker'),
      (found) => found?.length === 0,
    );
    await worker.end('SIGKILL');
    await Promise.all([alert('FlexiapiNoWorker', { queue: 'push' }), alert('FlexiapiProcessDown', { job: 'flexiapi-worker' })]);
    worker = await startWorker();
    await Promise.all([alert('FlexiapiNoWorker', undefined), alert('FlexiapiProcessDown', undefined)]);

    redis.freeze();
    await alert('FlexiapiServerDown', { server: 'redis' });
    redis.thaw();
    await alert('FlexiapiServerDown', undefined);

    world.apnsDev.mode = 500;
    let serial = 0;
    const push = async (): Promise<number> => {
      serial += 1;
      const pn_prid = serial.toString(16).padStart(64, 'c');
      const body = { pn_provider: 'apns.dev', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid };
      return (await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body })).status;
    };
    expect(await Promise.all(Array.from({ length: 12 }, push))).toEqual(Array.from({ length: 12 }, () => 503));
    await alert('FlexiapiProviderFails', { provider: 'apns.dev' });
    world.apnsDev.mode = 'accept';
    await eventually(push, (status) => status === 200);
    // Until fewer than a quarter are failures.
    const over = alert('FlexiapiProviderFails', undefined, 60);
    let isOver = false;
    over.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    while (!isOver) expect(new Set(await Promise.all(Array.from({ length: 20 }, push)))).toEqual(new Set([200]));
    await over;
  },
  180_000,
);
