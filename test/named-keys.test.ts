// Keys of machines, over HTTP with two processes.
import { crc32 } from 'node:zlib';
import { SCOPES } from '../src/models/credentials/scopes';
import { hashApiKey } from '../src/services/credentials/secrets';
import { runTask } from './helpers/jobs';
import { makeNamedKey, type MadeKey } from './helpers/named-keys';
import { type Account, type Answer, eventually, startSystem, type System } from './helpers/system';

let system: System;
let superAdmin: Account;
let admin: Account;
let otherAdmin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 1, environment: { TRUST_PROXY: '1', RATE_LIMIT_PER_MINUTE: '0' } });
  await system.space('one.example.org');
  await system.space('two.example.org');
  superAdmin = await system.account('keys-super', { admin: true });
  admin = await system.account('keys-admin', { domain: 'one.example.org', admin: true });
  otherAdmin = await system.account('keys-other', { domain: 'two.example.org', admin: true });
});
afterAll(() => system.stop());

let serial = 0;
const make = (values: object = {}, by = superAdmin): Promise<MadeKey> => makeNamedKey(system, by, values);
const me = (key: string, headers: Record<string, string> = {}): Promise<Answer> => system.api('/accounts/me', { key, headers });
const keyCall = (route: string, options: { method?: string; body?: object; by?: Account } = {}): Promise<Answer> =>
  system.api(`/api_keys${route}`, { method: options.method ?? 'GET', key: (options.by ?? superAdmin).key, body: options.body });
/** What two processes answer. */
const twice = async (key: string): Promise<number[]> => [(await me(key)).status, (await me(key)).status];

