// Request tokens, the page on which a person validates one, and what they are exchanged for.
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { request, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
let guarded: System;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 2,
    workers: 0,
    environment: { APP_URL: 'https://accounts.example.org/', APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES: '30' },
  });
  guarded = await startSystem({
    workers: 0,
    environment: { ...world.environment, HCAPTCHA_SECRET: 'captcha-secret', HCAPTCHA_SITEKEY: 'captcha-"site"' },
  });
});
afterAll(async () => {
  await Promise.all([system.stop(), guarded.stop()]);
  await world.close();
});
beforeEach(() => world.hcaptcha.reset());

const make = async (of = system): Promise<string> =>
  (await of.api('/account_creation_request_tokens', { method: 'POST' })).json['token'] as string;
const check = (token: string, of = system, headers: Record<string, string> = {}): Promise<Answer> =>
  request(`${of.url}/creation_token/check/${token}`, { headers });
const validate = (token: string, of = system, more: Record<string, string> = {}): Promise<Answer> =>
  request(`${of.url}/creation_token/validate`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ account_creation_request_token: token, ...more }).toString(),
  });
const exchange = (token: unknown): Promise<Answer> =>
  system.api('/account_creation_tokens/using-account-creation-request-token', {
    method: 'POST',
    body: { account_creation_request_token: token },
  });

test('made, looked at, validated, exchanged once', async () => {
  const made = await system.api('/account_creation_request_tokens', { method: 'POST', headers: { 'user-agent': 'An app' } });
  const token = made.json['token'] as string;
  expect([made.status, made.json]).toEqual([201, { token, validation_url: `https://accounts.example.org/creation_token/check/${token}` }]);
  expect(await system.rows('SELECT ip, user_agent FROM account_creation_request_tokens WHERE token = $1', [token])).toEqual([
    { ip: '127.0.0.1', user_agent: 'An app' },
  ]);
  const early = await exchange(token);
  expect([early.status, Object.keys(early.json['errors'] as object)]).toEqual([404, ['account_creation_request_token']]);

  const page = await check(token, system, { 'accept-language': 'fr-CA' });
  expect([page.status, page.headers.get('content-type'), page.headers.get('content-language')]).toEqual([
    200,
    'text/html; charset=utf-8',
    'fr',
  ]);
  expect(page.text).toContain('Je ne suis pas un robot');
  expect(page.text).not.toContain('<script');
  expect((await check(token)).text).toContain('I am not a robot');
  expect((await exchange(token)).status).toBe(404);

  expect((await validate(token)).status).toBe(200);
  expect((await validate(token)).status).toBe(200);
  const answers = await Promise.all(Array.from({ length: 6 }, () => exchange(token)));
  const [won] = answers.filter(({ status }) => status === 201);
  expect(answers.filter(({ status }) => status === 404)).toHaveLength(5);
  expect(won?.json).toMatchObject({
    token: expect.stringMatching(/^[A-Za-z0-9]{13}$/) as string,
    used: false,
    account_id: null,
    pn_provider: null,
    expire_at: expect.any(String) as string,
  });
  expect(
    await system.rows(
      'SELECT t.token FROM account_creation_request_tokens r JOIN account_creation_tokens t ON t.id = r.acc_creation_token_id WHERE r.token = $1',
      [token],
    ),
  ).toEqual([{ token: won?.json['token'] }]);
  expect([(await check(token)).status, (await validate(token)).status]).toEqual([404, 404]);
  const account = await system.api('/accounts/with-account-creation-token', {
    method: 'POST',
    body: { username: 'by-request', password: 'password', algorithm: 'MD5', account_creation_token: won?.json['token'] },
  });
  expect(account.status).toBe(200);
});

test('unknown, expired, missing', async () => {
  const token = await make();
  await validate(token);
  await system.rows("UPDATE account_creation_request_tokens SET created_at = now() - interval '31 minutes' WHERE token = $1", [token]);
  for (const bad of [token, 'unknown', '%00', '<script>']) expect([bad, (await check(bad)).status]).toEqual([bad, 404]);
  expect((await validate(token)).status).toBe(404);
  expect((await exchange(token)).status).toBe(404);
  expect((await exchange(undefined)).status).toBe(422);
});

test('consumed by an account that exists, once', async () => {
  const user = await system.account('consumer-x');
  const [row] = await system.rows<{ token: string }>(
    "INSERT INTO account_creation_tokens (token, created_at) VALUES ('consumable-01', now()) RETURNING token",
  );
  const consume = (token?: string): Promise<Answer> =>
    system.api('/account_creation_tokens/consume', {
      method: 'POST',
      key: user.key,
      body: { account_creation_token: token },
      headers: { 'user-agent': 'Consumer' },
    });
  const answers = await Promise.all(Array.from({ length: 5 }, () => consume(row?.token)));
  const [won] = answers.filter(({ status }) => status === 200);
  expect(answers.filter(({ status }) => status === 404)).toHaveLength(4);
  expect(won?.json).toMatchObject({ token: 'consumable-01', used: true, account_id: user.id, user_agent: 'Consumer' });
  expect((await consume('unknown')).status).toBe(404);
  expect((await consume()).status).toBe(422);
});

describe('with hCaptcha', () => {
  test('the widget is there, and its answer is asked of hCaptcha', async () => {
    const token = await make(guarded);
    const page = await check(token, guarded);
    expect(page.text).toContain('data-sitekey="captcha-&#34;site&#34;"');
    expect(page.headers.get('content-security-policy')).toContain('script-src https://hcaptcha.com https://*.hcaptcha.com');
    for (const more of [{}, { 'h-captcha-response': '' }, { 'h-captcha-response': 'a-robot' }] as Record<string, string>[]) {
      const refused = await validate(token, guarded, more);
      expect(refused.status).toBe(422);
      expect(refused.text).toContain('role="alert"');
      expect(refused.text).toContain(token);
    }
    expect((await validate(token, guarded, { 'h-captcha-response': 'a-person' })).status).toBe(200);
    expect(world.hcaptcha.received).toHaveLength(2);
    expect(world.hcaptcha.received[1]?.body).toMatchObject({ response: 'a-person', remoteip: '127.0.0.1' });
  });

  test('hCaptcha away: 503, nothing validated', async () => {
    const token = await make(guarded);
    for (const mode of [500, 'hang'] as const) {
      world.hcaptcha.mode = mode;
      expect((await validate(token, guarded, { 'h-captcha-response': 'a-person' })).status).toBe(503);
    }
    expect(
      await guarded.rows('SELECT 1 FROM account_creation_request_tokens WHERE token = $1 AND validated_at IS NOT NULL', [token]),
    ).toEqual([]);
  });
});
