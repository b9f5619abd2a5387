// bin/flexiapi flexisip:check: all right where all is right, and the right words for each thing that is not.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer as createTcp, type AddressInfo, type Server } from 'node:net';
import path from 'node:path';
import { createServer as createTls } from 'node:tls';
import { ConfFile } from '../src/services/flexisip/conf-file';
import { said, startFlexisipSystem, type Checked, type FlexisipSystem } from './helpers/flexisip';
import { testServers } from './setup/servers';
import { SPACE, type System } from './helpers/system';

let flexisip: FlexisipSystem;
let system: System;
let confFile: string;
let url: string;
let key: string;

const check = (parameters = ['--config', confFile], environment: Record<string, string> = {}): Promise<Checked> =>
  flexisip.check(parameters, environment);
/** The file with some values changed. */
function changed(values: Record<string, string>): string {
  const conf = new ConfFile(readFileSync(confFile));
  for (const [name, value] of Object.entries(values)) {
    const [section = '', parameter = ''] = name.split('/');
    conf.set({ section, name: parameter, value });
  }
  const file = path.join(flexisip.directory, `${randomBytes(4).toString('hex')}.conf`);
  writeFileSync(file, conf.content);
  return file;
}
const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, 'localhost', () => resolve((server.address() as AddressInfo).port)));

beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  ({ system, url } = flexisip);
  confFile = path.join(flexisip.directory, 'flexisip.conf');
  for (const [username, blocked] of [
    ['alice', false],
    ['mallory', true],
  ] as const) {
    const { id } = await system.account(username, { blocked });
    await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, 'SHA-256')", [
      id,
      randomBytes(32).toString('hex'),
    ]);
  }
  const printed = await flexisip.config(['--write', confFile]);
  key = printed.key.api_key ?? '';
  for (const statement of printed.sql) await system.rows(statement);
});
afterAll(() => flexisip.stop());

test('all is right: every step, nothing stored, and nothing is wrong', async () => {
  const count = 'SELECT (SELECT count(*) FROM statistics_messages) + (SELECT count(*) FROM statistics_calls) AS n';
  const before = await system.rows(count);
  const checked = await check();
  expect(checked.wrong).toEqual([]);
  const verdicts = Object.fromEntries(checked.steps.map(({ step, verdict }) => [step, verdict]));
  expect(verdicts).toEqual({
    'flexisip.conf: statistics': 'ok',
    'flexisip.conf: domains': 'ok',
    'address: connection': 'ok',
    'address: TLS': 'ok',
    'address: ALPN': 'ok',
    // It is its own authority.
    'address: certificate': 'warning',
    'key: a message (POST messages)': 'ok',
    "key: a device's answer (PATCH messages/…/to/nobody@invalid/devices/…)": 'ok',
    'key: a call (POST calls)': 'ok',
    'key: a device of a call (PATCH calls/…/devices/…)': 'ok',
    'key: the end of a call (PATCH calls/…)': 'ok',
    'key: the domains (GET /api/spaces)': 'ok',
    'key: itself': 'ok',
    'passwords: connection': 'ok',
    [`passwords: the statement, for alice@${SPACE}`]: 'ok',
    [`passwords: a blocked account, mallory@${SPACE}`]: 'ok',
    'passwords: the role': 'ok',
    'registrar: PING': 'ok',
    'registrar: registrations': 'ok',
    "clock: the server's": 'ok',
    "clock: PostgreSQL's": 'ok',
    "clock: Redis'": 'ok',
  });
  expect(await system.rows(count)).toEqual(before);
  const { stdout, code } = await flexisip.flexiapi(['flexisip:check', '--config', confFile]);
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^ok {7}flexisip\.conf: statistics: [\s\S]*\nNothing is wrong, 1 warning\.\n$/) as string,
  ]);
  expect(stdout).not.toContain(key);
});

