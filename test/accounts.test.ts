// Accounts: admins' endpoints, the caller's own, activation by key, phone countries.
import { createHash, createHmac } from 'node:crypto';
import { eventually, SPACE, startSystem, type Account, type Answer, type RequestOptions, type System } from './helpers/system';

let system: System;
let superAdmin: Account;
let admin: Account;
const OWN = 'tenant.example.org';

beforeAll(async () => {
  system = await startSystem({
    webs: 2,
    workers: 1,
    environment: {
      ACCOUNT_EMAIL_UNIQUE: 'true',
      COTURN_SERVER_HOST: 'turn.example.org',
      COTURN_STATIC_AUTH_SECRET: 'turn-secret',
      APP_URL: 'https://accounts.example.org',
    },
  });
  await system.space(OWN);
  await system.rows("UPDATE phone_countries SET activated = true WHERE code IN ('FR', 'BE')");
  superAdmin = await system.account('the-super', { admin: true });
  admin = await system.account('the-admin', { domain: OWN, admin: true });
});
afterAll(() => system.stop());

const call = (method: string, route: string, { key = admin.key, ...options }: RequestOptions = {}): Promise<Answer> =>
  system.api(route, { method, key, ...options });
const minimal = (username: string): Record<string, unknown> => ({ username, password: 'password', algorithm: 'SHA-256' });
const create = (change: object, key = admin.key): Promise<Answer> =>
  call('POST', '/accounts', { key, body: { ...minimal(`made-${Math.random().toString(36).slice(2)}`), ...change } });
const fieldsOf = ({ json }: Answer): string[] => Object.keys(json['errors'] ?? {});

