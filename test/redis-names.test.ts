// What is not understood of a Redis' address ends every process at its start, by name; and what asks a silent Redis apart from the API ends, too.
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { killServers, serve } from './helpers/redis';
import { startSystem } from './helpers/system';
import { testServers } from './setup/servers';

afterAll(killServers);

interface Ended {
  code: number;
  stderr: string;
  seconds: number;
}

function run(parameters: string[], environment: Record<string, string>): Promise<Ended> {
  const cwd = mkdtempSync(path.join(testServers().directory, 'cwd-'));
  const started = performance.now();
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      parameters.map((parameter, index) => (index === 0 ? path.join(__dirname, '..', parameter) : parameter)),
      { cwd, env: { PATH: process.env['PATH'] ?? '', ...environment }, timeout: 60_000 },
      (error, _stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stderr, seconds: (performance.now() - started) / 1000 }),
    );
  });
}

test.each([['dist/src/web.js'], ['dist/workers/main.js'], ['dist/src/start/main.js'], ['bin/flexiapi', 'queues']])(
  '%s %s: a parameter that is not known',
  async (...parameters) => {
    for (const name of ['REDIS_URL', 'FLEXISIP_REDIS_URL']) {
      const servers = { DATABASE_URL: 'postgres://127.0.0.1/accounts', REDIS_URL: 'redis://127.0.0.1' };
      const { code, stderr } = await run(parameters, { ...servers, [name]: 'redis://:secret@127.0.0.1?connectTimeout=1000' });
      expect([code, stderr]).toEqual([
        1,
        `Settings refused:\n  ${name}=(hidden): has the parameter «connectTimeout», which is not known here: family can be given\n`,
      ]);
    }
  },
);

test('the command line and the registrar, where their Redis is frozen', async () => {
  const redis = await serve([]);
  const url = `redis://127.0.0.1:${redis.port}`;
  const own = await startSystem({ workers: 0, environment: { FLEXISIP_REDIS_URL: url } });
  const { id, key } = await own.account('frozen-registrar', { admin: true });
  const devices = () => own.api(`/accounts/${id}/devices`, { key });
  expect((await devices()).status).toBe(200);
  redis.freeze();
  try {
    for (const command of [['queues'], ['queues:retry-failed', 'push']]) {
      const { code, stderr, seconds } = await run(['bin/flexiapi', ...command], { ...own.environment, REDIS_URL: url });
      // What is done to queues is logged as well.
      const said = stderr
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('{'));
      expect([command, code, said.length]).toEqual([command, 1, 1]);
      expect(seconds).toBeLessThan(10);
    }
    const started = performance.now();
    expect((await devices()).status).toBe(503);
    expect(performance.now() - started).toBeLessThan(3000);
  } finally {
    redis.thaw();
  }
  await own.stop();
  redis.client.disconnect();
});
