// Settings: each is tried with wrong values of every kind, and with right ones; then what real processes say of wrong ones.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'pg-connection-string';
import { loadSettings } from '../config/load';
import { parseRedisUrl } from '../config/redis-url';
import { envExample, parseSettings, readSettings, SettingsError, table } from '../config/settings';
import { openDatabase } from '../src/infra/sequelize';
import { freePort } from '../src/start/ports';
import { CASES } from './helpers/setting-values';
import { request, startSystem } from './helpers/system';

const root = path.join(__dirname, '..');
const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-settings-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Name = keyof typeof table;
const names = Object.keys(table) as Name[];
const faultsOf = (environment: Record<string, string>): string[] => readSettings(environment).faults;

/** What a setting needs beside it. */
const parsed = (name: Name, value: string): { value: unknown; own: string[] } => {
  const { values, faults } = readSettings({ [name]: value });
  return { value: values[name], own: faults.filter((fault) => fault.startsWith(`${name}=`)) };
};

describe('each setting', () => {
  test('has values to be tried with', () => expect(Object.keys(CASES)).toEqual(names));

  test.each(names)('%s refuses what is wrong, by name, saying what is allowed', (name) => {
    const { wrong } = CASES[name];
    expect(wrong.length).toBeGreaterThan(1);
    for (const [value, fault] of wrong) {
      const { own } = parsed(name, value);
      expect([value, own]).toEqual([value, [expect.stringContaining(fault)]]);
      // One line of plain text, in which no secret stands and no runtime speaks.
      expect(own[0]).not.toMatch(/[\p{Cc}\u2028]|Error|Invalid|undefined|\[object/u);
      if (table[name].secret) expect(own[0]).toMatch(new RegExp(`^${name}=\\(hidden\\): `));
      else expect(own[0]?.startsWith(`${name}=${value.trim().slice(0, 3)}`) || /[^ -~]/.test(value)).toBe(true);
    }
  });

  test.each(names)('%s takes what is right', (name) => {
    for (const entry of CASES[name].right) {
      const [given, expected] = typeof entry === 'string' ? [entry, entry] : entry;
      expect([given, parsed(name, given)]).toEqual([given, { value: expected, own: [] }]);
    }
  });

  test.each(names)('%s is absent where it is empty', (name) => {
    for (const empty of ['', '  ', '\n'])
      expect(parsed(name, empty)).toEqual({ value: table[name].fallback ?? parseSettings({})[name], own: [] });
  });
});

test('.env.example is what the table says', () => {
  expect(readFileSync(path.join(root, '.env.example'), 'utf8')).toBe(envExample());
});

test('every default is valid, and every setting of the example with it', () => {
  expect(faultsOf({})).toEqual([]);
  const example = Object.fromEntries(Object.entries(table).map(([name, { example: value }]) => [name, value]));
  expect(parseSettings(example)).toEqual(parseSettings({}));
});

test('all faults at once, with name, value and what is allowed; no secret', () => {
  const environment = {
    PORT: 'eighty',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://root:geheim@db',
    WORKER_QUEUES: 'push,fax',
    APNS_KEY_FILE: 'k.p8',
    APP_DANGEROUS_ENDPOINTS: 'maybe',
    ACCOUNT_USERNAME_REGEX: '(',
    MAIL_PASSWORD: 'geheim',
    APP_NAME: `a\n${'x'.repeat(300)}`,
  };
  const faults = faultsOf(environment);
  expect(faults).toEqual([
    'PORT=eighty: must be a whole number from 0 to 65535',
    'DATABASE_URL=(hidden): must begin with postgres:// or postgresql://',
    `APP_NAME=a\\u{a}${'x'.repeat(194)}…: must have 255 characters at most`,
    'ACCOUNT_USERNAME_REGEX=(: must be a regular expression',
    'APP_DANGEROUS_ENDPOINTS=maybe: must be true or false',
    'WORKER_QUEUES=push,fax: must be queue names separated by commas, of push, sms, email, messages, api-keys, statistics, maintenance, chores',
    'LOG_LEVEL=loud: must be one of fatal, error, warn, info, debug, trace, silent',
    'APNS_KEY_ID is missing: APNS_KEY_FILE needs it',
    'APNS_TEAM_ID is missing: APNS_KEY_FILE needs it',
    'MAIL_USERNAME is missing: MAIL_PASSWORD needs it',
  ]);
  expect(() => parseSettings(environment)).toThrow(SettingsError);
});

test('no password that stands where none belongs', () => {
  expect(faultsOf({ APP_URL: 'https://me:geheim@host', MAIL_HOST: 'smtp://me:geheim@host' })).toEqual([
    expect.stringMatching(/^APP_URL=https:\/\/\(hidden\)@host: /),
    expect.stringMatching(/^MAIL_HOST=smtp:\/\/\(hidden\)@host: /),
  ]);
});

test('the default of APP_URL', () => {
  expect(parseSettings({ PORT: '9000' }).APP_URL).toBe('http://localhost:9000');
  expect(parseSettings({ TLS_CERT_FILE: 'a', TLS_KEY_FILE: 'b' }).APP_URL).toBe('https://localhost:8000');
});

describe('settings together', () => {
  const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://h/d', REDIS_URL: 'redis://h', APP_KEY: 'x'.repeat(32) };
  test('production needs its servers, and a key that nobody guesses', () => {
    expect(faultsOf({ NODE_ENV: 'production' })).toEqual(
      ['DATABASE_URL', 'REDIS_URL', 'APP_KEY'].map((name) => `${name} is missing: NODE_ENV=production needs it`),
    );
    expect(faultsOf(production)).toEqual([]);
    expect(faultsOf({ ...production, APP_KEY: 'x'.repeat(31) })).toEqual([
      'APP_KEY=(hidden): must have 32 characters or more where NODE_ENV=production',
    ]);
    expect(faultsOf({ APP_KEY: 'short' })).toEqual([]);
  });

  test.each([
    [{ APNS_KEY_ID: 'ABCDE12345' }, ['APNS_KEY_FILE is missing: APNS_KEY_ID needs it']],
    [{ APNS_CERT_FILE: 'a' }, ['APNS_CERT_KEY_FILE is missing: APNS_CERT_FILE needs it']],
    [{ TLS_KEY_FILE: 'a' }, ['TLS_CERT_FILE is missing: TLS_KEY_FILE needs it']],
    [{ HCAPTCHA_SECRET: 'a' }, ['HCAPTCHA_SITEKEY is missing: HCAPTCHA_SECRET needs it']],
    [{ HCAPTCHA_SITEKEY: 'a' }, ['HCAPTCHA_SECRET is missing: HCAPTCHA_SITEKEY needs it']],
    [{ COTURN_SERVER_HOST: 'a' }, ['COTURN_STATIC_AUTH_SECRET is missing: COTURN_SERVER_HOST needs it']],
    [{ MAIL_HOST: 'a' }, ['MAIL_FROM_ADDRESS is missing: MAIL_HOST needs it']],
    [{ MAIL_FROM_ADDRESS: 'from@example.com' }, []],
    [{ MAIL_USERNAME: 'a' }, ['MAIL_PASSWORD is missing: MAIL_USERNAME needs it']],
    [{ TWILIO_FROM: '12345' }, ['TWILIO_ACCOUNT_SID is missing: TWILIO_FROM needs it']],
    [
      { TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`, TWILIO_AUTH_TOKEN: 'a' },
      ['TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is missing: TWILIO_ACCOUNT_SID needs one of them'],
    ],
    [
      { APNS_CERT_FILE: 'a', APNS_CERT_KEY_FILE: 'b', HTTPS_PROXY: 'http://p' },
      ['APNS_CERT_FILE does not work through HTTPS_PROXY: use APNS_KEY_FILE'],
    ],
    [
      { APNS_KEY_FILE: 'a', APNS_KEY_ID: 'ABCDE12345', APNS_TEAM_ID: 'ABCDE12345', HTTPS_PROXY: 'http://u:p@p' },
      ['APNS_KEY_FILE does not work through an HTTPS_PROXY that asks for a password'],
    ],
    // A partner that is itself refused is not missing, too.
    [{ TLS_CERT_FILE: 'a', TLS_KEY_FILE: 'a\tb' }, [expect.stringMatching(/^TLS_KEY_FILE=a\\u\{9\}b: /)]],
  ])('%j', (environment, faults) => expect(faultsOf(environment as Record<string, string>)).toEqual(faults));

  test('what is allowed and hardly meant is warned of, to the process that it concerns', () => {
    const warningsOf = (environment: Record<string, string>, role: 'web' | 'worker'): readonly string[] =>
      loadSettings(environment, [role]).warnings;
    expect(warningsOf({ TRUST_PROXY: 'true' }, 'web')).toEqual([expect.stringContaining('TRUST_PROXY=true believes')]);
    expect(warningsOf({ TRUST_PROXY: 'true' }, 'worker')).toEqual([]);
    expect(warningsOf({ ACCOUNT_REALM: 'Café' }, 'web')).toEqual([expect.stringContaining('ACCOUNT_REALM has characters beyond ASCII')]);
    expect(warningsOf({ SHUTDOWN_GRACE_SECONDS: '3' }, 'worker')).toEqual([expect.stringContaining('less than a send may take (10 s)')]);
    expect(warningsOf({ SHUTDOWN_GRACE_SECONDS: '3' }, 'web')).toHaveLength(1);
    for (const name of ['PUSH', 'SMS', 'EMAIL'])
      expect(warningsOf({ SHUTDOWN_GRACE_SECONDS: '15', [`${name}_TIMEOUT_SECONDS`]: '16' }, 'worker')).toEqual([
        expect.stringContaining('(16 s)'),
      ]);
    expect(warningsOf({ SHUTDOWN_GRACE_SECONDS: '16', PUSH_TIMEOUT_SECONDS: '16' }, 'worker')).toEqual([]);
    expect(warningsOf({ WORKER_QUEUES: 'maintenance' }, 'worker')).toEqual([expect.stringContaining('without chores')]);
    expect(warningsOf({ WORKER_QUEUES: 'push' }, 'worker')).toEqual([]);
    expect(warningsOf({}, 'web')).toEqual([]);
    // A command ends when it is done.
    expect(loadSettings({ SHUTDOWN_GRACE_SECONDS: '3', TRUST_PROXY: 'true' }, []).warnings).toEqual([]);
  });

  test('are frozen', () => expect(Object.isFrozen(loadSettings({}, []).settings)).toBe(true));

  test('a PostgreSQL may be named by its parameters alone', () => {
    for (const url of ['postgres://?host=/var/run/postgresql', 'postgres://?host=', 'postgres://h/d?host='])
      expect([url, faultsOf({ DATABASE_URL: url })]).toEqual([url, []]);
    expect(faultsOf({ DATABASE_URL: 'postgres://' })).toEqual([expect.stringContaining('names no server')]);
  });

  test('verify-ca means what it says in libpq alone, where it needs an authority', () => {
    const faults = (query: string): string[] => faultsOf({ DATABASE_URL: `postgres://h/d?${query}` });
    expect(faults('uselibpqcompat=true&sslmode=verify-ca')).toEqual([expect.stringContaining('without «sslrootcert»')]);
    for (const right of [
      'sslmode=verify-ca',
      'uselibpqcompat=true&sslmode=verify-ca&sslrootcert=/ca.pem',
      'uselibpqcompat=true&sslmode=require',
    ])
      expect([right, faults(right)]).toEqual([right, []]);
  });
});

describe('addresses of servers', () => {
  test('a Redis', () => {
    expect(parseRedisUrl('redis+sentinel://:p%40ss@one:26379,two/main/3')).toMatchObject({
      kind: 'sentinel',
      hosts: [
        { host: 'one', port: 26379 },
        { host: 'two', port: 26379 },
      ],
      master: 'main',
      password: 'p@ss',
      db: 3,
      tls: false,
    });
    expect(parseRedisUrl('rediss+sentinel://me:a@b@[::1]:7,two?sentinel_username=s&sentinel_password=%2B&family=6')).toEqual({
      kind: 'sentinel',
      hosts: [
        { host: '::1', port: 7 },
        { host: 'two', port: 26379 },
      ],
      master: 'mymaster',
      username: 'me',
      password: 'a@b',
      sentinelUsername: 's',
      sentinelPassword: '+',
      db: 0,
      family: 6,
      tls: true,
    });
    expect(parseRedisUrl('rediss://me:pw@a:1,b')).toMatchObject({
      kind: 'cluster',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      username: 'me',
      password: 'pw',
      tls: true,
    });
    expect(parseRedisUrl('redis://a?family=6,redis://b?family=6')).toMatchObject({ kind: 'cluster', family: 6 });
    expect(parseRedisUrl('redis://a/2')).toMatchObject({ kind: 'server', hosts: [{ host: 'a', port: 6379 }], db: 2 });
  });

  test("what is accepted of a PostgreSQL's is what pg makes of it", () => {
    const accepted = CASES.DATABASE_URL.right.map((url) => {
      const { host: server, port, user, password, database } = parse(String(url));
      return [server, port, user, password, database];
    });
    expect(accepted).toEqual([
      ['h', '', '', '', 'd'],
      ['h', '5433', 'u', 'p', 'd'],
      ['h', '', 'u', 'p@s/s', 'd'],
      ['h', '', 'u', 'p@ss', 'd'],
      ['h.example.org', '6432', 'user@tenant', 'p', 'd'],
      ['2001:db8::1', '5432', 'u', '', 'd'],
      ['/var/run/postgresql', '', '', '', 'd'],
      ['/var/run/postgresql', '5433', 'u', 'p', 'd'],
      ['/var/run/postgresql', '', 'u', 'p', 'd'],
      ['/tmp', '', 'u', '', 'd'],
      ['', '', '', '', 'd'],
      ['h', '', '', '', null],
      ['h', '', '', '', 'd'],
      ['h', '', 'u', 'пароль', 'd'],
    ]);
  });
});

test('what a PostgreSQL’s address asks for is what is sent to it', async () => {
  const seen: Buffer[] = [];
  const server = createServer((socket) => socket.once('data', (chunk) => (seen.push(chunk), socket.destroy())));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sentFor = async (user: string, rest: string): Promise<string> => {
    const opened = openDatabase({ url: `postgres://${user}@127.0.0.1:${port}/${rest}` });
    await expect(opened.authenticate()).rejects.toThrow();
    await opened.close();
    return seen.splice(0)[0]?.toString('latin1') ?? '';
  };
  // A StartupMessage, and an SSLRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html
  const plain = await sentFor('some%40body', 'da%20ta');
  for (const said of ['user\0some@body\0', 'database\0da ta\0', 'application_name\0flexisip-account-api\0']) expect(plain).toContain(said);
  expect(await sentFor('me', 'data?application_name=mine')).toContain('application_name\0mine\0');
  for (const mode of ['no-verify', 'verify-full'])
    expect([mode, await sentFor('me', `data?sslmode=${mode}`)]).toEqual([mode, '\0\0\0\x08\x04\xd2\x16\x2f']);
  server.close();
});

describe('processes', () => {
  const run = async (
    file: string,
    environment: Record<string, string>,
    parameters: string[] = [],
  ): Promise<{ code: unknown; stdout: string; stderr: string }> => {
    const cwd = mkdtempSync(path.join(directory, 'cwd-'));
    if (environment['.env'] !== undefined) writeFileSync(path.join(cwd, '.env'), environment['.env']);
    const { '.env': _file, ...given } = environment;
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [path.join(root, file), ...parameters],
        { cwd, env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...given }, timeout: 30_000 },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      );
    });
  };
  const WRONG = {
    DATABASE_URL: 'postgres://127.0.0.1:1/none',
    APP_URL: 'example.org',
    REDIS_URL: 'redis://:geheim@h:0',
    TLS_CERT_FILE: '/nowhere/c',
    TLS_KEY_FILE: '/nowhere/k',
    FIREBASE_SERVICE_ACCOUNTS: 'one:/nowhere/a',
  };
  const VALUES = [
    'REDIS_URL=(hidden): has a port that is none: 1 to 65535 can be given',
    'APP_URL=example.org: must be http://host or https://host, with a port and a path if need be, and nothing else',
  ];
  const TLS = [
    'TLS_CERT_FILE=/nowhere/c: cannot be read: there is no such file',
    'TLS_KEY_FILE=/nowhere/k: cannot be read: there is no such file',
  ];
  const FIREBASE = ['FIREBASE_SERVICE_ACCOUNTS=one:/nowhere/a: cannot be read: there is no such file'];

  test.each([
    ['dist/src/web.js', [], [...VALUES, ...TLS]],
    ['dist/workers/main.js', [], [...VALUES, ...FIREBASE]],
    ['dist/src/start/main.js', [], [...VALUES, ...TLS, ...FIREBASE]],
    // Its user may not be able to read a server's keys.
    ['bin/flexiapi', ['queues', '--json'], VALUES],
  ])('%s says all that is wrong at once, and ends with 1', async (file, parameters, faults) => {
    expect(await run(file, WRONG, parameters)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Settings refused:\n${faults.map((fault) => `  ${fault}\n`).join('')}`,
    });
  });

  test.each(['dist/src/web.js', 'dist/workers/main.js'])('%s does not start without its servers', async (file) => {
    expect(await run(file, { DATABASE_URL: ' ', APP_URL: 'example.org' })).toEqual({
      code: 1,
      stdout: '',
      stderr: `Settings refused:\n  ${VALUES[1]}\n${['DATABASE_URL', 'REDIS_URL'].map((name) => `  ${name} is missing, and no npm start runs in this folder\n`).join('')}`,
    });
  });

  test('what is wrong of .env is said with the rest', async () => {
    const servers = { DATABASE_URL: 'postgres://127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
    expect(
      await run('dist/src/web.js', {
        ...servers,
        '.env': 'PORT: 8000\nAPP_SIP_DOMAIN=SIP.example.org\nTRUST_PROXY=foo\n',
        TRUST_PROXY: '1',
      }),
    ).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'Settings refused:\n  .env, line 1: must be NAME=value, or begin with #\n  APP_SIP_DOMAIN=SIP.example.org: must be in small letters: sip.example.org\n',
    });
  });

  test('names that do nothing here are told once in the log, and by no command', async () => {
    const environment = {
      '.env': 'OVH_APP_KEY=x\nAPP_SIP_DOMIAN=sip.example.org\n',
      NODE_ENV: 'production',
      APP_KEY: 'x'.repeat(32),
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      REDIS_URL: 'redis://127.0.0.1:1',
      PORT: '70000',
    };
    // A port that is wrong ends web before it listens: nothing is left over.
    expect((await run('dist/src/web.js', environment)).stderr).toMatch(/^Settings refused:\n {2}PORT=70000: .*\n$/);
    const busy = String(await freePort());
    const holder = createServer().listen(Number(busy), '127.0.0.1');
    const web = await run('dist/src/web.js', { ...environment, PORT: busy, HOST: '127.0.0.1' });
    holder.close();
    const lines = web.stdout.split('\n').filter((line) => line.includes('do nothing here'));
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({
        level: 40,
        msg: 'settings that do nothing here: OVH_APP_KEY (here: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM); APP_SIP_DOMIAN (is APP_SIP_DOMAIN meant?)',
      }),
    ]);
    const { stdout, stderr } = await run('bin/flexiapi', { ...environment, PORT: '8000' }, ['--version']);
    expect([stdout.trim(), stderr]).toEqual([expect.stringMatching(/^[\d.]+$/), '']);
  });
});

test('PostgreSQL is reached by each form of its address, and through a socket; a realm of Latin-1 is told', async () => {
  const system = await startSystem({ webs: 0, workers: 0 });
  const { hostname, port, username, password, pathname } = new URL(system.environment['DATABASE_URL'] ?? '');
  const sockets = mkdtempSync(path.join(directory, 'pg-'));
  const socket = createServer((client) => {
    const server = connect(Number(port), hostname);
    client.pipe(server).pipe(client);
    for (const end of [client, server]) end.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => socket.listen(path.join(sockets, '.s.PGSQL.5432'), resolve));
  const user = password === '' ? username : `${username}:${password}`;
  const forms = [
    `postgresql://${pathname}?host=${hostname}&port=${port}&user=${username}&password=${password}`,
    `postgres://${user}@${hostname}:${port}/${encodeURIComponent(pathname.slice(1)).replace('_', '%5F')}?sslmode=disable`,
    `postgres://${user}@${pathname}?host=${sockets}`,
    `postgres://${user}@${encodeURIComponent(sockets)}${pathname}`,
  ];
  for (const url of forms) {
    const web = await system.startWeb({ DATABASE_URL: url });
    expect(await request(`${system.urls.at(-1)}/health/ready`)).toMatchObject({ json: { postgresql: { status: 'ok' } } });
    await web.end();
  }
  socket.close();

  // A realm of Latin-1 is sent in UTF-8, as it is hashed.
  const { id } = await system.account('latin');
  await system.rows("INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, 'CLRTXT', 'password')", [id]);
  await system.startWeb({ ACCOUNT_REALM: 'Café' });
  const challenge = await request(`${system.urls.at(-1)}/api/accounts/me`, { headers: { from: 'sip:latin@sip.example.org' } });
  const told = Buffer.from(challenge.headers.get('www-authenticate') ?? '', 'latin1').toString();
  expect([challenge.status, told]).toEqual([401, expect.stringContaining('realm="Café"')]);
  await system.stop();
});
