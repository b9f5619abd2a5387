// What is told at ALERT_WEBHOOK_URL: once when it begins and once when it is over, however many processes look and whatever the receiver does.
import { readFileSync, mkdtempSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { parse } from 'yaml';
import { migrate } from '../src/migrations';
import { startPostgres } from '../src/start/postgres';
import { loadModels, type Models } from './helpers/models';
import { treeOf } from './helpers/processes';
import { killServers, serve } from './helpers/redis';
import { eventually, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

interface Told {
  id: number | null;
  alert: string;
  state: 'firing' | 'resolved';
  severity: string;
  labels: Record<string, string>;
  summary: string;
  since: string;
  ended: string | null;
  runbook: string;
}

/** The receiver: what it has acknowledged, and how it is just now. */
const received: Told[] = [];
let tries = 0;
let mode: 'accept' | 'hang' | 500 = 'accept';
let receiver: HttpServer;
let url = '';
const of = (alert: string, label = ''): Told[] =>
  received.filter((told) => told.alert === alert && (label === '' || Object.values(told.labels).includes(label)));

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      tries += 1;
      if (mode === 'hang') return;
      if (mode === 'accept') received.push(JSON.parse(text) as Told);
      response.writeHead(mode === 'accept' ? 204 : mode).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook?token=secret-of-the-hook`;
});
afterAll(() => {
  receiver.closeAllConnections();
  receiver.close();
  killServers();
});

test('the program looks at what the rules for Prometheus look at, for as long', async () => {
  const { CONDITIONS } = await import('../src/services/operations/conditions.js');
  const text = readFileSync(path.join(__dirname, '..', 'deploy', 'prometheus', 'rules.yml'), 'utf8');
  const { groups } = parse(text) as { groups: { rules: { alert: string; for: string; labels: { severity: string } }[] }[] };
  const operating = readFileSync(path.join(__dirname, '..', 'docs', 'operating.md'), 'utf8');
  const rules = groups.flatMap((group) => group.rules).filter(({ alert }) => !operating.includes(`#### ${alert}\n\nOf Prometheus alone.`));
  const seconds = (duration: string): number => Number.parseInt(duration, 10) * (duration.endsWith('m') ? 60 : 1);
  expect(
    CONDITIONS.map(({ alert, lasts, severity }) => ({ alert, lasts, severity })).toSorted((a, b) => a.alert.localeCompare(b.alert)),
  ).toEqual(
    rules
      .map(({ alert, for: lasts, labels }) => ({ alert, lasts: seconds(lasts), severity: labels.severity }))
      .toSorted((a, b) => a.alert.localeCompare(b.alert)),
  );
});

