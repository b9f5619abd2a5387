// The unsecure endpoints: off by default; with them on, what older apps do.
import { createHash } from 'node:crypto';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 2,
    workers: 1,
    environment: { ...world.environment, MAIL_ALLOW_SELF_SIGNED: 'true', APP_DANGEROUS_ENDPOINTS: 'true', SMS_TIMEOUT_SECONDS: '3' },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => {
  world.twilio.reset();
  world.mails.length = 0;
});

let serial = 0;
async function token(): Promise<string> {
  const text = `danger${String((serial += 1)).padStart(7, '0')}`;
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [text]);
  return text;
}
const create = async (body: object): Promise<Answer> =>
  system.api('/accounts/public', {
    method: 'POST',
    body: { password: 'password', algorithm: 'MD5', account_creation_token: await token(), ...body },
  });
const recover = (phone: string, creation: string): Promise<Answer> =>
  system.api('/accounts/recover-by-phone', { method: 'POST', body: { phone, account_creation_token: creation } });
const sms = (): string => (world.twilio.received.at(-1)?.body as { Body: string } | undefined)?.Body ?? '';
/** Of the recovery alone: the message about the creation, which nobody waits for, may come after it. */
const recoveryCode = (phone: string): string => {
  const bodies = world.twilio.received.map(({ body }) => body as { To: string; Body: string });
  return bodies.findLast(({ To, Body }) => To === phone && Body.includes('recovery code'))?.Body.slice(0, 4) ?? '';
};
const used = (text: string): Promise<Record<string, unknown>[]> =>
  system.rows('SELECT used, account_id IS NOT NULL AS linked FROM account_creation_tokens WHERE token = $1', [text]);

test('off: 404 before anything else', async () => {
  const off = await startSystem({ workers: 0 });
  for (const [method, route] of [
    ['POST', '/accounts/public'],
    ['GET', '/accounts/+33612345678/info-by-phone'],
    ['POST', '/accounts/recover-by-phone'],
    ['GET', `/accounts/a@${SPACE}/recover/1234`],
  ] as const)
    expect([route, (await off.api(route, { method })).status]).toEqual([route, 404]);
  await off.stop();
});

test('by mail: the key activates', async () => {
  const made = await create({ username: 'public.mail', email: 'public@example.org' });
  expect(made.json).toMatchObject({ username: 'public.mail', email: 'public@example.org', activated: false, domain: SPACE });
  await eventually(
    () => Promise.resolve(world.mails.length),
    (count) => count === 1,
  );
  const key = /^([A-Za-z0-9]{13})$/m.exec(world.mails[0]?.text ?? '')?.[1];
  expect(
    (await system.api(`/accounts/public.mail@${SPACE}/activate/email`, { method: 'POST', body: { code: key } })).json['activated'],
  ).toBe(true);
});

test('by SMS, the phone being the name; found, recovered once, with its hash', async () => {
  const made = await create({ phone: '+33 6 12 34 56 78' });
  expect(made.json).toMatchObject({ username: '+33612345678', phone: '+33612345678' });
  await eventually(
    () => Promise.resolve(sms()),
    (text) => /^\d{4} is your FlexiAPI creation code\.$/.test(text),
  );
  expect(
    (await system.api(`/accounts/+33612345678@${SPACE}/activate/phone`, { method: 'POST', body: { code: sms().slice(0, 4) } })).json[
      'activated'
    ],
  ).toBe(true);
  expect((await system.api('/accounts/%2B33612345678/info-by-phone')).json).toEqual({ activated: true, realm: null, phone: true });

  const creation = await token();
  expect(await recover('+33612345678', creation)).toMatchObject({ status: 200, text: '{}' });
  expect(sms()).toMatch(/^\d{4} is your FlexiAPI recovery code\.$/);
  expect(await used(creation)).toEqual([{ used: true, linked: true }]);
  const route = `/accounts/+33612345678@${SPACE}/recover/`;
  const wrong = String((Number(sms().slice(0, 4)) + 1) % 10_000).padStart(4, '0');
  expect((await system.api(`${route}${wrong}`)).status).toBe(404);
  const recovered = await system.api(`${route}${sms().slice(0, 4)}`);
  const hash = createHash('md5').update(`+33612345678:${SPACE}:password`).digest('hex');
  expect([recovered.status, recovered.json['passwords'], recovered.headers.get('cache-control')]).toEqual([
    200,
    [{ algorithm: 'MD5', password: hash }],
    'no-store',
  ]);
  expect((await system.api(`${route}${sms().slice(0, 4)}`)).status).toBe(404);
});

