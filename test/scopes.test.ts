// A key with few scopes does not become one with more: by nothing that the API shows or changes.
import { type Account, type Answer, startSystem, type System } from './helpers/system';

let system: System;
let owner: Account;
let user: Account;
let colleague: Account;
let reading: string;
let writing: string;
let everything: string;

const key = async (scopes: string[]): Promise<string> =>
  (await system.api('/api_keys', { method: 'POST', key: owner.key, body: { name: scopes.join(' '), scopes } })).json['api_key'] as string;

beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0 });
  owner = await system.account('scopes-owner', { admin: true });
  colleague = await system.account('scopes-colleague', { admin: true });
  user = await system.account('scopes-user');
  for (const { id } of [owner, colleague, user]) {
    await system.rows('INSERT INTO provisioning_tokens (account_id, token, created_at) VALUES ($1, $2, now())', [id, `provision-00${id}`]);
    await system.rows('INSERT INTO email_change_codes (account_id, code, email, created_at) VALUES ($1, $2, $3, now())', [
      id,
      `code-${id}`,
      'x@example.org',
    ]);
    await system.rows('INSERT INTO phone_change_codes (account_id, code, phone, created_at) VALUES ($1, $2, $3, now())', [
      id,
      `call-${id}`,
      '+33612345678',
    ]);
  }
  [reading, writing, everything] = [
    await key(['accounts:read']),
    await key(['accounts:write', 'accounts:read', 'keys:write']),
    await key(['*']),
  ];
});
afterAll(() => system.stop());

const secretsOf = (id: number): RegExp => new RegExp(`(provision-00|code-|call-)${id}\\b`);
/** Everything that shows accounts, and changes nothing. */
const views = (id: number, name: string): string[] => [
  '/accounts?page=1',
  `/accounts/${id}`,
  `/accounts/${name}@sip.example.org/search`,
  ...(id === owner.id ? ['/accounts/me'] : []),
];

test('what signs an account in is shown to those alone who could change it anyway, and an admin’s to those with all scopes', async () => {
  for (const [account, name] of [
    [user, 'scopes-user'],
    [colleague, 'scopes-colleague'],
    [owner, 'scopes-owner'],
  ] as const) {
    for (const route of views(account.id, name)) {
      const shown = async (by: string): Promise<boolean> => {
        const answer = await system.api(route, { key: by });
        expect([route, answer.status]).toEqual([route, 200]);
        return secretsOf(account.id).test(answer.text);
      };
      const expected = [false, account === user, true, true];
      expect([route, await shown(reading), await shown(writing), await shown(everything), await shown(owner.key)]).toEqual([
        route,
        ...expected,
      ]);
    }
  }
  expect((await system.api(`/accounts/${user.id}`, { key: reading })).json).toMatchObject({
    id: user.id,
    provisioning_token: null,
    email_change_code: null,
  });
});

const values = { password: 'a new password', algorithm: 'SHA-256' };
const NEEDS_ALL = 'This API key may not do this: it lacks the scope *.';
const put = (by: string, id: number, body: object): Promise<Answer> =>
  system.api(`/accounts/${id}`, { method: 'PUT', key: by, body: { ...values, ...body } });

test('a key that writes accounts makes and changes users, and no admins', async () => {
  const post = (by: string, body: object): Promise<Answer> =>
    system.api('/accounts', { method: 'POST', key: by, body: { ...values, ...body } });
  const refused = [
    await post(writing, { username: 'made-admin', admin: true }),
    await put(writing, user.id, { username: 'scopes-user', admin: true }),
    await put(writing, colleague.id, { username: 'scopes-colleague', admin: true }),
    await put(writing, colleague.id, { username: 'scopes-colleague' }),
    await put(writing, owner.id, { username: 'scopes-owner', admin: true }),
    await system.api(`/accounts/${colleague.id}/provision`, { key: writing }),
  ];
  expect(refused.map(({ status, json }) => [status, json['message']])).toEqual(refused.map(() => [403, NEEDS_ALL]));
  expect(await system.rows('SELECT 1 FROM passwords WHERE account_id = ANY ($1)', [[colleague.id, owner.id, user.id]])).toEqual([]);
  const made = await post(writing, { username: 'made-user', admin: false });
  expect([made.status, typeof made.json['provisioning_token'], typeof made.json['confirmation_key']]).toEqual([200, 'string', 'string']);
  expect((await put(writing, user.id, { username: 'scopes-user' })).status).toBe(200);
  expect((await system.api(`/accounts/${user.id}/provision`, { key: writing })).status).toBe(200);
  expect((await put(everything, colleague.id, { username: 'scopes-colleague', admin: true })).status).toBe(200);
});

test('a key that writes accounts does not decide whether an admin may act, nor ends one', async () => {
  const kept = await system.account('scopes-kept', { admin: true, blocked: true });
  const call = (by: string, route: string, method = 'POST'): Promise<Answer> => system.api(`/accounts/${route}`, { method, key: by });
  const refused = [
    await call(writing, `${kept.id}/unblock`),
    await call(writing, `${colleague.id}/block`),
    await call(writing, `${colleague.id}/deactivate`),
    await call(writing, `${colleague.id}/activate`),
    await call(writing, String(colleague.id), 'DELETE'),
    await call(writing, 'me', 'DELETE'),
  ];
  expect(refused.map(({ status, json }) => [status, json['message']])).toEqual(refused.map(() => [403, NEEDS_ALL]));
  expect((await call(writing, '2147483647/block')).status).toBe(404);
  expect((await call(writing, `${user.id}/block`)).json).toMatchObject({ blocked: true });
  expect((await call(writing, `${user.id}/unblock`)).json).toMatchObject({ blocked: false });
  expect((await call(everything, `${kept.id}/unblock`)).json).toMatchObject({ blocked: false });
  const ending = await system.account('scopes-ending');
  expect((await call(writing, String(ending.id), 'DELETE')).status).toBe(200);
  expect((await call(everything, String(kept.id), 'DELETE')).status).toBe(200);
});

