// What real clients send, through a gateway that goes by the server's own document: nothing of it, and of the answers, is refused.
import { Redis } from 'ioredis';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { send, type RawAnswer } from './helpers/raw';
import { SPACE, startSystem, type Account, type System } from './helpers/system';
import { ValidatingProxy } from './helpers/validating-proxy';
import { testServers } from './setup/servers';

let world: OutsideWorld;
let system: System;
let gateway: ValidatingProxy;
let flexisip: Account;
let alice: Account;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    environment: {
      ...world.environment,
      MAIL_ALLOW_SELF_SIGNED: 'true',
      APP_DANGEROUS_ENDPOINTS: 'true',
      FLEXISIP_REDIS_URL: testServers().redisUrl,
      RATE_LIMIT_PER_MINUTE: '10000',
    },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  flexisip = await system.account('flexisip', { admin: true });
  alice = await system.account('alice-at-home');
  gateway = await ValidatingProxy.start(system.url);
});
afterAll(async () => {
  await gateway.stop();
  await system.stop();
  await world.close();
});
afterEach(() => expect(gateway.violations.splice(0)).toEqual([]));

type Json = Record<string, unknown>;

/** JSON as jsoncpp and nlohmann write it: members sorted by name, no white space. */
const sorted = (value: unknown): unknown =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? value
    : Object.fromEntries(
        Object.entries(value)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, inner]) => [name, sorted(inner)]),
      );

/** As both of Linphone's clients speak: a body on any method, and none on a POST that has nothing to say. */
const ask = (method: string, path: string, body?: Json, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  send(`${gateway.url}/api/${path}`, {
    method,
    headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(sorted(body)) }),
  });
const as = ({ key }: Account): Record<string, string> => ({ 'x-api-key': key });

describe('Flexisip', () => {
  const id = 'e3b0c442'.repeat(8);
  const device = '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"';
  const report = (method: string, path: string, body: Json): Promise<RawAnswer> => ask(method, `statistics/${path}`, body, as(flexisip));

  test('messages: its `to`, an id of a conference that is null, a device that answers twice', async () => {
    const message = { id, from: `alice@${SPACE}`, sent_at: '2026-03-01T10:15:00Z', encrypted: false };
    const to = { [`bob@${SPACE}`]: { [device]: null, other: { last_status: 200, received_at: '2026-03-01T10:15:01Z' } } };
    expect((await report('POST', 'messages', { ...message, to, conference_id: null })).status).toBe(200);
    expect((await report('POST', 'messages', { ...message, to: {}, conference_id: 'conf' })).status).toBe(400);
    const route = `messages/${id}/to/+33612345678@${SPACE}/devices/${device}`;
    const answered = { received_at: '2026-03-01T10:15:02Z' };
    expect((await report('PATCH', route, { ...answered, last_status: 503 })).status).toBe(201);
    expect((await report('PATCH', route, { ...answered, last_status: 200 })).status).toBe(200);
  });

  test('calls: its `devices` and `sip_call_id`, an end that is null, an invitation that is `{}`', async () => {
    const call = { id, from: `alice@${SPACE}`, to: `bob@${SPACE}`, initiated_at: '2026-03-01T10:15:00Z', ended_at: null };
    const devices = { [device]: null, other: { rang_at: null, invite_terminated: null } };
    expect((await report('POST', 'calls', { ...call, sip_call_id: '~x@h', devices, conference_id: null })).status).toBe(200);
    const route = `calls/${id}/devices/${device}`;
    expect((await report('PATCH', route, { rang_at: '2026-03-01T10:15:03Z' })).status).toBe(201);
    expect((await report('PATCH', route, { invite_terminated: {} })).status).toBe(200);
    expect((await report('PATCH', route, { invite_terminated: { at: '2026-03-01T10:15:09Z', state: 'accepted' } })).status).toBe(200);
    expect((await report('PATCH', route, { invite_terminated: null, rang_at: null })).status).toBe(200);
    expect((await report('PATCH', `calls/${id}`, { ended_at: '2026-03-01T10:16:00Z' })).status).toBe(200);
    expect((await report('PATCH', 'calls/unknown', { ended_at: '2026-03-01T10:16:00Z' })).status).toBe(404);
  });

  test('push notifications, with nulls', async () => {
    const push = { pn_provider: 'fcm', pn_param: 'project', pn_prid: 'token-1:x_y', call_id: null, type: 'background' };
    expect((await ask('POST', 'push_notification', push, as(flexisip))).status).toBe(200);
    const apple = {
      pn_provider: 'apns',
      pn_param: 'TEAMID1234.org.linphone.phone.voip',
      pn_prid: 'A1'.repeat(32),
      call_id: '~x_1.y@h',
      type: 'call',
    };
    expect((await ask('POST', 'push_notification', apple, as(flexisip))).status).toBe(200);
    await ask('POST', 'push_notification', { ...push, pn_param: null, pn_prid: null }, as(flexisip));
  });

  test('the list of domains', async () => {
    expect(JSON.parse((await ask('GET', 'spaces', undefined, as(flexisip))).text)).toMatchObject([{ domain: SPACE }]);
  });
});

