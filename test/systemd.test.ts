// What systemd is told by web and worker, through a socket as it opens one, and the units of deploy/systemd.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { table } from '../config/settings';
import { freePort } from '../src/start/ports';
import { findProgram, runProgram } from './helpers/programs';
import { eventually, startProcess, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

const root = path.join(__dirname, '..');
const UNITS = path.join(root, 'deploy', 'systemd');
const directory = mkdtempSync(path.join(testServers().directory, 'systemd-'));

const [socat, systemdNotify] = [findProgram('socat'), findProgram('systemd-notify')];
const withSocket = socat === undefined || systemdNotify === undefined ? describe.skip : describe;

withSocket('what systemd is told', () => {
  let system: System;
  const listeners: ChildProcess[] = [];
  let count = 0;

  beforeAll(async () => {
    system = await startSystem({ webs: 0, workers: 0 });
  });
  afterAll(async () => {
    for (const listener of listeners) listener.kill();
    await system.stop();
  });

  /** A socket as systemd has them, of a path or an abstract one, and what came so far. */
  async function listen(kind: 'path' | 'abstract'): Promise<{ address: string; said: (word: string) => number }> {
    count += 1;
    const name = path.join(directory, `notify-${count}`);
    const listener = spawn(socat ?? '', ['-u', kind === 'path' ? `UNIX-RECV:${name}` : `ABSTRACT-RECV:${name}`, 'STDOUT']);
    listeners.push(listener);
    let text = '';
    listener.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const isOpen = (): boolean => (kind === 'path' ? existsSync(name) : readFileSync('/proc/net/unix', 'utf8').includes(`@${name}`));
    await eventually(() => Promise.resolve(isOpen()), Boolean);
    return { address: kind === 'path' ? name : `@${name}`, said: (word) => text.split(`${word}=1`).length - 1 };
  }
  const hears = (of: () => number, times: number): Promise<number> =>
    eventually(
      () => Promise.resolve(of()),
      (heard) => heard >= times,
      30,
    );

  test.each([
    ['web', 'src/web.js', /web listens/, 'path'],
    ['worker', 'workers/main.js', /worker runs/, 'abstract'],
  ] as const)('%s is ready, well for as long as its event loop turns, and stops', async (_name, file, line, kind) => {
    const { address, said } = await listen(kind);
    const environment = { ...system.environment, PORT: '0', NOTIFY_SOCKET: address, WATCHDOG_USEC: '1500000' };
    const started = await startProcess(file, { ...environment, PORT: String(await freePort()) }, line);
    await hears(() => said('READY'), 1);
    await hears(() => said('WATCHDOG'), 3);
    started.child.kill('SIGSTOP');
    // What it sent before may still be on its way.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = said('WATCHDOG');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(said('WATCHDOG')).toBe(before);
    started.child.kill('SIGCONT');
    await hears(() => said('WATCHDOG'), before + 1);
    expect([said('READY'), said('STOPPING')]).toEqual([1, 0]);
    expect(await started.end()).toBe(0);
    await hears(() => said('STOPPING'), 1);
  });

  test('a web that does not answer itself is not said to be well', async () => {
    const { address, said } = await listen('path');
    // Whom it asks is found by the environment: nobody is there.
    const script = `
      const { askLive } = require('./dist/src/infra/liveness');
      void require('./dist/src/infra/service-manager').notifyReady(askLive);
      setTimeout(() => process.exit(0), 3000);`;
    const environment = { PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: '1', NOTIFY_SOCKET: address, WATCHDOG_USEC: '600000' };
    const { code, output } = await runProgram(process.execPath, ['-e', script], environment);
    expect(code).toBe(0);
    expect(output).toContain('does not answer itself');
    expect([said('READY'), said('WATCHDOG')]).toEqual([1, 0]);
  });

  test('nothing is said where the watchdog is another process’s; without systemd-notify it is one line of the log, and all goes on', async () => {
    const { address, said } = await listen('path');
    const script = `
      void require('./dist/src/infra/service-manager').notifyReady();
      setTimeout(() => process.exit(0), 1500);`;
    const environment = { PATH: process.env['PATH'], NOTIFY_SOCKET: address, WATCHDOG_USEC: '300000' };
    expect((await runProgram(process.execPath, ['-e', script], { ...environment, WATCHDOG_PID: '1' })).code).toBe(0);
    expect([said('READY'), said('WATCHDOG')]).toEqual([1, 0]);
    const without = await runProgram(process.execPath, ['-e', script], { ...environment, PATH: '/nowhere' });
    expect(without.code).toBe(0);
    expect(without.output.match(/systemd-notify failed/g)).toHaveLength(1);
  });
});

const units = new Map(readdirSync(UNITS).map((name) => [name, readFileSync(path.join(UNITS, name), 'utf8')]));
/** All values of a line's name. */
const valuesOf = (unit: string, name: string): string[] =>
  [...(units.get(unit) ?? '').matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

describe('the units', () => {
  const analyze = findProgram('systemd-analyze');
  const withAnalyze = analyze === undefined ? test.skip : test;

  withAnalyze.each([...units.keys()])('systemd takes %s, and finds it well confined', async (name) => {
    const folder = mkdtempSync(path.join(directory, 'units-'));
    const file = path.join(folder, name);
    // Node is elsewhere where it is not the system's.
    writeFileSync(file, (units.get(name) ?? '').replace('/usr/bin/node', process.execPath));
    expect(await runProgram(analyze ?? '', ['verify', '--man=no', file])).toEqual({ code: 0, output: '' });
    // 10 is a process that may do everything, 9.2 a unit that says nothing.
    const { code, output } = await runProgram(analyze ?? '', ['security', '--offline=true', '--threshold=20', file]);
    expect([code, output.match(/Overall exposure level.*/)?.[0]]).toEqual([0, expect.stringContaining('OK')]);
  });

  test('they run the Procfile’s commands, with settings that exist, and wait longer than the processes do', () => {
    const procfile = readFileSync(path.join(root, 'Procfile'), 'utf8');
    const commandOf = (name: string): string => new RegExp(`^${name}: node (.*)$`, 'm').exec(procfile)?.[1] ?? '';
    const grace = Number(table.SHUTDOWN_GRACE_SECONDS.example);
    for (const [name, unit] of [
      ['release', 'flexiapi-migrate.service'],
      ['web', 'flexiapi-web@.service'],
      ['worker', 'flexiapi-worker@.service'],
    ] as const) {
      expect(valuesOf(unit, 'ExecStart')).toEqual([`/usr/bin/node ${commandOf(name)}`]);
      const given = new Map(
        valuesOf(unit, 'Environment').flatMap((line) => line.split(' ').map((pair) => pair.split('=') as [string, string])),
      );
      for (const setting of given.keys()) if (setting !== 'NODE_COMPILE_CACHE') expect(Object.keys(table)).toContain(setting);
      if (name === 'release') continue;
      expect([unit, valuesOf(unit, 'Type'), valuesOf(unit, 'NotifyAccess')]).toEqual([unit, ['notify'], ['all']]);
      const delay = Number(given.get('SHUTDOWN_DELAY_SECONDS') ?? 0);
      expect(Number(valuesOf(unit, 'TimeoutStopSec')[0])).toBeGreaterThanOrEqual(delay + grace + 10);
      // nginx closes what is idle before that.
      const idle = /^ {4}keepalive_timeout (\d+)s;/m.exec(readFileSync(path.join(root, 'deploy', 'nginx', 'flexiapi.conf'), 'utf8'));
      if (name === 'web') expect(delay).toBeGreaterThan(Number(idle?.[1]));
    }
  });

  test('all of them are confined in the same way', () => {
    const confined = [...units.values()].map((text) =>
      text
        .slice(text.indexOf('# It writes nothing but'))
        .replace(/^#.*\n|\[Install\][\s\S]*/gm, '')
        .trim(),
    );
    expect(new Set(confined).size).toBe(1);
    expect(confined[0]).toContain('NoNewPrivileges=yes');
  });
});
