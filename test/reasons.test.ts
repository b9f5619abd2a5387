// Why something was not sent, in words that stay: of every provider's answers, as whoever asked reads them, and as a job that failed carries them.
import { failureText, parseFailure, SEND_REASONS, type PushResult } from '../src/queues/contracts';
import { Daemon } from './helpers/daemon';
import { openQueue } from './helpers/jobs';
import { startOutsideWorld, type Mode, type OutsideWorld } from './helpers/outside';
import { answer, apns, fcm, twilio } from './helpers/provider-answers';
import { RawSmtp, type Deed, type Moment } from './helpers/raw-smtp';
import { eventually, request, startSystem, type Account, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
let admin: Account;
const daemon = new Daemon();
const mail = new RawSmtp();

beforeAll(async () => {
  world = await startOutsideWorld();
  await daemon.start();
  system = await startSystem({
    webs: 1,
    workers: 1,
    environment: {
      ...world.environment,
      MAIL_HOST: '127.0.0.1',
      MAIL_PORT: String(await mail.listen()),
      MAIL_REQUIRE_TLS: 'false',
      APP_LINPHONE_DAEMON_UNIX_PATH: daemon.path,
      APP_DANGEROUS_ENDPOINTS: 'true',
      CODES_PER_ADDRESS_PER_HOUR: '0',
      SMS_PER_PREFIX_PER_HOUR: '0',
      BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
      PUSH_TIMEOUT_SECONDS: '3',
      SMS_TIMEOUT_SECONDS: '3',
      EMAIL_TIMEOUT_SECONDS: '3',
    },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  admin = await system.account('the-admin', { admin: true });
});
afterAll(async () => {
  await system.stop();
  await world.close();
  await daemon.stop();
  mail.close();
});
beforeEach(() => {
  for (const log of [world.apns, world.apnsDev, world.fcm, world.twilio]) log.reset();
  mail.reset();
  daemon.mode = 'ok';
});

let serial = 0;
const next = (): number => (serial += 1);

type Sender = 'apnsDev' | 'fcm' | 'twilio' | 'mail';
const creation = (device: object): Promise<Answer> => system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: device });
const notification = (device: object): Promise<Answer> =>
  system.api('/push_notification', { method: 'POST', key: admin.key, body: { type: 'message', ...device } });
const appleDevice = () => ({
  pn_provider: 'apns.dev',
  pn_param: 'TEAMID1234.org.linphone.phone',
  pn_prid: next().toString(16).padStart(64, 'd'),
});
const googleDevice = (): object => ({ pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: `device-of-reasons-${next()}` });

async function newToken(): Promise<string> {
  const token = `reason${String(next()).padStart(7, '0')}`;
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
  return token;
}
const newPhone = (): string => `+336${String(next()).padStart(8, '0')}`;

/** An account asks for a code. */
async function askCode(body: { phone: string } | { email: string }): Promise<Answer> {
  const { id, key } = await system.account(`asker-${next()}`);
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
    `used${String(next()).padStart(9, '0')}`,
    id,
  ]);
  return system.api(`/accounts/me/${'phone' in body ? 'phone' : 'email'}/request`, { method: 'POST', key, body });
}

const ASK: Record<Sender, () => Promise<Answer>> = {
  apnsDev: () => creation(appleDevice()),
  fcm: () => notification(googleDevice()),
  twilio: () => askCode({ phone: newPhone() }),
  mail: () => askCode({ email: `reader-${next()}@example.org` }),
};
/** The seconds of `retry-after`; null where there are none. */
const secondsOf = ({ headers }: Answer): number | null => (headers.has('retry-after') ? Number(headers.get('retry-after')) : null);

/** Asks, and clears the breaker by one that goes well. */
async function refusedBy(sender: Sender): Promise<Answer> {
  const refused = await ASK[sender]();
  for (const log of [world.apnsDev, world.fcm, world.twilio]) log.reset();
  mail.reset();
  expect((await ASK[sender]()).status).toBe(200);
  return refused;
}

