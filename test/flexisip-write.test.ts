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
import { startFlexisipSystem, type FlexisipSystem, type Printed } from './helpers/flexisip';

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

test('in place with --yes, through a link, with a copy of what was there; a second time nothing changes, not even the key', async () => {
  const place = folder();
  const [real, file] = [path.join(place, 'real.conf'), path.join(place, 'flexisip.conf')];
  writeFileSync(real, CONF);
  chmodSync(real, 0o640);
  symlinkSync('real.conf', file);
  const { written } = await flexisip.config(['--write', file, '--yes']);
  expect(readlinkSync(file)).toBe('real.conf');
  expect(lstatSync(real).isFile()).toBe(true);
  expect(written?.backup).toMatch(/real\.conf\.\d{8}T\d{6}\.\d{3}Z\.bak$/);
  expect(readFileSync(written?.backup ?? '', 'utf8')).toBe(CONF);
  expect([statSync(real).mode & 0o777, statSync(written?.backup ?? '').mode & 0o777]).toEqual([0o640, 0o600]);
  const after = readFileSync(real);
  const again = await flexisip.config(['--write', file, '--yes']);
  expect([again.written, again.key.what]).toEqual([{ file: real, changed: 0 }, 'kept']);
  expect(readFileSync(real)).toEqual(after);
  expect(readdirSync(place)).toHaveLength(3);
  // The key alone changes: the role keeps its password.
  const third = await flexisip.config(['--write', file, '--yes', '--rotate']);
  expect([third.written?.changed, third.key.what]).toEqual([1, 'rotated']);
});

/** The connection string of what was written, or printed. */
const connectionIn = (text: string): string => /^soci-connection-string=(.*)$/m.exec(text)?.[1] ?? '';

test('a role that is there keeps its password, unless somebody says otherwise', async () => {
  const file = path.join(folder(), 'flexisip.conf');
  const first = await flexisip.config(['--write', file]);
  for (const statement of first.sql) await flexisip.system.rows(statement);
  const verifier = async (): Promise<unknown> =>
    (await flexisip.system.rows('SELECT rolpassword FROM pg_authid WHERE rolname = $1', [flexisip.role]))[0]?.['rolpassword'];
  const before = await verifier();
  // The second Flexisip, with the role of the first by mistake.
  const printed = await flexisip.config(['--name', 'flexisip-2']);
  expect(connectionIn(printed.conf)).toContain(`password='<the password that ${flexisip.role} has>'`);
  expect(printed.sql.join('\n')).not.toContain('PASSWORD');
  expect(printed.notes.join('\n')).toMatch(/keeps its password.*--role-password.*--new-role-password.*--role \w+_2/);
  for (const statement of printed.sql) await flexisip.system.rows(statement);
  expect(await verifier()).toBe(before);
  const other = path.join(folder(), 'flexisip.conf');
  const refused = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, '--name', 'flexisip-2', '--write', other]);
  expect([refused.code, refused.stderr, existsSync(other)]).toEqual([1, expect.stringContaining('--new-role-password') as string, false]);
  // What is asked for is done, and a file keeps its own role, key and password without being told their names.
  const fresh = await flexisip.config(['--name', 'flexisip-2', '--new-role-password']);
  expect(fresh.sql.join('\n')).toMatch(/ PASSWORD '[0-9a-f]{48}';/);
  const again = await flexisip.flexiapi(['flexisip:config', '--write', file, '--yes', '--json']);
  const kept = JSON.parse(again.stdout) as Printed;
  expect([kept.written?.changed, kept.key.api_key, kept.key.what]).toEqual([0, first.key.api_key, 'kept']);
  expect(kept.sql).toEqual(first.sql);
  // Where nobody says which, it is one that is not there.
  const wasThere = (await flexisip.system.rows("SELECT 1 FROM pg_roles WHERE rolname = 'flexisip'")).length > 0;
  if (!wasThere) await flexisip.system.rows('CREATE ROLE flexisip');
  const another = JSON.parse((await flexisip.flexiapi(['flexisip:config', '--json'])).stdout) as Printed;
  expect(another.sql.join('\n')).toMatch(/ALTER ROLE flexisip_\d+ LOGIN PASSWORD '[0-9a-f]{48}';/);
  expect(connectionIn(another.conf)).toMatch(/ user=flexisip_\d+ password=[0-9a-f]{48} /);
  if (!wasThere) await flexisip.system.rows('DROP ROLE flexisip');
  expect((await flexisip.flexiapi(['flexisip:config', '--role-password', 'x'.repeat(12), '--new-role-password'])).stderr).toContain(
    '--role-password and --new-role-password',
  );
});

