// How many messages strangers can have sent, and how many codes they can guess, whatever accounts they make for it.
import { Redis } from 'ioredis';
import { mailboxOf, prefixOf } from '../src/services/limits/recipients';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
let redis: Redis;
const environment = { MAIL_ALLOW_SELF_SIGNED: 'true', APP_DANGEROUS_ENDPOINTS: 'true', SMS_TIMEOUT_SECONDS: '3', TRUST_PROXY: '1' };

async function start(more: Record<string, string> = {}): Promise<System> {
  const started = await startSystem({ webs: 2, workers: 1, environment: { ...world.environment, ...environment, ...more } });
  await started.rows("UPDATE phone_countries SET activated = true WHERE code IN ('FR', 'US')");
  return started;
}
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await start();
  redis = new Redis(system.environment['REDIS_URL'] ?? '');
});
afterAll(async () => {
  redis.disconnect();
  await system.stop();
  await world.close();
});
beforeEach(() => {
  world.twilio.reset();
  world.mails.length = 0;
});

let serial = 0;
const unique = (): string => `${Date.now().toString(36)}${(serial += 1)}`;
/** An address of its own for each request, where a test is not about addresses. */
const anywhere = (): Record<string, string> => ({ 'x-forwarded-for': `198.51.${(serial += 1) % 250}.${1 + Math.floor(serial / 250)}` });
const newPhone = (): string => `+3361${String((serial += 1)).padStart(7, '0')}`;

interface Person {
  id: number;
  name: string;
  post: (route: string, body: object, headers?: Record<string, string>) => Promise<Answer>;
}
async function person(on = system): Promise<Person> {
  const name = `person-${unique()}`;
  const { id, key } = await on.account(name);
  await on.rows('UPDATE accounts SET updated_at = NULL, activated = false WHERE id = $1', [id]);
  await on.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [unique(), id]);
  const post: Person['post'] = (route, body, headers = anywhere()) =>
    on.api(`/accounts/me/${route}`, { method: 'POST', key, body, headers });
  return { id, name, post };
}
const people = (count: number, on = system): Promise<Person[]> => Promise.all(Array.from({ length: count }, () => person(on)));

async function token(): Promise<string> {
  const text = unique().padStart(13, '0').slice(-13);
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [text]);
  return text;
}
const create = async (body: object, creation?: string): Promise<Answer> =>
  system.api('/accounts/public', {
    method: 'POST',
    body: { password: 'password', algorithm: 'MD5', account_creation_token: creation ?? (await token()), ...body },
    headers: anywhere(),
  });
const recover = async (phone: string, creation?: string): Promise<Answer> =>
  system.api('/accounts/recover-by-phone', {
    method: 'POST',
    body: { phone, account_creation_token: creation ?? (await token()) },
    headers: anywhere(),
  });
const count = (answers: Answer[], status: number): number => answers.filter((answer) => answer.status === status).length;
const codeOf = async ({ id }: Person, channel = 'phone', on = system): Promise<string> =>
  (await on.rows<{ code: string }>(`SELECT code FROM ${channel}_change_codes WHERE account_id = $1 ORDER BY id DESC`, [id]))[0]?.code ?? '';
const wrong = (code: string): string => String((Number(code) + 1) % 10_000).padStart(4, '0');
const keysOf = (name: string): Promise<string[]> => redis.keys(`${system.environment['QUEUE_PREFIX']}:${name}:*`);

test.each([
  ['Bob.Smith+news@Example.org', 'bob.smith@example.org'],
  ['bob@BÜCHER.example', 'bob@xn--bcher-kva.example'],
  ['b.o.b+1@googlemail.com', 'bob@googlemail.com'],
  ['+plus@example.org', '+plus@example.org'],
])('the mailbox of %s', (email, mailbox) => expect(mailboxOf(email)).toBe(mailbox));
test.each([
  ['+33612345678', '33-612'],
  ['+14155552671', '1-415'],
  ['+3725123456', '372-512'],
])('the range of %s', (phone, prefix) => expect(prefixOf(phone)).toBe(prefix));

