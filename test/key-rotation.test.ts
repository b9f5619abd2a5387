// New secrets for keys of machines, their revocation, and what is left of those that ended: over HTTP with two processes.
import { runTask } from './helpers/jobs';
import { makeNamedKey, type MadeKey } from './helpers/named-keys';
import { type Account, type Answer, startSystem, type System } from './helpers/system';

let system: System;
let superAdmin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 1, environment: { RATE_LIMIT_PER_MINUTE: '0' } });
  superAdmin = await system.account('rotating-super', { admin: true });
});
afterAll(() => system.stop());

const make = (values: object = {}): Promise<MadeKey> => makeNamedKey(system, superAdmin, values);
const me = (key: string): Promise<Answer> => system.api('/accounts/me', { key });
const keyCall = (route: string, options: { method: string; body?: object }): Promise<Answer> =>
  system.api(`/api_keys${route}`, { key: superAdmin.key, ...options });
/** What two processes answer. */
const twice = async (key: string): Promise<number[]> => [(await me(key)).status, (await me(key)).status];

describe('rotating and revoking', () => {
  test('a new secret; the old one is good for the grace period alone, and says then what became of it', async () => {
    const made = await make();
    const rotated = (await keyCall(`/${made.id}/rotate`, { method: 'POST', body: { grace_minutes: 10 } })).json as MadeKey;
    expect(rotated).toMatchObject({ id: made.id, name: made.name });
    expect(new Date(rotated['previous_good_until'] as string).getTime() - Date.now()).toBeGreaterThan(9 * 60_000);
    expect([...(await twice(made.api_key)), ...(await twice(rotated.api_key))]).toEqual([200, 200, 200, 200]);
    await system.rows(
      "UPDATE named_api_key_secrets SET expires_at = now() - interval '1 second' WHERE key_id = $1 AND expires_at IS NOT NULL",
      [made.id],
    );
    const old = await me(made.api_key);
    expect([old.status, old.json['message']]).toEqual([401, 'This API key has expired: another one has taken its place.']);
    expect(await twice(rotated.api_key)).toEqual([200, 200]);
  });

  test('without a grace period every earlier secret ends at once, for every process', async () => {
    const made = await make();
    const second = (await keyCall(`/${made.id}/rotate`, { method: 'POST', body: { grace_minutes: 1000 } })).json as MadeKey;
    const third = (await keyCall(`/${made.id}/rotate`, { method: 'POST', body: {} })).json as MadeKey;
    expect([await twice(made.api_key), await twice(second.api_key), await twice(third.api_key)]).toEqual([
      [401, 401],
      [401, 401],
      [200, 200],
    ]);
    expect(third['previous_good_until']).toBeNull();
    for (const grace of [-1, 1.5, 'soon', 525_601]) {
      const answer = await keyCall(`/${made.id}/rotate`, { method: 'POST', body: { grace_minutes: grace } });
      expect([grace, answer.status, Object.keys(answer.json['errors'] as object)]).toEqual([grace, 422, ['grace_minutes']]);
    }
  });

  test('a key whose moment is past gets none: another secret would be of no use', async () => {
    const { id, api_key } = await make({ expires_at: new Date(Date.now() + 60_000).toISOString() });
    await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", [id]);
    const { status, json } = await keyCall(`/${id}/rotate`, { method: 'POST', body: {} });
    expect([status, json['message']]).toEqual([409, 'This API key has expired: give it another end first.']);
    await keyCall(`/${id}`, { method: 'PATCH', body: { expires_at: null } });
    expect(await twice(api_key)).toEqual([200, 200]);
  });

  test('of two rotations at once one secret is left', async () => {
    const made = await make();
    const all = await Promise.all(Array.from({ length: 8 }, () => keyCall(`/${made.id}/rotate`, { method: 'POST', body: {} })));
    const statuses = await Promise.all(all.map(async ({ json }) => (await me(json['api_key'] as string)).status));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, ...Array<number>(7).fill(401)]);
  });

  test('revoking holds within one request on every process', async () => {
    const { id, api_key } = await make();
    expect(await twice(api_key)).toEqual([200, 200]);
    expect((await keyCall(`/${id}`, { method: 'DELETE' })).status).toBe(200);
    expect([...(await twice(api_key)), (await keyCall(`/${id}`, { method: 'DELETE' })).status]).toEqual([401, 401, 404]);
  });

  test('no event is lost while a key is rotated with a grace period', async () => {
    const reporter = await make({ scopes: ['statistics:write'] });
    let key = reporter.api_key;
    let sent = 0;
    const total = 10_000;
    const statuses = new Map<number, number>();
    const report = async (): Promise<void> => {
      while (sent < total) {
        const id = `rotated-${(sent += 1)}`;
        const used = key;
        const { status } = await fetch(`${system.url}/api/statistics/messages`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-api-key': used },
          body: JSON.stringify({ id, from: 'alice@sip.example.org', sent_at: '2026-11-01T10:00:00Z', encrypted: false }),
        });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const rotate = async (): Promise<number> => {
      let rotations = 0;
      while (sent < total) {
        const rotated = await keyCall(`/${reporter.id}/rotate`, { method: 'POST', body: { grace_minutes: 1 } });
        key = rotated.json['api_key'] as string;
        rotations += 1;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return rotations;
    };
    const [rotations] = await Promise.all([rotate(), ...Array.from({ length: 32 }, report)]);
    expect(rotations).toBeGreaterThan(3);
    expect([...statuses]).toEqual([[200, total]]);
    expect(await system.rows("SELECT count(*)::int AS n FROM statistics_messages WHERE id LIKE 'rotated-%'")).toEqual([{ n: total }]);
  });
});

