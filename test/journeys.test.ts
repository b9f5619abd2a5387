// Whole journeys through two web and two worker processes: a person registers, proves phone and email, and leaves.
import { createHash } from 'node:crypto';
import { eventually, SPACE, startSystem, type Answer, type System } from './helpers/system';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';

let world: OutsideWorld;
let system: System;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 2,
    workers: 2,
    environment: {
      ...world.environment,
      MAIL_ALLOW_SELF_SIGNED: 'true',
      APP_KEY: 'journeys',
      SMS_TIMEOUT_SECONDS: '3',
      EMAIL_TIMEOUT_SECONDS: '3',
      ACCOUNT_EMAIL_UNIQUE: 'true',
    },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => {
  world.twilio.reset();
  world.apns.reset();
  world.mails.length = 0;
  world.smtp.mode = 'accept';
});

let serial = 0;
const unique = (): string => `${Date.now().toString(36)}${(serial += 1)}`;
const newPhone = (): string => `+3360000${String((serial += 1)).padStart(4, '0')}`;

/** An account that may ask for codes. */
async function person(): Promise<{
  id: number;
  key: string;
  post: (route: string, body: object, headers?: Record<string, string>) => Promise<Answer>;
}> {
  const account = await system.account(`person-${unique()}`);
  await system.rows('UPDATE accounts SET updated_at = NULL, activated = false WHERE id = $1', [account.id]);
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
    unique().slice(0, 13),
    account.id,
  ]);
  return {
    ...account,
    post: (route, body, headers = {}) => system.api(`/accounts/me/${route}`, { method: 'POST', key: account.key, body, headers }),
  };
}
const codeInSms = (): string => /^\d{4}/.exec((world.twilio.received.at(-1)?.body as { Body: string } | undefined)?.Body ?? '')?.[0] ?? '';
const codeInMail = (): string => /^(\d{4})$/m.exec(world.mails.at(-1)?.text ?? '')?.[1] ?? '';
const wrong = (code: string): string => String((Number(code) + 1) % 10_000).padStart(4, '0');
const codes = (table: string, id: number): Promise<Record<string, unknown>[]> =>
  system.rows(`SELECT code IS NOT NULL AS pending, send_state FROM ${table} WHERE account_id = $1 ORDER BY id`, [id]);

test('registered by push, phone and email proven, found by its SIP server, gone', async () => {
  const device = { pn_provider: 'apns', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: 'c0'.repeat(32) };
  expect((await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: device })).status).toBe(200);
  const { token } = (world.apns.received[0]?.body as { customPayload: { token: string } } | undefined)?.customPayload ?? { token: '' };
  const made = await system.api('/accounts/with-account-creation-token', {
    method: 'POST',
    body: { username: 'journey.person', password: 'une longue', algorithm: 'SHA-256', account_creation_token: token },
  });
  expect(made.json['activated']).toBe(false);

  // DIGEST from here on, as the app does it.
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const from = `sip:journey.person@${SPACE}`;
  const digest = async (method: string, route: string, body?: object): Promise<Answer> => {
    const challenge =
      (await system.api(route, { method, headers: { from }, ...(body ? { body } : {}) })).headers.get('www-authenticate') ?? '';
    const get = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1] ?? '';
    const response = hash(
      `${hash(`journey.person:${SPACE}:une longue`)}:${get('nonce')}:00000001:c:auth:${hash(`${method}:/api${route}`)}`,
    );
    const authorization = `Digest realm="${SPACE}", nonce="${get('nonce')}", algorithm="SHA-256", opaque="${get('opaque')}", username="journey.person", response="${response}", cnonce="c", nc=00000001, qop=auth, uri="/api${route}"`;
    return system.api(route, { method, headers: { from, authorization }, ...(body ? { body } : {}) });
  };
  expect(await digest('POST', '/accounts/me/phone/request', { phone: '+33 6 12 34 56 78' })).toMatchObject({ status: 200, text: '{}' });
  expect((await digest('POST', '/accounts/me/phone', { code: codeInSms() })).json).toMatchObject({
    phone: '+33612345678',
    activated: true,
  });
  expect((await digest('POST', '/accounts/me/email/request', { email: 'journey@example.org' })).status).toBe(200);
  expect((await digest('POST', '/accounts/me/email', { code: codeInMail() })).json).toMatchObject({
    email: 'journey@example.org',
    email_change_code: null,
  });
  expect(
    await system.rows("SELECT p.password FROM passwords p JOIN accounts a ON a.id = p.account_id WHERE a.username = 'journey.person'"),
  ).toEqual([{ password: hash(`journey.person:${SPACE}:une longue`) }]);
  expect((await digest('DELETE', '/accounts/me')).status).toBe(200);
  expect((await system.api(`/accounts/journey.person@${SPACE}/info`)).status).toBe(404);
});