describe('making', () => {
  test('shows the key once, with a prefix and a checksum, and keeps its hash alone', async () => {
    const made = await make({ name: 'shown once', scopes: ['statistics:write', 'accounts:read', 'accounts:read'] });
    const [, secret = '', sum = ''] = /^flexiapi_([A-Za-z0-9]{40})([A-Za-z0-9]{6})$/.exec(made.api_key) ?? [];
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    expect(Array.from(sum).reduce((number, digit) => number * 62 + digits.indexOf(digit), 0)).toBe(crc32(secret));
    expect(made).toMatchObject({
      account_id: superAdmin.id,
      account: 'keys-super@sip.example.org',
      scopes: ['accounts:read', 'statistics:write'],
      expires_at: null,
      expires_after_last_used_minutes: null,
      ends_at: null,
      allowed_addresses: null,
      requests: 0,
      last_used_at: null,
      last_used_ip: null,
    });
    expect(await system.rows('SELECT key_hash FROM named_api_key_secrets WHERE key_id = $1', [made.id])).toEqual([
      { key_hash: hashApiKey(made.api_key) },
    ]);
    const shown = await keyCall(`/${made.id}`);
    expect(shown.text).not.toContain(secret);
    expect((await keyCall('')).text).not.toContain(secret);
    expect((await system.api('/accounts/me', { key: made.api_key })).json['id']).toBe(superAdmin.id);
  });

  test('any number an account, each name once; other accounts may have the same', async () => {
    const [first, second] = [await make({ name: 'twin a' }), await make({ name: 'twin b' })];
    expect([...(await twice(first.api_key)), ...(await twice(second.api_key))]).toEqual([200, 200, 200, 200]);
    const again = await keyCall('', { method: 'POST', body: { name: ' twin a ', scopes: ['*'] } });
    expect([again.status, again.json['errors']]).toEqual([422, { name: ['This name is already taken.'] }]);
    const renamed = await keyCall(`/${second.id}`, { method: 'PATCH', body: { name: 'twin a' } });
    expect([renamed.status, Object.keys(renamed.json['errors'] as object)]).toEqual([422, ['name']]);
    await make({ name: 'twin a' }, admin);
    const many = await Promise.all(
      Array.from({ length: 10 }, () => keyCall('', { method: 'POST', body: { name: 'at once', scopes: ['*'] } })),
    );
    expect(many.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, ...Array<number>(9).fill(422)]);
  });

  const past = new Date(Date.now() - 1000).toISOString();
  const future = new Date(Date.now() + 60_000).toISOString();
  test.each<[string, object, string]>([
    ['no name', { name: undefined }, 'name'],
    ['an empty name', { name: '  ' }, 'name'],
    ['a long name', { name: 'x'.repeat(65) }, 'name'],
    ['a name of two lines', { name: 'a\nb' }, 'name'],
    ['no scopes', { scopes: undefined }, 'scopes'],
    ['null for scopes', { scopes: null }, 'scopes'],
    ['an empty list', { scopes: [] }, 'scopes'],
    ['a text for scopes', { scopes: 'accounts:read' }, 'scopes'],
    ['an unknown scope', { scopes: ['accounts:read', 'accounts:delete'] }, 'scopes'],
    ['a scope in capitals', { scopes: ['Accounts:Read'] }, 'scopes'],
    ['a scope that is no text', { scopes: [['*']] }, 'scopes'],
    ['nothing in the list', { scopes: [null] }, 'scopes'],
    ['an end that is past', { expires_at: past }, 'expires_at'],
    ['an end that is no moment', { expires_at: 'tomorrow' }, 'expires_at'],
    ['unused for no time', { expires_after_last_used_minutes: 0 }, 'expires_after_last_used_minutes'],
    ['unused for less', { expires_after_last_used_minutes: -5 }, 'expires_after_last_used_minutes'],
    ['unused for half a minute', { expires_after_last_used_minutes: 0.5 }, 'expires_after_last_used_minutes'],
    ['two ends', { expires_at: future, expires_after_last_used_minutes: 5 }, 'expires_after_last_used_minutes'],
    ['a text for addresses', { allowed_addresses: '127.0.0.1' }, 'allowed_addresses'],
    ['a name for an address', { allowed_addresses: ['localhost'] }, 'allowed_addresses'],
    ['a prefix too long', { allowed_addresses: ['10.0.0.0/33'] }, 'allowed_addresses'],
    ['a prefix too long of IPv6', { allowed_addresses: ['2001:db8::/129'] }, 'allowed_addresses'],
    ['a prefix that is none', { allowed_addresses: ['10.0.0.0/'] }, 'allowed_addresses'],
    ['a mask', { allowed_addresses: ['10.0.0.0/255.0.0.0'] }, 'allowed_addresses'],
    ['octets left out', { allowed_addresses: ['10/8'] }, 'allowed_addresses'],
    ['an octet too large', { allowed_addresses: ['10.0.0.256'] }, 'allowed_addresses'],
    ['an octet in octal', { allowed_addresses: ['010.0.0.1'] }, 'allowed_addresses'],
    ['a port', { allowed_addresses: ['10.0.0.1:80'] }, 'allowed_addresses'],
    ['a zone', { allowed_addresses: ['fe80::1%eth0'] }, 'allowed_addresses'],
    ['bits behind the prefix', { allowed_addresses: ['10.0.0.1/8'] }, 'allowed_addresses'],
    ['bits behind the prefix of IPv6', { allowed_addresses: ['2001:db8::1/32'] }, 'allowed_addresses'],
    ['a wider range than IPv4 has', { allowed_addresses: ['::ffff:0.0.0.0/95'] }, 'allowed_addresses'],
    ['nothing for an address', { allowed_addresses: [null] }, 'allowed_addresses'],
    ['an account that is not there', { account_id: 2147483647 }, 'account_id'],
  ])('%s: 422 names the field, and nothing is made', async (_what, values, field) => {
    const before = await system.rows('SELECT count(*) FROM named_api_keys');
    const answer = await keyCall('', { method: 'POST', body: { name: 'wrong', scopes: ['*'], ...values } });
    expect([answer.status, Object.keys(answer.json['errors'] ?? {})]).toEqual([422, [field]]);
    expect(await system.rows('SELECT count(*) FROM named_api_keys')).toEqual(before);
    // The same of a change, where what is absent stays.
    const isAbsent = Object.values(values).some((value) => value === undefined || value === null || value === '  ');
    if (!isAbsent && field !== 'account_id') {
      const { id } = await make();
      const changed = await keyCall(`/${id}`, { method: 'PATCH', body: values });
      expect([changed.status, Object.keys(changed.json['errors'] ?? {})]).toEqual([422, [field]]);
    }
  });

  test('texts of faults say what is wrong, in both languages', async () => {
    const ask = (body: object, language: string): Promise<Answer> =>
      system.api('/api_keys', { method: 'POST', key: superAdmin.key, body, headers: { 'accept-language': language } });
    const wrong = { name: 'x', scopes: ['nonsense'], allowed_addresses: ['10.0.0.1/8'] };
    expect((await ask(wrong, 'en')).json['errors']).toEqual({
      scopes: [`nonsense is no scope. There are: ${SCOPES.join(', ')}.`],
      allowed_addresses: ['10.0.0.1/8 has bits behind its prefix: is the single address meant, or the range?'],
    });
    expect((await ask(wrong, 'fr')).text).toContain('nonsense n’est pas une portée');
  });

  test('for an account of the own Space; super admins for all; users for nobody', async () => {
    const user = await system.account('keys-user', { domain: 'one.example.org' });
    const made = await make({ account_id: user.id, scopes: ['*'] }, admin);
    expect((await me(made.api_key)).json['id']).toBe(user.id);
    const foreign = await keyCall('', { method: 'POST', by: otherAdmin, body: { name: 'x', scopes: ['*'], account_id: user.id } });
    expect([foreign.status, Object.keys(foreign.json['errors'] as object)]).toEqual([422, ['account_id']]);
    await make({ account_id: user.id });
    expect((await keyCall('', { method: 'POST', by: user, body: { name: 'x', scopes: ['*'] } })).status).toBe(403);
    // A key does not make more of its account.
    expect((await system.api('/accounts', { key: made.api_key })).status).toBe(403);
  });
});