test('a password of another backend, or user, or one that could not be the role’s, is not made the role’s', async () => {
  const of = (backend: string, user: string, password: string): string =>
    `[module::Authentication]\nsoci-backend=${backend}\nsoci-connection-string=db=x user=${user} password=${password}\n`;
  const name = `${flexisip.role}_new`;
  for (const [text, said] of [
    [of('mysql', name, 'of-the-mysql-server'), 'it is for mysql'],
    [of('postgresql', 'somebody', 'of-somebody-else'), 'it is of another user, somebody'],
    [of('postgresql', name, 'short'), '12 to 128'],
  ] as const) {
    const file = path.join(folder(), 'flexisip.conf');
    writeFileSync(file, text);
    const { notes, sql } = await flexisip.config(['--write', file, '--role', name]);
    expect(notes.join('\n')).toContain(said);
    expect(sql.join('\n')).toMatch(/ PASSWORD '[0-9a-f]{48}';/);
  }
  const file = path.join(folder(), 'flexisip.conf');
  writeFileSync(file, of('postgresql', name, 'long-enough-1'));
  const { notes, sql } = await flexisip.config(['--write', file, '--role', name]);
  expect([notes.join('\n'), sql.join('\n')]).toEqual([
    expect.stringContaining('keeps the password that the file has') as string,
    expect.stringContaining("PASSWORD 'long-enough-1'") as string,
  ]);
});

test('another key than the file’s: the one in use is named', async () => {
  const file = path.join(folder(), 'flexisip.conf');
  await flexisip.system.rows("UPDATE named_api_keys SET last_used_at = now(), last_used_ip = '192.0.2.7' WHERE name = 'flexisip'");
  const { key, notes } = await flexisip.config(['--write', file, '--role', `${flexisip.role}_new`, '--name', 'flexisip']);
  expect([key.what, notes.join('\n')]).toEqual([
    'rotated',
    expect.stringMatching(/last used at .* from 192\.0\.2\.7.*flexisip-2/) as string,
  ]);
});

test('a file that is not there is made for its owner alone, and so is that of the SQL', async () => {
  const place = folder();
  const [file, sql] = [path.join(place, 'new.conf'), path.join(place, 'role.sql')];
  const { written, sql: statements } = await flexisip.config(['--write', file, '--sql', sql, '--new-role-password']);
  expect([written?.file, statSync(file).mode & 0o777, statSync(sql).mode & 0o777]).toEqual([file, 0o600, 0o600]);
  expect(readFileSync(sql, 'utf8')).toBe(`${statements.join('\n')}\n`);
  expect(readFileSync(file, 'utf8')).toContain('[event-logs]\nenabled=true\n');
});

test('older names stay, newer ones are known', async () => {
  const file = path.join(folder(), 'flexisip.conf');
  writeFileSync(file, '[event-logs]\nflexiapi-token=old\n');
  await flexisip.config(['--write', file, '--yes', '--new-role-password']);
  expect(readFileSync(file, 'utf8')).toMatch(/^\[event-logs\]\nflexiapi-token=flexiapi_\w{46}\n/);
  writeFileSync(file, '[global::flexiapi]\nurl=https://elsewhere\napi-key=old\n');
  const { flexisip_version, written } = await flexisip.config(['--write', file, '--yes', '--new-role-password']);
  expect([flexisip_version, written?.file]).toEqual(['2.7', file]);
  expect(readFileSync(file, 'utf8')).toContain(`url=${flexisip.url}\n`);
});

test('refused: a folder, http, --yes without a file; what was there stays', async () => {
  const place = folder();
  const file = path.join(place, 'flexisip.conf');
  writeFileSync(file, CONF);
  for (const [parameters, said, environment] of [
    [['--write', place], place],
    [['--yes'], '--yes'],
    [['--write', file], 'TLS', { APP_URL: 'http://front.example.org' }],
  ] as [string[], string, Record<string, string>?][]) {
    const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, ...parameters], environment);
    expect([code, stderr]).toEqual([1, expect.stringContaining(said) as string]);
  }
  expect(readFileSync(file, 'utf8')).toBe(CONF);
  expect(readdirSync(place)).toEqual(['flexisip.conf']);
  expect(existsSync(`${file}.new`)).toBe(false);
});
