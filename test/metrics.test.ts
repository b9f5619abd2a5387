// What /metrics shows, against the rules by which Prometheus' own `promtool check metrics` judges names, and the format's.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { generate } from 'selfsigned';
import { migrate } from '../src/migrations';
import { startPostgres } from '../src/start/postgres';
import { freePort } from '../src/start/ports';
import { killServers, serve } from './helpers/redis';
import { runTask } from './helpers/jobs';
import { treeOf } from './helpers/processes';
import { eventually, request, startProcess, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

let system: System;
let lines: string[];
let workerPort: number;

beforeAll(async () => {
  workerPort = await freePort();
  system = await startSystem({ workers: 0 });
  await system.startWorker({ WORKER_PORT: String(workerPort) });
  const { key } = await system.account('metrics-admin', { admin: true });
  await system.api('/accounts/me', { key });
  await system.api('/nowhere');
  const { text, headers } = await request(`${system.url}/metrics`);
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  lines = text.split('\n').filter((line) => line !== '');
}, 120_000);
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

test('a worker shows its jobs, and both show what they share', async () => {
  await runTask(system, 'maintenance', 'sweep');
  const ofWorker = (await request(`http://127.0.0.1:${workerPort}/metrics`)).text;
  expect(ofWorker).toMatch(/^flexiapi_jobs_total\{queue="maintenance",kind="sweep",outcome="done"\} [1-9]/m);
  expect(ofWorker).toMatch(/^flexiapi_job_wait_seconds_count\{queue="maintenance",kind="sweep"\} [1-9]/m);
  expect(ofWorker).toMatch(/^flexiapi_job_run_seconds_count\{queue="maintenance",kind="sweep"\} [1-9]/m);
  for (const url of [`http://127.0.0.1:${workerPort}/metrics`, `${system.url}/metrics`]) {
    // What was asked of PostgreSQL and Redis is shown for a second.
    const text = await eventually(
      async () => (await request(url)).text,
      (shown) => shown.includes('{task="sweep"}'),
    );
    for (const line of [
      /^flexiapi_server_up\{server="postgresql"\} 1$/m,
      /^flexiapi_queue_workers\{queue="push"\} 1$/m,
      /^flexiapi_task_age_seconds\{task="sweep"\} \d+$/m,
      /^flexiapi_statistics_backlog 0$/m,
      /^flexiapi_partitions_ahead_months\{table="statistics_messages"\} 12$/m,
      /^flexiapi_redis_memory_bytes [1-9]\d+$/m,
      /^flexiapi_redis_eviction\{policy="noeviction"\} 1$/m,
      /^flexiapi_database_pool_connections\{pool="main",state="limit"\} 10$/m,
      /^flexiapi_database_pool_connections\{pool="health",state="(?:used|idle)"\} [1-3]$/m,
      /^flexiapi_database_pool_waiting\{pool="main"\} 0$/m,
      /^nodejs_eventloop_lag_p99_seconds \S+$/m,
      /^flexiapi_sends_unrecorded_total 0$/m,
    ])
      expect(text).toMatch(line);
  }
});

test('a month without a partition is seen, also between others', async () => {
  const ahead = async (): Promise<string | undefined> =>
    /^flexiapi_partitions_ahead_months\{table="statistics_calls"\} (\S+)$/m.exec((await request(`${system.url}/metrics`)).text)?.[1];
  expect(await ahead()).toBe('12');
  for (const [months, seen] of [
    [3, '2'],
    [0, '-1'],
  ] as const) {
    const [row] = await system.rows<{ name: string }>(
      `SELECT 'statistics_calls_' || to_char((now() AT TIME ZONE 'UTC') + make_interval(months => $1), 'YYYY"_"MM') AS name`,
      [months],
    );
    await system.rows(`DROP TABLE ${row?.name ?? ''}`);
    await eventually(ahead, (found) => found === seen);
  }
  await runTask(system, 'chores', 'partitions');
  await eventually(ahead, (found) => found === '12');
});

test('every answer is counted, and nothing that a stranger writes becomes a label', async () => {
  const { hostname, port } = new URL(system.url);
  const raw = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      socket.resume();
      socket.once('close', () => resolve());
    });
  await raw('nonsense\r\n\r\n');
  await raw('PROPFIND /secret-path HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  await request(`${system.url}/secret-page`);
  await request(`${system.url}/api/secret-endpoint`);
  await request(`${system.url}/api`);
  await request(`${system.url}/health/live`);
  const wanted = [
    'method="other",status="400",part="none"',
    'method="other",status="404",part="pages"',
    'method="GET",status="404",part="pages"',
    'method="GET",status="404",part="api"',
    'method="GET",status="200",part="api"',
    'method="GET",status="200",part="health"',
    'method="GET",status="200",part="metrics"',
    'method="GET",status="500",part="api"',
  ];
  let text = '';
  // An answer is good for a second.
  const missing = async (): Promise<string[]> => {
    ({ text } = await request(`${system.url}/metrics`));
    return wanted.filter((labels) => !text.includes(`flexiapi_http_responses_total{${labels}} `));
  };
  await eventually(missing, ({ length }) => length === 0);
  expect(text).not.toContain('secret');
  expect(text).not.toContain('PROPFIND');
});

