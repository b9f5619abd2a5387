// A one-time token is spent with the answer that it opens: not by an error on the way, nor by a connection that was cut or a process that died.
import { Agent, request as httpRequest, type ClientRequest } from 'node:http';
import type { PoolClient } from 'pg';
import { eventually, request, startSystem, type Answer, type Process, type System } from './helpers/system';

/** Held by a test, it keeps a commit that has begun from being over. */
const COMMIT_LOCK_ID = 4711;

let system: System;
let serial = 0;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0, environment: { TRUST_PROXY: 'loopback' } });
  await system.rows(`
    CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock(${COMMIT_LOCK_ID}); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT OR UPDATE ON token_deliveries DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.retry_from > now()) EXECUTE FUNCTION wait_in_commit()`);
});
afterAll(() => system.stop());

const HEADERS = { 'x-linphone-provisioning': '1', 'x-forwarded-for': '203.0.113.7' };
const at = (path: string, url = system.url): Promise<Answer> => request(`${url}${path}`, { headers: HEADERS });
const from = (path: string, address: string): Promise<Answer> =>
  request(`${system.url}${path}`, { headers: { ...HEADERS, 'x-forwarded-for': address } });

interface Made {
  id: number;
  path: string;
}
async function account(): Promise<{ id: number; key: string }> {
  const made = await system.account(`once-${(serial += 1)}`);
  await system.rows('UPDATE accounts SET activated = false WHERE id = $1', [made.id]);
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'a-hash', 'MD5')", [made.id]);
  return made;
}
async function attached(): Promise<{ id: number; token: string }> {
  const { id, key } = await account();
  const token = (await system.api('/accounts/auth_token', { method: 'POST' })).json['token'] as string;
  await system.api(`/accounts/auth_token/${token}/attach`, { key });
  return { id, token };
}
const MAKERS = {
  'a provisioning token': async (): Promise<Made> => {
    const { id, key } = await account();
    const { json } = await system.api('/accounts/me/provision', { key });
    return { id, path: `/provisioning/${json['provisioning_token'] as string}` };
  },
  'an auth token for a document': async (): Promise<Made> => {
    const { id, token } = await attached();
    return { id, path: `/provisioning/auth_token/${token}` };
  },
  'an auth token for a key': async (): Promise<Made> => {
    const { id, token } = await attached();
    return { id, path: `/api/accounts/me/api_key/${token}` };
  },
};