describe.each(['phone', 'email'] as const)('%s codes', (channel) => {
  const table = `${channel}_change_codes`;
  const recipient = (): string => (channel === 'phone' ? newPhone() : `${unique()}@example.org`);
  const code = channel === 'phone' ? codeInSms : codeInMail;
  const ask = (who: Awaited<ReturnType<typeof person>>, to = recipient()): Promise<Answer> =>
    who.post(`${channel}/request`, { [channel]: to });

  test('only with a used creation token, before anything else is looked at', async () => {
    const who = await person();
    await system.rows('DELETE FROM account_creation_tokens WHERE account_id = $1', [who.id]);
    expect((await who.post(`${channel}/request`, {})).status).toBe(403);
  });

  test('bad input, the current one, one that is taken', async () => {
    const who = await person();
    const other = await person();
    const mine = recipient();
    await system.rows(`UPDATE accounts SET ${channel} = $2 WHERE id = $1`, [who.id, mine]);
    const theirs = recipient();
    await system.rows(`UPDATE accounts SET ${channel} = $2 WHERE id = $1`, [other.id, theirs]);
    for (const to of [null, 'x', 12, mine, theirs, ...(channel === 'phone' ? ['+14155552671'] : [])]) {
      const answer = await who.post(`${channel}/request`, { [channel]: to });
      expect([to, answer.status, Object.keys(answer.json['errors'] ?? {})]).toEqual([to, 422, [channel]]);
    }
    expect(await codes(table, who.id)).toEqual([]);
    for (const bad of ['12', '12345', 'abcd', 1234, '１２３４']) expect((await who.post(channel, { code: bad })).status).toBe(422);
    expect((await who.post(channel, { code: '1234' })).status).toBe(404);
  });

  test('a new code replaces the old one; each is good once', async () => {
    const who = await person();
    expect((await ask(who)).status).toBe(200);
    const first = code();
    expect((await ask(who)).status).toBe(200);
    const second = code();
    if (first !== second) expect((await who.post(channel, { code: first })).status).toBe(403);
    expect((await who.post(channel, { code: second })).status).toBe(200);
    expect((await who.post(channel, { code: second })).status).toBe(404);
    expect((await codes(table, who.id)).every(({ pending }) => pending === false)).toBe(true);
  });

  test('void after five wrong tries, also at once', async () => {
    const who = await person();
    await ask(who);
    const tries = await Promise.all(Array.from({ length: 5 }, () => who.post(channel, { code: wrong(code()) })));
    expect(tries.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
    expect((await who.post(channel, { code: code() })).status).toBe(404);
  });

  test('too old: 410', async () => {
    const who = await person();
    await ask(who);
    await system.rows(`UPDATE ${table} SET created_at = now() - interval '601 seconds' WHERE account_id = $1`, [who.id]);
    expect((await who.post(channel, { code: code() })).status).toBe(410);
  });

  test('taken meanwhile: 422', async () => {
    const [who, other] = [await person(), await person()];
    const to = recipient();
    await ask(who, to);
    const pending = code();
    await system.rows(`UPDATE accounts SET ${channel} = $2 WHERE id = $1`, [other.id, to]);
    const refused = await who.post(channel, { code: pending });
    expect([refused.status, Object.keys(refused.json['errors'] as object)]).toEqual([422, [channel]]);
  });

  test('not sent: 503, no row, and the code before it stays good', async () => {
    const who = await person();
    await ask(who);
    const good = code();
    if (channel === 'phone') world.twilio.mode = 400;
    else world.smtp.mode = 'reject';
    const refused = await ask(who);
    expect([refused.status, refused.json['message']]).toEqual([503, 'The code could not be sent. Try again in a moment.']);
    expect(await codes(table, who.id)).toHaveLength(1);
    expect((await who.post(channel, { code: good })).status).toBe(200);
  });

  test('a provider that hangs: 503 in time; the code may have arrived, so it is good', async () => {
    const who = await person();
    if (channel === 'phone') world.twilio.mode = 'hang';
    else world.smtp.mode = 'hang';
    const started = Date.now();
    expect((await ask(who)).status).toBe(503);
    // The request waits for 3 s; what a busy machine adds is no hang.
    expect(Date.now() - started).toBeLessThan(7000);
    await eventually(
      () => codes(table, who.id),
      (rows) => rows[0]?.['send_state'] === 'sent',
    );
    expect((await who.post(channel, { code: code() })).status).toBe(200);
  });

  test('the fifth request in the period blocks, also of many at once; an admin sees the code', async () => {
    const who = await person();
    expect((await ask(who)).status).toBe(200);
    const admin = await system.account(`reader-${unique()}`, { admin: true });
    const shown = await system.api(`/accounts/${who.id}`, { key: admin.key });
    expect(shown.json[`${channel}_change_code`]).toMatchObject({ code: code() });
    expect((await system.api('/accounts/me', { key: who.key })).json['email_change_code'] ?? {}).not.toHaveProperty('code');
    const many = await Promise.all(Array.from({ length: 8 }, () => ask(who)));
    expect(many.filter(({ status }) => status === 200)).toHaveLength(4);
    expect(many.filter(({ status }) => status === 403)).toHaveLength(4);
    expect((await system.api('/accounts/me', { key: who.key })).status).toBe(403);
    expect(await system.rows('SELECT blocked FROM accounts WHERE id = $1', [who.id])).toEqual([{ blocked: true }]);
  });
});

test('the first password of an account with an email: a mail that nobody waits for', async () => {
  const who = await person();
  await system.rows("UPDATE accounts SET email = 'first@example.org' WHERE id = $1", [who.id]);
  expect((await who.post('password', { algorithm: 'MD5', password: 'password' }, { 'accept-language': 'fr' })).status).toBe(200);
  await eventually(
    () => Promise.resolve(world.mails.length),
    (count) => count === 1,
  );
  expect(world.mails[0]).toMatchObject({ to: ['first@example.org'] });
  expect(world.mails[0]?.text).toContain('sip:person-');
});