test('an operator: a Space that never expires, put back as it was read', async () => {
  const space = { domain: 'never.example.org', super: '0', expire_at: null, host: null, max_account: '12', hide_settings: '' };
  expect((await ask('POST', 'spaces', space, as(flexisip))).status).toBe(201);
  const { json } = await ask('GET', 'spaces/never.example.org', undefined, as(flexisip));
  expect(json).toMatchObject({ expire_at: null, max_account: 12 });
  const put = await ask('PUT', 'spaces/never.example.org', json, as(flexisip));
  expect([put.status, put.json['expire_at']]).toEqual([200, null]);
  const dated = await ask('PUT', 'spaces/never.example.org', { ...json, expire_at: '2099-12-31' }, as(flexisip));
  expect(dated.json['expire_at']).toBe('2099-12-31T00:00:00.000000Z');
  expect((await ask('PUT', 'spaces/never.example.org', dated.json, as(flexisip))).status).toBe(200);
  expect((await ask('DELETE', 'spaces/never.example.org', undefined, as(flexisip))).status).toBe(200);
});

describe('liblinphone', () => {
  const json = { 'user-agent': 'LinphoneiOS/6.0 (Phone) LinphoneSDK/5.4', 'accept-language': 'fr' };

  test('a request token, a creation token, an account, and what it looks up', async () => {
    const asked = await ask('POST', 'account_creation_request_tokens', undefined, json);
    expect(asked.status).toBe(201);
    await system.rows('UPDATE account_creation_request_tokens SET validated_at = now()');
    const exchanged = await ask(
      'POST',
      'account_creation_tokens/using-account-creation-request-token',
      { account_creation_request_token: asked.json['token'] },
      json,
    );
    const account = { username: 'from-an-app', password: 'pässwörd', algorithm: 'SHA-256' };
    const made = await ask(
      'POST',
      'accounts/with-account-creation-token',
      { ...account, account_creation_token: exchanged.json['token'], domain: SPACE },
      json,
    );
    expect([made.status, made.json['username']]).toEqual([200, 'from-an-app']);
    expect((await ask('GET', `accounts/from-an-app@${SPACE}/info`)).json).toEqual({ activated: false, realm: null });
    expect((await ask('GET', 'accounts/+33612345678@nowhere.org/info')).status).toBe(404);
    for (const accept of ['text/plain', 'application/json', '*/*']) {
      expect((await send(`${gateway.url}/api/ping`, { headers: { accept } })).text).toBe('pong');
    }
    const wrong = await ask('POST', 'accounts/with-account-creation-token', { ...account, account_creation_token: '0123456789abc' }, json);
    expect([wrong.status, wrong.headers['content-language']]).toEqual([422, 'fr']);
  });

  test('a token by push, with what it does not know empty', async () => {
    const target = { pn_provider: 'fcm', pn_param: '', pn_prid: 'token-1' };
    expect((await ask('POST', 'account_creation_tokens/send-by-push', target, json)).status).toBe(200);
    expect((await ask('POST', 'account_creation_tokens/send-by-push', target, json)).status).toBe(403);
  });

  test('an email and a phone number, each confirmed by its code', async () => {
    const token = await ask('POST', 'account_creation_tokens', undefined, as(flexisip));
    expect(token.status).toBe(201);
    expect((await ask('POST', 'account_creation_tokens/consume', { account_creation_token: token.json['token'] }, as(alice))).status).toBe(
      200,
    );
    expect((await ask('POST', 'accounts/me/email/request', { email: 'alice@example.org ' }, as(alice))).status).toBe(200);
    expect((await ask('POST', 'accounts/me/phone/request', { phone: '+33 6 12 34 56 78' }, as(alice))).status).toBe(200);
    const { json: shown } = await ask('GET', `accounts/${alice.id}`, { account_id: alice.id }, as(flexisip));
    const codes = shown as Record<'email_change_code' | 'phone_change_code', { code: string }>;
    expect((await ask('GET', 'accounts?page=1', undefined, as(flexisip))).json['data']).toHaveLength(3);
    expect((await ask('POST', 'accounts/me/email', { code: `${codes.email_change_code.code} ` }, as(alice))).status).toBe(200);
    expect((await ask('POST', 'accounts/me/phone', { code: codes.phone_change_code.code }, as(alice))).json['phone']).toBe('+33612345678');
    expect((await ask('POST', 'accounts/me/phone', { code: '0000' }, as(alice))).status).toBe(404);
    expect((await ask('GET', 'accounts/+33612345678/info-by-phone')).json['phone']).toBe(true);
  });

  test('devices, removed with a body', async () => {
    const redis = new Redis(testServers().redisUrl);
    const contact = '<sip:a@h;updatedAt=0?path=&accept=&user-agent=B>;+sip.instance="<urn:uuid:1>"';
    await redis.hset(`fs:alice-at-home@${SPACE}`, '"<urn:uuid:1>"', contact);
    redis.disconnect();
    expect(Object.keys((await ask('GET', 'accounts/me/devices', undefined, as(alice))).json)).toEqual(['urn:uuid:1']);
    expect((await ask('DELETE', 'accounts/me/devices/urn:uuid:1', { device_uuid: 'urn:uuid:1' }, as(alice))).status).toBe(200);
    expect((await ask('DELETE', 'accounts/me/devices/urn:uuid:1', { device_uuid: 'urn:uuid:1' }, as(alice))).status).toBe(404);
  });

  test('an admin makes an account whose key is called `code`, gives it contacts, and deletes it', async () => {
    const account = {
      username: 'made-by-admin',
      password: 'password',
      algorithm: 'MD5',
      activated: '0',
      email: 'made@example.org',
      dtmf_protocol: 'sipinfo',
    };
    const made = await ask('POST', 'accounts', account, as(flexisip));
    expect([typeof made.json['id'], made.json['activated']]).toEqual(['number', false]);
    const id = Number(made.json['id']);
    const activated = await ask('POST', `accounts/made-by-admin@${SPACE}/activate/email`, { code: made.json['confirmation_key'] });
    expect(activated.json['activated']).toBe(true);
    const all = { ...made.json, ...account, dictionary: { ring: 'bell', none: '' }, display_name: null, phone: '' };
    expect((await ask('PUT', `accounts/${id}`, all, as(flexisip))).json['dictionary']).toEqual({ ring: 'bell', none: '' });
    expect((await ask('GET', `accounts/${id}/dictionary/none`, undefined, as(flexisip))).json).toEqual({ value: '' });
    expect((await ask('PUT', `accounts/${id}`, { ...account, dictionary: [] }, as(flexisip))).json['dictionary']).toEqual({});
    expect((await ask('POST', `accounts/${alice.id}/contacts/${id}`, undefined, as(flexisip))).status).toBe(200);
    expect((await ask('GET', `accounts/me/contacts/made-by-admin@${SPACE}`, undefined, as(alice))).json['id']).toBe(id);
    expect((await ask('DELETE', `accounts/${alice.id}/contacts/${id}`, undefined, as(flexisip))).status).toBe(200);
    expect((await ask('POST', `accounts/${id}/block`, {}, as(flexisip))).json['blocked']).toBe(true);
    expect((await ask('DELETE', `accounts/${id}`, { account_id: id }, as(flexisip))).status).toBe(200);
  });

  test('no key, and a key by an auth token', async () => {
    const none = await ask('GET', 'accounts/me', undefined, { from: `sip:alice-at-home@${SPACE}` });
    expect(none.status).toBe(401);
    const { json: made } = await ask('POST', 'accounts/auth_token');
    expect((await ask('GET', `accounts/auth_token/${String(made['token'])}/attach`, undefined, as(alice))).status).toBe(200);
    const key = await ask('GET', `accounts/me/api_key/${String(made['token'])}`);
    expect(key.headers['set-cookie']).toHaveLength(1);
    const fresh = { 'x-api-key': String(key.json['api_key']) };
    expect((await ask('POST', 'accounts/me/password', { algorithm: 'MD5', password: 'password', old_password: '' }, fresh)).status).toBe(
      200,
    );
  });
});

