// bin/flexiapi flexisip:config: the key that it makes and what it prints for each version, used as Flexisip would.
import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { ConfFile } from '../src/services/flexisip/conf-file';
import { startFlexisipSystem, type FlexisipSystem, type Printed } from './helpers/flexisip';
import { Http2Client } from './helpers/http2';
import { eventually, SPACE, type System } from './helpers/system';

const OTHER = 'other.example.org';
let flexisip: FlexisipSystem;
let system: System;
beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  ({ system } = flexisip);
  await system.space(OTHER);
});
afterAll(() => flexisip.stop());

describe('the key', () => {
  test('for what Flexisip asks alone, without an end; another call rotates it and the one before stays good for a time', async () => {
    const first = await flexisip.config();
    expect(first.key).toMatchObject({ name: 'flexisip', what: 'made', account: { id: flexisip.admin.id, address: `root@${SPACE}` } });
    expect(first.key.api_key).toMatch(/^flexiapi_[A-Za-z0-9]{46}$/);
    const columns = 'scopes, expires_at, expires_after_last_used_minutes, allowed_addresses::text[]';
    expect(await system.rows(`SELECT ${columns} FROM named_api_keys WHERE id = $1`, [first.key.id])).toEqual([
      { scopes: ['statistics:write', 'spaces:read'], expires_at: null, expires_after_last_used_minutes: null, allowed_addresses: null },
    ]);
    const statusOf = async (key: string | null): Promise<number> => (await system.api('/spaces', { key: key ?? '' })).status;
    // Nobody ever used it: another look gives what works, and nothing is lost.
    const second = await flexisip.config();
    expect([second.key.id, second.key.what, second.key.previous_good_for_minutes]).toEqual([first.key.id, 'rotated', 0]);
    expect(second.notes.join(' ')).toContain('never used');
    expect([await statusOf(second.key.api_key), await statusOf(first.key.api_key)]).toEqual([200, 401]);
    await system.rows('UPDATE named_api_keys SET last_used_at = now() WHERE id = $1', [first.key.id]);
    // It is in use: a look ends nothing, and gives another one that works; a further look gives that one.
    const other = await flexisip.config();
    expect([other.key.what, other.key.name, await statusOf(second.key.api_key)]).toEqual(['made', 'flexisip-2', 200]);
    expect(other.notes.join(' ')).toMatch(/The key flexisip is in use.*--rotate.*api-keys:revoke flexisip/);
    const further = await flexisip.config();
    expect(further.key).toMatchObject({ id: other.key.id, name: 'flexisip-2', what: 'rotated' });
    expect([await statusOf(further.key.api_key), await statusOf(other.key.api_key)]).toEqual([200, 401]);
    // Of one that is named nothing is changed.
    const looked = await flexisip.config(['--name', 'flexisip']);
    expect([looked.key.what, looked.key.api_key, looked.key.id]).toEqual(['unchanged', null, first.key.id]);
    expect(looked.conf).toContain('\nflexiapi-api-key=<the key that Flexisip has>\n');
    expect(looked.notes.join(' ')).toMatch(/last used at .*--rotate .*--name flexisip-2/);
    expect(await statusOf(second.key.api_key)).toBe(200);
    const third = await flexisip.config(['--rotate', '--grace-minutes', '0']);
    expect([await statusOf(third.key.api_key), await statusOf(second.key.api_key), await statusOf(first.key.api_key)]).toEqual([
      200, 401, 401,
    ]);
    const fourth = await flexisip.config(['--name', 'second-proxy', '--account', `sip:root@${SPACE}`]);
    expect([fourth.key.what, fourth.key.id === first.key.id]).toEqual(['made', false]);
    const fifth = await flexisip.config(['--rotate']);
    expect([await statusOf(fifth.key.api_key), await statusOf(third.key.api_key)]).toEqual([200, 200]);
    expect(fifth.notes.join(' ')).toContain('stays good for 1440 minutes');
    // It may nothing else, and a rotated one has exactly these scopes whatever it had before.
    await system.rows("UPDATE named_api_keys SET scopes = '{*}', expires_at = now() + interval '1 day' WHERE id = $1", [first.key.id]);
    const sixth = await flexisip.config(['--rotate']);
    expect((await system.api('/accounts', { key: sixth.key.api_key ?? '' })).status).toBe(403);
    expect((await system.api('/statistics/messages', { method: 'POST', key: sixth.key.api_key ?? '', body: {} })).status).toBe(422);
  });

  test('one that is given is looked at', async () => {
    const printed = await flexisip.config(['--rotate']);
    const key = { ...printed.key, api_key: printed.key.api_key ?? '' };
    expect((await flexisip.config(['--key', key.api_key])).key).toMatchObject({ what: 'given', id: key.id, api_key: key.api_key });
    const refused = async (text: string): Promise<string> => {
      const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, '--key', text]);
      expect(code).toBe(1);
      return stderr;
    };
    expect(await refused(flexisip.admin.key)).toContain("a person's key ends when it is unused for an hour");
    expect(await refused(`${key.api_key.slice(0, -1)}~`)).toContain('is not whole');
    await flexisip.config(['--rotate']);
    expect(await refused(key.api_key)).toMatch(/^--key: is an older secret: flexisip was rotated, and this one ends at 20/m);
    expect((await flexisip.flexiapi(['flexisip:config', '--rotate', '--key', key.api_key])).stderr).toContain('--rotate and --key');
    const made = async (body: Record<string, unknown>): Promise<string> =>
      String(
        (
          await system.api('/api_keys', {
            method: 'POST',
            key: flexisip.admin.key,
            body: { name: randomBytes(4).toString('hex'), ...body },
          })
        ).json['api_key'],
      );
    expect(await refused(await made({ scopes: ['statistics:write'] }))).toContain('has not the scope spaces:read');
    expect(await refused(await made({ scopes: ['*'], expires_after_last_used_minutes: 60 }))).toContain('has an end');
  });

  test('whose: a super admin’s alone', async () => {
    const other = await system.account('admin-there', { domain: OTHER, admin: true });
    for (const account of [String(other.id), `admin-there@${OTHER}`, 'nobody@nowhere']) {
      const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, '--account', account]);
      expect([code, stderr]).toEqual([1, expect.stringContaining(`--account: ${account} is no super admin`) as string]);
    }
    expect((await flexisip.config(['--account', String(flexisip.admin.id)])).key.account.id).toBe(flexisip.admin.id);
  });
});