const WORDS: ['apnsDev' | 'fcm' | 'twilio', string, Mode, word: string, retry: number | null][] = [
  ['apnsDev', '400 BadDeviceToken', apns(400, 'BadDeviceToken'), 'device_unknown', null],
  ['apnsDev', '410 Unregistered', apns(410, 'Unregistered'), 'device_unknown', null],
  ['apnsDev', '410 ExpiredToken', apns(410, 'ExpiredToken'), 'device_unknown', null],
  ['apnsDev', '400 DeviceTokenNotForTopic', apns(400, 'DeviceTokenNotForTopic'), 'topic_disallowed', null],
  ['apnsDev', '400 TopicDisallowed', apns(400, 'TopicDisallowed'), 'topic_disallowed', null],
  ['apnsDev', '400 BadTopic', apns(400, 'BadTopic'), 'topic_disallowed', null],
  ['apnsDev', '403 InvalidProviderToken', apns(403, 'InvalidProviderToken'), 'provider_refused', null],
  ['apnsDev', '413 PayloadTooLarge', apns(413, 'PayloadTooLarge'), 'provider_refused', null],
  ['apnsDev', '429 TooManyRequests', apns(429, 'TooManyRequests'), 'provider_throttled', 60],
  ['apnsDev', '429 TooManyProviderTokenUpdates', apns(429, 'TooManyProviderTokenUpdates'), 'provider_throttled', 60],
  ['apnsDev', '500 InternalServerError', apns(500, 'InternalServerError'), 'provider_failing', 30],
  ['apnsDev', '503 ServiceUnavailable', apns(503, 'ServiceUnavailable'), 'provider_failing', 30],
  ['apnsDev', 'no answer', 'hang', 'timeout', 5],
  ['apnsDev', 'it hangs up', 'drop', 'provider_unreachable', 30],
  ['fcm', 'UNREGISTERED', 'gone', 'device_unknown', null],
  ['fcm', 'SENDER_ID_MISMATCH', fcm(403, 'PERMISSION_DENIED', 'SENDER_ID_MISMATCH'), 'sender_mismatch', null],
  ['fcm', 'THIRD_PARTY_AUTH_ERROR', fcm(401, 'UNAUTHENTICATED', 'THIRD_PARTY_AUTH_ERROR'), 'provider_refused', null],
  ['fcm', 'INVALID_ARGUMENT', fcm(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT'), 'provider_refused', null],
  ['fcm', 'QUOTA_EXCEEDED', fcm(429, 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED'), 'provider_throttled', 60],
  ['fcm', '429, not JSON', answer(429, '<html>slow down</html>'), 'provider_throttled', 60],
  ['fcm', 'DeviceMessageRateExceeded', answer(429, { error: 'DeviceMessageRateExceeded' }), 'provider_throttled', 60],
  ['fcm', 'INTERNAL', fcm(500, 'INTERNAL', 'INTERNAL'), 'provider_failing', 30],
  ['fcm', 'UNAVAILABLE', fcm(503, 'UNAVAILABLE', 'UNAVAILABLE'), 'provider_failing', 30],
  ['fcm', 'a gateway without an answer', answer(502, '<html>gateway</html>'), 'provider_unreachable', 30],
  ['fcm', 'it hangs up', 'drop', 'provider_unreachable', 30],
  ['twilio', '21211, no number', twilio(400, 21211), 'recipient_refused', null],
  ['twilio', '21610, unsubscribed', twilio(400, 21610), 'recipient_refused', null],
  ['twilio', '21614, no mobile', twilio(400, 21614), 'recipient_refused', null],
  ['twilio', '20003, wrong credentials', twilio(401, 20003), 'provider_refused', null],
  ['twilio', '21408, no permission for the region', twilio(400, 21408), 'provider_refused', null],
  ['twilio', '14107, too many to this number', twilio(429, 14107), 'provider_throttled', 60],
  ['twilio', '20429, too many of the account', twilio(429, 20429), 'provider_throttled', 60],
  ['twilio', '500', twilio(500, 20500), 'provider_failing', 30],
  ['twilio', 'no answer', 'hang', 'timeout', 5],
  ['twilio', 'it hangs up', 'drop', 'provider_unreachable', 30],
];

test.each(WORDS)('%s: %s', async (sender, _what, mode, word, retry) => {
  world[sender].mode = mode;
  const refused = await refusedBy(sender);
  expect([refused.status, refused.json['reason'], secondsOf(refused)]).toEqual([503, word, retry]);
  expect(typeof refused.json['message']).toBe('string');
});

const MAIL_WORDS: [Moment, Deed, word: string, retry: number | null][] = [
  ['RCPT', '550 5.1.1 no such user\r\n', 'recipient_refused', null],
  ['RCPT', '451 4.7.1 greylisted\r\n', 'recipient_refused', null],
  ['RCPT', '452 4.3.1 no room on this server\r\n', 'provider_failing', 30],
  ['AUTH', '535 5.7.8 no\r\n', 'provider_refused', null],
  ['MAIL', '550 5.7.1 not from you\r\n', 'provider_refused', null],
  ['dot', '554 5.7.1 spam\r\n', 'provider_refused', null],
  ['connect', '421 too many connections\r\n<close>', 'provider_failing', 30],
  ['EHLO', 'close', 'provider_unreachable', 30],
  ['dot', 'reset', 'provider_unreachable', 30],
  ['dot', 'hang', 'timeout', 5],
];
test.each(MAIL_WORDS)('mail: at %s %j → %s', async (moment, deed, word, retry) => {
  void mail.plan(moment, deed);
  const refused = await refusedBy('mail');
  expect([refused.status, refused.json['reason'], secondsOf(refused)]).toEqual([503, word, retry]);
});

test.each([
  ['hang', 'timeout', 5],
  ['die', 'provider_unreachable', 30],
  ['garbage', 'timeout', 5],
] as const)('linphone-daemon: %s → %s', async (mode, word, retry) => {
  daemon.mode = mode;
  const refused = await system.api('/messages', { method: 'POST', key: admin.key, body: { to: 'bob@sip.example.org', body: 'hello' } });
  expect([refused.status, refused.json['reason'], secondsOf(refused)]).toEqual([503, word, retry]);
});

test('linphone-daemon is not there → provider_unreachable; what it refuses is 422 in its own words', async () => {
  const send = (): Promise<Answer> =>
    system.api('/messages', { method: 'POST', key: admin.key, body: { to: 'bob@sip.example.org', body: 'hello' } });
  daemon.mode = 'refuse';
  const refused = await send();
  expect([refused.status, refused.json['message'], 'reason' in refused.json]).toEqual([
    422,
    'The message was refused: Bad sip uri.',
    false,
  ]);
  await daemon.stop();
  const absent = await send();
  await daemon.start();
  expect([absent.status, absent.json['reason'], secondsOf(absent)]).toEqual([503, 'provider_unreachable', 30]);
});

test('recovery by phone says it as well, and gives the token back', async () => {
  const phone = newPhone();
  const { id } = await system.account(`lost-${next()}`);
  await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [id, phone]);
  const body = { phone, account_creation_token: await newToken() };
  world.twilio.mode = twilio(400, 21610);
  const refused = await system.api('/accounts/recover-by-phone', { method: 'POST', body });
  expect([refused.status, refused.json['reason']]).toEqual([503, 'recipient_refused']);
  world.twilio.reset();
  expect((await system.api('/accounts/recover-by-phone', { method: 'POST', body })).status).toBe(200);
});

describe('a device', () => {
  test('that has its token: 403 already_sent, with the time after which it may have another one', async () => {
    const device = appleDevice();
    expect((await creation(device)).status).toBe(200);
    const refused = await creation(device);
    expect([refused.status, refused.json['reason']]).toEqual([403, 'already_sent']);
    expect(secondsOf(refused)).toBeGreaterThan(59 * 60);
    expect(secondsOf(refused)).toBeLessThanOrEqual(60 * 60);
  });

  test('that was sent as many as it may: 403 limit_reached', async () => {
    const device = appleDevice();
    for (let n = 0; n < 3; n += 1) {
      expect((await creation(device)).status).toBe(200);
      await system.rows('UPDATE account_creation_tokens SET used = true');
    }
    const refused = await creation(device);
    expect([refused.status, refused.json['reason']]).toEqual([403, 'limit_reached']);
    expect(secondsOf(refused)).toBeGreaterThan(23 * 60 * 60);
    expect(secondsOf(refused)).toBeLessThanOrEqual(24 * 60 * 60);
    // The first of them counts, whenever the others were sent.
    await system.rows(
      "UPDATE account_creation_tokens SET created_at = created_at - interval '23 hours 59 minutes' WHERE id = (SELECT min(id) FROM account_creation_tokens WHERE pn_prid = $1)",
      [device.pn_prid],
    );
    const soon = await creation(device);
    expect([soon.json['reason'], (secondsOf(soon) ?? 0) <= 60]).toEqual(['limit_reached', true]);
  });

  test('that is none, or of another provider: device_missing, not_configured', async () => {
    const missing = await notification({ pn_provider: 'apns', pn_param: 'TEAMID1234.org.linphone.phone' });
    expect([missing.status, missing.json['reason'], secondsOf(missing)]).toEqual([503, 'device_missing', null]);
  });
});

test('a provider that keeps failing is left alone: provider_failing', async () => {
  world.apnsDev.mode = apns(503, 'ServiceUnavailable');
  for (let n = 0; n < 5; n += 1) await ASK.apnsDev();
  const asked = world.apnsDev.received.length;
  world.apnsDev.mode = 'accept';
  const held = await ASK.apnsDev();
  expect([held.status, held.json['reason'], secondsOf(held), world.apnsDev.received.length]).toEqual([503, 'provider_failing', 30, asked]);
});

describe('nobody takes it', () => {
  const warnings = async (): Promise<string[]> => (await request(`${system.url}/health/ready`)).json['warnings'] as string[];

  test('not configured, no worker, no answer in time, and no queues', async () => {
    expect(await warnings()).toEqual([]);
    await system.workers.pop()?.end();
    await eventually(warnings, (lines) => lines.length === 4);
    expect(await warnings()).toEqual(
      ['push', 'sms', 'email', 'messages'].map((name) => expect.stringContaining(`no worker serves the queue ${name}, `) as string),
    );
    for (const ask of [ASK.apnsDev, ASK.twilio, ASK.mail]) {
      const nobody = await ask();
      expect([nobody.status, nobody.json['reason'], secondsOf(nobody)]).toEqual([503, 'no_worker', 30]);
    }

    // A worker that is there, and does nothing more.
    const frozen = await system.startWorker();
    await eventually(warnings, (lines) => lines.length === 0);
    frozen.child.kill('SIGSTOP');
    const late = await ASK.apnsDev();
    frozen.child.kill('SIGCONT');
    expect([late.status, late.json['reason'], secondsOf(late)]).toEqual([503, 'timeout', 5]);
    await frozen.end('SIGKILL');
    system.workers.pop();

    const bare = await system.startWorker({
      APNS_KEY_FILE: '',
      APNS_KEY_ID: '',
      APNS_TEAM_ID: '',
      FIREBASE_SERVICE_ACCOUNTS: '',
      TWILIO_ACCOUNT_SID: '',
      TWILIO_AUTH_TOKEN: '',
      TWILIO_FROM: '',
      MAIL_HOST: '',
    });
    for (const ask of Object.values(ASK)) {
      const missing = await ask();
      expect([missing.status, missing.json['reason'], secondsOf(missing)]).toEqual([503, 'not_configured', null]);
    }
    await bare.end();
    system.workers.pop();

    const away = await startSystem({ webs: 1, workers: 0, environment: { ...world.environment, REDIS_URL: 'redis://127.0.0.1:1' } });
    const refused = await request(`${away.url}/api/account_creation_tokens/send-by-push`, { method: 'POST', body: appleDevice() });
    expect([refused.status, refused.json['reason'], secondsOf(refused)]).toEqual([503, 'queues_away', 5]);
    await away.stop();
  });
});

describe('the text of a failed job', () => {
  const before = /^(not_configured|unregistered|refused|failed|unknown|expired|no_device)(?:: (.*))?$/s;
  const outcomes = ['not_configured', 'unregistered', 'refused', 'failed', 'unknown', 'expired', 'no_device'] as const;

  test.each(outcomes)('%s comes back with every word, and with any reason', (outcome) => {
    for (const reason_word of SEND_REASONS) {
      for (const reason of [undefined, 'APNs 429 TooManyRequests', 'timeout: of whom', 'error', 'a\nb']) {
        const given: PushResult = { outcome, reason_word, ...(reason === undefined ? {} : { reason }) };
        const text = failureText(given);
        expect(parseFailure(text)).toEqual(given);
        // The release before reads the outcome, and has all else for the reason.
        expect(before.exec(text)?.[1]).toBe(outcome);
      }
    }
  });

  test('of a worker of the release before has the word that its outcome says', () => {
    expect(parseFailure('unregistered: BadDeviceToken')).toEqual({
      outcome: 'unregistered',
      reason_word: 'device_unknown',
      reason: 'BadDeviceToken',
    });
    expect(parseFailure('expired')).toEqual({ outcome: 'expired', reason_word: 'timeout' });
    expect(parseFailure('refused: Bad sip uri.')).toMatchObject({ outcome: 'refused', reason: 'Bad sip uri.' });
    expect(parseFailure('TypeError: x is not a function')).toMatchObject({ outcome: 'failed', reason_word: 'error' });
  });

  test('of a refused message is for the release before what it was', () => {
    expect(failureText({ outcome: 'refused', reason_word: 'provider_refused', reason: 'Bad sip uri.' })).toBe('refused: Bad sip uri.');
  });
});

test('failed jobs have the word, and no recipient', async () => {
  await system.startWorker();
  world.twilio.mode = twilio(429, 20429);
  await ASK.twilio();
  const queue = openQueue(system, 'sms');
  const texts = (await queue.getJobs('failed')).map(({ failedReason }) => failedReason);
  await queue.close();
  expect(texts).toContain('failed: provider_throttled: Twilio 429 20429');
  expect(texts.join('\n')).not.toMatch(/\d{7}/);
});
