// A request that a provider may have taken is not sent again, whatever comes back; one that was taken is sent.
import { type Mode } from './helpers/outside';
import { PROVIDER_NAMES, workerForEachTest } from './helpers/providers';

const stage = workerForEachTest();

let serial = 0;
const PROVIDERS = {
  apnsDev: () => stage.send.apnsDev('A0'.repeat(32)),
  fcm: () => stage.send.fcm('device'),
  twilio: () => stage.send.twilio(`+336${String((serial += 1)).padStart(8, '0')}`),
};

const UNREADABLE: [string, Mode][] = [
  ['not JSON', { status: 200, body: '<html>ok</html>' }],
  ['empty', { status: 200, body: '' }],
  ['cut', { status: 200, body: '{"name": "proj', cut: true }],
  ['half a JSON', { status: 200, body: '{"name": ' }],
];

describe.each(PROVIDER_NAMES)('%s', (name) => {
  const sent = (): number => stage.world[name].received.length;

  test.each(UNREADABLE)('2xx, %s → sent, once', async (_what, mode) => {
    stage.world[name].mode = mode;
    expect(await PROVIDERS[name]()).toBe('sent');
    expect(sent()).toBe(1);
  });

  test('the connection ends after the request → unknown, once', async () => {
    stage.world[name].mode = 'drop';
    expect(await PROVIDERS[name]()).toMatch(/^unknown/);
    expect(sent()).toBe(1);
  });

  test('503 → the provider has not taken it: tried again', async () => {
    stage.world[name].mode = { status: 503, body: 'not JSON' };
    expect(await PROVIDERS[name]()).toMatch(/^failed/);
    expect(sent()).toBe(3);
  });
});

test.each(['fcm', 'twilio'] as const)('%s: a gateway that had no answer (502, 504) → unknown, once', async (name) => {
  for (const status of [502, 504]) {
    stage.world[name].reset();
    stage.world[name].mode = { status, body: '<html>gateway</html>' };
    expect(await PROVIDERS[name]()).toMatch(/^unknown/);
    expect(stage.world[name].received).toHaveLength(1);
  }
});

describe('APNs, stream by stream', () => {
  test('refused before anything was done with it (REFUSED_STREAM) → sent over again, once taken', async () => {
    stage.world.apnsDev.mode = 'refuse';
    expect(await PROVIDERS.apnsDev()).toBe('sent');
    // Refused once, then taken.
    expect(stage.world.apnsDev.received).toHaveLength(2);
  });

  test('GOAWAY while the request is under way: the answer still counts', async () => {
    stage.world.apnsDev.mode = 'goaway';
    expect(await PROVIDERS.apnsDev()).toBe('sent');
    expect(stage.world.apnsDev.received).toHaveLength(1);
  });
});

test.each(PROVIDER_NAMES)('%s: a proxy that is not there → not sent', async (name) => {
  await stage.system.workers.pop()?.end('SIGKILL');
  await stage.system.startWorker({ HTTPS_PROXY: 'http://127.0.0.1:1' });
  expect(await PROVIDERS[name]()).toMatch(/^failed/);
  expect(stage.world[name].received).toHaveLength(0);
});