// Before the models are loaded into this process: what the migrations use must not be theirs.
test('a PostgreSQL that hangs is told once, and that it is back', async () => {
  received.length = 0;
  mode = 'accept';
  const directory = mkdtempSync(path.join(testServers().directory, 'away-'));
  const postgres = await startPostgres(directory, ['fsync=off']);
  await migrate(postgres.url);
  const system = await startSystem({ webs: 0, workers: 0 });
  const environment = { DATABASE_URL: postgres.url, ALERT_WEBHOOK_URL: url };
  await Promise.all([system.startWeb(environment), system.startWorker(environment), system.startWorker(environment)]);
  const frozen = treeOf(Number(readFileSync(path.join(directory, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]));
  const signal = (name: NodeJS.Signals): void => {
    for (const each of frozen) process.kill(each, name);
  };
  const told = (): Promise<Told[]> => Promise.resolve(of('FlexiapiServerDown', 'postgresql'));
  signal('SIGSTOP');
  try {
    await eventually(told, ({ length }) => length > 0, 120);
  } finally {
    signal('SIGCONT');
  }
  await eventually(told, ({ length }) => length > 1, 60);
  expect((await told()).map(({ state, id }) => [state, id === null])).toEqual([
    ['firing', true],
    ['resolved', false],
  ]);
  await system.stop();
  await postgres.stop();
}, 300_000);

describe('in the database', () => {
  let system: System;
  let loaded: Models;
  beforeAll(async () => {
    system = await startSystem({ webs: 0, workers: 0 });
    loaded = await loadModels(system);
  });
  afterAll(async () => {
    await loaded.close();
    await system.stop();
  });
  beforeEach(() => system.rows('TRUNCATE alerts'));
  const condition = { alert: 'A', labels: '{"queue":"push"}', severity: 'warning', summary: 'one' };
  const events = async (): Promise<string[]> =>
    (await loaded.models.Alert.untold(10)).map(({ alert, state, summary }) => `${alert} ${state} ${summary}`);
  const later = (seconds: number): Promise<object[]> =>
    system.rows('UPDATE alerts SET since = since - make_interval(secs => $1)', [seconds]);

  test('what does not last is never told', async () => {
    const { Alert } = loaded.models;
    await Alert.settle([condition], { A: 60 });
    expect(await events()).toEqual([]);
    await later(50);
    await Alert.settle([], { A: 60 });
    expect(await system.rows('SELECT 1 FROM alerts')).toEqual([]);
    await Alert.settle([condition], { A: 60 });
    await later(50);
    await Alert.settle([condition], { A: 60 });
    expect(await events()).toEqual([]);
    await later(11);
    await Alert.settle([{ ...condition, summary: 'two' }], { A: 60 });
    expect(await events()).toEqual(['A firing two']);
  });

  test('what cannot be looked at stays as it is', async () => {
    const { Alert } = loaded.models;
    await Alert.settle([condition], { A: 0 });
    await Alert.settle([], { B: 0 });
    expect(await events()).toEqual(['A firing one']);
    expect(await system.rows('SELECT 1 FROM alerts WHERE ended_at IS NULL')).toHaveLength(1);
  });

  test('a begin that was not told and its end, and the next begin, are told in their order', async () => {
    const { Alert } = loaded.models;
    await Alert.settle([condition], { A: 0 });
    await Alert.settle([], { A: 0 });
    await Alert.settle([{ ...condition, summary: 'again' }], { A: 0 });
    expect(await events()).toEqual(['A firing one', 'A resolved one', 'A firing again']);
    const told = await Alert.untold(1);
    await Alert.told(told[0] ?? { id: 0, state: 'firing' });
    expect(await events()).toEqual(['A resolved one', 'A firing again']);
  });

  test('one process looks at a time, another one once it does not', async () => {
    const { TaskRun } = loaded.models;
    const taken = await Promise.all(Array.from({ length: 5 }, () => TaskRun.claim('alerts', 9)));
    expect(taken.filter(Boolean)).toHaveLength(1);
    await system.rows("UPDATE task_runs SET done_at = now() - interval '10 seconds' WHERE task = 'alerts'");
    expect(await TaskRun.claim('alerts', 30)).toBe(false);
    expect(await TaskRun.claim('alerts', 9)).toBe(true);
  });

  test('failures of a provider are counted by the ledger, without those that recipients are to blame for', async () => {
    const { providerShares } = await import('../src/models/messaging/send-failures.js');
    await system.rows(
      `INSERT INTO sends (channel, kind, state, provider, outcome, reason, created_at)
       SELECT 'sms', 'account_recovery', 'failed', provider, outcome, reason, now() - make_interval(mins => ago)
         FROM (VALUES ('twilio', 'failed', 'provider_throttled', 1), ('twilio', 'refused', 'recipient_refused', 1), ('twilio', 'sent', NULL, 1),
                      ('twilio', 'failed', NULL, 6), ('twilio', NULL, NULL, 1), (NULL, 'failed', NULL, 1), ('smtp', 'unregistered', NULL, 1)) v (provider, outcome, reason, ago)`,
    );
    expect(await providerShares(5, 100)).toEqual([
      { provider: 'smtp', sends: 1, failures: 0 },
      { provider: 'twilio', sends: 3, failures: 1 },
    ]);
  });
});

test('what begins is told once by several processes, also to a receiver that hangs or fails for a while, and its end', async () => {
  const redis = await serve(['maxmemory-policy allkeys-lru']);
  received.length = 0;
  mode = 'hang';
  const environment = { REDIS_URL: `redis://127.0.0.1:${redis.port}`, ALERT_WEBHOOK_URL: url };
  const system = await startSystem({ webs: 1, workers: 2, environment });
  try {
    await eventually(
      () => Promise.resolve(tries),
      (count) => count > 0,
      30,
    );
    // Whatever the receiver does, the sweep goes on.
    const swept = async (): Promise<number> => {
      const sql = "SELECT extract(epoch FROM done_at)::float8 AS at FROM task_runs WHERE task = 'sweep'";
      return (await system.rows<{ at: number }>(sql))[0]?.at ?? 0;
    };
    const before = await swept();
    await eventually(swept, (at) => at > before, 30);
    mode = 500;
    await eventually(
      () => Promise.resolve(tries),
      (count) => count > 2,
      40,
    );
    expect(received).toEqual([]);
    mode = 'accept';
    await eventually(
      () => Promise.resolve(of('FlexiapiRedisEvicts')),
      ({ length }) => length > 0,
      30,
    );
    await redis.client.config('SET', 'maxmemory-policy', 'noeviction');
    await eventually(
      () => Promise.resolve(of('FlexiapiRedisEvicts')),
      ({ length }) => length > 1,
      30,
    );
    const [begin, end, ...more] = of('FlexiapiRedisEvicts');
    expect(more).toEqual([]);
    expect(begin).toEqual({
      id: expect.any(Number) as number,
      alert: 'FlexiapiRedisEvicts',
      state: 'firing',
      severity: 'critical',
      labels: { policy: 'allkeys-lru' },
      summary: 'Redis evicts keys (allkeys-lru): jobs can be lost',
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      ended: null,
      runbook: 'docs/operating.md#flexiapiredisevicts',
    });
    expect(end).toEqual({ ...begin, state: 'resolved', ended: expect.stringMatching(/Z$/) as string });
    for (const { output } of [...system.webs, ...system.workers]) expect(output()).not.toContain('secret-of-the-hook');

    // Nobody is left who serves a queue: `web` stands in.
    await Promise.all(system.workers.map((worker) => worker.end()));
    const pending = async (): Promise<object[]> =>
      system.rows("SELECT labels FROM alerts WHERE alert = 'FlexiapiNoWorker' AND ended_at IS NULL");
    await eventually(pending, ({ length }) => length === 8, 60);
    expect(of('FlexiapiNoWorker')).toEqual([]);
    await system.rows("UPDATE alerts SET since = since - interval '1 minute'");
    await eventually(
      () => Promise.resolve(of('FlexiapiNoWorker')),
      ({ length }) => length === 8,
      60,
    );
    await system.startWorker();
    await eventually(
      () => Promise.resolve(of('FlexiapiNoWorker', 'push')),
      (told) => told.at(-1)?.state === 'resolved',
      60,
    );
  } finally {
    await system.stop();
  }
}, 300_000);
