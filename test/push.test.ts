// Job 1: an app creates an account with a token that it received in a push.
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type System, type Answer } from './helpers/system';

let world: OutsideWorld;
let system: System;
const device = { pn_provider: 'apns.dev', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: 'A0'.repeat(32) };
let serial = 0;
/** A device that no test has used. */
const newDevice = (): typeof device => ({ ...device, pn_prid: (serial += 1).toString(16).padStart(64, 'b') });
const ask = (body: unknown): Promise<Answer> => system.api('/account_creation_tokens/send-by-push', { method: 'POST', body });
const rowsOf = (prid: string): Promise<Record<string, unknown>[]> =>
  system.rows('SELECT * FROM account_creation_tokens WHERE pn_prid = $1', [prid]);

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 2, workers: 2, environment: world.environment });
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => {
  for (const log of [world.apns, world.apnsDev, world.fcm]) log.reset();
});

describe('through APNs', () => {
  test('the token arrives in the push alone, laid out as Flexisip’s pusher does it, and makes one account', async () => {
    const asked = await ask({ ...device, pn_prid: `${device.pn_prid}:remote` });
    expect([asked.status, asked.text]).toEqual([200, '{}']);
    expect(asked.headers.get('content-type')).toBe('application/json');
    const [push, ...others] = world.apnsDev.received;
    expect(others).toEqual([]);
    expect(world.apns.received).toEqual([]);
    expect(push).toMatchObject({
      path: `/3/device/${device.pn_prid}`,
      headers: { 'apns-topic': 'org.linphone.phone', 'apns-push-type': 'background', 'apns-priority': '5' },
      body: {
        aps: { badge: 0, 'content-available': 1, 'loc-key': 'IM_MSG', 'loc-args': [''], 'call-id': '' },
        'from-uri': '',
        'display-name': '',
        pn_ttl: 2592000,
      },
    });
    expect(world.proxied).toContain('api.sandbox.push.apple.com:443');
    const token = (push?.body as { customPayload: { token: string } } | undefined)?.customPayload.token ?? '';
    expect(token).toMatch(/^[A-Za-z0-9]{13}$/);

    const account = {
      username: 'pushed.user',
      password: 'sécurité',
      algorithm: 'SHA-256',
      account_creation_token: token,
      domain: 'elsewhere.org',
      admin: true,
      activated: true,
    };
    const both = await Promise.all(
      [1, 2].map((n) =>
        system.api('/accounts/with-account-creation-token', { method: 'POST', body: { ...account, username: `pushed.user${n}` } }),
      ),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 422]);
    const made = both.find(({ status }) => status === 200)?.json;
    expect(made).toMatchObject({ domain: SPACE, admin: false, activated: false, passwords: [{ algorithm: 'SHA-256' }] });
    expect(both.find(({ status }) => status === 422)?.json['errors']).toHaveProperty('account_creation_token');
    expect(await system.rows('SELECT used, account_id FROM account_creation_tokens WHERE token = $1', [token])).toEqual([
      { used: true, account_id: made?.['id'] },
    ]);
  });

  test('twenty requests at once for one device: one push, one 200, nineteen 403', async () => {
    const one = newDevice();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(one)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(19);
    expect(world.apnsDev.received).toHaveLength(1);
    expect(await rowsOf(one.pn_prid)).toHaveLength(1);
  });

  test('a device that Apple no longer knows: 503 with that reason, no row', async () => {
    world.apnsDev.mode = 'gone';
    const one = newDevice();
    const { status, json } = await ask(one);
    expect([status, json['message']]).toEqual([503, 'The push service no longer knows this device.']);
    expect(world.apnsDev.received).toHaveLength(1);
    expect(await rowsOf(one.pn_prid)).toEqual([]);
  });

  test('a provider that hangs: 503 in time, no token left, nothing sent later', async () => {
    world.apnsDev.mode = 'hang';
    const one = newDevice();
    const started = Date.now();
    expect((await ask(one)).status).toBe(503);
    // Linphone gives up after 5 s.
    expect(Date.now() - started).toBeLessThan(5000);
    await eventually(
      () => rowsOf(one.pn_prid),
      (rows) => rows.length === 0,
    );
    expect(world.apnsDev.received).toHaveLength(1);
    world.apnsDev.mode = 'accept';
    expect((await ask(one)).status).toBe(200);
  });

  test('a worker killed in the send: 503 in time, no usable token, nothing sent later', async () => {
    const lonely = await startSystem({ environment: world.environment });
    world.apnsDev.mode = 'hang';
    const one = newDevice();
    const asked = lonely.api('/account_creation_tokens/send-by-push', { method: 'POST', body: one });
    await world.apnsDev.reached(1);
    const left = await lonely.rows<{ token: string; send_state: string }>(
      'SELECT token, send_state FROM account_creation_tokens WHERE pn_prid = $1',
      [one.pn_prid],
    );
    expect(left.map(({ send_state: state }) => state)).toEqual(['sending']);
    await lonely.workers[0]?.end('SIGKILL');
    world.apnsDev.mode = 'accept';
    expect((await asked).status).toBe(503);
    const used = await lonely.api('/accounts/with-account-creation-token', {
      method: 'POST',
      body: { username: 'stranger', password: 'password', algorithm: 'MD5', account_creation_token: left[0]?.token },
    });
    expect([used.status, Object.keys(used.json['errors'] as object)]).toEqual([422, ['account_creation_token']]);
    // Another worker finds the job dead and sends nothing; what was left behind does not count for the device.
    await lonely.startWorker();
    expect((await lonely.api('/account_creation_tokens/send-by-push', { method: 'POST', body: one })).status).toBe(200);
    expect(world.apnsDev.received).toHaveLength(2);
    await lonely.stop();
  });

  test('no worker: 503 in time, and the job is not done later', async () => {
    const idle = await startSystem({ workers: 0, environment: world.environment });
    const started = Date.now();
    expect((await idle.api('/account_creation_tokens/send-by-push', { method: 'POST', body: newDevice() })).status).toBe(503);
    // Linphone gives up after 5 s.
    expect(Date.now() - started).toBeLessThan(5000);
    await idle.startWorker();
    expect((await idle.api('/account_creation_tokens/send-by-push', { method: 'POST', body: newDevice() })).status).toBe(200);
    expect(world.apnsDev.received).toHaveLength(1);
    await idle.stop();
  });

  test('a passing error is tried again within the deadline, a lasting one is not', async () => {
    world.apnsDev.mode = 503;
    const one = newDevice();
    expect((await ask(one)).status).toBe(503);
    expect(world.apnsDev.received.length).toBeGreaterThan(1);
    world.apnsDev.reset();
    world.apnsDev.mode = 400;
    expect((await ask(newDevice())).status).toBe(503);
    expect(world.apnsDev.received).toHaveLength(1);
    expect(await rowsOf(one.pn_prid)).toEqual([]);
  });
});