async function locked(sql: string): Promise<{ release: () => Promise<void> }> {
  const session: PoolClient = await system.db.connect();
  await session.query('BEGIN');
  await session.query(sql);
  return {
    release: async () => {
      await session.query('ROLLBACK');
      session.release();
    },
  };
}
/** Resolves once a request's commit has begun and waits. */
const committing = (): Promise<unknown> =>
  eventually(
    () => system.rows(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = ${COMMIT_LOCK_ID} AND NOT granted`),
    (waiting) => waiting.length > 0,
  );
const undelivered = (id: number): Promise<{ lost: boolean }[]> =>
  system.rows('SELECT retry_from <= now() AS lost FROM token_deliveries WHERE account_id = $1', [id]);
const spent = (id: number): Promise<unknown> =>
  eventually(
    () => undelivered(id),
    (rows) => rows.length === 0,
  );

/** Asks on a connection of its own, without waiting for the answer. */
function ask(url: string, path: string): ClientRequest {
  const asked = httpRequest(`${url}${path}`, { headers: HEADERS, agent: new Agent() });
  asked.on('error', () => undefined);
  asked.end();
  return asked;
}

describe.each(Object.entries(MAKERS))('%s', (_, make) => {
  test('opens its answer once, of many at once for one; then it is gone for everybody', async () => {
    const { id, path } = await make();
    const answers = await Promise.all(Array.from({ length: 6 }, () => at(path)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 404, 404, 404, 404, 404]);
    await spent(id);
    expect([(await at(path)).status, (await from(path, '203.0.113.8')).status]).toEqual([404, 404]);
  });

  test('stays good where the answer could not be made', async () => {
    const { id, path } = await make();
    // Both the documents and a key need what is locked here.
    const lock = await locked(path.startsWith('/api') ? 'LOCK TABLE api_keys' : 'LOCK TABLE passwords');
    expect((await at(path)).status).toBe(503);
    await lock.release();
    expect(await undelivered(id)).toEqual([]);
    expect(await system.rows('SELECT activated FROM accounts WHERE id = $1', [id])).toEqual([{ activated: false }]);
    expect((await at(path)).status).toBe(200);
  });

  test('a connection that was cut before the answer: the same network may ask again at once, and nobody else', async () => {
    const { id, path } = await make();
    const [web, url] = [system.webs[0] as Process, system.urls[0] ?? ''];
    const lock = await locked(`SELECT pg_advisory_xact_lock(${COMMIT_LOCK_ID})`);
    const aborted = web.output().split('"aborted":true').length;
    const cut = ask(url, path);
    await committing();
    cut.destroy();
    await eventually(
      () => Promise.resolve(web.output().split('"aborted":true').length),
      (seen) => seen > aborted,
    );
    await lock.release();
    await eventually(
      () => undelivered(id),
      (rows) => rows[0]?.lost === true,
    );
    expect((await from(path, '203.0.113.8')).status).toBe(404);
    const answers = await Promise.all(Array.from({ length: 4 }, () => at(path)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 404, 404, 404]);
    await spent(id);
    expect((await at(path)).status).toBe(404);
  });

  test('a process that was killed between commit and answer: the same network may ask again', async () => {
    const { id, path } = await make();
    const web = await system.startWeb();
    const url = system.urls.pop() ?? '';
    const lock = await locked(`SELECT pg_advisory_xact_lock(${COMMIT_LOCK_ID})`);
    ask(url, path);
    await committing();
    await web.end('SIGKILL');
    await lock.release();
    await eventually(
      () => undelivered(id),
      (rows) => rows.length === 1,
    );
    expect((await from(path, '203.0.113.8')).status).toBe(404);
    expect((await at(path)).status).toBe(200);
    await spent(id);
    expect((await at(path)).status).toBe(404);
  });

  test('after a minute the answer is lost for good', async () => {
    const { id, path } = await make();
    expect((await at(path)).status).toBe(200);
    await spent(id);
    // As a process would have left it that died.
    const lose = (until: string): Promise<unknown> =>
      system.rows(
        `INSERT INTO token_deliveries (account_id, kind, token_hash, network, retry_from, retry_until)
         VALUES ($1, $2, encode(sha256($3), 'hex'), '203.0.113.7', now() - interval '1 second', now() + $4::interval)
         ON CONFLICT (kind, token_hash) DO UPDATE SET retry_until = excluded.retry_until`,
        [
          id,
          path.startsWith('/api') ? 'auth_token_key' : path.includes('auth_token') ? 'auth_token_provisioning' : 'provisioning',
          path.split('/').at(-1),
          until,
        ],
      );
    await lose('-1 second');
    expect((await at(path)).status).toBe(404);
    await lose('1 minute');
    await system.rows('UPDATE accounts SET blocked = true WHERE id = $1', [id]);
    expect((await at(path)).status).toBe(403);
    await system.rows('UPDATE accounts SET blocked = false WHERE id = $1', [id]);
    expect((await at(path)).status).toBe(200);
  });
});

test('a key that is made again works, and what was lost does not', async () => {
  const { id, path } = await MAKERS['an auth token for a key']();
  const { json } = await at(path);
  await spent(id);
  const asked = await request(`${system.url}/api/accounts/me`, {
    headers: { 'x-api-key': json['api_key'] as string, 'x-forwarded-for': '203.0.113.7' },
  });
  expect([asked.status, asked.json['id']]).toEqual([200, id]);
});

test('a creation token stays good where the new account could not be shown', async () => {
  await system.rows("INSERT INTO account_creation_tokens (token, created_at) VALUES ('once-for-all1', now())");
  const body = { username: 'made-with-it', password: 'password', algorithm: 'SHA-256', account_creation_token: 'once-for-all1' };
  const create = (): Promise<Answer> => system.api('/accounts/with-account-creation-token', { method: 'POST', body });
  const lock = await locked('LOCK TABLE account_actions');
  expect((await create()).status).toBe(503);
  await lock.release();
  expect(await system.rows("SELECT 1 FROM accounts WHERE username = 'made-with-it'")).toEqual([]);
  const answers = await Promise.all([create(), create()]);
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 422]);
});