test('figures, with empty parameters, dates without a time, and as CSV', async () => {
  expect((await ask('GET', 'statistics/messages?by=&timezone=&domain=&from=2026-03-01&to=', undefined, as(flexisip))).status).toBe(200);
  const csv = await send(`${gateway.url}/api/statistics/calls?by=month`, { headers: { accept: 'text/csv', ...as(flexisip) } });
  expect([csv.status, csv.headers['content-type']]).toEqual([200, 'text/csv; charset=utf-8']);
});

test('the gateway notices what a document forbids, and an answer that it does not describe', async () => {
  const strict = await ValidatingProxy.start(system.url, (document) => {
    const { schemas } = document['components'] as { schemas: Record<string, Json & { properties: Json }> };
    (schemas['CallReport'] as Json)['additionalProperties'] = false;
    Object.assign(schemas['Space']?.properties ?? {}, { expire_at: { type: 'string' } });
    delete (document['components'] as { responses: Record<string, { headers: Json }> }).responses['Unauthorized']?.headers[
      'www-authenticate'
    ];
  });
  const through = (path: string, method = 'GET', body?: Json, headers = as(flexisip)): Promise<number> =>
    fetch(`${strict.url}/api/${path}`, {
      method,
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }).then(({ status }) => status);
  const call = { id: 'x', from: `a@${SPACE}`, to: `b@${SPACE}`, initiated_at: '2026-03-01T10:15:00Z' };
  expect(await through('statistics/calls', 'POST', { ...call, sip_call_id: 'x' })).toBe(502);
  expect(await through(`spaces/${SPACE}`)).toBe(502);
  expect(await through('accounts/me', 'GET', undefined, { from: `sip:alice-at-home@${SPACE}` })).toBe(401);
  expect(strict.violations).toEqual([
    expect.stringContaining('must NOT have additional properties'),
    expect.stringContaining('/response/expire_at must be string'),
    'GET /api/accounts/me: header www-authenticate of 401',
  ]);
  await strict.stop();
});
