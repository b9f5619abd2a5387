// What /metrics shows, against the rules by which Prometheus' own `promtool check metrics` judges names, and the format's.
import { request, startSystem, type System } from './helpers/system';

let system: System;
let lines: string[];

beforeAll(async () => {
  system = await startSystem();
  const { key } = await system.account('metrics-admin', { admin: true });
  await system.api('/accounts/me', { key });
  await system.api('/nowhere');
  const { text, headers } = await request(`${system.url}/metrics`);
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  lines = text.split('\n').filter((line) => line !== '');
});
afterAll(() => system.stop());

interface Family {
  name: string;
  type: string;
  help: string;
  samples: string[];
}

/** Families in their order, with the names of their samples. */
function families(): Family[] {
  const found: Family[] = [];
  for (const line of lines) {
    const help = /^# HELP (\S+) (.*)$/.exec(line);
    const type = /^# TYPE (\S+) (\w+)$/.exec(line);
    if (help) found.push({ name: help[1] ?? '', help: help[2] ?? '', type: '', samples: [] });
    else if (type) Object.assign(found.at(-1) ?? {}, type[1] === found.at(-1)?.name ? { type: type[2] } : {});
    else found.at(-1)?.samples.push(line);
  }
  return found;
}

/** https://prometheus.io/docs/practices/naming/#base-units: the last is what those of the list before it are multiples or parts of. */
const OTHER_UNITS =
  /_(?:milli|micro|nano|kilo|mega)?(?:minutes?|hours?|days?|weeks?|bits?|percents?|grams?|milliseconds?|ms|kb|mb|kilobytes?|megabytes?)(?:_|$)/;
/** Of a histogram and a summary. */
const PARTS = /_(?:count|sum|bucket)$/;

test('names, types and units are as Prometheus wants them', () => {
  const found = families();
  const names = found.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['flexiapi_http_request_duration_seconds', 'flexiapi_server_up', 'nodejs_active_handles']));
  expect(new Set(names).size).toBe(names.length);
  for (const { name, type, help, samples } of found) {
    expect([name, help.trim() !== '']).toEqual([name, true]);
    expect(name).toMatch(/^[a-z_][a-z0-9_]*$/);
    expect(['counter', 'gauge', 'histogram', 'summary']).toContain(type);
    expect([name, type === 'counter']).toEqual([name, name.endsWith('_total')]);
    expect(name).not.toMatch(PARTS);
    expect(name).not.toMatch(/_(?:counter|gauge|histogram|summary)(?:_|$)/);
    expect(name).not.toMatch(OTHER_UNITS);
    for (const sample of samples) {
      const [, series = '', labels = ''] = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (?:[-+]?[\d.]+(?:e[-+]?\d+)?|[-+]Inf|NaN)$/.exec(sample) ?? [];
      const suffix = type === 'histogram' || type === 'summary' ? series.replace(PARTS, '') : series;
      expect([sample, suffix]).toEqual([sample, name]);
      const keys = [...labels.matchAll(/(?:^|,)(\w+)="/g)].map(([, key]) => key);
      expect([sample, keys.filter((key) => (key === 'le' && type !== 'histogram') || (key === 'quantile' && type !== 'summary'))]).toEqual([
        sample,
        [],
      ]);
      expect([sample, new Set(keys).size]).toEqual([sample, keys.length]);
    }
  }
});