test('the own mailbox and phone, by which an account is recovered, are changed by all scopes alone', async () => {
  await system.rows('UPDATE email_change_codes SET code = $2 WHERE account_id = $1', [owner.id, '4711']);
  for (const channel of ['email', 'phone']) {
    const value = channel === 'email' ? 'other@example.org' : '+33612345679';
    const asked = [
      await system.api(`/accounts/me/${channel}/request`, { method: 'POST', key: writing, body: { [channel]: value } }),
      await system.api(`/accounts/me/${channel}`, { method: 'POST', key: writing, body: { code: '4711' } }),
    ];
    expect(asked.map(({ status, json }) => [status, json['message']])).toEqual(asked.map(() => [403, NEEDS_ALL]));
  }
  expect(await system.rows('SELECT email, confirmed_email FROM accounts WHERE id = $1', [owner.id])).toEqual([
    { email: null, confirmed_email: null },
  ]);
  const redeemed = await system.api('/accounts/me/email', { method: 'POST', key: everything, body: { code: '4711' } });
  expect([redeemed.status, redeemed.json['email']]).toEqual([200, 'x@example.org']);
});

test('a key that writes Spaces makes no super admins, nor takes that from any', async () => {
  const spacing = await key(['spaces:read', 'spaces:write']);
  await system.space('tenant.example.org');
  await system.space('second.example.org', { isSuper: true });
  const { json: tenant } = await system.api('/spaces/tenant.example.org', { key: spacing });
  const call = (by: string, method: string, domain: string, body?: object): Promise<Answer> =>
    system.api(`/spaces${domain}`, { method, key: by, body });
  const refused = [
    await call(spacing, 'POST', '', { domain: 'new.example.org', super: true }),
    await call(spacing, 'PUT', '/tenant.example.org', { ...tenant, super: true }),
    await call(spacing, 'PUT', '/TENANT.example.org', { ...tenant, super: true }),
    await call(spacing, 'PUT', '/second.example.org', { ...tenant, host: 'second.example.org', super: false }),
    await call(spacing, 'DELETE', '/second.example.org'),
  ];
  expect(refused.map(({ status, json }) => [status, json['message']])).toEqual(refused.map(() => [403, NEEDS_ALL]));
  expect(await system.rows('SELECT domain FROM spaces WHERE super ORDER BY domain')).toEqual([
    { domain: 'second.example.org' },
    { domain: 'sip.example.org' },
  ]);
  expect((await call(spacing, 'PUT', '/tenant.example.org', { ...tenant, max_account: 7 })).json).toMatchObject({ max_account: 7 });
  expect((await call(spacing, 'PUT', '/second.example.org', { ...tenant, host: 'second.example.org', super: true })).status).toBe(200);
  expect((await call(spacing, 'POST', '', { domain: 'new.example.org', super: false })).status).toBe(201);
  expect((await call(spacing, 'DELETE', '/new.example.org')).status).toBe(200);
  expect((await call(everything, 'PUT', '/tenant.example.org', { ...tenant, super: true })).json).toMatchObject({ super: true });
});

test('no row gives a key of few scopes the key of a person, an attached token, a password or a configuration', async () => {
  const { json } = await system.api('/accounts/auth_token', { method: 'POST' });
  const asked = [
    await system.api('/accounts/me/api_key', { key: writing }),
    await system.api(`/accounts/auth_token/${String(json['token'])}/attach`, { key: writing }),
    await system.api('/accounts/me/password', { method: 'POST', key: writing, body: values }),
    await system.api('/accounts/me/provision', { key: writing }),
  ];
  expect(asked.map(({ status, json: body }) => [status, body['message']])).toEqual(asked.map(() => [403, NEEDS_ALL]));
  const page = await fetch(`${system.url}/provisioning/me`, { headers: { 'x-api-key': writing, 'x-linphone-provisioning': '1' } });
  expect(page.status).toBe(403);
  expect(
    (await fetch(`${system.url}/provisioning/me`, { headers: { 'x-api-key': everything, 'x-linphone-provisioning': '1' } })).status,
  ).toBe(200);
});

test('cards as texts are for keys that read contacts', async () => {
  const [reader, writer] = [await key(['contacts:read']), await key(['contacts:write'])];
  for (const [path, status] of [
    ['/contacts/vcard', 200],
    ['/contacts/vcard/nobody@sip.example.org', 404],
    ['/vcards-storage', 200],
    ['/vcards-storage/none', 404],
  ] as const) {
    const statusOf = async (by: string): Promise<number> => (await fetch(system.url + path, { headers: { 'x-api-key': by } })).status;
    expect([path, await statusOf(reader), await statusOf(writer), await statusOf(writing)]).toEqual([path, status, 403, 403]);
  }
});