describe('a key that keeps others, and never stops asking', () => {
  /** Twelve at once. @returns ends it */
  const again = (work: (n: number) => Promise<unknown>): (() => Promise<void>) => {
    let n = 0;
    let isOn = true;
    const loops = Array.from({ length: 12 }, async () => {
      while (isOn) await work((n += 1));
    });
    return async () => {
      isOn = false;
      await Promise.all(loops);
    };
  };
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  test('makes none any more once its revocation was answered', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id, api_key: key } = await make({ scopes: ['keys:write'] });
      const end = again((n) =>
        system.api('/api_keys', { method: 'POST', key, body: { name: `reborn ${round}-${n}`, scopes: ['keys:write'] } }),
      );
      await pause(80);
      await keyCall(`/${id}`, { method: 'DELETE' });
      const count = (): Promise<unknown> => system.rows("SELECT count(*) FROM named_api_keys WHERE name LIKE 'reborn %'");
      const before = await count();
      await pause(200);
      await end();
      expect([round, await count()]).toEqual([round, before]);
    }
  });

  test('does not take back what was taken from it', async () => {
    for (let round = 0; round < 5; round += 1) {
      const scopes = ['accounts:read', 'keys:write'];
      const { id, api_key: key } = await make({ scopes });
      const end = again(() => system.api(`/api_keys/${id}`, { method: 'PATCH', key, body: { scopes } }));
      await pause(80);
      expect((await keyCall(`/${id}`, { method: 'PATCH', body: { scopes: ['accounts:read'] } })).status).toBe(200);
      await pause(200);
      await end();
      expect((await keyCall(`/${id}`, { method: 'GET' })).json['scopes']).toEqual(['accounts:read']);
    }
  });

  test('two that change each other at once do not wait for one another for ever', async () => {
    const [one, other] = [await make({ scopes: ['keys:write'] }), await make({ scopes: ['keys:write'] })];
    const change = ({ id }: MadeKey, { api_key: key }: MadeKey): Promise<Answer> =>
      system.api(`/api_keys/${id}`, { method: 'PATCH', key, body: { expires_at: null } });
    const statuses = await Promise.all(Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? change(one, other) : change(other, one))));
    expect(statuses.map(({ status }) => status)).toEqual(statuses.map(() => 200));
  });
});

test('ended keys and secrets go after three months, and those that somebody still shows do not', async () => {
  const [ended, shown, rotated] = [await make(), await make(), await make()];
  await keyCall(`/${rotated.id}/rotate`, { method: 'POST', body: {} });
  const months = "now() - interval '100 days'";
  await system.rows(`UPDATE named_api_keys SET expires_at = ${months} WHERE id = ANY ($1)`, [[ended.id, shown.id]]);
  await system.rows('UPDATE named_api_keys SET last_refused_at = now() WHERE id = $1', [shown.id]);
  await system.rows(`UPDATE named_api_key_secrets SET expires_at = ${months} WHERE key_id = $1 AND expires_at IS NOT NULL`, [rotated.id]);
  await runTask(system, 'chores', 'clean');
  const left = await system.rows<{ id: number; secrets: number }>(
    'SELECT k.id, count(s.*)::int AS secrets FROM named_api_keys k JOIN named_api_key_secrets s ON s.key_id = k.id WHERE k.id = ANY ($1) GROUP BY 1 ORDER BY 1',
    [[ended.id, shown.id, rotated.id]],
  );
  expect(left).toEqual([
    { id: shown.id, secrets: 1 },
    { id: rotated.id, secrets: 1 },
  ]);
});

test('what still reports with a key that has ended does not lock out the key that takes its place, and ends at a limit of its own', async () => {
  const limited = await startSystem({ webs: 2, workers: 0, environment: { RATE_LIMIT_PER_MINUTE: '20' } });
  const admin = await limited.account('limited-admin', { admin: true });
  const create = async (name: string): Promise<MadeKey> =>
    (await limited.api('/api_keys', { method: 'POST', key: admin.key, body: { name, scopes: ['statistics:write'] } })).json as MadeKey;
  const [old, fresh] = [await create('old'), await create('fresh')];
  await limited.rows("UPDATE named_api_keys SET expires_at = now() - interval '1 minute' WHERE id = $1", [old.id]);
  const report = (key: string): Promise<Answer> => limited.api('/statistics/messages', { method: 'POST', key, body: {} });
  const statuses: number[] = [];
  for (let n = 0; n < 60; n += 1) statuses.push((await report(old.api_key)).status);
  expect(statuses.slice(0, 20)).toEqual(Array<number>(20).fill(401));
  expect(new Set(statuses.slice(-20))).toEqual(new Set([429]));
  // Of both processes, which have not seen it.
  expect([(await report(fresh.api_key)).status, (await report(fresh.api_key)).status]).toEqual([422, 422]);
  expect((await limited.api('/ping')).status).toBe(200);
  // Guesses count by address, as ever.
  for (let n = 0; n < 25; n += 1) statuses.push((await limited.api('/accounts/me', { key: `wrong${n}` })).status);
  expect((await limited.api('/ping')).status).toBe(429);
  await limited.stop();
});
