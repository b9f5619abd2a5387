// bin/flexiapi sends: what was sent, and as it ends.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { fillLedger } from './helpers/ledger';
import { eventually, SPACE, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

const run = promisify(execFile);
const BIN = path.join(__dirname, '..', 'bin', 'flexiapi');
let system: System;
let counts: Awaited<ReturnType<typeof fillLedger>>;
beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0, environment: { APP_KEY: 'the ledger is read by this secret' } });
  await system.space('tenant.example.org');
  counts = await fillLedger(system, 'tenant.example.org');
});
afterAll(() => system.stop());

const environment = (): Record<string, string> => ({ PATH: process.env['PATH'] ?? '', ...system.environment });
const cwd = (): string => mkdtempSync(path.join(testServers().directory, 'cli-'));
async function sends(...parameters: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const { stdout, stderr } = await run(process.execPath, [BIN, 'sends', ...parameters], { cwd: cwd(), env: environment() });
    return { code: 0, stdout, stderr };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}
const json = async (...parameters: string[]): Promise<Record<string, unknown>[]> =>
  JSON.parse((await sends(...parameters, '--json')).stdout) as Record<string, unknown>[];

/** A row that ends after it was made, as most do. */
const begin = async (request_id: string): Promise<number> => {
  const [row] = await system.rows<{ id: number }>(
    `INSERT INTO sends (channel, kind, domain, state, next_at, request_id) VALUES ('push', 'notification', $1, 'sending', NULL, $2) RETURNING id`,
    [SPACE, request_id],
  );
  return row?.id ?? 0;
};
const end = (id: number): Promise<unknown> =>
  system.rows("UPDATE sends SET state = 'failed', outcome = 'unregistered', reason = 'device_unknown', ended_at = now() WHERE id = $1", [
    id,
  ]);

test('lists the newest, by recipient, account, reason and age', async () => {
  const { code, stdout } = await sends('--limit', '3');
  expect(code).toBe(0);
  expect(stdout).toContain('recipient_refused 21610');
  expect(stdout).toContain('There are more');
  expect(stdout).not.toContain('+33612345678');
  const ofPhone = await json('--recipient', '+33 6 12 34 56 78');
  expect(ofPhone).toHaveLength(counts.ofPhone);
  expect(ofPhone[0]).toMatchObject({ recipient: '+33•••78', outcome: 'unregistered', reason: 'recipient_refused' });
  expect(await json('--account', String(ofPhone[0]?.['account_id']))).toHaveLength(counts.ofPhone);
  expect(await json('--reason', 'device_unknown', '--limit', '500')).toHaveLength(counts.deviceUnknown);
  expect(await json('--since', '90m', '--channel', 'sms', '--state', 'failed')).not.toHaveLength(0);
  expect((await sends('--recipient', 'nobody@example.org')).stdout).toBe('No sends.\n');
});

test.each([
  [['--since', 'soon'], 2],
  [['--channel', 'fax'], 2],
  [['--limit', '501'], 2],
  [['--account', 'nobody@example.org'], 1],
])('%j is refused, and says why', async (parameters, code) => {
  const refused = await sends(...parameters);
  expect([refused.code, refused.stdout]).toEqual([code, '']);
  expect(refused.stderr).not.toBe('');
});

test('--follow: each send once it has ended, none twice, none of before; Ctrl-C ends it', async () => {
  const child = spawn(process.execPath, [BIN, 'sends', '--follow', '--json'], { cwd: cwd(), env: environment() });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const told = (): string[] =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { request_id: string }).request_id);
  try {
    // It follows once the first one is told.
    let serial = 0;
    await eventually(
      async () => {
        serial += 1;
        await end(await begin(`before-${serial}`));
        return told();
      },
      (lines) => lines.length > 0,
    );
    const slow = await begin('slow');
    const fast = await Promise.all(['fast-1', 'fast-2', 'fast-3'].map(begin));
    await Promise.all(fast.map(end));
    const has = (lines: string[], ...wanted: string[]): boolean => wanted.every((each) => lines.includes(each));
    await eventually(
      () => Promise.resolve(told()),
      (lines) => has(lines, 'fast-1', 'fast-2', 'fast-3'),
    );
    expect(told()).not.toContain('slow');
    await end(slow);
    await eventually(
      () => Promise.resolve(told()),
      (lines) => has(lines, 'slow'),
    );
    await end(await begin('last'));
    await eventually(
      () => Promise.resolve(told()),
      (lines) => has(lines, 'last'),
    );
    const all = told();
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter((each) => !/^(before|fast|slow|last)/.test(each))).toEqual([]);
  } finally {
    child.kill('SIGINT');
  }
  expect(await exited).toBe(0);
});