describe('messages to one recipient', () => {
  test('24 requests at once, of as many accounts and addresses: five SMS', async () => {
    const phone = newPhone();
    const answers = await Promise.all((await people(24)).map((who) => who.post('phone/request', { phone })));
    expect([count(answers, 200), count(answers, 429)]).toEqual([5, 19]);
    expect(world.twilio.received).toHaveLength(5);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.json).toEqual({
      message: expect.stringMatching(/^Too many messages were sent to this phone\. Try again in (59|60) min\.$/) as string,
      errors: { phone: [refused?.json['message']] },
    });
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(3500);
    // Who was refused leaves no code, and nothing that counts towards being blocked.
    expect(await system.rows('SELECT 1 FROM phone_change_codes WHERE phone = $1', [phone])).toHaveLength(5);
  });

  test('a mailbox, however it is written', async () => {
    const name = unique();
    const spellings = Array.from({ length: 12 }, (_, n) => [`${name}@example.org`, `${name.toUpperCase()}+${n}@Example.ORG`][n % 2]);
    const who = await people(12);
    const answers = await Promise.all(who.map(({ post }, n) => post('email/request', { email: spellings[n] })));
    expect([count(answers, 200), count(answers, 429)]).toEqual([5, 7]);
    expect(world.mails).toHaveLength(5);
  });

  test('codes, new accounts and recovery count together; the token of who is refused stays good', async () => {
    const phone = newPhone();
    const made = await create({ phone });
    expect(made.status).toBe(200);
    for (let n = 0; n < 4; n += 1) expect((await recover(phone)).status).toBe(200);
    const [recovering, creating] = [await token(), await token()];
    expect((await recover(phone, recovering)).status).toBe(429);
    await system.rows('UPDATE accounts SET phone = NULL, username = $2 WHERE id = $1', [made.json['id'], `was-${unique()}`]);
    expect((await create({ phone }, creating)).status).toBe(429);
    expect(await system.rows('SELECT 1 FROM accounts WHERE phone = $1 OR username = $1', [phone])).toEqual([]);
    expect(await system.rows('SELECT 1 FROM account_creation_tokens WHERE token = ANY ($1) AND used', [[recovering, creating]])).toEqual(
      [],
    );
    expect((await (await person()).post('phone/request', { phone })).status).toBe(429);
    expect(world.twilio.received).toHaveLength(5);
  });

  test('ten in a day', async () => {
    const phone = newPhone();
    const ask = async (): Promise<number> => (await (await person()).post('phone/request', { phone })).status;
    for (let hour = 0; hour < 2; hour += 1) {
      for (let n = 0; n < 5; n += 1) expect(await ask()).toBe(200);
      expect(await ask()).toBe(429);
      await redis.del(await keysOf('codes:recipient-hour'));
    }
    const who = await person();
    const refused = await who.post('phone/request', { phone }, { ...anywhere(), 'accept-language': 'fr' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(23 * 3600);
    expect(refused.json['message']).toMatch(/^Trop de messages ont été envoyés à ce téléphone\. Réessayez dans \d+ min\.$/);
  });

  test('what was certainly not sent does not count, nor does what was refused; what may have arrived does', async () => {
    const phone = newPhone();
    const [who, ...others] = await people(8);
    world.twilio.mode = 400;
    for (let n = 0; n < 7; n += 1) expect((await who?.post('phone/request', { phone }))?.status).toBe(503);
    world.twilio.mode = 'accept';
    await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [who?.id, phone]);
    for (let n = 0; n < 7; n += 1) expect((await who?.post('phone/request', { phone }))?.status).toBe(422);
    await system.rows('UPDATE accounts SET phone = NULL WHERE id = $1', [who?.id]);
    // One more would open the breaker, after which nothing is sent.
    world.twilio.mode = 'hang';
    const hanging = await Promise.all(others.slice(0, 4).map(({ post }) => post('phone/request', { phone })));
    expect(count(hanging, 503)).toBe(4);
    world.twilio.mode = 'accept';
    expect((await others[4]?.post('phone/request', { phone }))?.status).toBe(200);
    expect((await others[5]?.post('phone/request', { phone }))?.status).toBe(429);
  });
});

