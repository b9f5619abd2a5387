// Job 3: an operator watches the queues; and what happens when a server goes away and comes back.
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { startPostgres } from '../src/start/postgres';
import { startRedis } from '../src/start/redis';
import { migrate } from '../src/migrations';
import { eventually, request, startSystem, System, type Answer } from './helpers/system';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { testServers } from './setup/servers';
import pg from 'pg';
import { version } from '../package.json';

const run = promisify(execFile);
let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}
async function flexiapi(parameters: string[], environment = system.environment): Promise<Ran> {
  const cwd = mkdtempSync(path.join(testServers().directory, 'cli-'));
  try {
    const { stdout, stderr } = await run(process.execPath, [path.join(__dirname, '..', 'bin', 'flexiapi'), ...parameters], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', ...environment },
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Ran;
    return { code, stdout, stderr };
  }
}
const json = async <T>(...parameters: string[]): Promise<T> => JSON.parse((await flexiapi([...parameters, '--json'])).stdout) as T;

describe('health and metrics', () => {
  test('live and ready', async () => {
    expect(await request(`${system.url}/health/live`)).toMatchObject({ status: 200, json: { status: 'ok' } });
    expect(await request(`${system.url}/health/ready`)).toMatchObject({
      status: 200,
      json: { status: 'ok', version, postgresql: { status: 'ok' }, redis: { status: 'ok' }, warnings: [] },
    });
  });

  test('metrics name no path parameter and no key', async () => {
    await system.api('/statistics/calls/secret-call-id', { method: 'PATCH', body: {} });
    const { text, headers } = await request(`${system.url}/metrics`);
    expect(headers.get('content-type')).toContain('text/plain');
    expect(text).toContain('flexiapi_queue_jobs{queue="push",state="failed"}');
    expect(text).toContain('flexiapi_server_up{server="redis"} 1');
    expect(text).toMatch(
      /flexiapi_http_request_duration_seconds_count\{method="PATCH",route="\/statistics\/calls\/:call_id",status="401"\} 1/,
    );
    expect(text).not.toContain('secret-call-id');
  });
});

describe('command line', () => {
  test('an admin, its key, its role', async () => {
    const { stdout } = await flexiapi(['spaces:create-update', 'Cli.Example.org', '--host', 'cli-host.example.org', '--json']);
    expect(JSON.parse(stdout)).toEqual({ domain: 'cli.example.org', created: true });
    const admin = await json<{ id: number; api_key: string; password: string }>(
      'accounts:create-admin',
      '-u',
      'cli-admin',
      '-d',
      'cli.example.org',
      '-k',
      '',
    );
    expect(Object.keys(admin)).toEqual(['id', 'username', 'domain', 'password', 'api_key']);
    const me = await system.api('/accounts/me', { key: admin.api_key });
    expect(me.json).toMatchObject({ id: admin.id, admin: true, activated: true, domain: 'cli.example.org' });
    const user = await system.account('to-be-admin');
    expect((await flexiapi(['accounts:set-admin', String(user.id)])).code).toBe(0);
    expect((await system.api('/accounts/me', { key: user.key })).json['admin']).toBe(true);
  });

  test('refusals are one line on stderr and exit 1, wrong usage exits 2', async () => {
    const refused = [
      await flexiapi(['accounts:create-admin', '-u', 'someone', '-d', 'nowhere.org', '-k', '']),
      await flexiapi(['accounts:set-admin', '99999']),
      await flexiapi(['accounts:create-admin', '-u', 'someone', '-k', 'home']),
      await flexiapi(['spaces:create-update', 'a b']),
      await flexiapi(['spaces:create-update', 'other.org', '--host', 'sip.example.org']),
      await flexiapi(['queues'], { ...system.environment, REDIS_URL: 'redis://127.0.0.1:1' }),
      await flexiapi(['accounts:set-admin', '1'], { ...system.environment, DATABASE_URL: 'postgres://127.0.0.1:1/x' }),
    ];
    for (const { code, stdout, stderr } of refused) expect([code, stdout, stderr.trim().split('\n').length]).toEqual([1, '', 1]);
    for (const wrong of [
      ['nothing'],
      ['accounts:set-admin'],
      ['accounts:set-admin', 'x'],
      ['queues', '--colour'],
      ['queues:retry-failed', 'none'],
      [],
    ])
      expect([wrong, (await flexiapi(wrong)).code]).toEqual([wrong, 2]);
    for (const [wrong, argument, max] of [
      [['accounts:clear-unconfirmed', '99999999'], 'days', 36500],
      [['accounts:clear-tombstones', '36501', '--apply'], 'days', 36500],
      [['api-keys:clear-expired', '52560001'], 'minutes', 52560000],
      [['nonces:clear-expired', '9999999999'], 'minutes', 52560000],
      [['accounts:set-admin', '2147483648'], 'account_id', 2147483647],
    ] as const) {
      const { code, stderr } = await flexiapi([...wrong]);
      expect([wrong, code]).toEqual([wrong, 2]);
      expect(stderr).toContain(`argument '${argument}'. a whole number from 0 to ${max} is expected`);
    }
    for (const longest of [
      ['accounts:clear-unconfirmed', '36500'],
      ['accounts:clear-tombstones', '36500'],
      ['api-keys:clear-expired', '52560000'],
      ['nonces:clear-expired', '52560000'],
    ])
      expect([longest, (await flexiapi(longest)).code]).toEqual([longest, 0]);
    await system.account('taken-name');
    expect(await flexiapi(['accounts:create-admin', '-u', 'taken-name'])).toEqual({
      code: 1,
      stdout: '',
      stderr: '-u: the username taken-name is already taken in sip.example.org\n',
    });
    expect(await flexiapi(['accounts:create-admin', '-u', 'a\u200bdmin'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^-u: /) as string,
    });
    expect((await flexiapi(['--help'])).code).toBe(0);
    expect(await flexiapi(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('failed jobs are seen; a push whose request has given up on it is not put back', async () => {
    await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: { pn_provider: 'apns', pn_prid: 'a' } });
    const report = await json<{ queue: string; failed: number; workers: number }[]>('queues');
    expect(report.find(({ queue }) => queue === 'push')).toMatchObject({ failed: 1, workers: 1, waiting: 0, oldest_waiting_seconds: null });
    expect((await flexiapi(['queues'])).stdout).toContain('│ push ');
    expect((await flexiapi(['queues:retry-failed', 'push'])).code).toBe(1);
  });

  test('accounts never activated, tombstones, phone countries', async () => {
    const old = await system.account('old-unconfirmed');
    const kept = await system.account('old-confirmed');
    await system.rows("UPDATE accounts SET created_at = now() - interval '40 days', activated = (id = $2) WHERE id IN ($1, $2)", [
      old.id,
      kept.id,
    ]);
    expect(await json('accounts:clear-unconfirmed', '30')).toEqual({ found: 1, deleted: 0, failed: 0 });
    expect(await json('accounts:clear-unconfirmed', '30', '--apply')).toEqual({ found: 1, deleted: 1, failed: 0 });
    expect(await json('accounts:clear-unconfirmed', '30', '--and-confirmed', '--apply')).toEqual({ found: 1, deleted: 1, failed: 0 });
    // One that cannot be deleted stops nothing.
    for (const name of ['clear-1', 'clear-2', 'clear-3']) await system.account(name);
    await system.rows(
      "UPDATE accounts SET created_at = now() - interval '40 days', activated = false WHERE starts_with(username, 'clear-')",
    );
    await system.rows(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it stays'; END $$`);
    await system.rows("CREATE TRIGGER keep BEFORE DELETE ON accounts FOR EACH ROW WHEN (OLD.username = 'clear-2') EXECUTE FUNCTION keep()");
    const cleared = await flexiapi(['accounts:clear-unconfirmed', '30', '--apply', '--json']);
    expect([cleared.code, JSON.parse(cleared.stdout)]).toEqual([1, { found: 3, deleted: 2, failed: 1 }]);
    expect(cleared.stderr).toMatch(/^account \d+: it stays$/m);
    await system.rows('DROP TRIGGER keep ON accounts');
    await system.rows("DELETE FROM accounts WHERE username = 'clear-2'");
    await system.rows("DELETE FROM accounts_tombstones WHERE starts_with(username, 'clear-')");
    expect(await json('accounts:clear-tombstones', '0')).toEqual({ found: 2, deleted: 0 });
    expect(await json('accounts:clear-tombstones', '1', '--apply')).toEqual({ found: 0, deleted: 0 });
    await system.rows("UPDATE accounts_tombstones SET created_at = now() - interval '2 days'");
    expect(await json('accounts:clear-tombstones', '1', '--apply')).toEqual({ found: 2, deleted: 2 });
    expect(await json('phone-countries:activate', 'fr', 'BE')).toEqual({ codes: ['BE', 'FR'], activated: true });
    expect((await flexiapi(['phone-countries:activate', 'XX', 'FR'])).code).toBe(1);
    expect((await json<{ codes: string[] }>('phone-countries:deactivate', 'all')).codes.length).toBeGreaterThan(240);
    expect(await system.rows('SELECT 1 FROM phone_countries WHERE activated')).toEqual([]);
  });

  test('old keys and nonces', async () => {
    const { id } = await system.account('old-key-owner');
    await system.rows("UPDATE api_keys SET last_used_at = now() - interval '3 hours' WHERE account_id = $1", [id]);
    await system.rows("INSERT INTO nonces (account_id, nonce, created_at) VALUES ($1, 'n', now() - interval '2 hours')", [id]);
    expect(await json('api-keys:clear-expired', '120')).toEqual({ deleted: 1 });
    expect(await json('nonces:clear-expired')).toEqual({ deleted: 1 });
    expect(await json('db:migrate')).toEqual({ applied: [] });
  });
});

describe('dashboard', () => {
  test('super admins only, by form and cookie; no other site can act in their name', async () => {
    const superAdmin = await system.account('board-super', { admin: true });
    await system.space('board.example.org');
    const admin = await system.account('board-admin', { domain: 'board.example.org', admin: true });
    const get = (headers: Record<string, string>): Promise<Answer> => request(`${system.url}/queues`, { headers });
    const html = { accept: 'text/html' };
    const form = await get({ ...html, 'accept-language': 'fr' });
    expect([form.status, form.headers.get('content-language')]).toEqual([401, 'fr']);
    expect(form.text).toContain('Clé d’API');
    // Under no-referrer a browser would send «Origin: null» with the form.
    expect(form.headers.get('referrer-policy')).toBe('same-origin');
    expect((await get({ accept: 'application/json' })).status).toBe(401);
    expect((await get({ ...html, 'x-api-key': admin.key })).status).toBe(403);
    expect((await request(`${system.url}/queues/api/queues`)).status).toBe(401);

    const signIn = (key: string, headers: Record<string, string> = {}): Promise<Answer> =>
      request(`${system.url}/queues/sign-in`, {
        method: 'POST',
        body: `api_key=${key}`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      });
    expect((await signIn('wrong')).status).toBe(403);
    expect((await signIn(admin.key)).status).toBe(403);
    expect((await signIn(superAdmin.key, { origin: 'https://evil.example.org' })).status).toBe(403);
    const signed = await signIn(superAdmin.key, { origin: system.urls[0] ?? '' });
    expect([signed.status, signed.headers.get('location')]).toEqual([303, '../queues']);
    const cookie = signed.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/HttpOnly/);
    expect(cookie).toMatch(/SameSite=Strict/);
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    // The first to look at it may be several at once.
    const boards = await Promise.all([1, 2, 3].map(() => get({ ...html, ...headers })));
    for (const each of boards) expect(each.text).toBe(boards[0]?.text);
    const board = boards[0] as Answer;
    expect(board.status).toBe(200);
    expect(board.headers.get('content-security-policy')).not.toMatch(/https:/);
    const queues = await request(`${system.url}/queues/api/queues`, { headers });
    expect(
      ((queues.json['queues'] as { name: string }[] | undefined) ?? (JSON.parse(queues.text) as { queues: { name: string }[] }).queues).map(
        ({ name }) => name,
      ),
    ).toEqual(['push', 'sms', 'email', 'messages', 'api-keys', 'statistics', 'maintenance', 'chores']);
    const retry = `${system.url}/queues/api/queues/push/retry/failed`;
    expect((await request(retry, { method: 'PUT', headers: { ...headers, origin: 'https://evil.example.org' } })).status).toBe(403);
    expect((await request(retry, { method: 'PUT', headers: { ...headers, origin: 'null' } })).status).toBe(403);
    expect((await request(retry, { method: 'PUT', headers: { ...headers, origin: system.urls[0] ?? '' } })).status).toBeLessThan(300);
  });

  test('a job shows no device address', async () => {
    const superAdmin = await system.account('board-reader', { admin: true });
    await system.api('/account_creation_tokens/send-by-push', {
      method: 'POST',
      body: { pn_provider: 'apns', pn_param: 'T.org.app', pn_prid: 'visible-device' },
    });
    const { text } = await request(`${system.url}/queues/api/queues?activeQueue=push&status=failed`, {
      headers: { 'x-api-key': superAdmin.key },
    });
    expect(text).toContain('creation_token');
    expect(text).not.toContain('visible-device');
  });
});

describe('when a server goes away', () => {
  let world: OutsideWorld;
  beforeAll(async () => {
    world = await startOutsideWorld();
  });
  afterAll(() => world.close());
  const push = (own: System, prid: string): Promise<Answer> =>
    own.api('/account_creation_tokens/send-by-push', {
      method: 'POST',
      body: { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: prid },
    });

  test('Redis stopped and started: what needs no job works, what does answers 503 within 2 s, all comes back', async () => {
    const directory = mkdtempSync(path.join(testServers().directory, 'redis-'));
    let redis = await startRedis(directory, () => undefined);
    const own = await startSystem({ environment: { ...world.environment, REDIS_URL: redis.url, RATE_LIMIT_PER_MINUTE: '600' } });
    const { key } = await own.account('redis-admin', { admin: true });
    // The first loads the provider's library, for which a busy machine takes longer than a push may.
    let tries = 0;
    await eventually(
      () => push(own, `before-${(tries += 1)}`),
      ({ status }) => status === 200,
      30,
    );
    await redis.stop();
    const started = Date.now();
    const refused = await push(own, 'during');
    expect([refused.status, refused.json['message']]).toEqual([503, 'The queues do not answer. Try again in a moment.']);
    expect(Date.now() - started).toBeLessThan(2000);
    expect((await own.api('/accounts/me', { key })).status).toBe(200);
    expect(
      (await own.api('/statistics/calls', { method: 'POST', key, body: { id: 'c', from: 'a@b', to: 'c@d', initiated_at: '2026-01-01' } }))
        .status,
    ).toBe(200);
    expect(await request(`${own.url}/health/ready`)).toMatchObject({
      status: 503,
      json: { redis: { status: 'failed' }, postgresql: { status: 'ok' } },
    });
    expect((await request(`${own.url}/health/live`)).status).toBe(200);
    expect((await request(`${own.url}/metrics`)).text).toContain('flexiapi_server_up{server="redis"} 0');
    // web and worker started without Redis wait for it.
    await own.startWeb();
    await own.startWorker();
    expect((await push(own, 'still-during')).status).toBe(503);
    redis = await startRedis(directory, () => undefined);
    await eventually(
      () => push(own, `after-${Date.now()}`),
      ({ status }) => status === 200,
      20,
    );
    await eventually(
      () => own.rows('SELECT 1 FROM statistics_call_rollups'),
      (rows) => rows.length > 0,
      20,
    );
    const sent = world.fcm.received.map(({ body }) => (body as { message: { token: string } }).message.token);
    expect(sent.filter((token) => token.includes('during'))).toEqual([]);
    await own.stop();
    await redis.stop();
  });

  test('PostgreSQL stopped and started: 503 and never a hang, no acknowledged event lost', async () => {
    const directory = mkdtempSync(path.join(testServers().directory, 'postgres-'));
    let postgres = await startPostgres(directory);
    await migrate(postgres.url);
    const db = new pg.Pool({ connectionString: postgres.url, max: 2 });
    db.on('error', () => undefined);
    const own = new System(db, {
      DATABASE_URL: postgres.url,
      REDIS_URL: testServers().redisUrl,
      QUEUE_PREFIX: path.basename(directory),
      HOST: '127.0.0.1',
      RATE_LIMIT_PER_MINUTE: '0',
    });
    await own.space('sip.example.org', { isSuper: true });
    const { key } = await own.account('pg-admin', { admin: true });
    await own.startWeb();
    let serial = 0;
    const report = (): Promise<Answer> =>
      own.api('/statistics/calls', {
        method: 'POST',
        key,
        body: { id: `pg-${(serial += 1)}`, from: 'a@b', to: 'c@d', initiated_at: '2026-01-01' },
      });
    let acknowledged = 0;
    let hurried = true;
    const flood = (async () => {
      while (hurried) {
        const answers = await Promise.all(Array.from({ length: 20 }, report));
        acknowledged += answers.filter(({ status }) => status === 200).length;
        expect(answers.every(({ status }) => status === 200 || status === 503)).toBe(true);
      }
    })();
    await eventually(
      () => Promise.resolve(acknowledged),
      (count) => count > 100,
    );
    await postgres.stop();
    const started = Date.now();
    const refused = await own.api('/accounts/me', { key });
    expect([refused.status, refused.headers.get('content-type')]).toEqual([503, 'application/json']);
    expect(Date.now() - started).toBeLessThan(5000);
    expect((await request(`${own.url}/health/ready`)).json).toMatchObject({ postgresql: { status: 'failed' } });
    // The same port as before: an operator's server does not move.
    const { port } = new URL(postgres.url);
    postgres = await startPostgres(directory, [], Number(port));
    await eventually(report, ({ status }) => status === 200, 20);
    acknowledged += 1;
    hurried = false;
    await flood;
    const [stored] = await own.rows<{ n: number }>('SELECT count(*)::int AS n FROM statistics_calls');
    expect(stored?.n).toBeGreaterThanOrEqual(acknowledged);
    await own.stop();
    await postgres.stop();
  });

  test('SIGTERM: what is in flight is answered and stored, then the process ends', async () => {
    const own = await startSystem({ environment: world.environment });
    const { key } = await own.account('drain-admin', { admin: true });
    const events = Array.from({ length: 200 }, (_, n) =>
      own
        .api('/statistics/calls', { method: 'POST', key, body: { id: `drain-${n}`, from: 'a@b', to: 'c@d', initiated_at: '2026-01-01' } })
        .then(
          ({ status }) => status,
          () => 0,
        ),
    );
    world.fcm.mode = 'hang';
    world.fcm.received.length = 0;
    const pushed = push(own, 'draining');
    await world.fcm.reached(1);
    const ended = own.webs[0]?.end('SIGTERM');
    const statuses = await Promise.all(events);
    expect((await pushed).status).toBe(503);
    expect(await ended).toBe(0);
    expect(await own.rows('SELECT count(*)::int AS n FROM statistics_calls')).toEqual([
      { n: statuses.filter((status) => status === 200).length },
    ]);
    // Of those on their way some may have come too late to be taken; each that was answered was counted.
    const answered = statuses.filter((status) => status === 200).length;
    expect(answered).toBeGreaterThan(0);
    expect(await own.rows('SELECT requests >= $1 AS counted FROM api_keys WHERE requests > 0', [answered])).toEqual([{ counted: true }]);
    expect(await own.workers[0]?.end('SIGTERM')).toBe(0);
    world.fcm.mode = 'accept';
    await own.stop();
  });
});