describe('made by an admin', () => {
  test('with every field, as a real client sends them', async () => {
    const made = await create({
      username: 'full.account',
      activated: '0',
      admin: '1',
      display_name: 'Full, Name',
      email: 'Full@Example.org',
      phone: '+33 6 12 34 56 78',
      dtmf_protocol: 'sipinfo',
      dictionary: { a: 'b', empty: '' },
      confirmation_key_expires: '2030-12-31 23:59:59',
      domain: SPACE,
    });
    expect(made.status).toBe(200);
    expect(made.json).toMatchObject({
      username: 'full.account',
      domain: OWN,
      activated: false,
      admin: true,
      display_name: 'Full, Name',
      email: 'Full@Example.org',
      phone: '+33612345678',
      dtmf_protocol: 'sipinfo',
      dictionary: { a: 'b', empty: '' },
      confirmation_key: expect.stringMatching(/^[A-Za-z0-9]{13}$/) as string,
      confirmation_key_expires: '2030-12-31 23:59:59',
      provisioning_token: expect.stringMatching(/^[A-Za-z0-9]{13}$/) as string,
      passwords: [{ algorithm: 'SHA-256' }],
      ip_address: '127.0.0.1',
    });
    const shown = await call('GET', `/accounts/${made.json['id'] as number}`);
    expect(shown.json).toMatchObject({ phone_change_code: null, email_change_code: null });
    expect(shown.json).not.toHaveProperty('confirmation_key');
  });

  test('activated has no key; a super admin names the domain, or gets the request’s', async () => {
    expect((await create({ activated: true })).json).toMatchObject({ activated: true, confirmation_key: null });
    expect((await create({ domain: OWN.toUpperCase() }, superAdmin.key)).json['domain']).toBe(OWN);
    expect((await create({}, superAdmin.key)).json['domain']).toBe(SPACE);
    expect((await create({ domain: 'nowhere.org' }, superAdmin.key)).status).toBe(403);
    expect(fieldsOf(await create({ domain: 'nowhere.org' }))).toEqual(['domain']);
  });

  test.each([
    [{ username: undefined }, ['username']],
    [{ username: 'the-admin' }, ['username']],
    [{ password: 'short' }, ['password']],
    [{ algorithm: 'sha-256' }, ['algorithm']],
    [{ activated: 'yes', admin: 2 }, ['activated', 'admin']],
    [{ display_name: 'x'.repeat(256) }, ['display_name']],
    [{ email: 'nobody' }, ['email']],
    [{ email: `${'x'.repeat(250)}@example.org` }, ['email']],
    [{ phone: '0612345678' }, ['phone']],
    [{ phone: '+33612' }, ['phone']],
    [{ phone: '+33612345678 ext. 5' }, ['phone']],
    [{ phone: '+14155552671' }, ['phone']],
    [{ dtmf_protocol: 'smoke' }, ['dtmf_protocol']],
    [{ dictionary: null }, ['dictionary']],
    [{ dictionary: { a: 1 } }, ['dictionary']],
    [{ dictionary: { a: 'x'.repeat(256) } }, ['dictionary']],
    [{ dictionary: ['a'] }, ['dictionary']],
    [{ confirmation_key_expires: '2030-02-30 00:00:00' }, ['confirmation_key_expires']],
    [{ confirmation_key_expires: '2030-02-20' }, ['confirmation_key_expires']],
  ])('%j is refused by its field', async (change, fields) => {
    const answer = await create(change);
    expect([answer.status, fieldsOf(answer)]).toEqual([422, fields]);
  });

  test('email and phone are anybody’s once only, letter case and spelling ignored, also at once', async () => {
    expect((await create({ email: 'once@example.org', phone: '+33611111111' })).status).toBe(200);
    expect(fieldsOf(await create({ email: 'ONCE@example.org', phone: '+33 6 11 11 11 11' }, superAdmin.key))).toEqual(['email', 'phone']);
    const mails = await Promise.all(Array.from({ length: 8 }, () => create({ email: 'race@example.org' })));
    expect(mails.filter(({ status }) => status === 200)).toHaveLength(1);
    const phones = await Promise.all(Array.from({ length: 8 }, () => create({ phone: '+33622222222' })));
    expect(phones.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(phones.filter(({ status }) => status === 422)).toHaveLength(7);
    const names = await Promise.all(Array.from({ length: 8 }, () => create({ username: 'race-name' })));
    expect(names.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('a Space with ten places takes ten of a hundred', async () => {
    await system.space('tight.example.org', { maxAccounts: 10 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => create({ domain: 'tight.example.org' }, superAdmin.key)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(90);
    const mover = (await create({}, superAdmin.key)).json['id'] as number;
    expect(
      (await call('PUT', `/accounts/${mover}`, { key: superAdmin.key, body: { ...minimal('mover-name'), domain: 'tight.example.org' } }))
        .status,
    ).toBe(403);
  });
});

describe('changed', () => {
  test('what is absent is reset, but for activation, blocking, domain and dictionary', async () => {
    const { json: made } = await create({
      email: 'change@example.org',
      phone: '+33633333333',
      display_name: 'X',
      admin: true,
      activated: true,
      dictionary: { a: 'b' },
      dtmf_protocol: 'rfc2833',
    });
    const route = `/accounts/${made['id'] as number}`;
    const same = await call('PUT', route, {
      body: { ...minimal(made['username'] as string), email: 'change@example.org', phone: '+33633333333' },
      headers: { 'user-agent': 'Changer' },
    });
    expect([same.status, same.json]).toEqual([
      200,
      expect.objectContaining({
        email: 'change@example.org',
        phone: '+33633333333',
        display_name: null,
        dtmf_protocol: null,
        admin: false,
        activated: true,
        dictionary: { a: 'b' },
        user_agent: 'Changer',
        confirmation_key: null,
        phone_change_code: null,
      }),
    ]);
    const renamed = await call('PUT', route, { body: { ...minimal('renamed-account'), algorithm: 'MD5', dictionary: {} } });
    expect(renamed.json).toMatchObject({
      username: 'renamed-account',
      email: null,
      phone: null,
      dictionary: {},
      domain: OWN,
      passwords: [{ algorithm: 'MD5' }],
    });
    const ha1 = createHash('md5').update(`renamed-account:${OWN}:password`).digest('hex');
    expect(await system.rows('SELECT password FROM passwords WHERE account_id = $1', [made['id']])).toEqual([{ password: ha1 }]);
    const moved = await call('PUT', route, { key: superAdmin.key, body: { ...minimal('renamed-account'), domain: SPACE } });
    expect(moved.json['domain']).toBe(SPACE);
    expect((await call('PUT', route, { body: minimal('renamed-account') })).status).toBe(404);
    expect(fieldsOf(await call('PUT', route, { key: superAdmin.key, body: { ...minimal('the-super') } }))).toEqual(['username']);
    expect(
      fieldsOf(await call('PUT', route, { key: superAdmin.key, body: { ...minimal('renamed-account'), domain: 'nowhere.org' } })),
    ).toEqual(['domain']);
    expect(fieldsOf(await call('PUT', '/accounts/999999', { body: {} }))).toEqual(['username', 'password', 'algorithm']);
  });

  test('activated, blocked and back; a blocked account is refused everywhere', async () => {
    const user = await system.account('flagged-user', { domain: OWN });
    const post = (verb: string): Promise<Answer> => call('POST', `/accounts/${user.id}/${verb}`);
    expect((await post('deactivate')).json['activated']).toBe(false);
    expect((await post('activate')).json['activated']).toBe(true);
    expect((await post('block')).json['blocked']).toBe(true);
    expect((await system.api('/accounts/me', { key: user.key })).status).toBe(403);
    expect((await post('unblock')).json['blocked']).toBe(false);
    expect((await system.api('/accounts/me', { key: user.key })).status).toBe(200);
  });
});

test('outside an admin’s own domain everything is 404, whatever the Host; a super admin sees all', async () => {
  const stranger = await system.account('stranger-account');
  await system.rows("UPDATE accounts SET email = 'stranger@example.org' WHERE id = $1", [stranger.id]);
  const requests: [string, string, object?][] = [
    ['GET', `/accounts/${stranger.id}`],
    ['PUT', `/accounts/${stranger.id}`, { ...minimal('stranger-account'), email: 'stranger@example.org' }],
    ['GET', `/accounts/stranger-account@${SPACE}/search`],
    ['GET', '/accounts/stranger@example.org/search-by-email'],
    ['GET', `/accounts/${stranger.id}/provision`],
    ...['activate', 'deactivate', 'block', 'unblock'].map((verb): [string, string] => ['POST', `/accounts/${stranger.id}/${verb}`]),
    ['DELETE', `/accounts/${stranger.id}`],
  ];
  for (const [method, route, body] of requests)
    expect([method, route, (await call(method, route, { ...(body ? { body } : {}), headers: { host: SPACE } })).status]).toEqual([
      method,
      route,
      404,
    ]);
  for (const [method, route, body] of requests.filter(([, path]) => !path.endsWith('/block')))
    expect([method, route, (await call(method, route, { key: superAdmin.key, ...(body ? { body } : {}) })).status]).toEqual([
      method,
      route,
      200,
    ]);
  for (const id of ['0', '-1', 'abc', '1.5', '99999999999', '2147483648', '%00'])
    expect([id, (await call('GET', `/accounts/${id}`)).status]).toEqual([id, 404]);
});

test('found by SIP address and by email', async () => {
  const { json: made } = await create({ username: 'find+me', email: 'Find@Example.org' });
  for (const sip of [`find+me@${OWN}`, `sip:find+me@${OWN}`, `find%2Bme%40${OWN}`])
    expect((await call('GET', `/accounts/${sip}/search`)).json['id']).toBe(made['id']);
  expect((await call('GET', '/accounts/find-me/search')).status).toBe(404);
  await system.rows(
    "INSERT INTO accounts (username, domain, email, ip_address, user_agent, created_at) VALUES ('imported', $1, 'FIND@example.org', 'x', 'x', now())",
    [OWN],
  );
  expect((await call('GET', '/accounts/fInD@example.org/search-by-email')).json['id']).toBe(made['id']);
});

test('pages of twenty, counts right through creation, deletion, moves and folding', async () => {
  await system.space('pages.org');
  const pager = await system.account('page-admin', { domain: 'pages.org', admin: true });
  await system.rows(
    "INSERT INTO accounts (username, domain, ip_address, user_agent, created_at) SELECT 'page' || n, 'pages.org', 'x', 'x', now() FROM generate_series(1, 2500) n",
  );
  const page = async (number: string): Promise<Record<string, unknown>> =>
    (await system.api(`/accounts?page=${number}`, { key: pager.key })).json;
  const first = await page('1');
  expect(first).toMatchObject({
    current_page: 1,
    from: 1,
    to: 20,
    total: 2501,
    last_page: 126,
    per_page: 20,
    path: 'https://accounts.example.org/api/accounts',
    prev_page_url: null,
    next_page_url: 'https://accounts.example.org/api/accounts?page=2',
  });
  expect((first['data'] as unknown[])[0]).toMatchObject({ username: 'page-admin', phone_change_code: null });
  expect((first['links'] as { label: string; active: boolean }[]).map(({ label }) => label)).toEqual([
    '&laquo; Previous',
    '1',
    '2',
    '3',
    '4',
    '...',
    '125',
    '126',
    'Next &raquo;',
  ]);
  const names = async (number: string): Promise<string[]> =>
    ((await page(number))['data'] as { username: string }[]).map(({ username }) => username);
  expect(await names('126')).toEqual(['page2500']);
  expect(await names('51')).toEqual(Array.from({ length: 20 }, (_, n) => `page${1000 + n}`));
  expect(await page('127')).toMatchObject({ data: [], from: null, to: null, total: 2501, next_page_url: null });
  for (const odd of ['0', '-1', 'x', '1e3', '']) expect((await page(odd))['current_page']).toBe(1);
  await system.rows("DELETE FROM accounts WHERE domain = 'pages.org' AND username IN (SELECT 'page' || n FROM generate_series(1, 1000) n)");
  await system.rows("UPDATE accounts SET domain = $1 WHERE username = 'page2500'", [SPACE]);
  expect(await page('1')).toMatchObject({ total: 1500, last_page: 75 });
  expect(await names('2')).toEqual(Array.from({ length: 20 }, (_, n) => `page${1020 + n}`));
  await eventually(
    () => system.rows('SELECT 1 FROM account_count_changes'),
    (rows) => rows.length === 0,
    20,
  );
  expect(await page('1')).toMatchObject({ total: 1500 });
  expect(await names('2')).toEqual(Array.from({ length: 20 }, (_, n) => `page${1020 + n}`));
  const all = (await system.api('/accounts', { key: superAdmin.key })).json['total'];
  expect(await system.rows('SELECT count(*)::int AS n FROM accounts')).toEqual([{ n: all }]);
});

describe('the own account', () => {
  test('deleted: tombstone, nothing left, its statistics gone; the name stays taken', async () => {
    const user = await system.account('leaver-x', { domain: OWN });
    const report = (id: string, from: string): Promise<Answer> =>
      call('POST', '/statistics/calls', { body: { id, from, to: 'b@else.org', initiated_at: '2026-03-01' } });
    await report('leaver', `leaver-x@${OWN}`);
    await report('other', `other-x@${OWN}`);
    expect(await system.api('/accounts/me', { method: 'DELETE', key: user.key })).toMatchObject({ status: 200, text: '{}' });
    expect((await system.api('/accounts/me', { key: user.key })).status).toBe(401);
    await eventually(
      () => system.rows('SELECT id FROM statistics_calls'),
      (calls) => calls.length === 1 && calls[0]?.['id'] === 'other',
      30,
    );
    expect(fieldsOf(await create({ username: 'leaver-x' }))).toEqual(['username']);
  });

  test('deleted and made at the same time: never both a tombstone and an account', async () => {
    for (let round = 0; round < 10; round += 1) {
      const user = await system.account(`racer-${round}`, { domain: OWN });
      await Promise.all([system.api('/accounts/me', { method: 'DELETE', key: user.key }), create({ username: `racer-${round}` })]);
    }
    expect(
      await system.rows(
        "SELECT a.username FROM accounts a JOIN accounts_tombstones t USING (username, domain) WHERE a.username LIKE 'racer-%'",
      ),
    ).toEqual([]);
  });

  test('first password, change, wrong old one', async () => {
    const user = await system.account('pass-user', { domain: OWN });
    await system.rows('UPDATE accounts SET activated = false WHERE id = $1', [user.id]);
    const change = (body: object): Promise<Answer> => system.api('/accounts/me/password', { method: 'POST', key: user.key, body });
    expect(await change({ algorithm: 'MD5', password: ' spaced é ' })).toMatchObject({ status: 200, text: '{}' });
    expect(fieldsOf(await change({ algorithm: 'MD5', password: 'another' }))).toEqual(['old_password']);
    await system.rows('UPDATE accounts SET activated = false WHERE id = $1', [user.id]);
    const wrong = await change({ algorithm: 'MD5', password: 'another', old_password: 'spaced é' });
    expect([wrong.status, wrong.json]).toEqual([
      422,
      { message: 'The old password is wrong.', errors: { old_password: ['The old password is wrong.'] } },
    ]);
    expect(await system.rows('SELECT activated FROM accounts WHERE id = $1', [user.id])).toEqual([{ activated: false }]);
    expect((await change({ algorithm: 'SHA-256', password: 'another', old_password: ' spaced é ' })).status).toBe(200);
    const ha1 = createHash('sha256').update(`pass-user:${OWN}:another`).digest('hex');
    expect(
      await system.rows(
        'SELECT p.password, p.algorithm, a.activated FROM passwords p JOIN accounts a ON a.id = p.account_id WHERE a.id = $1',
        [user.id],
      ),
    ).toEqual([{ password: ha1, algorithm: 'SHA-256', activated: true }]);
    await system.rows("UPDATE passwords SET algorithm = 'CLRTXT', password = 'in the clear' WHERE account_id = $1", [user.id]);
    expect((await change({ algorithm: 'MD5', password: 'new one', old_password: 'in the clear' })).status).toBe(200);
  });

  test('a fresh provisioning token, and TURN credentials', async () => {
    const user = await system.account('prov-user', { domain: OWN });
    const tokens = [
      (await system.api('/accounts/me/provision', { key: user.key })).json['provisioning_token'],
      (await call('GET', `/accounts/${user.id}/provision`)).json['provisioning_token'],
    ];
    expect(new Set(tokens).size).toBe(2);
    expect((await system.api('/accounts/me', { key: user.key })).json['provisioning_token']).toBe(tokens[1]);
    const { json: turn } = await system.api('/accounts/me/services/turn', { key: user.key });
    expect(turn).toMatchObject({ ttl: 86400, uris: ['turn:turn.example.org'] });
    expect(turn['username']).toMatch(/^\d{10}:[A-Za-z0-9]{16}$/);
    expect(turn['password']).toBe(
      createHmac('sha1', 'turn-secret')
        .update(turn['username'] as string)
        .digest('base64'),
    );
  });
});

describe('look-up and activation by key', () => {
  const activate = (route: string, body: object): Promise<Answer> => system.api(`/accounts/${route}`, { method: 'POST', body });

  test('info tells of accounts in any Space', async () => {
    expect((await system.api(`/accounts/the-super@${SPACE}/info`)).json).toEqual({ activated: true, realm: null });
    expect((await system.api(`/accounts/sip:the-admin@${OWN}/info`)).status).toBe(200);
    for (const sip of ['nobody-here@x.org', 'nobody', `the-super@${OWN}`])
      expect((await system.api(`/accounts/${sip}/info`)).status).toBe(404);
  });

  test('by the 13-character key, under both names, once', async () => {
    const { json: made } = await create({ username: 'to-activate' });
    const key = made['confirmation_key'] as string;
    const route = `to-activate@${OWN}/activate/email`;
    expect(fieldsOf(await activate(route, {}))).toEqual(['confirmation_key']);
    expect(fieldsOf(await activate(route, { code: 'short' }))).toEqual(['code']);
    expect((await activate(route, { code: 'x'.repeat(13) })).status).toBe(404);
    const done = await activate(route, { code: key, confirmation_key: 'y'.repeat(13) });
    expect([done.status, done.json['activated']]).toEqual([200, true]);
    expect((await activate(route, { confirmation_key: key })).status).toBe(404);
  });

  test('a 4-digit key is void after five wrong tries, compared as text', async () => {
    const { json: made } = await create({ username: 'four-digits' });
    const set = (): Promise<unknown> =>
      system.rows("UPDATE accounts SET confirmation_key = '0042', confirmation_key_attempts = 0 WHERE id = $1", [made['id']]);
    const route = `four-digits@${OWN}/activate/phone`;
    await set();
    for (const code of ['42', '4e1', '00042', 'abcd']) expect((await activate(route, { code })).status).toBe(422);
    for (let n = 0; n < 5; n += 1) expect((await activate(route, { code: '9999' })).status).toBe(404);
    expect((await activate(route, { code: '0042' })).status).toBe(404);
    await set();
    expect((await activate(route, { code: '0042' })).json['activated']).toBe(true);
  });

  test('too late: 403', async () => {
    const { json: made } = await create({ username: 'too-late-x', confirmation_key_expires: '2001-01-01 00:00:00' });
    expect((await activate(`too-late-x@${OWN}/activate/email`, { code: made['confirmation_key'] })).status).toBe(403);
  });
});

test('phone countries, under both names', async () => {
  const [one, other] = await Promise.all(['/phone_countries', '/phones_countries'].map((route) => system.api(route)));
  expect(one?.text).toBe(other?.text);
  const countries = JSON.parse(one?.text ?? '') as { code: string }[];
  expect(countries).toContainEqual({ code: 'FR', country_code: '33', activated: true });
  expect(countries).toContainEqual({ code: 'US', country_code: '1', activated: false });
  expect(countries.map(({ code }) => code)).toEqual(countries.map(({ code }) => code).toSorted());
});