describe('who sees and changes them', () => {
  test('admins those of their Space, by id; all are 404 to others', async () => {
    const made = await make({}, admin);
    const idsOf = ({ text }: Answer): number[] => (JSON.parse(text) as { id: number }[]).map(({ id }) => id);
    const own = idsOf(await keyCall('', { by: admin }));
    expect(own).toContain(made.id);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
    expect(idsOf(await keyCall('', { by: otherAdmin }))).not.toContain(made.id);
    const ofUser = await make({ account_id: (await system.account('keys-listed', { domain: 'one.example.org' })).id }, admin);
    const ofAdmin = idsOf(await keyCall(`?account_id=${admin.id}`));
    expect([ofAdmin.includes(made.id), ofAdmin.includes(ofUser.id), idsOf(await keyCall('', { by: admin })).includes(ofUser.id)]).toEqual([
      true,
      false,
      true,
    ]);
    for (const [method, route, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { name: 'mine now' }],
      ['POST', '/rotate', {}],
      ['DELETE', '', undefined],
    ] as const) {
      const answer = await keyCall(`/${made.id}${route}`, { method, by: otherAdmin, ...(body && { body }) });
      expect([method, answer.status]).toEqual([method, 404]);
    }
    expect(await twice(made.api_key)).toEqual([200, 200]);
    expect((await keyCall(`/${made.id}`)).json['id']).toBe(made.id);
  });

  test('nobody gives away more than he has', async () => {
    const keeper = await make({ scopes: ['keys:write', 'accounts:read'] });
    const by = { id: superAdmin.id, key: keeper.api_key };
    const refused = await keyCall('', { method: 'POST', by, body: { name: 'more', scopes: ['accounts:read', 'spaces:read'] } });
    expect([refused.status, refused.json['errors']]).toEqual([
      422,
      { scopes: ['Nobody gives away more than they have: you lack the scope spaces:read.'] },
    ]);
    expect((await keyCall('', { method: 'POST', by, body: { name: 'all', scopes: ['*'] } })).status).toBe(422);
    const less = await make({ scopes: ['accounts:read'] }, by);
    expect((await keyCall(`/${less.id}`, { method: 'PATCH', by, body: { scopes: ['contacts:read'] } })).status).toBe(422);
    // Of a key that may do more, the caller gets no secret, nor may it be opened to another address.
    const more = await make({ scopes: ['*'], allowed_addresses: ['192.0.2.1'] });
    for (const [method, route, body] of [
      ['POST', '/rotate', {}],
      ['PATCH', '', { allowed_addresses: null }],
      ['PATCH', '', { scopes: ['accounts:read'] }],
    ] as const) {
      const answer = await keyCall(`/${more.id}${route}`, { method, by, body });
      expect([method, answer.status, answer.text.includes('*')]).toEqual([method, 403, true]);
    }
    expect((await keyCall(`/${more.id}`)).json).toMatchObject({ allowed_addresses: ['192.0.2.1'], scopes: ['*'] });
  });

  test('nor a longer life, or more addresses, than the own key has', async () => {
    const end = new Date(Date.now() + 3_600_000).toISOString();
    const later = new Date(Date.now() + 3_601_000).toISOString();
    const bound = await make({ scopes: ['*'], expires_at: end, allowed_addresses: ['127.0.0.0/8', '::1'] });
    const by = { id: superAdmin.id, key: bound.api_key };
    const fits = { scopes: ['*'], expires_at: end, allowed_addresses: ['127.0.0.1', '127.1.0.0/16', '::1/128'] };
    const fieldsOf = async (method: string, route: string, values: object): Promise<[number, string[]]> => {
      const { status, json } = await keyCall(route, { method, by, body: { name: `within ${(serial += 1)}`, ...fits, ...values } });
      return [status, Object.keys(json['errors'] ?? {})];
    };
    const wider: [object, string[]][] = [
      [{ expires_at: undefined }, ['expires_at']],
      [{ expires_at: later }, ['expires_at']],
      [{ expires_at: undefined, expires_after_last_used_minutes: 1 }, ['expires_at']],
      [{ allowed_addresses: [] }, ['allowed_addresses']],
      [{ allowed_addresses: undefined }, ['allowed_addresses']],
      [{ allowed_addresses: ['127.0.0.1', '0.0.0.0/0'] }, ['allowed_addresses']],
      [{ allowed_addresses: ['126.0.0.0/7'] }, ['allowed_addresses']],
      [{ allowed_addresses: ['::/0'] }, ['allowed_addresses']],
      [{ allowed_addresses: ['::2'] }, ['allowed_addresses']],
      [{ expires_at: undefined, allowed_addresses: undefined }, ['expires_at', 'allowed_addresses']],
    ];
    for (const [values, fields] of wider) expect([values, await fieldsOf('POST', '', values)]).toEqual([values, [422, fields]]);
    const made = await make(fits, by);
    // Of a change, and of the own key too: it lives no longer by its own hand.
    for (const id of [made.id, bound.id])
      for (const values of [
        { expires_at: later },
        { expires_at: null },
        { allowed_addresses: null },
        { allowed_addresses: ['10.0.0.1'] },
      ]) {
        const { status, json } = await keyCall(`/${id}`, { method: 'PATCH', by, body: values });
        expect([values, status, Object.keys(json['errors'] ?? {})]).toEqual([values, 422, Object.keys(values)]);
      }
    // Whoever goes beyond it already gets no other secret for it, and is not changed.
    for (const values of [{ expires_at: later }, { expires_at: end, allowed_addresses: null }]) {
      const other = await make({ scopes: ['*'], allowed_addresses: ['127.0.0.1'], ...values });
      expect((await keyCall(`/${other.id}/rotate`, { method: 'POST', by, body: {} })).status).toBe(403);
      expect((await keyCall(`/${other.id}`, { method: 'PATCH', by, body: { name: 'mine' } })).status).toBe(403);
    }
    expect((await keyCall(`/${made.id}/rotate`, { method: 'POST', by, body: {} })).status).toBe(200);
    const idle = await make({ scopes: ['*'], expires_after_last_used_minutes: 10 });
    const byIdle = { id: superAdmin.id, key: idle.api_key };
    const statuses = [];
    for (const values of [{}, { expires_after_last_used_minutes: 11 }, { expires_at: end }, { expires_after_last_used_minutes: 10 }])
      statuses.push(
        (await keyCall('', { method: 'POST', by: byIdle, body: { name: `idle ${(serial += 1)}`, scopes: ['*'], ...values } })).status,
      );
    expect(statuses).toEqual([422, 422, 422, 201]);
  });

  test('PATCH changes what it names, and one end takes the place of the other', async () => {
    const { id } = await make({
      allowed_addresses: ['::ffff:10.1.2.0/120', '10.1.2.0/24', '2001:DB8:0::1'],
      expires_after_last_used_minutes: 5,
    });
    const shown = await keyCall(`/${id}`);
    expect(shown.json).toMatchObject({ allowed_addresses: ['10.1.2.0/24', '2001:db8::1'], expires_after_last_used_minutes: 5 });
    const at = '2096-02-03T04:05:06.000000Z';
    const ended = await keyCall(`/${id}`, { method: 'PATCH', body: { expires_at: at } });
    expect(ended.json).toMatchObject({ expires_at: at, ends_at: at, expires_after_last_used_minutes: null, name: shown.json['name'] });
    const never = await keyCall(`/${id}`, {
      method: 'PATCH',
      body: { expires_at: null, allowed_addresses: [], scopes: ['contacts:read'] },
    });
    expect(never.json).toMatchObject({ expires_at: null, ends_at: null, allowed_addresses: null, scopes: ['contacts:read'] });
    expect((await keyCall(`/${id}`, { method: 'PATCH', body: {} })).json).toMatchObject({ scopes: ['contacts:read'] });
    expect((await keyCall(`/${id}`, { method: 'PATCH', body: { name: null } })).json).toMatchObject({ name: shown.json['name'] });
  });
});

