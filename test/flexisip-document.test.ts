// docs/flexisip.md, done as it stands there: its lines of shell in their order, and what it says that they show.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { FLEXISIP_VERSIONS } from '../src/services/flexisip/parameters';
import { startFlexisipSystem, type FlexisipSystem } from './helpers/flexisip';

const run = promisify(execFile);
const root = path.join(__dirname, '..');
const text = readFileSync(path.join(root, 'docs', 'flexisip.md'), 'utf8');

/** Blocks of lines with four blanks before them, without those. */
const blocks = [...text.matchAll(/(?:^ {4}.*\n)(?:^(?: {4}.*)?\n(?= {4})|^ {4}.*\n)*/gm)].map(([block]) =>
  block.replace(/^ {4}/gm, '').trimEnd(),
);
const commands = blocks.filter((block) => /^(?:bin\/flexiapi|curl|psql|diff|mv|set) /.test(block));

let flexisip: FlexisipSystem;
const outputs = new Map<string, string>();
beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  const { directory, system, url, certificate, role, admin } = flexisip;
  const etc = path.join(directory, 'etc');
  mkdirSync(etc);
  writeFileSync(path.join(etc, 'flexisip.conf'), '# As it was.\n[global]\ntransports=sips:localhost\n\n[event-logs]\nenabled=false\n');
  symlinkSync(path.join(root, 'bin'), path.join(directory, 'bin'));
  const environment: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    ...system.environment,
    CURL_CA_BUNDLE: certificate.file,
    ADMIN_KEY: admin.key,
  };
  // A shell has them by the document's own line alone.
  const database = environment['DATABASE_URL'] ?? '';
  delete environment['DATABASE_URL'];
  writeFileSync(path.join(directory, '.env'), `APP_URL='${url}'\nDATABASE_URL='${database}'\n`);
  const fromFile = commands.find((block) => block.startsWith('set -a'));
  for (const block of commands) {
    // The role belongs to the server, which other runs use as well.
    const script = block
      .replaceAll('/etc/flexisip/', `${etc}/`)
      .replaceAll('--role flexisip_2', '')
      .replaceAll(/(flexisip:config)/g, (name) => `${name} --role ${role}${block.includes('flexisip_2') ? '_2' : ''}`);
    try {
      outputs.set(
        block,
        (
          await run('bash', ['-e', '-o', 'pipefail', '-c', `${fromFile}\n${script}`], { cwd: directory, env: environment })
        ).stdout.replaceAll(`${etc}/`, '/etc/flexisip/'),
      );
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      // diff says so where there is a difference, which there has to be.
      if (!block.startsWith('diff ') || code !== 1) throw new Error(`${block}\n${stdout}\n${stderr}`, { cause: error });
      await run('bash', ['-e', '-c', script.split('\n').slice(1).join('\n')], { cwd: directory });
      outputs.set(block, stdout);
    }
  }
});
afterAll(() => flexisip.stop());

/** What the block with these words printed. */
function shown(words: string): string {
  const found = [...outputs].find(([block]) => block.includes(words));
  if (!found) throw new Error(`no lines with ${words}`);
  return found[1];
}

test('each of its steps does what it says', () => {
  expect(commands.length).toBeGreaterThanOrEqual(9);
  expect(shown('spaces:create-update')).toMatch(
    /^Space sip\.example\.org (?:created|changed)\.\nAdmin sip:admin@sip\.example\.org, id \d+$/m,
  );
  expect(shown('--http2')).toBe('2 200\n');
  const written = shown('--sql');
  expect(written).toMatch(
    /^SQL written to flexisip-role\.sql\.\n\n# \/etc\/flexisip\/flexisip\.conf\.new written, \d+ parameters changed\.\n# The key flexisip of \S+ \(\d+\) was made\.$/m,
  );
  expect(shown('psql')).toBe('');
  expect(existsSync(path.join(flexisip.directory, 'flexisip-role.sql'))).toBe(false);
  expect(shown('diff')).toContain('> flexiapi-api-key=flexiapi_');
  expect(shown('flexisip:check')).toMatch(/Nothing is wrong, 1 warning, 1 skipped\.\n$/);
  expect(shown('first-phone')).toBe('200\n');
  expect(JSON.parse(shown('/devices'))).toEqual({});
  expect(() => JSON.parse(shown('/api/statistics/messages')) as unknown).not.toThrow();
  expect(shown('--rotate')).toMatch(
    /flexisip\.conf written, \d+ parameters? changed; before: .*\.bak\.\n# The key flexisip of \S+ \(\d+\) was rotated\./,
  );
  expect(shown('flexisip_2')).toMatch(/The key flexisip-2 of \S+ \(\d+\) was made\./);
  const after = readFileSync(path.join(flexisip.directory, 'etc', 'flexisip.conf'), 'utf8');
  expect(after).toMatch(/^# As it was\.\n\[global\]\ntransports=sips:localhost\n\n\[event-logs\]\nenabled=true\n/);
});

test('the parameters that it shows are those that are printed', async () => {
  const { conf } = await flexisip.config(['--domain', 'sip.example.org']);
  const [, example = ''] = /^```\n(\[event-logs\][\s\S]*?)^```$/m.exec(text) ?? [];
  const lines = (of: string): string[] =>
    of.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('redis-auth-'));
  const own = /^(?:flexiapi-(?:host|port|api-key)|soci-connection-string|redis-server-(?:domain|port))=/;
  const named = (of: string): string[] => lines(of).map((line) => (own.test(line) ? line.slice(0, line.indexOf('=')) : line));
  expect(named(example)).toEqual(named(conf));
});

test('each option that it names is one, and so is each version', async () => {
  const help = `${(await flexisip.flexiapi(['flexisip:config', '--help'])).stdout}${(await flexisip.flexiapi(['flexisip:check', '--help'])).stdout}--json --cacert`;
  const prose = text.replaceAll(/^ {4}(?:curl|psql|.*accounts:create|.*spaces:create).*$/gm, '');
  for (const [option] of prose.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)) expect([option, help.includes(option)]).toEqual([option, true]);
  for (const version of FLEXISIP_VERSIONS) expect(text).toContain(version);
});
