// The queues `sms` and `email`, over Twilio's REST and SMTP as they are.
import { Queue, QueueEvents } from 'bullmq';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, startSystem, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
let account: number;
const queues: Record<string, Queue> = {};
const events: Record<string, QueueEvents> = {};

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 0,
    workers: 2,
    environment: { ...world.environment, MAIL_ALLOW_SELF_SIGNED: 'true', APP_NAME: 'Phones & Co' },
  });
  account = (await system.account('code-owner')).id;
  for (const name of ['sms', 'email']) {
    const options = {
      connection: { url: system.environment['REDIS_URL'] ?? '' },
      prefix: `{${system.environment['QUEUE_PREFIX']}:${name}}`,
    };
    queues[name] = new Queue(name, options);
    events[name] = new QueueEvents(name, options);
    await events[name]?.waitUntilReady();
  }
});
afterAll(async () => {
  await Promise.all([...Object.values(queues), ...Object.values(events)].map((each) => each.close()));
  await system.stop();
  await world.close();
});
beforeEach(() => {
  world.twilio.reset();
  world.smtp.mode = 'accept';
  world.mails.length = 0;
});

/**
 * A code row that wants sending, `seconds` from now at the latest; it is born in its `state`, since the sweep runs meanwhile, and a minute in the
 * future: a row of some seconds is the sweep's to send, and a busy machine takes that long to add a job.
 */
async function codeRow(
  kind: 'email' | 'phone',
  recipient: string,
  { language = 'en', seconds = 30, age = -60, state = 'due' } = {},
): Promise<number> {
  const [row] = await system.rows<{ id: number }>(
    `INSERT INTO ${kind}_change_codes (account_id, code, ${kind}, language, send_state, send_deadline, created_at)
     VALUES ($1, '0042', $2, $3, $6, now() + make_interval(secs => $4), now() - make_interval(secs => $5)) RETURNING id`,
    [account, recipient, language, seconds, age, state],
  );
  return row?.id ?? 0;
}

/** What came of a job: its result, or the reason it failed for. */
async function outcome(name: 'sms' | 'email', payload: object, seconds = 15): Promise<string> {
  const job = await queues[name]?.add('test', { payload, deadline: Date.now() + seconds * 1000 }, { removeOnComplete: false });
  const state = await eventually(
    () => job?.getState() ?? Promise.resolve(''),
    (now) => now === 'completed' || now === 'failed',
  );
  const done = await queues[name]?.getJob(job?.id ?? '');
  return state === 'completed' ? String((done?.returnvalue as { outcome: string } | undefined)?.outcome) : (done?.failedReason ?? '');
}

const stateOf = async (table: string, id: number): Promise<Record<string, unknown> | undefined> =>
  (await system.rows(`SELECT code, send_state FROM ${table} WHERE id = $1`, [id]))[0];

test('an SMS, in both languages; the older code is void once the newer is sent', async () => {
  const older = await codeRow('phone', '+33612345678');
  expect(await outcome('sms', { kind: 'phone_change', id: older })).toBe('sent');
  const id = await codeRow('phone', '+33612345678', { language: 'fr' });
  expect(await outcome('sms', { kind: 'phone_change', id })).toBe('sent');
  expect(world.twilio.received.map(({ body }) => body)).toEqual([
    { To: '+33612345678', From: '+15005550006', Body: '0042 is your Phones & Co validation code, good for 10 minutes.' },
    { To: '+33612345678', From: '+15005550006', Body: '0042 est votre code de validation Phones & Co, valable 10 minutes.' },
  ]);
  expect(world.proxied).toContain('api.twilio.com:443');
  expect(await stateOf('phone_change_codes', id)).toEqual({ code: '0042', send_state: 'sent' });
  expect(await stateOf('phone_change_codes', older)).toEqual({ code: null, send_state: 'sent' });
  // The same row a second time is nobody's any more.
  expect(await outcome('sms', { kind: 'phone_change', id })).toContain('expired');
  expect(world.twilio.received).toHaveLength(2);
});

test('a number that Twilio refuses: the request is undone, the code before it stays', async () => {
  const before = await codeRow('phone', '+33612345679');
  expect(await outcome('sms', { kind: 'phone_change', id: before })).toBe('sent');
  world.twilio.mode = 'gone';
  const id = await codeRow('phone', '+33612345670');
  expect(await outcome('sms', { kind: 'phone_change', id })).toBe('unregistered: recipient_refused: Twilio 400 21211');
  expect(await stateOf('phone_change_codes', id)).toBeUndefined();
  expect(await stateOf('phone_change_codes', before)).toEqual({ code: '0042', send_state: 'sent' });
});

