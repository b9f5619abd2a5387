// The ledger of sends: what each kind of send leaves in it, and what it never holds.
import { randomUUID } from 'node:crypto';
import { Daemon } from './helpers/daemon';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const OTHER = 'ledger.example.org';
const EMPTY = { account_id: null, subject_id: null, country: null, phone_prefix: null, delivery: null, converted: false };

let world: OutsideWorld;
let system: System;
const daemon = new Daemon();
beforeAll(async () => {
  world = await startOutsideWorld();
  await daemon.start();
  system = await startSystem({
    webs: 1,
    workers: 1,
    environment: {
      ...world.environment,
      APP_LINPHONE_DAEMON_UNIX_PATH: daemon.path,
      APP_DANGEROUS_ENDPOINTS: 'true',
      MAIL_ALLOW_SELF_SIGNED: 'true',
      BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
      SMS_TIMEOUT_SECONDS: '3',
    },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  await system.space(OTHER);
});
afterAll(async () => {
  await system.stop();
  await world.close();
  await daemon.stop();
});
beforeEach(() => {
  for (const log of [world.apns, world.apnsDev, world.fcm, world.twilio]) log.reset();
  world.smtp.mode = 'accept';
  world.mails.length = 0;
  daemon.mode = 'ok';
});

let serial = Date.now();
const nextNumber = (): number => (serial += 1);
const newDevice = (): { pn_provider: string; pn_param: string; pn_prid: string } => ({
  pn_provider: 'apns.dev',
  pn_param: 'TEAMID1234.org.linphone.phone',
  pn_prid: nextNumber().toString(16).padStart(64, 'c'),
});
const newPhone = (): string => `+3361${String(nextNumber()).slice(-7)}`;

type Row = Record<string, unknown> & { id: number; state: string; ended: boolean };
const rowsSince = (moment: string): Promise<Row[]> =>
  system.rows<Row>(
    `SELECT id::integer, channel, kind, account_id, domain, subject_id::integer, recipient, recipient_mask, recipient_hash, country, phone_prefix, provider, target,
            code, key_digest, state, outcome, reason, provider_code, last_reason, attempts, queued_ms, provider_ms, request_id, delivery,
            converted_at IS NOT NULL AS converted, ended_at IS NOT NULL AS ended, next_at, lease_until
       FROM sends WHERE created_at > $1::timestamptz ORDER BY created_at, id`,
    [moment],
  );
const moment = async (): Promise<string> => (await system.rows<{ now: string }>('SELECT clock_timestamp()::text AS now'))[0]?.now ?? '';
/** A row as it is now. */
const again = async ({ id }: Row): Promise<Row | undefined> => (await rowsSince('-infinity')).find((row) => row.id === id);

/** Does something that sends once. @returns the row, once it has ended */
async function rowOf<T>(work: () => Promise<T>): Promise<[Row, T]> {
  const before = await moment();
  const result = await work();
  const rows = await eventually(
    () => rowsSince(before),
    (found) => found.length > 0 && found.every(({ ended }) => ended),
    20,
  );
  expect(rows).toHaveLength(1);
  return [rows[0] as Row, result];
}

const ask = (device: object, headers: Record<string, string> = {}): Promise<Answer> =>
  system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: device, headers });
/** An account that may ask for codes. */
async function person(domain = SPACE): Promise<Account> {
  const account = await system.account(`person-${nextNumber()}`, { domain });
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
    randomUUID().slice(0, 13),
    account.id,
  ]);
  return account;
}
async function token(): Promise<string> {
  const text = randomUUID().slice(0, 13);
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [text]);
  return text;
}

