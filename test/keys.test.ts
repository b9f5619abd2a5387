// API keys on request, and auth tokens.
import { startSystem, type Account, type Answer, type System } from './helpers/system';

let system: System;
let user: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0, environment: { TRUST_PROXY: '1' } });
});
afterAll(() => system.stop());
beforeEach(async () => {
  user = await system.account(`key-user-${Math.random().toString(36).slice(2)}`);
});
const me = (key: string, headers: Record<string, string> = {}): Promise<number> =>
  system.api('/accounts/me', { key, headers }).then(({ status }) => status);

test('a fresh key: bare text and cookie, bound to the address; the old one stops at once', async () => {
  const asked = await system.api('/accounts/me/api_key', {
    key: user.key,
    headers: { 'x-forwarded-for': '203.0.113.5', 'x-forwarded-proto': 'https' },
  });
  expect(asked.status).toBe(200);
  expect(asked.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(asked.text).toMatch(/^[A-Za-z0-9]{40}$/);
  expect(asked.headers.get('set-cookie')).toBe(`x-api-key=${asked.text}; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=Lax`);
  expect(asked.headers.get('cache-control')).toBe('no-store');
  expect(await me(user.key)).toBe(401);
  expect(await me(asked.text)).toBe(401);
  expect(await me(asked.text, { 'x-forwarded-for': '203.0.113.5' })).toBe(200);
  const plain = await system.api('/accounts/me/api_key', { key: asked.text, headers: { 'x-forwarded-for': '203.0.113.5' } });
  expect(plain.headers.get('set-cookie')).not.toContain('Secure');
});

describe('auth tokens', () => {
  const make = async (): Promise<string> =>
    (await system.api('/accounts/auth_token', { method: 'POST', headers: { 'user-agent': 'A device' } })).json['token'] as string;
  const attach = (token: string, key = user.key): Promise<number> =>
    system.api(`/accounts/auth_token/${token}/attach`, { key }).then(({ status }) => status);
  const exchange = (token: string): Promise<Answer> => system.api(`/accounts/me/api_key/${token}`);

  test('made, attached, exchanged once', async () => {
    const made = await system.api('/accounts/auth_token', { method: 'POST', headers: { 'user-agent': 'A device' } });
    expect([made.status, made.json]).toEqual([
      201,
      {
        id: expect.any(Number) as number,
        token: expect.stringMatching(/^[A-Za-z0-9]{32}$/) as string,
        account_id: null,
        ip: '127.0.0.1',
        user_agent: 'A device',
        created_at: made.json['created_at'],
        updated_at: made.json['updated_at'],
      },
    ]);
    const token = made.json['token'] as string;
    expect((await exchange(token)).status).toBe(404);
    expect(await attach(token)).toBe(200);
    expect(await attach(token)).toBe(404);
    const answers = await Promise.all(Array.from({ length: 10 }, () => exchange(token)));
    const [won] = answers.filter(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(9);
    expect(Object.keys(won?.json ?? {})).toEqual(['api_key']);
    expect(won?.headers.get('set-cookie')).toContain(`x-api-key=${won?.json['api_key'] as string}; `);
    expect((await system.api('/accounts/me', { key: won?.json['api_key'] as string })).json['id']).toBe(user.id);
  });

  test('of many that attach one wins', async () => {
    const token = await make();
    const others = await Promise.all(Array.from({ length: 8 }, (_, n) => system.account(`attacher-${n}`)));
    const statuses = await Promise.all(others.map(({ key }) => attach(token, key)));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 404, 404, 404, 404, 404, 404, 404]);
  });

  test('five minutes old: 404, attached or not; unknown: 404; attaching wants an account', async () => {
    const [loose, attached] = [await make(), await make()];
    expect(await attach(attached)).toBe(200);
    await system.rows("UPDATE auth_tokens SET created_at = now() - interval '301 seconds'");
    expect(await attach(loose)).toBe(404);
    expect((await exchange(attached)).status).toBe(404);
    expect((await exchange('x'.repeat(32))).status).toBe(404);
    expect((await system.api(`/accounts/auth_token/${loose}/attach`)).status).toBe(401);
  });
});
