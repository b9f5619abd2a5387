// JSON Web Tokens, made by the library as an identity provider makes them.
import { execFile } from 'node:child_process';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { request, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
let system: System;
let user: Account;

beforeAll(async () => {
  // One line, as .env has it.
  system = await startSystem({
    workers: 0,
    environment: { JWT_RSA_PUBLIC_KEY_PEM: pem.replaceAll('\n', '\\n'), ACCOUNT_AUTHENTICATION_BEARER: 'realm="login.example.org"' },
  });
  user = await system.account('bearer-user');
  await system.rows("UPDATE accounts SET email = 'Bearer@Example.org', confirmed_email = 'bearer@example.org' WHERE id = $1", [user.id]);
  for (const name of ['twin-one', 'twin-two']) {
    const { id } = await system.account(name);
    await system.rows("UPDATE accounts SET email = 'twin@example.org', confirmed_email = 'twin@example.org' WHERE id = $1", [id]);
  }
});
afterAll(() => system.stop());

const now = (): number => Math.floor(Date.now() / 1000);
const sip = `sip:bearer-user@${SPACE}`;

const token = (claims: Record<string, unknown>, algorithm = 'RS256', key = privateKey): Promise<string> =>
  new SignJWT({ exp: now() + 60, ...claims }).setProtectedHeader({ alg: algorithm }).sign(key);
const me = (text: string, headers: Record<string, string> = {}): Promise<Answer> =>
  system.api('/accounts/me', { headers: { authorization: `Bearer ${text}`, ...headers } });

test.each(['RS256', 'RS384', 'RS512'])('%s, by SIP address or email', async (algorithm) => {
  expect((await me(await token({ sip_identity: sip }, algorithm))).json['id']).toBe(user.id);
  expect((await me(await token({ email: 'bearer@example.org' }, algorithm))).json['id']).toBe(user.id);
});

test('a right token of nobody is 403; the email counts only where the address is absent, and for one account only', async () => {
  for (const claims of [
    { sip_identity: `sip:nobody@${SPACE}`, email: 'bearer@example.org' },
    { sip_identity: 12 },
    { sip_identity: `sip:bearer\u0000user@${SPACE}` },
    { sip_identity: `sip:bearer%00user@${SPACE}` },
    { email: 'twin@example.org' },
    { email: 'none@example.org' },
    { email: 'bearer@example.org\u0000' },
    {},
  ]) {
    expect([claims, (await me(await token(claims))).status]).toEqual([claims, 403]);
  }
});

describe('refused with a reason', () => {
  const cases: [string, () => Promise<string>, string][] = [
    ['expired', () => token({ sip_identity: sip, exp: now() - 1 }), 'The token has expired'],
    ['long expired', () => token({ sip_identity: sip, exp: now() - 1000 }), 'The token has expired'],
    [
      'without exp',
      () => new SignJWT({ sip_identity: sip }).setProtectedHeader({ alg: 'RS256' }).sign(privateKey),
      'The claim exp is missing or not valid',
    ],
    ['not yet valid', () => token({ sip_identity: sip, nbf: now() + 120 }), 'The claim nbf is missing or not valid'],
    [
      'another key',
      () => token({ sip_identity: sip }, 'RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
      'The signature is wrong',
    ],
    ['PS256', () => token({ sip_identity: sip }, 'PS256'), 'The algorithm is not allowed'],
    [
      'alg none',
      () => Promise.resolve(`${part({ alg: 'none' })}.${part({ sip_identity: sip, exp: now() + 60 })}.`),
      'The algorithm is not allowed',
    ],
    ['HS256 signed with the public key', () => Promise.resolve(hs256()), 'The algorithm is not allowed'],
    ['no token at all', () => Promise.resolve('nonsense'), 'This is not a JSON Web Token'],
    ['three parts of nothing', () => Promise.resolve('a.b.c'), 'This is not a JSON Web Token'],
    ['empty parts', () => Promise.resolve('..'), 'This is not a JSON Web Token'],
  ];
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  function hs256(): string {
    const signed = `${part({ alg: 'HS256' })}.${part({ sip_identity: sip, exp: now() + 60 })}`;
    return `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`;
  }

  test.each(cases)('%s', async (_name, make, description) => {
    const answer = await me(await make());
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer realm="login.example.org", error="invalid_token", error_description="${description}"`,
    );
    expect(answer.headers.get('content-type')).toBe('application/json');
  });
});

test('the documentation’s line works when pasted, with a token in it', async () => {
  const { json } = await request(`${system.url}/api/openapi.json`);
  const { description } = json['info'] as { description: string };
  expect(description).toContain('DIGEST is turned off');
  const line = /^ {4}(curl .*Bearer.*)$/m.exec(description)?.[1]?.replace('YOUR_TOKEN', await token({ sip_identity: sip })) ?? '';
  const { stdout } = await promisify(execFile)('sh', ['-c', line.replace('curl', 'curl -s')]);
  expect(JSON.parse(stdout)).toMatchObject({ username: 'bearer-user' });
});

describe('the grammar of RFC 6750, section 2.1', () => {
  const mine = async (write: (token: string) => string): Promise<Answer> =>
    system.api('/accounts/me', { headers: { authorization: write(await token({ sip_identity: sip })) } });

  test.each<[string, (text: string) => string]>([
    ['the scheme in lower case', (text) => `bearer ${text}`],
    ['the scheme in capitals', (text) => `BEARER ${text}`],
    ['several spaces', (text) => `Bearer    ${text}`],
    ['white space behind', (text) => `Bearer ${text} \t`],
  ])('%s: 200', async (_name, write) => {
    expect((await mine(write)).status).toBe(200);
  });

  test.each<[string, (text: string) => string]>([
    ['no token', () => 'Bearer'],
    ['a token in quotes', (text) => `Bearer "${text}"`],
    ['a parameter', (text) => `Bearer token=${text}`],
    ['two tokens', (text) => `Bearer ${text} ${text}`],
    ['two tokens as a list', (text) => `Bearer ${text}, ${text}`],
    ['a comma for the space', (text) => `Bearer ,${text}`],
    ['what is no octet of a token', (text) => `Bearer ${text}\u00e9`],
  ])('%s: 401 with the reason', async (_name, write) => {
    const answer = await mine(write);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('error="invalid_token"')]);
  });

  test.each<[string, (text: string) => string]>([
    ['another scheme of that beginning', (text) => `Bearers ${text}`],
    ['the token without a space', (text) => `Bearer${text}`],
    ['the token alone', (text) => text],
  ])('%s is another scheme', async (_name, write) => {
    const answer = await mine(write);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="login.example.org"']);
  });

  test('two headers, whichever is right', async () => {
    const right = `Bearer ${await token({ sip_identity: sip })}`;
    for (const values of [
      [right, 'Bearer x'],
      [right, right],
    ]) {
      const status = await new Promise((resolve, reject) => {
        const { hostname, port } = new URL(system.url);
        const headers = ['host', hostname, ...values.flatMap((value) => ['authorization', value])];
        const sent = httpRequest({ hostname, port, path: '/api/accounts/me', headers }, (answer) => resolve(answer.resume().statusCode));
        sent.on('error', reject).end();
      });
      expect(status).toBe(401);
    }
  });
});

test('a SIP address as identity providers write it', async () => {
  for (const identity of [
    `sip:Bearer-User@${SPACE.toUpperCase()}`,
    `<sip:bearer-user@${SPACE}>`,
    `sips:bearer-user@${SPACE}:5061;transport=tls`,
    `SIP:bearer%2Duser@${SPACE}`,
  ])
    expect([identity, (await me(await token({ sip_identity: identity }))).status]).toEqual([identity, 200]);
});

test('nbf may be a minute ahead', async () => {
  expect((await me(await token({ sip_identity: sip, nbf: now() + 50 }))).status).toBe(200);
});

test('which wins: a token before a key, a key before the announcement, no DIGEST beside it', async () => {
  const { key } = await system.account('key-beside', { admin: true });
  expect((await me('nonsense', { 'x-api-key': key })).status).toBe(401);
  expect((await me(await token({ sip_identity: sip }), { 'x-api-key': 'wrong', from: 'sip:nobody@nowhere' })).json['id']).toBe(user.id);
  expect((await system.api('/accounts/me', { key })).status).toBe(200);
  const several: Record<string, string>[] = [
    {},
    { from: 'sip:nobody@nowhere' },
    { from: sip },
    { from: sip, authorization: 'Digest username="x"' },
  ];
  for (const headers of several) {
    const answer = await system.api('/accounts/me', { headers });
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="login.example.org"']);
  }
});

test('without a key to check it with, a token is nobody', async () => {
  const plain = await startSystem({ workers: 0 });
  const bare = await plain.api('/accounts/me', { headers: { authorization: `Bearer ${await token({ sip_identity: sip })}` } });
  expect([bare.status, bare.headers.get('www-authenticate')]).toEqual([401, null]);
  await plain.account('bearer-user');
  await plain.rows("INSERT INTO passwords (account_id, password, algorithm) SELECT id, 'x', 'MD5' FROM accounts");
  const withFrom = await plain.api('/accounts/me', { headers: { from: sip, authorization: 'Bearer x' } });
  expect(withFrom.headers.get('www-authenticate')).toMatch(/^Digest /);
  await plain.stop();
});
