// What operators are shown: figures that can be had, how old recurring work is, and at what cost.
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { startRedis } from '../src/start/redis';
import { eventually, request, startSystem, type Answer, type System } from './helpers/system';
import { testServers } from './setup/servers';

type Server = Awaited<ReturnType<typeof startRedis>>;
let redis: Server;
let control: Redis;
beforeAll(async () => {
  redis = await startRedis(mkdtempSync(path.join(testServers().directory, 'redis-')), () => undefined, false);
  control = new Redis(redis.url, { disconnectTimeout: 100 });
});
afterAll(async () => {
  control.disconnect();
  await redis.stop();
});
const ready = (system: System): Promise<Answer> => request(`${system.url}/health/ready`);
const metrics = async (system: System): Promise<string> => (await request(`${system.url}/metrics`)).text;

test('without CLIENT LIST the number of workers is missing, and nothing else', async () => {
  await control.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-client|list');
  const url = new URL(redis.url);
  [url.username, url.password] = ['limited', 'secret'];
  const system = await startSystem({ environment: { REDIS_URL: url.href } });
  const text = await metrics(system);
  expect(text).toContain('flexiapi_queue_jobs{queue="push",state="failed"} 0');
  expect(text).toContain('flexiapi_queue_workers_known 0');
  expect(text).not.toContain('flexiapi_queue_workers{');
  const cli = async (...more: string[]): Promise<string> =>
    (
      await promisify(execFile)(process.execPath, [path.join(__dirname, '..', 'bin', 'flexiapi'), 'queues', ...more], {
        cwd: mkdtempSync(path.join(testServers().directory, 'cli-')),
        env: { PATH: process.env['PATH'] ?? '', ...system.environment },
      })
    ).stdout;
  expect(await cli()).toContain('Workers are not counted: the user of REDIS_URL may not run CLIENT LIST.');
  expect(JSON.parse(await cli('--json'))).toContainEqual(expect.objectContaining({ queue: 'push', failed: 0, workers: null }));
  await system.stop();
  const allowed = await startSystem({ environment: { REDIS_URL: redis.url } });
  const all = await metrics(allowed);
  expect(all).toContain('flexiapi_queue_workers_known 1');
  expect(all).toContain('flexiapi_queue_workers{queue="push"} 1');
  await allowed.stop();
}, 60_000);

test('a Redis that evicts is warned of where CONFIG is forbidden, too', async () => {
  await control.call('ACL', 'SETUSER', 'least', 'on', '>secret', '~*', '&*', '+@all', '-@dangerous', '+info', '+client|list');
  await control.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const url = new URL(redis.url);
  [url.username, url.password] = ['least', 'secret'];
  const system = await startSystem({ workers: 0, environment: { REDIS_URL: url.href } });
  const { json } = await eventually(
    () => ready(system),
    ({ status }) => status === 200,
  );
  await control.config('SET', 'maxmemory-policy', 'noeviction');
  expect(String(json['warnings'])).toContain('maxmemory-policy allkeys-lru');
  await system.stop();
}, 30_000);

test('how old recurring work is; what is overdue is a warning, and no failure', async () => {
  const system = await startSystem({ environment: { REDIS_URL: redis.url } });
  await eventually(
    () => metrics(system),
    (text) =>
      ['aggregate', 'clear_expired', 'sweep', 'clean', 'partitions'].every((task) =>
        new RegExp(`task_age_seconds{task="${task}"} \\d$`, 'm').test(text),
      ),
  );
  expect(
    (
      await eventually(
        () => ready(system),
        ({ status, json }) => status === 200 && String(json['warnings']) === '',
      )
    ).status,
  ).toBe(200);
  await system.workers[0]?.end();
  const done = (task: string, seconds: number): Promise<unknown> =>
    system.rows('UPDATE task_runs SET done_at = now() - make_interval(secs => $2) WHERE task = $1', [task, seconds]);
  // Three runs and a minute: 10,860 s and 75 s. Long work, and a deploy, are no reason to call anybody.
  await done('clean', 10_800);
  await done('aggregate', 40);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // What was said before is said again for a second.
  const overdue = async (): Promise<string[]> =>
    ((await ready(system)).json['warnings'] as string[]).filter((warning) => !warning.startsWith('no worker serves'));
  expect(await overdue()).toEqual([]);
  await done('clean', 10_880);
  await done('aggregate', 80);
  await system.rows(
    "INSERT INTO statistics_failed_buckets (kind, hour, domain, reason, failed_at) VALUES ('calls', now(), 'a.org', 'x', now())",
  );
  const warnings = await eventually(overdue, ({ length }) => length > 2);
  const { status, json } = await ready(system);
  expect([status, json['status'], warnings]).toEqual([
    200,
    'ok',
    [
      expect.stringMatching(/^the recurring task aggregate was last done [89]\d s ago, and is due every 5 s/),
      expect.stringMatching(/^the recurring task clean was last done 108[89]\d s ago, and is due every 3600 s/),
      'hours of statistics that cannot be counted: 1; statistics_failed_buckets has the reasons',
    ],
  ]);
  expect(await metrics(system)).toMatch(/flexiapi_task_age_seconds\{task="clean"\} 108[89]\d/);
  await system.stop();
}, 60_000);

test('a hundred who ask at once cost what one does, and a frozen Redis does not make them pile up', async () => {
  const system = await startSystem({ workers: 0, environment: { REDIS_URL: redis.url } });
  const asked = async (): Promise<number> => Number(/cmdstat_client\|list:calls=(\d+)/.exec(await control.info('commandstats'))?.[1] ?? 0);
  const all = (): Promise<Answer[]> =>
    Promise.all(Array.from({ length: 100 }, (_, n) => request(`${system.url}${n % 2 === 0 ? '/metrics' : '/health/ready'}`)));
  // One CLIENT LIST a queue.
  const before = await asked();
  await metrics(system);
  const one = (await asked()) - before;
  expect(one).toBeGreaterThan(0);
  const started = performance.now();
  await all();
  const seconds = (performance.now() - started) / 1000;
  expect((await asked()) - before - one).toBeLessThanOrEqual(one * Math.ceil(seconds + 1));

  const pid = Number(/process_id:(\d+)/.exec(await control.info('server'))?.[1]);
  process.kill(pid, 'SIGSTOP');
  try {
    await eventually(
      () => ready(system),
      ({ status }) => status === 503,
    );
    for (let round = 0; round < 3; round += 1) {
      const frozen = performance.now();
      const answers = await all();
      expect(performance.now() - frozen).toBeLessThan(5000);
      expect(new Set(answers.filter((_, n) => n % 2 === 1).map(({ status }) => status))).toEqual(new Set([503]));
    }
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const thawed = await asked();
  expect(thawed - before).toBeLessThan(one * 12);
  expect(
    (
      await eventually(
        () => ready(system),
        ({ status }) => status === 200,
      )
    ).status,
  ).toBe(200);
  await system.stop();
}, 60_000);
