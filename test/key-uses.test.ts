// Uses of keys of machines at the same moment, from several addresses, by several processes: what is counted, shown, and shared.
import { makeNamedKey, type MadeKey } from './helpers/named-keys';
import { type Account, type Answer, eventually, request, startSystem, type System } from './helpers/system';

let system: System;
let superAdmin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0, environment: { TRUST_PROXY: '1' } });
  superAdmin = await system.account('uses-super', { admin: true });
});
afterAll(() => system.stop());

const make = (values: object = {}): Promise<MadeKey> => makeNamedKey(system, superAdmin, values);
const me = (key: string, headers: Record<string, string> = {}): Promise<Answer> => system.api('/accounts/me', { key, headers });
const keyCall = (route: string, method = 'GET', body?: object): Promise<Answer> =>
  system.api(`/api_keys${route}`, { method, key: superAdmin.key, ...(body && { body }) });

test('those who come at once from several addresses are told each by the own one', async () => {
  const { api_key } = await make({ allowed_addresses: ['198.51.100.0/24'] });
  const froms = Array.from({ length: 60 }, (_, n) => (n % 3 === 0 ? `198.51.100.${n}` : `203.0.113.${n}`));
  const statuses = await Promise.all(froms.map(async (ip) => (await me(api_key, { 'x-forwarded-for': ip })).status));
  expect(statuses).toEqual(froms.map((ip) => (ip.startsWith('198.') ? 200 : 401)));
  const sameNetwork = Array.from({ length: 60 }, (_, n) => (n % 2 === 0 ? '2001:db8:1::1' : '2001:db8:1::2'));
  const { api_key: other } = await make({ allowed_addresses: ['2001:db8:1::1'] });
  const answers = await Promise.all(sameNetwork.map(async (ip) => (await me(other, { 'x-forwarded-for': ip })).status));
  expect(answers).toEqual(sameNetwork.map((ip) => (ip.endsWith('1') ? 200 : 401)));
});

test('those who come at once to several Spaces are told each by the one that they ask', async () => {
  await system.space('open.example.org');
  await system.space('ended.example.org', { expireAt: new Date(Date.now() - 86_400_000) });
  const { id } = await system.account('uses-user', { domain: 'open.example.org' });
  const { api_key } = await make({ account_id: id });
  const hosts = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 'open.example.org' : 'ended.example.org'));
  const ask = (host: string): Promise<Answer> =>
    request(`${system.url}/api/accounts/me`, { key: api_key, headers: { 'x-forwarded-host': host, 'x-forwarded-for': '192.0.2.7' } });
  const statuses = await Promise.all(hosts.map(async (host) => (await ask(host)).status));
  expect(statuses).toEqual(hosts.map((host) => (host.startsWith('open') ? 200 : 403)));
});

test('of two processes the later use and the later refusal count as the last, whichever is written first', async () => {
  const { id, api_key } = await make({ allowed_addresses: ['192.0.2.0/24'] });
  await system.rows(
    `UPDATE named_api_keys SET last_used_at = now() + interval '1 hour', last_used_ip = '192.0.2.99',
            last_refused_at = now() + interval '1 hour', last_refused_reason = 'rotated' WHERE id = $1`,
    [id],
  );
  expect((await me(api_key, { 'x-forwarded-for': '192.0.2.1' })).status).toBe(200);
  expect((await me(api_key, { 'x-forwarded-for': '203.0.113.1' })).status).toBe(401);
  const { json } = await eventually(
    () => keyCall(`/${id}`),
    ({ json: row }) => row['requests'] === 1 && row['refused_requests'] === 1,
  );
  expect(json).toMatchObject({ last_used_ip: '192.0.2.99', last_refused_reason: 'rotated' });
});

test('a use that is not written yet keeps a key alive', async () => {
  const { id, api_key } = await make({ expires_after_last_used_minutes: 5 });
  await system.rows("UPDATE named_api_keys SET secret_made_at = now() - interval '4 minutes' WHERE id = $1", [id]);
  for (let round = 0; round < 5; round += 1) {
    expect((await me(api_key)).status).toBe(200);
    await system.rows("UPDATE named_api_keys SET secret_made_at = now() - interval '9 minutes', last_used_at = NULL WHERE id = $1", [id]);
  }
  expect((await me(api_key)).status).toBe(200);
});

