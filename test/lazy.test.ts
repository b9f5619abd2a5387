// What is loaded when first needed: once, and not by a start.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { loadedOnce } from '../src/infra/lazy';

test('calls that come at once share one load; after a failure the next call tries again', async () => {
  let loads = 0;
  let fails = true;
  const load = loadedOnce(async () => {
    loads += 1;
    await new Promise((resolve) => setImmediate(resolve));
    if (fails) throw new Error('cannot be loaded');
    return { loads };
  });
  const failed = await Promise.allSettled([load(), load()]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(loads).toBe(1);
  fails = false;
  const [first, second] = await Promise.all([load(), load()]);
  expect(first).toBe(second);
  expect(await load()).toBe(first);
  expect(loads).toBe(2);
});

test('the app is made without the packages that few requests need', () => {
  const script = `
    require('./dist/src/app.js').createApp();
    const names = Object.keys(require.cache).map((file) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(file)?.[1] ?? '');
    process.stdout.write(JSON.stringify([...new Set(names)]), () => process.exit(0));`;
  const output = execFileSync(process.execPath, ['-e', script], {
    cwd: path.join(__dirname, '..'),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'silent', REDIS_URL: 'redis://127.0.0.1:1' },
  });
  const loaded = JSON.parse(output) as string[];
  expect(loaded).toContain('express');
  for (const rare of ['@bull-board/api', '@bull-board/express', 'umzug', 'pino-pretty', 'xmlbuilder2', 'qrcode', 'jose', 'commander'])
    expect([rare, loaded.includes(rare)]).toEqual([rare, false]);
});