describe('through FCM', () => {
  const android = { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: `abc_DEF-1:${'x'.repeat(130)}` };

  test('the token arrives in custom-payload, as a string', async () => {
    expect((await ask(android)).status).toBe(200);
    expect(world.fcm.received).toHaveLength(1);
    const { path, headers, body } = world.fcm.received[0] as {
      path: string;
      headers: Record<string, string>;
      body: { message: { token: string; android: { priority: string; ttl: string; data: Record<string, string> } } };
    };
    expect(path).toBe('/v1/projects/linphone-test/messages:send');
    expect(headers['authorization']).toBe('Bearer fake-access-token');
    expect(body.message.token).toBe(android.pn_prid);
    expect(body.message.android).toMatchObject({ priority: 'high', ttl: '2419200s', data: { 'call-id': '', 'loc-key': 'IM_MSG' } });
    expect(JSON.parse(body.message.android.data['custom-payload'] ?? '')).toEqual({
      token: expect.stringMatching(/^[A-Za-z0-9]{13}$/) as string,
    });
    expect(world.proxied).toEqual(expect.arrayContaining(['oauth2.googleapis.com:443', 'fcm.googleapis.com:443']));
  });

  test('the library’s own repeats are off: a server that hangs gets one request', async () => {
    world.fcm.mode = 'hang';
    expect((await ask({ ...android, pn_prid: 'hanging' })).status).toBe(503);
    expect(world.fcm.received).toHaveLength(1);
  });

  test('a device that Google no longer knows', async () => {
    world.fcm.mode = 'gone';
    const { status, json } = await ask({ ...android, pn_prid: 'uninstalled' });
    expect([status, json['message']]).toEqual([503, 'The push service no longer knows this device.']);
  });
});

