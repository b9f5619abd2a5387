// A request that a provider may have taken is not sent again, whatever comes back; one that was taken is sent.
import { Jobs } from './helpers/jobs';
import { startOutsideWorld, type Mode, type OutsideWorld } from './helpers/outside';
import { startSystem, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
const jobs = {} as Record<'push' | 'sms', Jobs>;

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 0, workers: 0, environment: world.environment });
  jobs.push = new Jobs(system, 'push');
  jobs.sms = new Jobs(system, 'sms');
});
afterAll(async () => {
  await Promise.all([jobs.push.close(), jobs.sms.close()]);
  await system.stop();
  await world.close();
});
// A worker of its own for each: no breaker and no connection of another test.
beforeEach(async () => {
  for (const log of [world.apnsDev, world.fcm, world.twilio]) log.reset();
  await system.startWorker();
});
afterEach(async () => {
  await system.workers.pop()?.end('SIGKILL');
});

const notification = { kind: 'notification', type: 'message', call_id: null };
const PROVIDERS = {
  apnsDev: () => jobs.push.outcome({ ...notification, provider: 'apns.dev', param: 'TEAM.org.linphone.phone', prid: 'A0'.repeat(32) }),
  fcm: () => jobs.push.outcome({ ...notification, provider: 'fcm', param: 'linphone-test', prid: 'device' }),
  twilio: async () => {
    const { id } = await system.account(`sms-${Math.random()}`);
    await system.rows("UPDATE accounts SET phone = $2, confirmation_key = '1234' WHERE id = $1", [
      id,
      `+336${String(id).padStart(8, '0')}`,
    ]);
    return jobs.sms.outcome({ kind: 'account_recovery', account_id: id, language: 'en' });
  },
};
const NAMES = ['apnsDev', 'fcm', 'twilio'] as const;

const UNREADABLE: [string, Mode][] = [
  ['not JSON', { status: 200, body: '<html>ok</html>' }],
  ['empty', { status: 200, body: '' }],
  ['cut', { status: 200, body: '{"name": "proj', cut: true }],
  ['half a JSON', { status: 200, body: '{"name": ' }],
];

describe.each(NAMES)('%s', (name) => {
  const sent = (): number => world[name].received.length;

  test.each(UNREADABLE)('2xx, %s → sent, once', async (_what, mode) => {
    world[name].mode = mode;
    expect(await PROVIDERS[name]()).toBe('sent');
    expect(sent()).toBe(1);
  });

  test('the connection ends after the request → unknown, once', async () => {
    world[name].mode = 'drop';
    expect(await PROVIDERS[name]()).toMatch(/^unknown/);
    expect(sent()).toBe(1);
  });

  test('503 → the provider has not taken it: tried again', async () => {
    world[name].mode = { status: 503, body: 'not JSON' };
    expect(await PROVIDERS[name]()).toMatch(/^failed/);
    expect(sent()).toBe(3);
  });
});

test.each(['fcm', 'twilio'] as const)('%s: a gateway that had no answer (502, 504) → unknown, once', async (name) => {
  for (const status of [502, 504]) {
    world[name].reset();
    world[name].mode = { status, body: '<html>gateway</html>' };
    expect(await PROVIDERS[name]()).toMatch(/^unknown/);
    expect(world[name].received).toHaveLength(1);
  }
});

describe('APNs, stream by stream', () => {
  test('refused before anything was done with it (REFUSED_STREAM) → sent over again, once taken', async () => {
    world.apnsDev.mode = 'refuse';
    expect(await PROVIDERS.apnsDev()).toBe('sent');
    // Refused once, then taken.
    expect(world.apnsDev.received).toHaveLength(2);
  });

  test('GOAWAY while the request is under way: the answer still counts', async () => {
    world.apnsDev.mode = 'goaway';
    expect(await PROVIDERS.apnsDev()).toBe('sent');
    expect(world.apnsDev.received).toHaveLength(1);
  });
});

test.each(NAMES)('%s: a proxy that is not there → not sent', async (name) => {
  await system.workers.pop()?.end('SIGKILL');
  await system.startWorker({ HTTPS_PROXY: 'http://127.0.0.1:1' });
  expect(await PROVIDERS[name]()).toMatch(/^failed/);
  expect(world[name].received).toHaveLength(0);
});
