// Somebody is always left to manage the installation: the last super admin, and the last super Space with one, stay.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { startSystem, type Account, type Answer, type System } from './helpers/system';

const run = promisify(execFile);
const TEXT = 'At least one super space with an admin who is not blocked must remain.';
const OWN = 'sip.example.org';
const OTHER = 'other.example.org';

let system: System;
let admin: Account;
beforeEach(async () => {
  system = await startSystem({ webs: 2, workers: 0 });
  admin = await system.account('first-super', { admin: true });
});
afterEach(() => system.stop());

const call = (method: string, route: string, body?: unknown, key = admin.key): Promise<Answer> =>
  system.api(route, { method, key, ...(body === undefined ? {} : { body }) });
const ordinary = async (domain: string, key = admin.key): Promise<Answer> =>
  call('PUT', `/spaces/${domain}`, { ...(await call('GET', `/spaces/${domain}`, undefined, key)).json, super: false }, key);
const change = (username: string, id: number, fields: object, key = admin.key): Promise<Answer> =>
  call('PUT', `/accounts/${id}`, { username, password: 'password', algorithm: 'MD5', ...fields }, key);
async function flexiapi(...parameters: string[]): Promise<{ code: number; stderr: string }> {
  try {
    const { stderr } = await run(process.execPath, [path.join(__dirname, '..', 'bin', 'flexiapi'), ...parameters], {
      env: { PATH: process.env['PATH'] ?? '', ...system.environment },
    });
    return { code: 0, stderr };
  } catch (error) {
    return error as { code: number; stderr: string };
  }
}

const superSpaces = async (): Promise<string[]> =>
  (await system.rows<{ domain: string }>('SELECT domain FROM spaces WHERE super ORDER BY domain')).map(({ domain }) => domain);

test('the last super Space is neither deleted nor made an ordinary one, by the API and by the command line', async () => {
  await system.space(OTHER);
  await system.account('no-super', { domain: OTHER, admin: true });
  const deleted = await call('DELETE', '/spaces/Sip.Example.org');
  expect([deleted.status, deleted.json]).toEqual([409, { message: TEXT }]);
  const changed = await ordinary(OWN);
  expect([changed.status, changed.json['errors']]).toEqual([422, { super: [TEXT] }]);
  expect((await system.api(`/spaces/${OWN}`, { method: 'DELETE', key: admin.key, headers: { 'accept-language': 'fr' } })).json).toEqual({
    message: 'Il doit rester au moins un super espace avec un administrateur qui n’est pas bloqué.',
  });
  const { code, stderr } = await flexiapi('spaces:create-update', OWN, '--host', 'new-host.example.org');
  expect([code, stderr.trim().split('\n')]).toEqual([1, [expect.stringContaining('--super')]]);
  expect(await system.rows('SELECT super, host FROM spaces WHERE domain = $1', [OWN])).toEqual([{ super: true, host: OWN }]);
  expect((await call('GET', '/accounts/me')).status).toBe(200);
  // What leaves it super is allowed, and ordinary Spaces go.
  expect((await flexiapi('spaces:create-update', OWN, '--host', 'new-host.example.org', '--super')).code).toBe(0);
  expect((await call('DELETE', `/spaces/${OTHER}`)).status).toBe(200);
});

test('one of two super Spaces goes, if the other has an admin who is not blocked', async () => {
  await system.space(OTHER, { isSuper: true });
  for (const refused of [await call('DELETE', `/spaces/${OWN}`), await ordinary(OWN)]) expect([409, 422]).toContain(refused.status);
  const second = await system.account('second-super', { domain: OTHER, admin: true, blocked: true });
  expect((await call('DELETE', `/spaces/${OWN}`)).status).toBe(409);
  await system.rows('UPDATE accounts SET blocked = false WHERE id = $1', [second.id]);
  expect((await ordinary(OWN)).status).toBe(200);
  expect(await superSpaces()).toEqual([OTHER]);
  expect((await ordinary(OTHER, second.key)).status).toBe(422);
});

test('where the default Space has gone, what would be made in it is refused for that', async () => {
  await system.space(OTHER, { isSuper: true });
  const { key } = await system.account('second-super', { domain: OTHER, admin: true });
  const { token } = (await call('POST', '/account_creation_tokens', undefined, key)).json;
  expect((await call('DELETE', `/spaces/${OWN}`, undefined, key)).status).toBe(200);
  const list = await call('POST', '/contacts_lists', { title: 'a', description: 'b' }, key);
  const body = { username: 'nowhere', password: 'password', algorithm: 'MD5', account_creation_token: token };
  const account = await system.api('/accounts/with-account-creation-token', { method: 'POST', body });
  for (const { status, json } of [list, account]) expect([status, json]).toEqual([404, { message: 'This domain is not managed here.' }]);
  // A Space with the host of the request is enough, and the token is not spent.
  await system.rows('UPDATE spaces SET host = $1', [new URL(system.url).hostname]);
  const made = await system.api('/accounts/with-account-creation-token', { method: 'POST', body });
  expect([made.status, made.json['domain']]).toEqual([200, OTHER]);
});

test('before there is any super admin the command line may change the role, but not of the last one', async () => {
  await system.rows('DELETE FROM accounts');
  await system.space(OTHER, { isSuper: true });
  expect((await flexiapi('spaces:create-update', OTHER)).code).toBe(0);
  expect((await flexiapi('spaces:create-update', OWN)).code).toBe(1);
  expect(await superSpaces()).toEqual([OWN]);
});

