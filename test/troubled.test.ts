// Every temporary answer of the three providers that speak HTTP: what is said of one recipient leaves the others alone, what befalls several
// recipients is the provider's ill health. And what an answer asks to wait is waited.
import { type Mode } from './helpers/outside';
import { answer, apns, fcm, twilio } from './helpers/provider-answers';
import { PROVIDER_NAMES, workerForEachTest, type Provider } from './helpers/providers';
import { eventually } from './helpers/system';

const stage = workerForEachTest();

/** Recipient number `n` of a provider, as its fake knows it. */
const RECIPIENTS: Record<Provider, (n: number) => string> = {
  apnsDev: (n) => String(n).padStart(64, 'a'),
  fcm: (n) => `device-${n}`,
  twilio: (n) => `+3361234000${n}`,
};

/**
 * `one`: said of the recipient, whatever becomes of others; `all`: of the provider, or nobody knows of whom. Sources: Apple, «Handling notification
 * responses from APNs»; Firebase, «FCM Error Codes» (QUOTA_EXCEEDED is a device's, or a project's); Twilio's error dictionary.
 */
const TEMPORARY: [Provider, string, Mode, 'one' | 'all'][] = [
  ['apnsDev', '429 TooManyRequests', apns(429, 'TooManyRequests'), 'one'],
  ['apnsDev', '429 without a reason', answer(429, ''), 'one'],
  ['apnsDev', '429 TooManyProviderTokenUpdates', apns(429, 'TooManyProviderTokenUpdates'), 'all'],
  ['apnsDev', '500 InternalServerError', apns(500, 'InternalServerError'), 'all'],
  ['apnsDev', '503 ServiceUnavailable', apns(503, 'ServiceUnavailable'), 'all'],
  ['apnsDev', '503 Shutdown', apns(503, 'Shutdown'), 'all'],
  ['fcm', 'DeviceMessageRateExceeded', answer(429, { error: 'DeviceMessageRateExceeded' }), 'one'],
  ['fcm', '429 QUOTA_EXCEEDED', fcm(429, 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED'), 'all'],
  ['fcm', '429 RESOURCE_EXHAUSTED', fcm(429, 'RESOURCE_EXHAUSTED'), 'all'],
  ['fcm', '429, not JSON', answer(429, '<html>slow down</html>'), 'all'],
  ['fcm', '500 INTERNAL', fcm(500, 'INTERNAL', 'INTERNAL'), 'all'],
  ['fcm', '503 UNAVAILABLE', fcm(503, 'UNAVAILABLE', 'UNAVAILABLE'), 'all'],
  ['fcm', '503 UNSPECIFIED_ERROR', fcm(503, 'UNKNOWN', 'UNSPECIFIED_ERROR'), 'all'],
  ['twilio', '429 14107, too many to this number', twilio(429, 14107), 'one'],
  ['twilio', '429 20429, too many of the account', twilio(429, 20429), 'all'],
  ['twilio', '429 21611, the queue of its sender is full', twilio(429, 21611), 'all'],
  ['twilio', '500', twilio(500, 20500), 'all'],
  ['twilio', '503', twilio(503, 20503), 'all'],
];

test.each(TEMPORARY)('%s: %s', async (provider, _what, mode, scope) => {
  const [name, send] = [RECIPIENTS[provider], stage.send[provider]];
  // One recipient, again and again.
  stage.world[provider].only.set(name(0), mode);
  const toOne = await Promise.all(Array.from({ length: 8 }, () => send(name(0))));
  expect(new Set(toOne.map((text) => text.split(':')[0]))).toEqual(new Set(['failed']));
  expect(stage.world[provider].received).toHaveLength(8);
  expect(await send(name(1))).toBe('sent');
  // Everybody.
  stage.world[provider].mode = mode;
  const toAll = await Promise.all([1, 2, 3, 4, 5].map((n) => send(name(n))));
  expect(toAll.filter((text) => !text.startsWith('failed'))).toEqual([]);
  stage.world[provider].mode = 'accept';
  expect(await send(name(6))).toBe(scope === 'one' ? 'sent' : 'failed: provider_failing: the provider keeps failing');
});

describe.each(PROVIDER_NAMES)('Retry-After of %s', (provider) => {
  const [name, send] = [RECIPIENTS[provider], stage.send[provider]];
  const times: number[] = [];
  const refuseOnce = (status: number, wait: string): Promise<void> => {
    times.length = 0;
    const log = stage.world[provider];
    log.mode = { status, body: '{}', headers: { 'retry-after': wait } };
    return log.reached(1).then(() => {
      times.push(Date.now());
      log.mode = 'accept';
      return log.reached(2).then(() => void times.push(Date.now()));
    });
  };

  test.each([429, 503])('%i: within the deadline it is waited', async (status) => {
    const both = refuseOnce(status, '1');
    expect(await send(name(0), 5)).toBe('sent');
    await both;
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(950);
  });

  test('a date', async () => {
    const date = new Date(Date.now() + 3000).toUTCString();
    const both = refuseOnce(503, date);
    expect(await send(name(0), 8)).toBe('sent');
    await both;
    expect(times[1] ?? 0).toBeGreaterThanOrEqual(Date.parse(date) - 50);
  });

  test('beyond the deadline the send ends there', async () => {
    stage.world[provider].mode = { status: 429, body: '{}', headers: { 'retry-after': '60' } };
    const started = Date.now();
    expect(await send(name(0), 5)).toMatch(/^failed/);
    expect(Date.now() - started).toBeLessThan(4000);
    await eventually(
      () => Promise.resolve(stage.world[provider].received.length),
      (count) => count === 1,
    );
  });
});