test('the phone as people write it finds the account; of a password in clear text the hashes are told', async () => {
  const made = await create({ username: 'clear.text.x', phone: '+33 6 12 00 00 77' });
  await system.rows("UPDATE passwords SET algorithm = 'CLRTXT', password = 'in the clear' WHERE account_id = $1", [made.json['id']]);
  const written = encodeURIComponent('\u202a(+33) 6 12\u00a000\u201100 ٧٧\u202c');
  expect((await system.api(`/accounts/${written}/info-by-phone`)).json).toEqual({ activated: false, realm: null, phone: true });
  expect((await system.api(`/accounts/${'+33'.repeat(100)}/info-by-phone`)).status).toBe(422);
  await recover('＋３３６１２００００７７', await token());
  const recovered = await system.api(`/accounts/${written}@${SPACE}/recover/${recoveryCode('+33612000077')}`);
  const ha1 = (algorithm: string): string => createHash(algorithm).update(`clear.text.x:${SPACE}:in the clear`).digest('hex');
  expect([recovered.status, recovered.json['passwords']]).toEqual([
    200,
    [
      { algorithm: 'MD5', password: ha1('md5') },
      { algorithm: 'SHA-256', password: ha1('sha256') },
    ],
  ]);
});

test('of accounts that have a number as name and as phone the phone’s is told of', async () => {
  const number = '+33612000078';
  await system.account(number);
  // As an import brings them.
  await system.rows('UPDATE accounts SET phone = $1, activated = false WHERE id = $2', [
    number,
    (await system.account('phone.owner.x')).id,
  ]);
  expect((await system.api(`/accounts/${number}/info-by-phone`)).json).toEqual({ activated: false, realm: null, phone: true });
});

test('a recovery code is void after five wrong tries', async () => {
  await create({ username: 'guess.me.x', phone: '+33600000099' });
  await recover('+33600000099', await token());
  const code = recoveryCode('+33600000099');
  expect(code).toMatch(/^\d{4}$/);
  const route = `/accounts/guess.me.x@${SPACE}/recover/`;
  const wrong = String((Number(code) + 1) % 10_000).padStart(4, '0');
  for (let n = 0; n < 5; n += 1) expect((await system.api(route + wrong)).status).toBe(404);
  expect((await system.api(route + code)).status).toBe(404);
});

test('recovered too late: 403', async () => {
  const made = await create({ username: 'late.to.recover', phone: '+33600000093' });
  await recover('+33600000093', await token());
  await system.rows("INSERT INTO activation_expirations (account_id, expires) VALUES ($1, now() - interval '1 minute')", [made.json['id']]);
  expect((await system.api(`/accounts/late.to.recover@${SPACE}/recover/${recoveryCode('+33600000093')}`)).status).toBe(403);
});

test('an SMS that cannot be sent: 503, the token is unused again; at creation the account stays', async () => {
  await create({ username: 'no.sms.for.me', phone: '+33600000098' });
  world.twilio.mode = 400;
  const creation = await token();
  expect((await recover('+33600000098', creation)).status).toBe(503);
  expect(await used(creation)).toEqual([{ used: false, linked: false }]);
  expect((await create({ username: 'still.made.x', phone: '+33600000097' })).status).toBe(200);
});

test('what is needed, and what is refused', async () => {
  const fields = async (body: object): Promise<string[]> => Object.keys((await create(body)).json['errors'] ?? {});
  expect(await fields({})).toEqual(['username', 'phone', 'email']);
  expect(await fields({ username: 'only.a.name' })).toEqual(['phone', 'email']);
  expect(await fields({ email: 'only@example.org' })).toEqual(['username', 'phone']);
  expect(await fields({ phone: '+14155552671' })).toEqual(['phone']);
  expect(await fields({ phone: '+33600000096', domain: 'nowhere.org' })).toEqual(['domain']);
  expect(await fields({ phone: '+33600000096', account_creation_token: 'x'.repeat(13) })).toEqual(['account_creation_token']);
  await system.space('full.example.org', { maxAccounts: 1 });
  expect((await create({ phone: '+33600000095', domain: 'full.example.org' })).status).toBe(200);
  expect((await create({ phone: '+33600000094', domain: 'full.example.org' })).status).toBe(403);
  for (const phone of ['0612345678', 'x', '+14155552671']) expect((await system.api(`/accounts/${phone}/info-by-phone`)).status).toBe(422);
  expect((await system.api('/accounts/+33611111199/info-by-phone')).status).toBe(404);
  const creation = await token();
  expect((await recover('+33611111199', creation)).status).toBe(404);
  expect(await used(creation)).toEqual([{ used: false, linked: false }]);
});
