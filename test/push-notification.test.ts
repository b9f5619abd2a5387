// POST /push_notification, as Flexisip calls it: through the queue, over APNs and FCM as they are.
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { startSystem, type Account, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
let proxy: Account;
const TOKEN = 'A1'.repeat(32);
const push = (body: object): Promise<Answer> => system.api('/push_notification', { method: 'POST', key: proxy.key, body });
const apns = (change: object = {}): Promise<Answer> =>
  push({ call_id: 'x~1@host.example', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: TOKEN, pn_provider: 'apns', ...change });

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 1, workers: 2, environment: world.environment });
  proxy = await system.account('the-proxy');
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => {
  for (const log of [world.apns, world.apnsDev, world.fcm]) log.reset();
});

const DAY = 24 * 3600;
const layout = (callId: unknown): object => ({
  'call-id': callId,
  uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
  'send-time': expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/) as string,
});

test.each([
  [
    'background',
    { 'apns-topic': 'org.linphone.phone', 'apns-push-type': 'background', 'apns-priority': '5' },
    { aps: { badge: 0, 'content-available': 1, 'loc-key': 'IM_MSG', 'loc-args': [''], ...layout('x~1@host.example') } },
    30 * DAY,
  ],
  [
    'message',
    { 'apns-topic': 'org.linphone.phone', 'apns-push-type': 'alert', 'apns-priority': '10' },
    {
      aps: { alert: { 'loc-key': 'IM_MSG', 'loc-args': [''] }, sound: expect.any(String) as string, 'mutable-content': 1, badge: 1 },
      ...layout('x~1@host.example'),
      'chat-room-addr': '',
    },
    30 * DAY,
  ],
  [
    'call',
    { 'apns-topic': 'org.linphone.phone.voip', 'apns-push-type': 'voip', 'apns-priority': '10' },
    { aps: { sound: '', 'loc-key': 'IC_MSG', 'loc-args': [''], ...layout('x~1@host.example') } },
    90,
  ],
])('APNs: %s', async (type, headers, body, ttl) => {
  expect(await apns({ type })).toMatchObject({ status: 200, text: '{}' });
  expect(world.apns.received).toHaveLength(1);
  const [received] = world.apns.received;
  expect(received).toMatchObject({ path: `/3/device/${TOKEN}`, headers });
  expect(received?.body).toEqual({ ...body, 'from-uri': '', 'display-name': '', pn_ttl: ttl, customPayload: {} });
  const expiry = Number(received?.headers['apns-expiration']);
  expect(Math.abs(expiry - Date.now() / 1000 - ttl)).toBeLessThan(10);
});

test('APNs: a call’s topic is not made VoIP twice; the sandbox is another host; the part of pn_prid after the colon is cut', async () => {
  expect((await apns({ type: 'call', pn_param: 'TEAMID1234.org.linphone.phone.voip', pn_prid: `${TOKEN}:voip` })).status).toBe(200);
  expect(world.apns.received[0]).toMatchObject({
    path: `/3/device/${TOKEN}`,
    headers: { 'apns-topic': 'org.linphone.phone.voip' },
  });
  expect((await apns({ type: 'message', pn_provider: 'apns.dev' })).status).toBe(200);
  expect([world.apns.received.length, world.apnsDev.received.length]).toEqual([1, 1]);
});

test.each([
  ['background', '2419200s', 'IM_MSG'],
  ['message', '2419200s', 'IM_MSG'],
  ['call', '90s', 'IC_MSG'],
])('FCM: %s', async (type, ttl, key) => {
  const answer = await push({ call_id: null, pn_param: 'linphone-test', pn_prid: 'dev_ice:A-1', pn_provider: 'fcm', type });
  expect(answer).toMatchObject({ status: 200, text: '{}' });
  expect(world.fcm.received).toHaveLength(1);
  expect(world.fcm.received[0]).toMatchObject({ path: '/v1/projects/linphone-test/messages:send' });
  expect(world.fcm.received[0]?.body).toEqual(
    expect.objectContaining({
      message: {
        token: 'dev_ice:A-1',
        android: {
          priority: 'high',
          ttl,
          data: {
            ...layout(''),
            'from-uri': '',
            'display-name': '',
            'sip-from': '',
            'loc-key': key,
            'loc-args': '',
            'custom-payload': '{}',
          },
        },
      },
    }),
  );
});

test('one push a request; nothing is stored, and no device is throttled', async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => apns({ type: 'call' })));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(world.apns.received).toHaveLength(10);
  expect(await system.rows('SELECT 1 FROM account_creation_tokens')).toEqual([]);
});

test('not sent is 503: gone, refused, in trouble, hanging, no device', async () => {
  for (const [mode, message] of [
    ['gone', 'The push service no longer knows this device.'],
    [400, 'The push notification could not be sent. Try again in a moment.'],
    [503, 'The push notification could not be sent. Try again in a moment.'],
    ['hang', 'The push notification could not be sent. Try again in a moment.'],
  ] as const) {
    world.apns.mode = mode;
    expect([mode, await apns({ type: 'message' })]).toMatchObject([mode, { status: 503, json: { message } }]);
  }
  expect(await push({ pn_provider: 'apns', type: 'message', pn_param: 'A.b', pn_prid: null })).toMatchObject({
    status: 503,
    json: { message: 'There is no device to send the push notification to: pn_prid is missing.' },
  });
});

test.each([
  [{}, ['pn_provider', 'type']],
  [{ pn_provider: 'gcm', type: 'ring' }, ['pn_provider', 'type']],
  [{ pn_provider: 'fcm', type: 'call', pn_param: 'a b' }, ['pn_param']],
  [{ pn_provider: 'fcm', type: 'call', pn_prid: "a'b" }, ['pn_prid']],
  [{ pn_provider: 'fcm', type: 'call', call_id: 'a b' }, ['call_id']],
  [{ pn_provider: 'fcm', type: 'call', call_id: 'a\nb' }, ['call_id']],
  [{ pn_provider: 'fcm', type: 'call', call_id: 'c'.repeat(256) }, ['call_id']],
])('%j is refused by its fields', async (body, fields) => {
  const { status, json } = await push(body);
  expect([status, Object.keys(json['errors'] as object)]).toEqual([422, fields]);
});