describe('each kind of send', () => {
  test('a creation token: sent, with the Space of the request, and used', async () => {
    const device = newDevice();
    const [row, { status }] = await rowOf(() => ask(device, { 'x-request-id': 'asked-for-a-token' }));
    expect(status).toBe(200);
    expect(row).toMatchObject({
      ...EMPTY,
      channel: 'push',
      kind: 'creation_token',
      domain: SPACE,
      subject_id: expect.any(Number) as number,
      recipient_mask: `cccc•••${device.pn_prid.slice(-4)}`,
      provider: 'apns.dev',
      target: 'org.linphone.phone',
      state: 'sent',
      outcome: 'sent',
      reason: null,
      attempts: 1,
      request_id: 'asked-for-a-token',
    });
    expect(row['queued_ms']).toBeGreaterThanOrEqual(0);
    expect(row['provider_ms']).toBeGreaterThanOrEqual(0);
    const sent = (world.apnsDev.received[0]?.body as { customPayload: { token: string } } | undefined)?.customPayload.token;
    const body = { username: `pushed-${nextNumber()}`, password: 'password', algorithm: 'MD5', account_creation_token: sent };
    expect((await system.api('/accounts/with-account-creation-token', { method: 'POST', body })).status).toBe(200);
    expect(await again(row)).toMatchObject({ id: row.id, converted: true });
  });

  test('a device that may have none: refused, with no provider asked, and the seconds until it may', async () => {
    const device = newDevice();
    await ask(device);
    const [row, { status }] = await rowOf(() => ask(device));
    expect(status).toBe(403);
    expect(row).toMatchObject({
      kind: 'creation_token',
      state: 'failed',
      outcome: 'already_sent',
      reason: 'already_sent',
      attempts: 1,
      provider_ms: null,
    });
    expect(world.apnsDev.received).toHaveLength(1);
    // Whoever asks again and again does not fill the ledger.
    expect((await Promise.all(Array.from({ length: 20 }, () => ask(device)))).map(({ status: of }) => of)).toEqual(
      Array.from({ length: 20 }, () => 403),
    );
    const hash = '(SELECT recipient_hash FROM sends WHERE id = $1)';
    expect(await system.rows(`SELECT outcome, attempts FROM sends WHERE recipient_hash = ${hash} ORDER BY created_at`, [row.id])).toEqual([
      { outcome: 'sent', attempts: 1 },
      { outcome: 'already_sent', attempts: 21 },
    ]);
    await system.rows(`UPDATE sends SET created_at = created_at - interval '1 hour' WHERE id = $1`, [row.id]);
    const [later] = await rowOf(() => ask(device));
    expect(later).toMatchObject({ outcome: 'already_sent', attempts: 1 });
    const decided = await system.rows<{ outcome: string; retry_after: number }>(
      `SELECT outcome, retry_after FROM decide_creation_tokens(ARRAY['apns.dev', 'apns.dev'], ARRAY[$1, $1]::text[], ARRAY[$2, 'new']::text[], ARRAY['', ''], ARRAY['', ''],
         ARRAY['x1', 'x2'], ARRAY[1000, 1000], ARRAY['', ''], ARRAY['', ''], ARRAY['', ''], ARRAY['', ''], ARRAY[1, 1], ARRAY['', ''], 60, 0, 1)`,
      [device.pn_param, device.pn_prid],
    );
    expect(decided.map(({ outcome }) => outcome)).toEqual(['already_sent', 'send']);
    await system.rows("DELETE FROM sends WHERE recipient_hash = ''");
    // The day's limit is reached as well, and lasts longer.
    expect(decided[0]?.retry_after).toBeGreaterThan(86_000);
    expect(decided[0]?.retry_after).toBeLessThanOrEqual(86_400);
    expect(decided[1]?.retry_after).toBeNull();
  });

  test('a device that is gone, and one that nobody can push to', async () => {
    world.apnsDev.mode = 'gone';
    const [gone] = await rowOf(() => ask(newDevice()));
    expect(gone).toMatchObject({ state: 'failed', outcome: 'unregistered', reason: 'device_unknown', attempts: 1 });
    const [unset] = await rowOf(() => ask({ ...newDevice(), pn_prid: ':remote' }));
    expect(unset).toMatchObject({ recipient_mask: null, target: null, outcome: 'no_device', reason: 'device_missing', attempts: 0 });
  });

  test('a notification: whose it is that asked', async () => {
    const { id, key } = await person(OTHER);
    const body = { ...newDevice(), type: 'background' };
    const [row] = await rowOf(() => system.api('/push_notification', { method: 'POST', key, body }));
    expect(row).toMatchObject({
      ...EMPTY,
      channel: 'push',
      kind: 'notification',
      account_id: id,
      domain: OTHER,
      state: 'sent',
      outcome: 'sent',
      attempts: 1,
    });
  });

  test('a code to a new address: sent, entered', async () => {
    const { id, key } = await person(OTHER);
    const email = `John.${nextNumber()}@Example.org`;
    const [row] = await rowOf(() => system.api('/accounts/me/email/request', { method: 'POST', key, body: { email } }));
    expect(row).toMatchObject({
      ...EMPTY,
      channel: 'email',
      kind: 'email_change',
      account_id: id,
      domain: OTHER,
      subject_id: expect.any(Number) as number,
      recipient_mask: expect.stringMatching(/^J•••@example\.org$/i) as string,
      provider: 'smtp',
      state: 'sent',
      attempts: 1,
    });
    const [code] = await system.rows<{ code: string }>('SELECT code FROM email_change_codes WHERE account_id = $1', [id]);
    expect((await system.api('/accounts/me/email', { method: 'POST', key, body: { code: code?.code } })).status).toBe(200);
    expect(await again(row)).toMatchObject({ id: row.id, converted: true });
  });

  test('a code to a new number: country and prefix; refused, with the provider’s code', async () => {
    const { key } = await person();
    const phone = newPhone();
    const [row] = await rowOf(() => system.api('/accounts/me/phone/request', { method: 'POST', key, body: { phone } }));
    expect(row).toMatchObject({
      channel: 'sms',
      kind: 'phone_change',
      country: 'FR',
      phone_prefix: `33-${phone.slice(3, 6)}`,
      provider: 'twilio',
      state: 'sent',
    });
    expect(row['recipient_mask']).toBe(`+33•••${phone.slice(-2)}`);
    world.twilio.mode = { status: 400, body: JSON.stringify({ code: 21211, message: `${phone} is none`, status: 400 }) };
    const [refused] = await rowOf(() => system.api('/accounts/me/phone/request', { method: 'POST', key, body: { phone: newPhone() } }));
    expect(refused).toMatchObject({ state: 'failed', outcome: 'unregistered', converted: false });
    expect(refused['reason']).not.toBeNull();
  });

  test('a mail about an account that is new: due, sent, entered', async () => {
    const email = `${nextNumber()}@example.org`;
    const body = { username: `new-${nextNumber()}`, password: 'password', algorithm: 'MD5', account_creation_token: await token(), email };
    const [row, { json }] = await rowOf(() => system.api('/accounts/public', { method: 'POST', body }));
    expect(row).toMatchObject({
      channel: 'email',
      kind: 'account_creation',
      account_id: json['id'],
      domain: SPACE,
      provider: 'smtp',
      state: 'sent',
      outcome: 'sent',
      attempts: 1,
    });
    expect(row['queued_ms']).toBeGreaterThanOrEqual(0);
    const [account] = await system.rows<{ confirmation_key: string }>('SELECT confirmation_key FROM accounts WHERE id = $1', [json['id']]);
    const entered = await system.api(`/accounts/${body.username}@${SPACE}/recover/${account?.confirmation_key ?? ''}`);
    expect(entered.status).toBe(200);
    expect(await again(row)).toMatchObject({ id: row.id, converted: true });
  });

  test('a recovery code: the number, and nothing of the code', async () => {
    const { id } = await system.account(`recovered-${nextNumber()}`);
    const phone = newPhone();
    await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [id, phone]);
    const [row, { status }] = await rowOf(async () =>
      system.api('/accounts/recover-by-phone', { method: 'POST', body: { phone, account_creation_token: await token() } }),
    );
    expect(status).toBe(200);
    expect(row).toMatchObject({
      channel: 'sms',
      kind: 'account_recovery',
      account_id: id,
      country: 'FR',
      state: 'sent',
      recipient: null,
      code: null,
      next_at: null,
      lease_until: null,
    });
  });

  test('a message: sent, refused in no words of the daemon', async () => {
    const admin = await system.account(`admin-${nextNumber()}`, { admin: true });
    const send = (): Promise<Answer> =>
      system.api('/messages', { method: 'POST', key: admin.key, body: { to: 'sip:alice@sip.example.org', body: 'the text of it' } });
    const [row] = await rowOf(send);
    expect(row).toMatchObject({
      channel: 'message',
      kind: 'message',
      account_id: admin.id,
      domain: SPACE,
      recipient_mask: 'a•••@sip.example.org',
      provider: 'linphone-daemon',
      state: 'sent',
    });
    daemon.mode = 'refuse';
    const [refused] = await rowOf(send);
    expect(refused).toMatchObject({ state: 'failed', outcome: 'refused', last_reason: 'the daemon refused it' });
  });
});

