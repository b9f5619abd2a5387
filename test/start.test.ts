// `npm start` as a newcomer meets it, in an empty folder with nothing set.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { table } from '../config/settings';
import { freePort } from '../src/start/ports';
import { eventually, request } from './helpers/system';

const run = promisify(execFile);
const root = path.join(__dirname, '..');
const folder = mkdtempSync(path.join(tmpdir(), 'flexiapi-start-'));
const environment: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
let url: string;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Started {
  child: ChildProcess;
  output: () => string;
  ended: Promise<number | null>;
}

/** Runs `npm start` in the folder; resolves once it says that it runs, or has ended. */
async function start(): Promise<Started> {
  const child = spawn(process.execPath, [path.join(root, 'dist', 'src', 'start', 'main.js')], { cwd: folder, env: environment });
  let output = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await Promise.race([
    ended,
    new Promise<void>((resolve) => {
      const collect = (chunk: Buffer): void => {
        output += chunk.toString();
        if (/Ctrl-C[\s\S]*╯\n/.test(output)) resolve();
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
    }),
  ]);
  return { child, output: () => output, ended };
}

/** What a process wrote last may come after its end; its pipes may be held open by its servers, so their end is no sign. */
const said = (started: Started, text: RegExp): Promise<string> =>
  eventually(
    () => Promise.resolve(started.output()),
    (output) => text.test(output),
  );

const cli = (...parameters: string[]): Promise<{ stdout: string }> =>
  run(process.execPath, [path.join(root, 'bin', 'flexiapi'), ...parameters], { cwd: folder, env: environment });

beforeAll(async () => {
  environment['PORT'] = String(await freePort());
  url = `http://localhost:${environment['PORT']}`;
});

test('first start, the pasted line, second start, a killed start, Ctrl-C', async () => {
  const first = await start();
  const { output } = first;
  expect(output()).toContain(`${url}/api`);
  expect(output()).toContain('sip:admin@sip.example.org');
  const key = /API key\s+([A-Za-z0-9]{40})/.exec(output())?.[1] ?? '';
  // It comes after the box, whole once its end is there.
  const line = await eventually(
    () => Promise.resolve(/^(curl .*)\n/m.exec(output())?.[1] ?? ''),
    (found) => found !== '',
  );
  const { stdout } = await run('sh', ['-c', line]);
  expect(JSON.parse(stdout)).toMatchObject({ username: 'first-user', domain: 'sip.example.org', activated: false });
  expect((await request(`${url}/api/accounts/me`, { key })).json).toMatchObject({ username: 'admin', admin: true });
  // Production starts the same files; the command line finds the servers.
  expect(JSON.parse((await cli('queues', '--json')).stdout)).toHaveLength(8);
  // Whoever types it has not the environment of npm start. Nobody used the key yet, so the one in the box gives way to one that is shown.
  const { PORT: _, ...bare } = environment;
  const printed = await run(process.execPath, [path.join(root, 'bin', 'flexiapi'), 'flexisip:config'], { cwd: folder, env: bare });
  expect(printed.stdout).toContain(`\nflexiapi-port=${environment['PORT']}\n`);
  expect(printed.stdout).toMatch(/\nflexiapi-api-key=flexiapi_[A-Za-z0-9]{46}\n/);
  const second = await start();
  expect(await second.ended).toBe(1);
  await said(second, /npm start already runs in this folder/);

  // Killed without a word: its servers are found again, its children do not live on.
  first.child.kill('SIGKILL');
  await first.ended;
  await eventually(
    () =>
      request(`${url}/health/live`).then(
        () => true,
        () => false,
      ),
    (alive) => !alive,
  );
  const third = await start();
  expect(third.output()).toContain('Your data is as you left it.');
  expect(third.output()).not.toContain(key);
  expect((await request(`${url}/api/accounts/me`, { key })).status).toBe(200);

  third.child.kill('SIGINT');
  expect(await third.ended).toBe(0);
  expect(existsSync(path.join(folder, '.data', 'postgres', 'postmaster.pid'))).toBe(false);
  expect(existsSync(path.join(folder, '.data', 'servers.json'))).toBe(false);

  const fourth = await start();
  expect((await request(`${url}/api/accounts/me`, { key })).status).toBe(200);
  fourth.child.kill('SIGTERM');
  expect(await fourth.ended).toBe(0);
}, 120_000);

test('a wrong setting is said before anything is started', async () => {
  const before = environment['LOG_LEVEL'];
  environment['LOG_LEVEL'] = 'loud';
  const refused = await start();
  expect(await refused.ended).toBe(1);
  await said(refused, /\n.*\n$/);
  expect(refused.output()).toBe('Settings refused:\n  LOG_LEVEL=loud: must be one of fatal, error, warn, info, debug, trace, silent\n');
  if (before === undefined) delete environment['LOG_LEVEL'];
});

test.each(['src/web.js', 'workers/main.js'])(
  '%s refuses to start in production without its servers, naming what is missing',
  async (file) => {
    const refused = await run(process.execPath, [path.join(root, 'dist', file)], {
      cwd: folder,
      env: { ...environment, NODE_ENV: 'production' },
    }).then(
      () => undefined,
      (error: unknown) => error as { code: number; stderr: string },
    );
    expect(refused?.code).toBe(1);
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'APP_KEY']) expect(refused?.stderr).toContain(`${name} is missing`);
  },
);

test('the README’s settings and commands are those of the program', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const scripts = (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts;
  for (const [, script] of readme.matchAll(/npm run (\w+)/g)) expect(scripts).toHaveProperty(script ?? '');
  expect(readme).toContain('npm ci && npm start');
  expect(readme).toContain('npm ci && npm test');
  // The tests' own and Docker Compose's, which the program does not read.
  const known = new Set([...Object.keys(table), 'TEST_DATABASE_URL', 'CHROMIUM', 'POSTGRES_PASSWORD']);
  for (const [, name] of readme.matchAll(/`([A-Z][A-Z_]{4,})(?:=[^`]*)?`/g)) expect(known).toContain(name);
});