test('an address in numbers, of IPv6', async () => {
  const web = await system.startWeb({ HOST: '::1' });
  const found = await check(['--url', `https://[::1]:${new URL(system.urls.pop() ?? '').port}`, '--key', key]);
  await web.end();
  expect([found.wrong, said(found, 'address: connection')]).toEqual([[], expect.stringContaining('::1') as string]);
});

test('without a file: by options, and what is not given is skipped', async () => {
  const bare = await check([]);
  expect(bare.wrong).toEqual([]);
  expect(said(bare, 'key')).toContain('skipped: no key');
  expect(said(bare, 'passwords')).toContain('skipped');
  const connection = new ConfFile(readFileSync(confFile)).get('module::Authentication', 'soci-connection-string') ?? '';
  const full = await check(['--key', key, '--sql-connection', connection, '--url', url]);
  expect([full.wrong, said(full, 'passwords: the statement')]).toEqual([[], expect.stringContaining('ok') as string]);
  // On a machine that has nothing of this server but the file.
  const alone = { DATABASE_URL: '', REDIS_URL: '', FLEXISIP_REDIS_URL: '', APP_URL: '' };
  const elsewhere = await check(['--config', confFile, '--account', `alice@${SPACE}`], alone);
  expect([elsewhere.wrong, said(elsewhere, 'passwords: the statement, for alice')]).toEqual([[], expect.stringContaining('ok') as string]);
});

test('a domain that Flexisip does not serve is told, and no account of it is asked for', async () => {
  const other = 'another.example.org';
  await system.space(other);
  expect(said(await check(), 'flexisip.conf: domains')).toMatch(/^warning: not served: another\.example\.org/);
  const realm = { ACCOUNT_REALM: 'one realm' };
  const file = path.join(flexisip.directory, 'realm.conf');
  const printed = await flexisip.config(['--write', file, '--domain', other, '--key', key, '--new-role-password'], realm);
  for (const statement of printed.sql) await system.rows(statement);
  const alone = await check(['--config', file], realm);
  expect([alone.wrong, said(alone, 'passwords: the statement')]).toEqual([
    [],
    expect.stringMatching(/^warning: runs, and was tried with nobody/) as string,
  ]);
  const { id } = await system.account('somebody', { domain: other });
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, repeat('a', 32), 'MD5')", [id]);
  expect(said(await check(['--config', file], realm), `passwords: the statement, for somebody@${other}`)).toMatch(/^ok: 1 of MD5/);
  await system.rows('DELETE FROM accounts WHERE domain = $1', [other]);
  await system.rows('DELETE FROM spaces WHERE domain = $1', [other]);
  const own = new ConfFile(readFileSync(confFile)).get('module::Authentication', 'soci-connection-string') ?? '';
  await system.rows(`ALTER ROLE ${flexisip.role} PASSWORD '${/password=(\w+)/.exec(own)?.[1] ?? ''}'`);
});

test('where none of the domains is a space, that is wrong, and those are named', async () => {
  const domains = changed({ 'module::Authentication/auth-domains': 'sip.elsewhere.org localhost' });
  expect(said(await check(['--config', domains]), 'flexisip.conf: domains')).toMatch(
    /^wrong: auth-domains has none of the spaces \(sip\.example\.org\).*: sip\.elsewhere\.org, localhost.*nobody can register/,
  );
  expect(said(await check(['--config', changed({ 'module::Registrar/reg-domains': 'localhost' })]), 'flexisip.conf: domains')).toMatch(
    /^wrong: reg-domains/,
  );
  const { stdout } = await flexisip.flexiapi(['flexisip:check', '--config', domains]);
  expect(stdout).toMatch(/\n1 wrong, 2 warnings, 1 skipped\.\n$/);
  const { notes } = await flexisip.config(['--write', domains, '--key', key]);
  expect(notes).toContain('Taken out of auth-domains, since they are no spaces that are to be served: sip.elsewhere.org, localhost.');
});