describe('limits of a device', () => {
  test('used tokens free it for the next, three in a day at most; null equals null', async () => {
    const one = { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: 'limited' };
    for (let round = 0; round < 3; round += 1) {
      expect((await ask(one)).status).toBe(200);
      const second = await ask(one);
      expect([second.status, second.json['message']]).toEqual([
        403,
        'A token was already sent to this device. Use it, or try again later.',
      ]);
      await system.rows('UPDATE account_creation_tokens SET used = true WHERE pn_prid = $1', [one.pn_prid]);
    }
    const fourth = await ask(one);
    expect([fourth.status, fourth.json['message']]).toEqual([403, 'This device was sent too many tokens. Try again tomorrow.']);
    expect(world.fcm.received).toHaveLength(3);

    const nameless = { pn_provider: 'fcm', pn_param: null, pn_prid: 'nameless' };
    expect((await ask(nameless)).status).toBe(200);
    expect((await ask({ ...nameless, pn_param: '' })).status).toBe(403);
  });
});

describe('bad input', () => {
  test.each([
    [{}, 'pn_provider', 'The pn provider field is required.'],
    [{ pn_provider: 'gcm' }, 'pn_provider', 'The pn provider field must be one of: apns.dev, apns, fcm.'],
    [{ pn_provider: 'fcm', pn_param: 'a b' }, 'pn_param', 'The pn param field has characters that are not allowed.'],
    [{ pn_provider: 'fcm', pn_prid: 'a\nb' }, 'pn_prid', 'The pn prid field has characters that are not allowed.'],
    [{ pn_provider: 'fcm', pn_prid: 'a'.repeat(256) }, 'pn_prid', 'The pn prid field must not be longer than 255 characters.'],
    [{ pn_provider: 'fcm', pn_prid: 12 }, 'pn_prid', 'The pn prid field must be a string.'],
  ])('%j', async (body, field, message) => {
    const { status, json } = await ask(body);
    expect(status).toBe(422);
    expect(json).toEqual({ message, errors: { [field]: [message] } });
  });

  test('no device to send to: 503', async () => {
    expect((await ask({ pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: '' })).json['message']).toContain('pn_prid');
  });
});