describe('using', () => {
  test('a key that never expires works after a year of silence, and nothing clears it', async () => {
    const { id, api_key } = await make();
    expect(await twice(api_key)).toEqual([200, 200]);
    await eventually(
      () => system.rows('SELECT requests FROM named_api_keys WHERE id = $1', [id]),
      ([row]) => row?.['requests'] === '2' || row?.['requests'] === 2,
    );
    await system.rows(
      "UPDATE named_api_keys SET created_at = now() - interval '400 days', secret_made_at = now() - interval '400 days', last_used_at = now() - interval '366 days' WHERE id = $1",
      [id],
    );
    await runTask(system, 'api-keys', 'clear_expired');
    await runTask(system, 'chores', 'clean');
    expect(await twice(api_key)).toEqual([200, 200]);
  });

  test('the person’s key touches none of them, nor they it', async () => {
    const owner = await system.account('keys-person', { admin: true });
    const made = await make({ scopes: ['*'] }, owner);
    const fresh = (await system.api('/accounts/me/api_key', { key: owner.key })).text;
    expect(fresh).toMatch(/^[A-Za-z0-9]{40}$/);
    expect([...(await twice(fresh)), ...(await twice(made.api_key)), (await me(owner.key)).status]).toEqual([200, 200, 200, 200, 401]);
    expect((await keyCall(`/${made.id}`, { method: 'DELETE' })).status).toBe(200);
    expect(await twice(fresh)).toEqual([200, 200]);
  });

  test('what is no whole key is unknown, whatever its prefix', async () => {
    const { api_key } = await make();
    const wrong = [
      `${api_key.slice(0, -1)}${api_key.endsWith('a') ? 'b' : 'a'}`,
      api_key.toUpperCase(),
      api_key.slice(9),
      `${api_key} x`,
      'flexiapi_',
    ];
    for (const key of wrong) expect([key, (await me(key)).status]).toEqual([key, 401]);
    expect((await system.api('/accounts/me', { headers: { cookie: `x-api-key=${api_key}` } })).status).toBe(200);
  });

  test('from the addresses that it names, as the trusted front tells them', async () => {
    const { id, api_key } = await make({ allowed_addresses: ['198.51.100.0/24', '2001:db8:1::/48', '203.0.113.9'] });
    const from = async (ip: string): Promise<[number, unknown]> => {
      const { status, json } = await me(api_key, { 'x-forwarded-for': ip });
      return [status, json['message']];
    };
    for (const ip of ['198.51.100.1', '198.51.100.255', '2001:db8:1:2::3', '203.0.113.9', '::ffff:203.0.113.9'])
      expect([ip, (await from(ip))[0]]).toEqual([ip, 200]);
    const refusal = [401, 'This API key may not be used from this address.'];
    for (const ip of ['198.51.101.1', '203.0.113.8', '2001:db8:2::1', '127.0.0.1']) expect([ip, await from(ip)]).toEqual([ip, refusal]);
    const row = await eventually(
      () => keyCall(`/${id}`),
      ({ json }) => json['requests'] === 5 && json['refused_requests'] === 4,
    );
    expect(row.json).toMatchObject({ last_used_ip: '203.0.113.9', last_refused_reason: 'address' });
  });

  test('ends at its moment, with a 401 that says so', async () => {
    const { id, api_key } = await make({ expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    expect(await twice(api_key)).toEqual([200, 200]);
    await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", [id]);
    const { status, json, headers } = await me(api_key);
    expect([status, json['message'], headers.get('www-authenticate')]).toEqual([401, 'This API key has expired.', null]);
    expect((await keyCall(`/${id}`)).json).toMatchObject({ is_expired: true });
    expect((await keyCall(`/${id}`, { method: 'PATCH', body: { expires_at: null } })).json).toMatchObject({ is_expired: false });
    expect(await twice(api_key)).toEqual([200, 200]);
  });

  test('ends when unused for its time; use keeps it alive, a new secret begins anew', async () => {
    const { id, api_key } = await make({ expires_after_last_used_minutes: 10 });
    const back = (minutes: number): Promise<unknown> =>
      system.rows(
        `UPDATE named_api_keys SET secret_made_at = now() - interval '1 year', last_used_at = now() - interval '${minutes} minutes' WHERE id = $1`,
        [id],
      );
    await back(9);
    expect((await me(api_key)).status).toBe(200);
    await eventually(
      () => system.rows("SELECT 1 FROM named_api_keys WHERE id = $1 AND last_used_at > now() - interval '1 minute'", [id]),
      (rows) => rows.length === 1,
    );
    const idle = await make({ expires_after_last_used_minutes: 10 });
    await system.rows("UPDATE named_api_keys SET secret_made_at = now() - interval '11 minutes' WHERE id = $1", [idle.id]);
    expect((await me(idle.api_key)).json['message']).toBe('This API key has expired.');
    const rotated = await keyCall(`/${idle.id}/rotate`, { method: 'POST', body: {} });
    expect(await twice(rotated.json['api_key'] as string)).toEqual([200, 200]);
  });

  test('a blocked account, an expired Space and a role that was taken away count as for every key', async () => {
    const owner = await system.account('keys-blocked', { admin: true });
    const { api_key } = await make({ scopes: ['*'] }, owner);
    await system.rows('UPDATE accounts SET blocked = true WHERE id = $1', [owner.id]);
    expect(await twice(api_key)).toEqual([403, 403]);
    await system.rows('UPDATE accounts SET blocked = false, admin = false WHERE id = $1', [owner.id]);
    expect((await system.api('/accounts', { key: api_key })).status).toBe(403);
    expect(await twice(api_key)).toEqual([200, 200]);
    await system.rows('UPDATE accounts SET admin = true WHERE id = $1', [owner.id]);
    expect((await system.api(`/accounts/${owner.id}`, { method: 'DELETE', key: superAdmin.key })).status).toBe(200);
    expect(await twice(api_key)).toEqual([401, 401]);
  });

  test('a statistic each: the uses and refusals of all processes', async () => {
    const { id, api_key } = await make({ scopes: ['statistics:write'] });
    await Promise.all(Array.from({ length: 30 }, () => system.api('/statistics/messages', { method: 'POST', key: api_key, body: {} })));
    await Promise.all(Array.from({ length: 6 }, () => me(api_key)));
    const { json } = await eventually(
      () => keyCall(`/${id}`),
      ({ json: row }) => row['requests'] === 36 && row['refused_requests'] === 6,
    );
    expect(json).toMatchObject({ last_used_ip: '127.0.0.1', last_refused_reason: 'scope' });
  });
});