test('Twilio hangs: nobody knows, so it is not sent again and the code counts', async () => {
  world.twilio.mode = 'hang';
  const id = await codeRow('phone', '+33612345671');
  expect(await outcome('sms', { kind: 'phone_change', id }, 3)).toContain('unknown');
  expect(world.twilio.received).toHaveLength(1);
  expect(await stateOf('phone_change_codes', id)).toEqual({ code: '0042', send_state: 'sent' });
});

test('a mail, text and HTML, in French', async () => {
  const id = await codeRow('email', 'bob@example.org', { language: 'fr' });
  expect(await outcome('email', { kind: 'email_change', id })).toBe('sent');
  const [mail] = world.mails;
  expect(mail).toMatchObject({ from: 'no-reply@sip.example.org', to: ['bob@example.org'] });
  expect(mail?.text).toContain('multipart/alternative');
  expect(mail?.text).toMatch(/^0042$/m);
  expect(mail?.text).toContain('Subject: Phones & Co : votre code pour confirmer cette adresse');
  expect(mail?.text).toContain('valable 10 minutes');
  expect(await stateOf('email_change_codes', id)).toEqual({ code: '0042', send_state: 'sent' });
});

test('a mail server that refuses the address, or is busy', async () => {
  world.smtp.mode = 'reject';
  const refused = await codeRow('email', 'nobody@example.org');
  expect(await outcome('email', { kind: 'email_change', id: refused })).toBe('refused: recipient_refused: SMTP 550');
  world.smtp.mode = 'busy';
  const busy = await codeRow('email', 'nobody@example.org');
  expect(await outcome('email', { kind: 'email_change', id: busy }, 3)).toBe('failed: recipient_refused: SMTP 451');
  expect([await stateOf('email_change_codes', refused), await stateOf('email_change_codes', busy)]).toEqual([undefined, undefined]);
});

test('a mail server that hangs after the text: unknown, in time', async () => {
  world.smtp.mode = 'hang';
  const id = await codeRow('email', 'slow@example.org');
  expect(await outcome('email', { kind: 'email_change', id }, 3)).toContain('unknown');
  expect(world.mails).toHaveLength(1);
});

test('mails and SMS about an account itself', async () => {
  await system.rows("UPDATE accounts SET email = 'owner@example.org', phone = '+33612345600', confirmation_key = '1234' WHERE id = $1", [
    account,
  ]);
  expect(await outcome('email', { kind: 'account_ready', account_id: account, language: 'en' })).toBe('sent');
  expect(await outcome('email', { kind: 'account_creation', account_id: account, language: 'en' })).toBe('sent');
  expect(await outcome('sms', { kind: 'account_recovery', account_id: account, language: 'en' })).toBe('sent');
  expect(await outcome('sms', { kind: 'account_creation', account_id: account, language: 'fr' })).toBe('sent');
  expect(world.mails[0]?.text).toContain('sip:code-owner@sip.example.org');
  expect(world.mails[1]?.text).toMatch(/^1234$/m);
  expect(world.twilio.received.map(({ body }) => (body as { Body: string }).Body)).toEqual([
    '1234 is your Phones & Co recovery code.',
    '1234 est votre code de création Phones & Co.',
  ]);
});

test('a due row whose process died before it added the job is sent by the sweep, once', async () => {
  const id = await codeRow('phone', '+33612345672', { seconds: 60, age: 5 });
  await eventually(
    () => stateOf('phone_change_codes', id),
    (row) => row?.['send_state'] === 'sent',
    20,
  );
  expect(world.twilio.received).toHaveLength(1);
});

test('rows whose time is over are closed', async () => {
  const due = await codeRow('phone', '+33612345673', { seconds: -120, age: 200 });
  const sending = await codeRow('email', 'late@example.org', { seconds: -120, age: 200, state: 'sending' });
  // A sweep may run between the two INSERTs, and takes one table after the other: each is waited for by itself.
  await eventually(
    () => stateOf('phone_change_codes', due),
    (row) => row === undefined,
    20,
  );
  await eventually(
    () => stateOf('email_change_codes', sending),
    (row) => row?.['send_state'] === 'failed',
    20,
  );
  expect(await stateOf('email_change_codes', sending)).toEqual({ code: '0042', send_state: 'failed' });
  expect(world.twilio.received).toEqual([]);
});