test('a time unused takes the place of a moment, and a moment that of a time', async () => {
  const { id } = await make({ expires_at: '2096-02-03T04:05:06Z' });
  expect((await keyCall(`/${id}`, 'PATCH', { expires_after_last_used_minutes: 7 })).json).toMatchObject({
    expires_at: null,
    expires_after_last_used_minutes: 7,
  });
  expect((await keyCall(`/${id}`, 'PATCH', { expires_at: '2096-02-03T04:05:06Z' })).json).toMatchObject({
    expires_after_last_used_minutes: null,
  });
});

test('no secret that was replaced is good for longer than was said when it was', async () => {
  const made = await make();
  const second = (await keyCall(`/${made.id}/rotate`, 'POST', { grace_minutes: 5 })).json as MadeKey;
  await keyCall(`/${made.id}/rotate`, 'POST', { grace_minutes: 500 });
  const left = await system.rows<{ minutes: number }>(
    'SELECT round(extract(epoch FROM expires_at - now()) / 60)::int AS minutes FROM named_api_key_secrets WHERE key_id = $1 AND expires_at IS NOT NULL ORDER BY 1',
    [made.id],
  );
  expect(left).toEqual([{ minutes: 5 }, { minutes: 500 }]);
  expect([(await me(made.api_key)).status, (await me(second.api_key)).status]).toEqual([200, 200]);
});

test('a key that is deleted before its uses are written stops none of the others', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => make()));
  await Promise.all(keys.map(({ api_key }) => me(api_key)));
  await system.rows('DELETE FROM named_api_keys WHERE id = ANY ($1) AND id % 2 = 0', [keys.map(({ id }) => id)]);
  await eventually(
    () => system.rows<{ requests: number }>('SELECT requests FROM named_api_keys WHERE id = ANY ($1)', [keys.map(({ id }) => id)]),
    (rows) => rows.length === 10 && rows.every(({ requests }) => requests === 1),
  );
});

test('a key whose uses cannot be written stops none of the others', async () => {
  const keys = await Promise.all(Array.from({ length: 9 }, () => make()));
  const [stuck] = keys;
  await system.rows(`ALTER TABLE named_api_keys ADD CONSTRAINT stuck CHECK (id <> ${stuck?.id} OR requests = 0)`);
  await Promise.all(keys.map(({ api_key }) => me(api_key)));
  const used = (): Promise<{ id: number }[]> =>
    system.rows<{ id: number }>('SELECT id FROM named_api_keys WHERE id = ANY ($1) AND requests = 1 ORDER BY id', [
      keys.map(({ id }) => id),
    ]);
  await eventually(used, ({ length }) => length === 8);
  expect(system.webs[0]?.output()).toMatch(new RegExp(`"key_id":${stuck?.id},"reason":[^\\n]*are not written yet`));
  await system.rows('ALTER TABLE named_api_keys DROP CONSTRAINT stuck');
  await eventually(used, ({ length }) => length === 9);
});

test('no key and no hash of one is in the log, wherever it was shown', async () => {
  const { api_key, id } = await make();
  const [{ key_hash: hash } = { key_hash: '' }] = await system.rows<{ key_hash: string }>(
    'SELECT key_hash FROM named_api_key_secrets WHERE key_id = $1',
    [id],
  );
  for (const path of [
    `/api/nothing/${api_key}`,
    `/api/accounts/me?x-api-key=${api_key}`,
    `/queues?api_key=${api_key}`,
    `/${api_key}`,
    `/api/api_keys/${api_key}`,
  ])
    await fetch(system.url + path, { headers: { 'x-api-key': api_key } });
  await me(`${api_key}x`);
  await fetch(`${system.url}/queues/sign-in`, { method: 'POST', body: new URLSearchParams({ api_key }) });
  await keyCall(`/${id}`, 'DELETE');
  await eventually(
    () => Promise.resolve(system.webs[0]?.output() ?? ''),
    (text) => text.includes('an API key was revoked'),
  );
  const output = system.webs[0]?.output() ?? '';
  expect([output.includes(api_key.slice(9)), output.includes(hash)]).toEqual([false, false]);
});