test('by the range of the number and by address; an address has as many mails as SMS; 0 turns a limit off', async () => {
  const small = await start({ SMS_PER_PREFIX_PER_HOUR: '6', CODES_PER_ADDRESS_PER_HOUR: '4', CODES_PER_RECIPIENT_PER_HOUR: '0' });
  const who = await people(40, small);
  const number = (prefix: string): string => `${prefix}${String((serial += 1)).padStart(6, '0')}`;
  const range = await Promise.all(who.slice(0, 10).map(({ post }) => post('phone/request', { phone: number('+33655') })));
  expect([count(range, 200), count(range, 429)]).toEqual([6, 4]);
  expect(range.find(({ status }) => status === 429)?.json['errors']).toEqual({
    phone: [expect.stringContaining('numbers like this phone') as string],
  });
  const headers = { 'x-forwarded-for': '203.0.113.9' };
  const sms = await Promise.all(who.slice(10, 18).map(({ post }) => post('phone/request', { phone: number('+33656') }, headers)));
  expect([count(sms, 200), count(sms, 429)]).toEqual([4, 4]);
  const refused = sms.find(({ status }) => status === 429);
  expect(refused?.json).toEqual({ message: expect.stringContaining('from your address') as string });
  const mails = await Promise.all(
    who.slice(18, 26).map(({ post }) => post('email/request', { email: `${unique()}@example.org` }, headers)),
  );
  expect([count(mails, 200), count(mails, 429)]).toEqual([4, 4]);
  // Of IPv6 the network counts.
  const six = await Promise.all(
    who
      .slice(26, 32)
      .map(({ post }, n) => post('email/request', { email: `${unique()}@example.org` }, { 'x-forwarded-for': `2001:db8::${n}` })),
  );
  expect([count(six, 200), count(six, 429)]).toEqual([4, 2]);
  const email = `${unique()}@example.org`;
  const off = await Promise.all(who.slice(32).map(({ post }) => post('email/request', { email })));
  expect(count(off, 200)).toBe(8);
  await small.stop();
});