test('no row that has ended holds a code, a token, a text or whom it was for', async () => {
  const rows = await rowsSince('-infinity');
  expect(new Set(rows.map(({ kind }) => kind as string))).toEqual(
    new Set(['creation_token', 'notification', 'email_change', 'phone_change', 'account_creation', 'account_recovery', 'message']),
  );
  const secrets = [
    ...(await system.rows<{ secret: string | null }>(
      'SELECT token AS secret FROM account_creation_tokens UNION SELECT code FROM email_change_codes UNION SELECT code FROM phone_change_codes',
    )),
    ...(await system.rows<{ secret: string | null }>(
      'SELECT pn_prid AS secret FROM account_creation_tokens UNION SELECT email FROM email_change_codes UNION SELECT phone FROM phone_change_codes',
    )),
    ...(await system.rows<{ secret: string | null }>(
      'SELECT email AS secret FROM accounts UNION SELECT phone FROM accounts UNION SELECT confirmation_key FROM accounts',
    )),
    { secret: 'alice@sip.example.org' },
    { secret: 'the text of it' },
  ].flatMap(({ secret }) => (secret === null || secret.length < 5 ? [] : [secret]));
  expect(secrets.length).toBeGreaterThan(10);
  const ended = (await system.rows<Record<string, unknown>>('SELECT * FROM sends WHERE ended_at IS NOT NULL')).map((row) =>
    JSON.stringify(row).toLowerCase(),
  );
  expect(ended).toHaveLength(rows.length);
  for (const secret of secrets) expect([secret, ended.filter((row) => row.includes(secret.toLowerCase()))]).toEqual([secret, []]);
  expect(
    await system.rows(
      'SELECT 1 FROM sends WHERE ended_at IS NOT NULL AND (recipient IS NOT NULL OR code IS NOT NULL OR key_digest IS NOT NULL OR next_at IS NOT NULL)',
    ),
  ).toEqual([]);
});