describe('accounts with a token', () => {
  const create = (body: object): Promise<Answer> => system.api('/accounts/with-account-creation-token', { method: 'POST', body });

  test('every field’s fault at once, in the order of the parameters; the French example of the documentation', async () => {
    const { json } = await system.api('/accounts/with-account-creation-token', {
      method: 'POST',
      body: {},
      headers: { 'accept-language': 'fr-FR,fr;q=0.9,en;q=0.8' },
    });
    expect(Object.entries(json['errors'] as object)).toEqual([
      ['username', ['Le champ pseudo est obligatoire.']],
      ['password', ['Le champ mot de passe est obligatoire.']],
      ['algorithm', ['Le champ algorithm est obligatoire.']],
      ['account_creation_token', ['Le champ account creation token est obligatoire.']],
    ]);
  });

  test.each([
    ['short', 'The username field must be at least 6 characters.'],
    ['UpperCase', 'The username field must not have upper case letters.'],
    ['white space', 'The username field has characters that are not allowed.'],
    ['+33612345678', 'The username field must not be a phone number.'],
    ['06.12.34.56', 'The username field must not be a phone number.'],
  ])('username %s', async (username, message) => {
    const { status, json } = await create({ username, password: 'password', algorithm: 'MD5', account_creation_token: 'x'.repeat(13) });
    expect(status).toBe(422);
    expect((json['errors'] as Record<string, string[]>)['username']).toEqual([message]);
  });

  test('a taken name, a tombstone and an unknown token are each named; the token survives', async () => {
    const admin = await system.account('token-maker', { admin: true });
    const { token } = (await system.api('/account_creation_tokens', { method: 'POST', key: admin.key })).json as { token: string };
    await system.rows("INSERT INTO accounts_tombstones (username, domain, created_at) VALUES ('buried', $1, now())", [SPACE]);
    const body = { password: 'password', algorithm: 'MD5', account_creation_token: token };
    for (const username of ['token-maker', 'buried']) {
      expect(Object.keys((await create({ ...body, username })).json['errors'] as object)).toEqual(['username']);
    }
    expect((await create({ ...body, username: 'token-user', account_creation_token: 'y'.repeat(13) })).status).toBe(422);
    const made = await create({ ...body, username: 'token-user' });
    expect(made.status).toBe(200);
    // HA1 as a SIP server computes it.
    const { createHash } = await import('node:crypto');
    const ha1 = createHash('md5').update(`token-user:${SPACE}:password`).digest('hex');
    expect(await system.rows('SELECT password, algorithm FROM passwords WHERE account_id = $1', [made.json['id']])).toEqual([
      { password: ha1, algorithm: 'MD5' },
    ]);
  });

  test('a Space with ten places takes exactly ten of forty at once', async () => {
    await system.space('small.example.org', { maxAccounts: 10 });
    const admin = await system.account('filler-admin', { admin: true });
    const tokens = await Promise.all(
      Array.from(
        { length: 40 },
        async () => (await system.api('/account_creation_tokens', { method: 'POST', key: admin.key })).json['token'],
      ),
    );
    const answers = await Promise.all(
      tokens.map((account_creation_token, n) =>
        system.api('/accounts/with-account-creation-token', {
          method: 'POST',
          headers: { 'x-forwarded-host': 'small.example.org' },
          body: { username: `filler.${n}`, password: 'password', algorithm: 'SHA-256', account_creation_token },
        }),
      ),
    );
    // Without TRUST_PROXY the header is not believed: all are in the default Space.
    expect(answers.every(({ status, json }) => status === 200 && json['domain'] === SPACE)).toBe(true);
    const left = await system.rows<{ token: string }>(
      "INSERT INTO account_creation_tokens (token, created_at) SELECT 'small-token' || lpad(n::text, 2, '0'), now() FROM generate_series(0, 39) n RETURNING token",
    );
    await system.rows('UPDATE spaces SET host = $1 WHERE domain = $2', ['127.0.0.1', 'small.example.org']);
    const crowded = await Promise.all(
      left.map(({ token }, n) =>
        create({ username: `crowd.${n}.x`, password: 'password', algorithm: 'SHA-256', account_creation_token: token }),
      ),
    );
    expect(crowded.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(crowded.filter(({ status }) => status === 403)).toHaveLength(30);
    expect(await system.rows("SELECT count(*)::int AS n FROM account_creation_tokens WHERE token LIKE 'small-%' AND NOT used")).toEqual([
      { n: 30 },
    ]);
    await system.rows('UPDATE spaces SET host = domain WHERE domain = $1', ['small.example.org']);
  });
});

test('no secret in Redis, none in the logs', async () => {
  const { Redis } = await import('ioredis');
  const redis = new Redis(system.environment['REDIS_URL'] ?? '');
  const keys = await redis.keys(`{${system.environment['QUEUE_PREFIX']}:*`);
  const held: string[] = [];
  for (const key of keys) {
    const type = await redis.type(key);
    if (type === 'hash') held.push(JSON.stringify(await redis.hgetall(key)));
    if (type === 'stream') held.push(JSON.stringify(await redis.xrange(key, '-', '+')));
  }
  redis.disconnect();
  const tokens = await system.rows<{ token: string }>('SELECT token FROM account_creation_tokens');
  const output = [...system.webs, ...system.workers].map((process) => process.output()).join('');
  expect(held.join('')).toContain('creation_token');
  for (const { token } of tokens) {
    expect(held.join('')).not.toContain(token);
    expect(output).not.toContain(token);
  }
});