test('a wire replay of Flexisip’s requests over HTTP/2 with the key and the address that were printed', async () => {
  const { conf } = await flexisip.config(['--rotate']);
  const file = new ConfFile(Buffer.from(conf));
  const log = (name: string): string => file.get('event-logs', name) ?? '';
  expect([log('enabled'), log('logger')]).toEqual(['true', 'flexiapi']);
  const client = new Http2Client(`https://${log('flexiapi-host')}:${log('flexiapi-port')}`, flexisip.certificate.cert);
  const headers = { accept: 'application/json', 'x-api-key': log('flexiapi-api-key'), 'content-type': 'application/json' };
  const send = async (method: string, route: string, body: unknown): Promise<number> =>
    (await client.request(method, log('flexiapi-prefix') + route, { ...headers }, JSON.stringify(body))).status;
  const id = (): string => randomBytes(32).toString('hex');
  const [message, call] = [id(), id()];
  const device = '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"';
  const [from, to] = [`+33600000000@${SPACE}`, `bob@${SPACE}`];
  const at = '2026-03-01T10:15:00Z';
  expect(
    await send('POST', 'messages', {
      conference_id: null,
      encrypted: false,
      from,
      id: message,
      sent_at: at,
      to: { [to]: { [device]: null } },
    }),
  ).toBe(200);
  expect(await send('PATCH', `messages/${message}/to/${to}/devices/${device}`, { last_status: 503, received_at: at })).toBe(201);
  expect(await send('PATCH', `messages/${message}/to/${to}/devices/${device}`, { last_status: 200, received_at: at })).toBe(200);
  expect(
    await send('POST', 'calls', {
      conference_id: null,
      devices: { [device]: null },
      ended_at: null,
      from,
      id: call,
      initiated_at: at,
      sip_call_id: 'x',
      to,
    }),
  ).toBe(200);
  expect(await send('PATCH', `calls/${call}/devices/${device}`, { rang_at: at })).toBe(201);
  expect(await send('PATCH', `calls/${call}/devices/${device}`, { invite_terminated: { at, state: 'accepted' } })).toBe(200);
  expect(await send('PATCH', `calls/${call}`, { ended_at: at })).toBe(200);
  // An empty DATA frame ends a GET.
  const spaces = await client.request('GET', '/api/spaces', headers, '');
  expect([spaces.status, (JSON.parse(spaces.text) as { domain: string }[]).map(({ domain }) => domain)]).toEqual([200, [SPACE, OTHER]]);
  client.close();
  const rows = await eventually(
    () =>
      system.rows(
        'SELECT (SELECT count(*)::int FROM statistics_messages WHERE id = $1) AS messages, (SELECT count(*)::int FROM statistics_calls WHERE id = $2) AS calls',
        [message, call],
      ),
    ([row]) => row?.['calls'] === 1,
  );
  expect(rows).toEqual([{ messages: 1, calls: 1 }]);
});