test('tokens that Flexisip takes and this server does not', async () => {
  const tokens = changed({ 'module::Authentication/enabled': 'false', 'module::AuthOpenIDConnect/enabled': 'true' });
  expect(said(await check(['--config', tokens]), 'flexisip.conf: tokens')).toMatch(/^wrong: .*JWT_RSA_PUBLIC_KEY_PEM is not set/);
  const alone = { DATABASE_URL: '', REDIS_URL: '', FLEXISIP_REDIS_URL: '', APP_URL: '' };
  expect((await check(['--config', tokens], alone)).wrong).toEqual([]);
});

test('this server’s own database away: told, with what to do, and the API is looked at still', async () => {
  const found = await check(['--config', confFile], { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' });
  expect(said(found, 'passwords: all')).toMatch(/^wrong: .*ECONNREFUSED.* → is this server's own database/);
  expect(said(found, 'key: a message')).toMatch(/^ok/);
  expect(said(found, 'key: itself')).toMatch(/^skipped/);
});

describe('the address', () => {
  test('an unknown name; nobody there; no TLS; another protocol; a server that hangs', async () => {
    expect(said(await check(['--url', 'https://nowhere.invalid', '--key', key]), 'address: connection')).toMatch(/^wrong: .*mend DNS/);
    const closed = createTcp();
    const port = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(said(await check(['--url', `https://localhost:${port}`]), 'address: connection')).toMatch(/^wrong: .*ECONNREFUSED.*be reached/);
    const plain = createTcp((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(said(await check(['--url', `https://localhost:${await listening(plain)}`]), 'address: TLS')).toMatch(
      /^wrong: (?!.*error:).*speaks no TLS.*TLS_CERT_FILE/,
    );
    plain.close();
    for (const protocols of [['http/1.1'], undefined]) {
      const old = createTls({
        key: flexisip.certificate.key,
        cert: flexisip.certificate.cert,
        ...(protocols ? { ALPNProtocols: protocols } : {}),
      });
      const found = await check(['--url', `https://localhost:${await listening(old)}`, '--key', key]);
      expect(said(found, 'address: ALPN')).toMatch(/^wrong: .*HTTP\/2 alone/);
      expect(found.steps.some(({ step }) => step.startsWith('key: a '))).toBe(false);
      old.close();
    }
    const silent = createTcp(() => undefined);
    const begun = Date.now();
    expect(said(await check(['--url', `https://localhost:${await listening(silent)}`]), 'address: TLS')).toMatch(
      /^wrong: the TLS handshake: no answer within 5000 ms/,
    );
    expect(Date.now() - begun).toBeLessThan(12_000);
    silent.close();
  });

  test('web that is frozen after the handshake ends in time, and others are looked at still', async () => {
    const web = system.webs[0];
    const through = createTcp((socket) => {
      const upstream = connect(Number(new URL(url).port), '127.0.0.1');
      upstream.on('error', () => undefined);
      socket.on('error', () => undefined);
      socket.pipe(upstream).pipe(socket);
      // The handshake is over when the client has sent for the second time.
      let pieces = 0;
      socket.on('data', () => (pieces += 1) === 2 && web?.child.kill('SIGSTOP'));
    });
    const port = await listening(through);
    try {
      const frozen = await check(['--url', `https://localhost:${port}`, '--key', key]);
      expect(frozen.wrong.map(({ step }) => step)).toHaveLength(1);
      expect(frozen.wrong[0]?.found).toContain('no answer within 5000 ms');
      expect(said(frozen, 'registrar: PING')).toContain('ok');
    } finally {
      web?.child.kill('SIGCONT');
      through.close();
    }
  });

  test('the wrong prefix, as Flexisip has it by default', async () => {
    const found = await check(['--config', changed({ 'event-logs/flexiapi-prefix': '/api/stats/' })]);
    expect(said(found, 'key: a message')).toMatch(/^wrong: status 404.*flexiapi-prefix has to be/);
  });
});

describe('the passwords', () => {
  const connection = (): string => new ConfFile(readFileSync(confFile)).get('module::Authentication', 'soci-connection-string') ?? '';
  const authentication = (values: Record<string, string>): Promise<Checked> =>
    check([
      '--config',
      changed(Object.fromEntries(Object.entries(values).map(([name, value]) => [`module::Authentication/${name}`, value]))),
    ]);

  test('a wrong password, database, host, and what is no connection string', async () => {
    expect(
      said(
        await authentication({ 'soci-connection-string': connection().replace(/password=\w+/, 'password=wrong') }),
        'passwords: connection',
      ),
    ).toMatch(/^wrong: .*password authentication failed.*flexisip:config/);
    expect(
      said(
        await authentication({ 'soci-connection-string': connection().replace(/dbname=\w+/, 'dbname=nowhere') }),
        'passwords: connection',
      ),
    ).toMatch(/^wrong: .*does not exist/);
    expect(said(await authentication({ 'soci-connection-string': `${connection()} port=1` }), 'passwords: connection')).toMatch(
      /^wrong: .*ECONNREFUSED/,
    );
    expect(said(await authentication({ 'soci-connection-string': 'db=flexiapi user=x' }), 'passwords: connection')).toMatch(
      /^wrong: .*dbname=/,
    );
    expect(said(await authentication({ 'soci-connection-string': "password='x" }), 'passwords: connection')).toMatch(/^wrong: .*libpq/);
  });

  test('a role that may too much, and one that may too little', async () => {
    await system.rows(`GRANT SELECT (email) ON accounts TO ${flexisip.role}`);
    expect(said(await check(), 'passwords: the role')).toMatch(/^wrong: may read or write more than the views: accounts →/);
    await system.rows(
      `REVOKE SELECT (email) ON accounts FROM ${flexisip.role}; GRANT DELETE ON sip_credentials TO ${flexisip.role}; ALTER ROLE ${flexisip.role} CREATEROLE`,
    );
    expect(said(await check(), 'passwords: the role')).toMatch(/^wrong: is createrole/);
    await system.rows(`ALTER ROLE ${flexisip.role} NOCREATEROLE`);
    expect(said(await check(), 'passwords: the role')).toMatch(/^wrong: .*sip_credentials/);
    await system.rows(`REVOKE DELETE ON sip_credentials FROM ${flexisip.role}; GRANT CREATE ON SCHEMA public TO ${flexisip.role}`);
    expect(said(await check(), 'passwords: the role')).toMatch(/^warning: may make things in schema public/);
    await system.rows(`REVOKE CREATE ON SCHEMA public FROM ${flexisip.role}; REVOKE SELECT ON sip_credentials FROM ${flexisip.role}`);
    expect(said(await check(), 'passwords: the statement')).toMatch(/^wrong: permission denied for view sip_credentials/);
    await system.rows(`GRANT SELECT ON sip_credentials TO ${flexisip.role}`);
    expect((await check()).wrong).toEqual([]);
    const url2 = new URL(system.environment['DATABASE_URL'] ?? '');
    const owner = `dbname=${url2.pathname.slice(1)} user=${url2.username} password=${url2.password || 'x'} host=${url2.hostname} port=${url2.port}`;
    expect(said(await authentication({ 'soci-connection-string': owner }), 'passwords: the role')).toMatch(/^wrong: is superuser/);
    // Nothing is written even by one that may.
    const writing = { 'soci-password-request': "with x as (delete from accounts returning '' as y) select y, y from x where y <> :id" };
    const written = await authentication({ ...writing, 'soci-connection-string': owner });
    expect(said(written, 'passwords: the statement')).toMatch(/^wrong: cannot execute \w+ in a read-only transaction.*flexisip:config/);
  });

  test('statements: Flexisip’s own default lets a blocked account register; others that cannot work', async () => {
    await system.rows(`GRANT SELECT ON accounts, passwords TO ${flexisip.role}`);
    const own = await authentication({
      'soci-password-request':
        'select password, algorithm from passwords where account_id = (select id from accounts where username = :id and domain = :domain and activated = true)',
    });
    await system.rows(`REVOKE SELECT ON accounts, passwords FROM ${flexisip.role}`);
    expect([said(own, 'passwords: the statement'), said(own, 'passwords: a blocked account')]).toEqual([
      expect.stringMatching(/^ok/) as string,
      expect.stringMatching(/^wrong: its passwords are given.*sip_credentials/) as string,
    ]);
    const statement = async (text: string): Promise<string> =>
      said(await authentication({ 'soci-password-request': text }), 'passwords: the statement');
    expect(await statement('select password from sip_credentials where username = :id')).toMatch(/^wrong: .*1 column, .*two/);
    expect(await statement('select password, algorithm from sip_credentials where domain = :domain')).toMatch(/^wrong: .*:id/);
    expect(await statement('select password, algorithm from sip_credentials where username = :id and domain = :realm')).toMatch(
      /^wrong: .*:realm/,
    );
    expect(await statement('select algorithm, password from sip_credentials where username = :id and domain = :domain')).toMatch(
      /^wrong: .*no hash/,
    );
    expect(await statement('select password, algorithm from nowhere where username = :id')).toMatch(/^wrong: .*does not exist.*db:migrate/);
    expect(await statement('selekt :id')).toMatch(/^wrong: .*syntax error/);
  });

  test('what the file says of it: off, another backend, algorithms of nobody, another realm', async () => {
    expect(said(await authentication({ enabled: 'false' }), 'flexisip.conf: passwords')).toMatch(/^wrong: .*whoever asks is registered/);
    expect(said(await authentication({ 'soci-backend': 'mysql' }), 'flexisip.conf: passwords')).toMatch(/^wrong: .*mysql/);
    expect(said(await authentication({ 'available-algorithms': 'MD5' }), 'passwords: the statement')).toMatch(
      /^wrong: passwords of SHA-256, and available-algorithms is MD5/,
    );
    expect(said(await authentication({ realm: 'another' }), 'flexisip.conf: realm')).toMatch(
      /^wrong: another, and passwords are hashed with each account's domain/,
    );
  });
});

test('the registrar’s Redis: wrong password, nobody there, another Redis, none', async () => {
  const registrar = (values: Record<string, string>, environment: Record<string, string> = {}): Promise<Checked> =>
    check(
      ['--config', changed(Object.fromEntries(Object.entries(values).map(([name, value]) => [`module::Registrar/${name}`, value])))],
      environment,
    );
  expect(said(await registrar({ 'redis-auth-password': 'wrong' }), 'registrar: connection')).toMatch(
    /^wrong: .*WRONGPASS.*redis-auth-password/,
  );
  const nobody = await registrar({ 'redis-server-port': '1' });
  expect(said(nobody, 'registrar: connection')).toMatch(/^wrong: .*ECONNREFUSED/);
  expect(said(nobody, 'registrar: which')).toMatch(/^warning/);
  expect(said(await registrar({ 'db-implementation': 'internal' }), 'registrar: Redis')).toMatch(/^warning: .*not redis/);
  expect(said(await check(['--config', confFile], { FLEXISIP_REDIS_URL: `${testServers().redisUrl}/3` }), 'registrar: which')).toMatch(
    /^warning: .*database 0/,
  );
});

test('a PostgreSQL and a Redis that hang: each ends in time, and what comes after is looked at still', async () => {
  const silent = createTcp(() => undefined);
  const port = String(await listening(silent));
  const own = new ConfFile(readFileSync(confFile)).get('module::Authentication', 'soci-connection-string') ?? '';
  const begun = Date.now();
  const hung = await check([
    '--config',
    changed({
      'module::Authentication/soci-connection-string': `${own} port=${port} host=localhost`,
      'module::Registrar/redis-server-port': port,
    }),
  ]);
  silent.close();
  expect(said(hung, 'passwords: connection')).toMatch(/^wrong: .*no answer within 5000 ms/);
  expect(said(hung, 'registrar: connection')).toMatch(/^wrong: .*(?:ETIMEDOUT|no answer within 5000 ms)/);
  expect(said(hung, "clock: the server's")).toMatch(/^ok/);
  const slow = await check([
    '--config',
    changed({ 'module::Authentication/soci-password-request': "select pg_sleep(60)::text, 'MD5' where :id <> ''" }),
  ]);
  expect(said(slow, 'passwords: the statement')).toMatch(/^wrong: PostgreSQL: no answer within 5000 ms/);
  expect(said(slow, 'registrar: PING')).toMatch(/^ok/);
  expect(Date.now() - begun).toBeLessThan(30_000);
});

test('what the file says of statistics: off, another logger, two addresses, parameters that come twice', async () => {
  const file = (values: Record<string, string>): Promise<Checked> => check(['--config', changed(values)]);
  expect(said(await file({ 'event-logs/enabled': 'false' }), 'flexisip.conf: statistics')).toMatch(/^wrong: .*enabled is not true/);
  expect(said(await file({ 'event-logs/logger': 'database' }), 'flexisip.conf: statistics')).toMatch(/^wrong: .*logger is database/);
  expect(
    said(await file({ 'global::flexiapi/url': 'https://elsewhere', 'global::flexiapi/api-key': 'x' }), 'flexisip.conf: statistics'),
  ).toMatch(/^wrong: .*different things/);
  expect(said(await file({ 'global::flexiapi/url': 'http://localhost' }), 'flexisip.conf: statistics')).toMatch(
    /^wrong: .*https:\/\/ alone/,
  );
  const twice = path.join(flexisip.directory, 'twice.conf');
  writeFileSync(twice, `${readFileSync(confFile, 'utf8')}\n[event-logs]\nlogger=flexiapi\n`);
  expect(said(await check(['--config', twice]), 'flexisip.conf: parameters')).toMatch(/^wrong: twice: \[event-logs\] logger/);
  const empty = path.join(flexisip.directory, 'empty.conf');
  writeFileSync(empty, '');
  expect(said(await check(['--config', empty]), 'flexisip.conf: statistics')).toMatch(/^wrong/);
});

test('[global::flexiapi] alone, as 2.7 has it', async () => {
  const file = path.join(flexisip.directory, 'global.conf');
  const { code } = await flexisip.flexiapi([
    'flexisip:config',
    '--role',
    flexisip.role,
    '--key',
    key,
    '--flexisip-version',
    '2.7',
    '--new-role-password',
    '--write',
    file,
  ]);
  expect(code).toBe(0);
  const { stdout } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, '--key', key]);
  const password = /password=(\w+)/.exec(readFileSync(confFile, 'utf8'))?.[1] ?? '';
  expect(stdout).not.toContain(password);
  const found = await check(['--config', file]);
  expect(found.wrong.map(({ step }) => step)).toEqual(['passwords: connection']);
  expect(said(found, 'key: the domains')).toMatch(/^ok: 1 domain →/);
});

test.each([
  [['--config', '/nowhere.conf'], 1, '--config: /nowhere.conf: ENOENT'],
  [['--url', 'ftp://x'], 1, '--url'],
  [['--account', 'x'], 2, 'user@domain'],
])('%j is refused', async (parameters, expected, text) => {
  const { code, stderr } = await flexisip.flexiapi(['flexisip:check', ...parameters]);
  expect([code, stderr]).toEqual([expected, expect.stringContaining(text) as string]);
});
