// bin/flexiapi flexisip:config --write: files that are changed, made, replaced, and left alone.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { startFlexisipSystem, type FlexisipSystem } from './helpers/flexisip';
import { SPACE } from './helpers/system';

const OTHER = 'other.example.org';
let flexisip: FlexisipSystem;
beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  await flexisip.system.space(OTHER);
});
afterAll(() => flexisip.stop());

const CONF = [
  '# Ours.',
  '[global]',
  'aliases=localhost sip.example.org',
  '[event-logs]',
  '# Enable event logs.',
  '#enabled=false',
  'logger=filesystem',
  '',
  '[module::Authentication]',
  'enabled=false',
  'soci-poolsize=42',
  'trusted-hosts=127.0.0.1',
  '',
].join('\r\n');
const folder = (): string => mkdtempSync(path.join(flexisip.directory, 'conf-'));

test('a copy beside the file, with its mode; nothing else is touched', async () => {
  const file = path.join(folder(), 'flexisip.conf');
  writeFileSync(file, CONF);
  chmodSync(file, 0o640);
  const { written, key, notes } = await flexisip.config(['--write', file]);
  expect(written).toMatchObject({ file: `${file}.new`, changed: expect.any(Number) as number });
  expect(readFileSync(file, 'utf8')).toBe(CONF);
  expect(statSync(`${file}.new`).mode & 0o777).toBe(0o640);
  expect(notes.join('\n')).toContain('others than its owner may read it');
  const text = readFileSync(`${file}.new`, 'utf8');
  expect(text.split('\r\n').join('')).not.toContain('\n');
  expect(text).toContain(`#enabled=false\r\nenabled=true\r\nlogger=flexiapi\r\n`);
  expect(text).toContain(`flexiapi-api-key=${key.api_key}\r\n`);
  expect(text).toContain('soci-poolsize=42\r\ntrusted-hosts=127.0.0.1\r\n');
  expect(text.startsWith('# Ours.\r\n[global]\r\naliases=localhost sip.example.org\r\n')).toBe(true);
  expect(readdirSync(path.dirname(file)).toSorted((a, b) => a.localeCompare(b))).toEqual(['flexisip.conf', 'flexisip.conf.new']);
});

test('in place with --yes, through a link, with a copy of what was there; with its key kept a second time changes nothing', async () => {
  const place = folder();
  const [real, file] = [path.join(place, 'real.conf'), path.join(place, 'flexisip.conf')];
  writeFileSync(real, CONF, { mode: 0o600 });
  symlinkSync('real.conf', file);
  const { written } = await flexisip.config(['--write', file, '--yes']);
  expect(readlinkSync(file)).toBe('real.conf');
  expect(lstatSync(real).isFile()).toBe(true);
  expect(written?.backup).toMatch(/real\.conf\.\d{8}T\d{6}\.\d{3}Z\.bak$/);
  expect(readFileSync(written?.backup ?? '', 'utf8')).toBe(CONF);
  const after = readFileSync(real);
  const again = await flexisip.config(['--write', file, '--yes', '--keep-key']);
  expect(again.written).toEqual({ file: real, changed: 0 });
  expect(readFileSync(real)).toEqual(after);
  expect(readdirSync(place)).toHaveLength(3);
  // Without it the key alone changes: the role keeps its password.
  const third = await flexisip.config(['--write', file, '--yes', '--domain', SPACE, '--domain', OTHER]);
  expect(third.written?.changed).toBe(1);
});

test('a file that is not there is made for its owner alone, and so is that of the SQL', async () => {
  const place = folder();
  const [file, sql] = [path.join(place, 'new.conf'), path.join(place, 'role.sql')];
  const { written, sql: statements } = await flexisip.config(['--write', file, '--sql', sql]);
  expect([written?.file, statSync(file).mode & 0o777, statSync(sql).mode & 0o777]).toEqual([file, 0o600, 0o600]);
  expect(readFileSync(sql, 'utf8')).toBe(`${statements.join('\n')}\n`);
  expect(readFileSync(file, 'utf8')).toContain('[event-logs]\nenabled=true\n');
});

test('older names stay, newer ones are known', async () => {
  const file = path.join(folder(), 'flexisip.conf');
  writeFileSync(file, '[event-logs]\nflexiapi-token=old\n');
  await flexisip.config(['--write', file, '--yes']);
  expect(readFileSync(file, 'utf8')).toMatch(/^\[event-logs\]\nflexiapi-token=flexiapi_\w{46}\n/);
  writeFileSync(file, '[global::flexiapi]\nurl=https://elsewhere\napi-key=old\n');
  const { flexisip_version, written } = await flexisip.config(['--write', file, '--yes']);
  expect([flexisip_version, written?.file]).toEqual(['2.7', file]);
  expect(readFileSync(file, 'utf8')).toContain(`url=${flexisip.url}\n`);
});

test('refused: a folder, http, --yes without a file, --keep-key without a key; what was there stays', async () => {
  const place = folder();
  const file = path.join(place, 'flexisip.conf');
  writeFileSync(file, CONF);
  for (const [parameters, said, environment] of [
    [['--write', place], place],
    [['--yes'], '--yes'],
    [['--keep-key'], '--keep-key'],
    [['--write', file, '--keep-key'], '--keep-key'],
    [['--write', file], 'TLS', { APP_URL: 'http://front.example.org' }],
  ] as [string[], string, Record<string, string>?][]) {
    const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, ...parameters], environment);
    expect([code, stderr]).toEqual([1, expect.stringContaining(said) as string]);
  }
  expect(readFileSync(file, 'utf8')).toBe(CONF);
  expect(readdirSync(place)).toEqual(['flexisip.conf']);
  expect(existsSync(`${file}.new`)).toBe(false);
});