test('where there is no super admin at all, admins of ordinary Spaces go as they please', async () => {
  await system.space(OTHER);
  await system.rows('DELETE FROM accounts');
  const [one, two, three] = (await Promise.all(
    ['one-admin', 'two-admin', 'three-admin'].map((name) => system.account(name, { domain: OTHER, admin: true })),
  )) as [Account, Account, Account];
  expect((await call('POST', `/accounts/${two.id}/block`, undefined, one.key)).status).toBe(200);
  expect((await change('three-admin', three.id, {}, one.key)).status).toBe(200);
  expect((await call('DELETE', '/accounts/me', undefined, one.key)).status).toBe(200);
});

test('of two super admins that end each other’s Space, or their own, at once, one is refused', async () => {
  for (let n = 0; n < 5; n += 1) {
    await system.rows('DELETE FROM spaces');
    const domains = ['one.example.org', 'two.example.org'];
    const keys: string[] = [];
    for (const domain of domains) {
      await system.space(domain, { isSuper: true });
      keys.push((await system.account('super', { domain, admin: true })).key);
    }
    const end = n % 2 === 0 ? (domain: string, key = ''): Promise<Answer> => call('DELETE', `/spaces/${domain}`, undefined, key) : ordinary;
    const answers = await Promise.all(domains.map((domain, index) => end(domain, keys[index])));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, n % 2 === 0 ? 409 : 422]);
    expect(await superSpaces()).toHaveLength(1);
  }
});

test('the last super admin is not deleted, blocked, made an ordinary user or moved, not even by itself', async () => {
  await system.space(OTHER);
  await system.account('blocked-super', { admin: true, blocked: true });
  await system.account('super-user');
  await system.account('space-admin', { domain: OTHER, admin: true });
  for (const refused of [
    await call('DELETE', '/accounts/me'),
    await call('DELETE', `/accounts/${admin.id}`),
    await call('POST', `/accounts/${admin.id}/block`),
  ])
    expect([refused.status, refused.json]).toEqual([409, { message: TEXT }]);
  expect((await change('first-super', admin.id, {})).json['errors']).toEqual({ admin: [TEXT] });
  expect((await change('first-super', admin.id, { admin: true, domain: OTHER })).json['errors']).toEqual({ domain: [TEXT] });
  expect(await system.rows('SELECT domain, admin, blocked FROM accounts WHERE id = $1', [admin.id])).toEqual([
    { domain: OWN, admin: true, blocked: false },
  ]);
  // What leaves the role is allowed.
  expect((await change('first-super', admin.id, { admin: true, email: 'first@example.org' })).status).toBe(200);
  expect((await call('POST', `/accounts/${admin.id}/deactivate`)).status).toBe(200);
});

test('where another is left all of that is allowed; who is no super admin is looked at for nothing', async () => {
  await system.space(OTHER);
  const second = await system.account('second-super', { admin: true });
  const third = await system.account('third-super', { admin: true });
  const lower = await system.account('space-admin', { domain: OTHER, admin: true });
  const blocked = await system.account('blocked-admin', { domain: OTHER, admin: true, blocked: true });
  expect((await call('POST', `/accounts/${second.id}/block`)).status).toBe(200);
  expect((await call('POST', `/accounts/${second.id}/unblock`)).status).toBe(200);
  expect((await change('second-super', second.id, {})).status).toBe(200);
  expect((await call('DELETE', '/accounts/me', undefined, third.key)).status).toBe(200);
  expect((await call('DELETE', '/accounts/me', undefined, lower.key)).status).toBe(200);
  expect((await call('DELETE', `/accounts/${blocked.id}`)).status).toBe(200);
  expect((await call('POST', `/accounts/${second.id}/block`)).status).toBe(200);
});

test('of super admins that delete, block and demote one another at once, one is left', async () => {
  const all = [
    admin,
    ...(await Promise.all(['second-super', 'third-super', 'fourth-super'].map((name) => system.account(name, { admin: true })))),
  ];
  const [one, two, three, four] = all as [Account, Account, Account, Account];
  const answers = await Promise.all([
    call('DELETE', '/accounts/me', undefined, one.key),
    call('POST', `/accounts/${two.id}/block`, undefined, two.key),
    change('third-super', three.id, {}, three.key),
    call('DELETE', `/accounts/${four.id}`, undefined, four.key),
  ]);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
  expect(await system.rows('SELECT count(*)::int AS n FROM accounts WHERE admin AND NOT blocked')).toEqual([{ n: 1 }]);
});

test('of two who end themselves in the same moment one stays, in whatever ways', async () => {
  await system.space(OTHER, { isSuper: true });
  // Each commits late, so that both have changed their own and looked at the other before either is to be seen.
  await system.rows(`
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slowly AFTER UPDATE OR DELETE ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly();`);
  const deleted = (_name: string, { key }: Account): Promise<Answer> => call('DELETE', '/accounts/me', undefined, key);
  const blocked = (_name: string, { id, key }: Account): Promise<Answer> => call('POST', `/accounts/${id}/block`, undefined, key);
  const demoted = (name: string, { id, key }: Account): Promise<Answer> => change(name, id, {}, key);
  for (const [one, other] of [
    [deleted, blocked],
    [blocked, demoted],
    [demoted, deleted],
    [blocked, blocked],
  ] as const) {
    await system.rows('DELETE FROM accounts');
    // In two Spaces: those of one wait for one another anyway, at its number of accounts.
    const first = await system.account('one-super', { admin: true });
    const second = await system.account('two-super', { domain: OTHER, admin: true });
    const answers = await Promise.all([one('one-super', first), other('two-super', second)]);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await system.rows('SELECT count(*)::int AS n FROM accounts WHERE admin AND NOT blocked')).toEqual([{ n: 1 }]);
  }
});