test('a worker answers what it is asked, and nothing else', async () => {
  const at = (place: string, method = 'GET'): ReturnType<typeof request> => request(`http://127.0.0.1:${workerPort}${place}`, { method });
  expect(await at('/health/live')).toMatchObject({ status: 200, json: { status: 'ok' } });
  expect(await at('/health/ready')).toMatchObject({ status: 200, json: { status: 'ok', redis: { status: 'ok' } } });
  expect(await at('/metrics?a=b')).toMatchObject({ status: 200 });
  expect(await at('/metrics', 'HEAD')).toMatchObject({ status: 200, text: '' });
  expect((await at('/metrics', 'POST')).headers.get('allow')).toBe('GET, HEAD');
  for (const place of ['/', '/api', '/constructor', '/metrics/', '/toString']) expect((await at(place)).status).toBe(404);
});

test('a port that is in use ends a worker before it takes a job, and it says what to set', async () => {
  const again = startProcess('workers/main.js', { ...system.environment, WORKER_PORT: String(workerPort) }, /worker runs/);
  await expect(again).rejects.toThrow(`workers/main.js ended with 1: WORKER_PORT ${workerPort} of 127.0.0.1 is in use`);
});

test('how long certificates are good is shown', async () => {
  const directory = mkdtempSync(path.join(testServers().directory, 'certificate-'));
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'sip.example.org' }], {
    notAfterDate: new Date(Date.now() + 10 * 24 * 3600 * 1000),
  });
  const [certFile, keyFile] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const own = await freePort();
  const worker = await system.startWorker({
    WORKER_PORT: String(own),
    APNS_CERT_FILE: certFile,
    APNS_CERT_KEY_FILE: keyFile,
    // `web` alone must be able to read its own.
    TLS_CERT_FILE: path.join(directory, 'none'),
    TLS_KEY_FILE: keyFile,
  });
  const { text } = await request(`http://127.0.0.1:${own}/metrics`);
  const seconds = Number(/^flexiapi_certificate_expires_seconds\{use="apns"\} (\d+)$/m.exec(text)?.[1]);
  expect(seconds / 24 / 3600).toBeCloseTo(10, 1);
  expect(text).not.toContain('use="web"');
  await worker.end();
});

describe('servers that hang', () => {
  afterAll(() => killServers());

  test('both processes still show what they know, within some seconds, and all of it once the servers go on', async () => {
    const redis = await serve([]);
    const directory = mkdtempSync(path.join(testServers().directory, 'frozen-'));
    const postgres = await startPostgres(directory, ['fsync=off']);
    await migrate(postgres.url);
    const own = await startSystem({ webs: 0, workers: 0 });
    const port = await freePort();
    const environment = { DATABASE_URL: postgres.url, REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    await Promise.all([own.startWeb(environment), own.startWorker({ ...environment, WORKER_PORT: String(port) })]);
    const urls = [own.urls[0] ?? '', `http://127.0.0.1:${port}`];
    const up = async (url: string): Promise<[string, number]> => {
      const began = performance.now();
      const { text } = await request(`${url}/metrics`);
      expect(text).toContain('process_resident_memory_bytes');
      const seen = [...text.matchAll(/^flexiapi_(?:server_up|partitions_ahead|queue_workers_known|redis_eviction)\S* \S+$/gm)];
      return [seen.map(([line]) => line).join('\n'), performance.now() - began];
    };
    for (const url of urls) {
      await eventually(
        () => up(url),
        ([seen]) => seen.includes('server="postgresql"} 1') && seen.includes('server="redis"} 1') && seen.includes('partitions_ahead'),
      );
    }
    const [pid = ''] = readFileSync(path.join(directory, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
    const frozen = treeOf(Number(pid));
    const signal = (name: NodeJS.Signals): void => {
      for (const each of frozen) process.kill(each, name);
    };
    signal('SIGSTOP');
    redis.freeze();
    try {
      for (const url of urls) {
        // An answer is good for a second.
        const [seen, milliseconds] = await eventually(
          () => up(url),
          ([text, took]) => took >= 5000 || !text.includes('} 1'),
        );
        expect(milliseconds).toBeLessThan(5000);
        expect(seen).toContain('server="postgresql"} 0');
        expect(seen).toContain('server="redis"} 0');
        expect(seen).not.toContain('partitions_ahead');
        expect(seen).not.toContain('eviction');
        expect((await request(`${url}/health/live`)).status).toBe(200);
      }
    } finally {
      signal('SIGCONT');
      redis.thaw();
    }
    for (const url of urls)
      await eventually(
        () => up(url),
        ([seen]) => seen.includes('server="postgresql"} 1') && seen.includes('server="redis"} 1') && seen.includes('partitions_ahead'),
        30,
      );
    await own.stop();
    await postgres.stop();
  }, 120_000);
});