describe('wrong codes', () => {
  test.each(['phone', 'email'] as const)(
    'count for the %s across accounts, also at once, and are refused before they are compared',
    async (channel) => {
      const to = channel === 'phone' ? newPhone() : `${unique()}@example.org`;
      const who = await people(5);
      for (const { post } of who) expect((await post(`${channel}/request`, { [channel]: to })).status).toBe(200);
      const codes = await Promise.all(who.map((each) => codeOf(each, channel)));
      const guesses = await Promise.all(
        who.slice(0, 4).flatMap(({ post }, n) => Array.from({ length: 5 }, () => post(channel, { code: wrong(codes[n] ?? '') }))),
      );
      expect([count(guesses, 403), count(guesses, 429)]).toEqual([10, 10]);
      const right = await who[4]?.post(channel, { code: codes[4] });
      expect([right?.status, Object.keys(right?.json['errors'] ?? {})]).toEqual([429, [channel]]);
      expect(Number(right?.headers.get('retry-after'))).toBeGreaterThan(3500);
      // Somebody else's is not concerned, and its owner's is good again once the hour is over.
      const other = await person();
      await other.post(`${channel}/request`, { [channel]: channel === 'phone' ? newPhone() : `${unique()}@example.org` });
      expect((await other.post(channel, { code: await codeOf(other, channel) })).status).toBe(200);
      for (const key of await keysOf('wrong-codes:recipient')) expect(await redis.pttl(key)).toBeGreaterThan(0);
      await redis.del(await keysOf('wrong-codes:recipient'));
      expect((await who[4]?.post(channel, { code: codes[4] }))?.status).toBe(200);
    },
  );

  test('of recovery, activation and changes count together; right ones count nothing', async () => {
    const phone = newPhone();
    await create({ phone });
    const key = async (): Promise<string> =>
      (await system.rows<{ confirmation_key: string }>('SELECT confirmation_key FROM accounts WHERE phone = $1', [phone]))[0]
        ?.confirmation_key ?? '';
    await eventually(
      () => Promise.resolve(world.twilio.received.length),
      (sent) => sent === 1,
    );
    const address = `${phone}@${SPACE}`;
    const activate = async (code: string): Promise<number> =>
      (await system.api(`/accounts/${address}/activate/phone`, { method: 'POST', body: { code }, headers: anywhere() })).status;
    const redeem = async (code: string): Promise<number> =>
      (await system.api(`/accounts/${address}/recover/${code}`, { headers: anywhere() })).status;
    for (let n = 0; n < 4; n += 1) expect(await activate(wrong(await key()))).toBe(404);
    expect(await activate(await key())).toBe(200);
    expect((await recover(phone)).status).toBe(200);
    for (let n = 0; n < 4; n += 1) expect(await redeem(wrong(await key()))).toBe(404);
    expect(await redeem(await key())).toBe(200);
    await system.rows('UPDATE accounts SET phone = NULL, username = $2 WHERE phone = $1', [phone, `was-${unique()}`]);
    const who = await person();
    await who.post('phone/request', { phone });
    const code = await codeOf(who);
    for (let n = 0; n < 2; n += 1) expect((await who.post('phone', { code: wrong(code) })).status).toBe(403);
    expect((await who.post('phone', { code })).status).toBe(429);
  });

  test('count for the address that they come from', async () => {
    const small = await start({ WRONG_CODES_PER_ADDRESS_PER_HOUR: '7' });
    const headers = { 'x-forwarded-for': '203.0.113.77' };
    const who = await people(3, small);
    for (const { post } of who) await post('phone/request', { phone: newPhone() });
    const codes = await Promise.all(who.map((each) => codeOf(each, 'phone', small)));
    const guesses = await Promise.all(
      who.slice(0, 2).flatMap(({ post }, n) => Array.from({ length: 5 }, () => post('phone', { code: wrong(codes[n] ?? '') }, headers))),
    );
    expect([count(guesses, 403), count(guesses, 429)]).toEqual([7, 3]);
    const here = await who[2]?.post('phone', { code: codes[2] }, headers);
    expect([here?.status, here?.json]).toEqual([429, { message: expect.stringContaining('from your address') as string }]);
    expect((await who[2]?.post('phone', { code: codes[2] }))?.status).toBe(200);
    await small.stop();
  });

  test('a long key has no limit, and any number of wrong ones fits its column', async () => {
    const { id, name } = await person();
    await system.rows("UPDATE accounts SET confirmation_key = 'abcdefghijklm', confirmation_key_attempts = 32766 WHERE id = $1", [id]);
    const activate = async (code: string): Promise<number> =>
      (await system.api(`/accounts/${name}@${SPACE}/activate/email`, { method: 'POST', body: { code } })).status;
    for (let n = 0; n < 12; n += 1) expect(await activate('x'.repeat(13))).toBe(404);
    expect(await system.rows('SELECT confirmation_key_attempts FROM accounts WHERE id = $1', [id])).toEqual([
      { confirmation_key_attempts: 32767 },
    ]);
    expect(await activate('abcdefghijklm')).toBe(200);
  });
});

test('Redis names nobody whom messages went to', async () => {
  const phone = newPhone();
  const email = `${unique()}@example.org`;
  const who = await person();
  await who.post('phone/request', { phone });
  await who.post('email/request', { email });
  const keys = await redis.keys(`${system.environment['QUEUE_PREFIX']}:*codes:*`);
  expect(keys.length).toBeGreaterThan(4);
  expect(keys.filter((key) => key.includes(phone.slice(6)) || key.includes(email.split('@')[0] ?? ''))).toEqual([]);
});