describe('what is printed', () => {
  const get = ({ conf }: Printed, section: string, name: string): string | undefined => new ConfFile(Buffer.from(conf)).get(section, name);

  test('for each version the names that it knows, and no others', async () => {
    const of = async (version: string, more: string[] = [], environment = {}): Promise<Printed> =>
      flexisip.config(['--rotate', '--flexisip-version', version, ...more], environment);
    const old = await of('2.4');
    expect(get(old, 'event-logs', 'flexiapi-host')).toBe('localhost');
    expect(get(old, 'event-logs', 'flexiapi-port')).toBe(new URL(flexisip.url).port);
    expect(old.conf).not.toMatch(/^\[global::flexiapi\]/m);
    const recent = await of('2.7');
    expect([get(recent, 'global::flexiapi', 'url'), get(recent, 'global::flexiapi', 'api-key')]).toEqual([
      flexisip.url,
      recent.key.api_key,
    ]);
    expect(get(recent, 'event-logs', 'flexiapi-prefix')).toBe('/api/statistics/');
    expect(recent.conf).not.toMatch(/^flexiapi-(?:host|port|api-key|token)=/m);
    // Behind a path of its own.
    const url2 = { APP_URL: 'https://front.example.org/flexiapi' };
    const [path4, path7] = [await of('2.4', [], url2), await of('2.7', [], url2)];
    expect([
      get(path4, 'event-logs', 'flexiapi-host'),
      get(path4, 'event-logs', 'flexiapi-port'),
      get(path4, 'event-logs', 'flexiapi-prefix'),
    ]).toEqual(['front.example.org', '443', '/flexiapi/api/statistics/']);
    expect([get(path7, 'global::flexiapi', 'url'), get(path7, 'event-logs', 'flexiapi-prefix')]).toEqual([
      url2.APP_URL,
      '/api/statistics/',
    ]);
  });

  test('passwords, domains and the registrar', async () => {
    const printed = await flexisip.config([], { FLEXISIP_REDIS_URL: 'rediss://user:p%40ss@redis.example.org:6380' });
    const auth = (name: string): string | undefined => get(printed, 'module::Authentication', name);
    expect([auth('enabled'), auth('auth-domains'), auth('available-algorithms'), auth('db-implementation')]).toEqual([
      'true',
      `${SPACE} ${OTHER}`,
      'SHA-256 MD5',
      'soci',
    ]);
    expect(auth('soci-password-request')).toBe(
      'select password, algorithm from sip_credentials where username = :id and domain = :domain and activated = true',
    );
    const registrar = (name: string): string | undefined => get(printed, 'module::Registrar', name);
    expect(
      Object.fromEntries(
        [
          'reg-domains',
          'db-implementation',
          'redis-server-domain',
          'redis-server-port',
          'redis-auth-user',
          'redis-auth-password',
          'redis-connection',
          'redis-tls-cafile',
        ].map((name) => [name, registrar(name)]),
      ),
    ).toEqual({
      'reg-domains': `${SPACE} ${OTHER}`,
      'db-implementation': 'redis',
      'redis-server-domain': 'redis.example.org',
      'redis-server-port': '6380',
      'redis-auth-user': 'user',
      'redis-auth-password': 'p@ss',
      'redis-connection': 'tls-server-auth',
      'redis-tls-cafile': '/etc/ssl/certs/ca-certificates.crt',
    });
    const without = await flexisip.config(['--domain', OTHER.toUpperCase()], { FLEXISIP_REDIS_URL: '' });
    expect(without.notes.join('\n')).toContain('FLEXISIP_REDIS_URL is not set');
    expect([get(without, 'module::Registrar', 'db-implementation'), get(without, 'module::Registrar', 'reg-domains')]).toEqual([
      undefined,
      OTHER,
    ]);
    const other = await flexisip.config([], { FLEXISIP_REDIS_URL: 'redis+sentinel://a:1/master/2' });
    expect(other.notes.join('\n')).toMatch(/Sentinels[\s\S]*database 2/);
  });

  test('tokens, where there is a public key', async () => {
    const { publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const keys = { JWT_RSA_PUBLIC_KEY_PEM: pem };
    expect((await flexisip.config([], keys)).notes.join('\n')).toContain('--auth jwt');
    const bearer = { ...keys, ACCOUNT_AUTHENTICATION_BEARER: 'authz_server="https://sso.example.org/realms/x", realm="x"' };
    const printed = await flexisip.config(['--audience', 'flexisip'], bearer);
    expect([get(printed, 'module::Authentication', 'enabled'), get(printed, 'module::Authorization', 'auth-domains-mode')]).toEqual([
      'false',
      'flexiapi',
    ]);
    const token = (name: string): string | undefined => get(printed, 'module::AuthOpenIDConnect', name);
    expect([
      token('enabled'),
      token('authorization-server'),
      token('audience'),
      token('realm'),
      token('sip-id-claim'),
      token('public-key-type'),
    ]).toEqual(['true', 'https://sso.example.org/realms/x', 'flexisip', 'x', 'sip_identity', 'file']);
    expect(printed.sql).toEqual([]);
    const older = await flexisip.config(['--audience', 'flexisip', '--flexisip-version', '2.5'], bearer);
    expect(get(older, 'module::Authorization', 'account-manager-host')).toBe('localhost');
    for (const [parameters, environment, said] of [
      [['--auth', 'jwt'], {}, 'JWT_RSA_PUBLIC_KEY_PEM'],
      [['--auth', 'jwt'], keys, '--issuer'],
      [[], bearer, '--audience'],
      [['--audience', 'x', '--flexisip-version', '2.4'], bearer, '2.5'],
    ] as const) {
      const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role, ...parameters], environment);
      expect([code, stderr]).toEqual([1, expect.stringContaining(said) as string]);
    }
  });

  test('text for people', async () => {
    const { stdout } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role]);
    expect(stdout).toMatch(/^# [^\n]*\n(?:# [^\n]*\n)*\[event-logs\]\nenabled=true\n/);
    expect(stdout).toContain(`\n-- SQL\n`);
    expect(stdout).toContain(`GRANT SELECT ON public.sip_credentials TO ${flexisip.role};`);
    expect(stdout).toMatch(/\n# The key flexisip(-\d+)? of root@/);
    expect(
      (await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role], { APP_URL: 'http://front.example.org' })).stdout,
    ).toContain('Flexisip speaks nothing but HTTP/2 over TLS');
  });

  test.each([
    ['--url', 'ftp://x', 1],
    ['--url', 'https://user:secret@x', 1],
    ['--domain', 'nowhere.example.org', 1],
    ['--role', 'x'.repeat(64), 1],
    ['--role-password', "it's", 1],
    ['--name', 'a b', 1],
    ['--auth', 'none', 2],
    ['--flexisip-version', '1.0', 2],
    ['--grace-minutes', '-1', 2],
    ['--write', '/nowhere/flexisip.conf', 1],
    ['--sql', '/nowhere/role.sql', 1],
  ])('%s %s is refused, and no key is made or rotated', async (option, value, expected) => {
    const before = await system.rows('SELECT count(*) FROM named_api_key_secrets');
    const { code, stderr } = await flexisip.flexiapi(['flexisip:config', option, value]);
    expect([code, stderr]).toEqual([expected, expect.stringContaining(expected === 1 && value.startsWith('/') ? value : option) as string]);
    expect(await system.rows('SELECT count(*) FROM named_api_key_secrets')).toEqual(before);
  });
});
