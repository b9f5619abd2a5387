// JSON Web Tokens by email: whose account they open, and whose they do not, however somebody's email came to an account.
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
const OTHER = 'other.example.org';
const SEVERAL = 'several accounts have confirmed the address';
const UNCONFIRMED = 'the address was never confirmed';

let world: OutsideWorld;
let system: System;
/** Of the other Space: who attacks. */
let admin: Account;

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    environment: {
      ...world.environment,
      MAIL_ALLOW_SELF_SIGNED: 'true',
      APP_DANGEROUS_ENDPOINTS: 'true',
      TRUST_PROXY: '1',
      JWT_RSA_PUBLIC_KEY_PEM: pem.replaceAll('\n', '\\n'),
    },
  });
  await system.space(OTHER);
  admin = await system.account('other-admin', { domain: OTHER, admin: true });
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => (world.mails.length = 0));

let serial = 0;
const unique = (): string => `${Date.now().toString(36)}${(serial += 1)}`;
const newEmail = (): string => `${unique()}@example.com`;

/** Whom a token by email is good for; its status where for nobody. */
async function whoIs(email: string, { host = SPACE, claims = {} } = {}): Promise<unknown> {
  const expiry = Math.floor(Date.now() / 1000) + 60;
  const token = await new SignJWT({ exp: expiry, email, ...claims }).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
  const answer = await system.api('/accounts/me', { headers: { authorization: `Bearer ${token}`, 'x-forwarded-host': host } });
  return answer.status === 200 ? answer.json['id'] : answer.status;
}

/** The log of `web` since a moment, once it has `text`. */
const said = (text: string, since: number): Promise<string> =>
  eventually(
    () => Promise.resolve((system.webs[0]?.output() ?? '').slice(since)),
    (log) => log.includes(text),
  );
const logged = (): number => (system.webs[0]?.output() ?? '').length;

async function person(domain = SPACE): Promise<Account> {
  const account = await system.account(`person-${unique()}`, { domain });
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
    unique(),
    account.id,
  ]);
  await system.rows('UPDATE accounts SET updated_at = NULL WHERE id = $1', [account.id]);
  return account;
}
const codeInMail = (): string => /^(\d{4})$/m.exec(world.mails.at(-1)?.text ?? '')?.[1] ?? '';
const post = ({ key }: Account, route: string, body: object): Promise<Answer> =>
  system.api(`/accounts/me/${route}`, { method: 'POST', key, body });
/** An account that has shown to receive mail at an address. */
async function confirmed(email: string, domain = SPACE): Promise<Account> {
  const account = await person(domain);
  expect((await post(account, 'email/request', { email })).status).toBe(200);
  expect((await post(account, 'email', { code: codeInMail() })).status).toBe(200);
  return account;
}
const create = (email: string, key = admin.key): Promise<Answer> =>
  system.api('/accounts', {
    method: 'POST',
    key,
    body: { username: `made-${unique()}`, password: 'password', algorithm: 'MD5', email, activated: true },
  });

test('a confirmed email, letter case ignored', async () => {
  const email = newEmail();
  const { id } = await confirmed(email);
  expect(await whoIs(email.toUpperCase())).toBe(id);
  // Of a name that no Space has, the default one is meant.
  expect(await whoIs(email, { host: 'unknown.example.org' })).toBe(id);
});

test('another Space’s admin neither locks the victim out nor receives a newcomer’s login', async () => {
  const [victims, newcomers] = [newEmail(), newEmail()];
  const { id } = await confirmed(victims);
  const since = logged();
  expect((await create(victims)).status).toBe(200);
  expect((await create(newcomers)).status).toBe(200);
  expect(await whoIs(victims)).toBe(id);
  for (const host of [SPACE, OTHER]) expect(await whoIs(newcomers, { host })).toBe(403);
  const log = await said(UNCONFIRMED, since);
  expect(log).not.toContain(newcomers);
});

test('the request’s Space first, whoever has confirmed the address elsewhere; where that has nobody, the one other account', async () => {
  const email = newEmail();
  const theirs = await confirmed(email, OTHER);
  expect(await whoIs(email)).toBe(theirs.id);
  const own = await confirmed(email);
  expect(await whoIs(email)).toBe(own.id);
  expect(await whoIs(email, { host: OTHER })).toBe(theirs.id);
});

test('several are a refusal that the log explains, without the address', async () => {
  const email = newEmail();
  await system.space('third.example.org');
  await confirmed(email);
  await confirmed(email);
  const since = logged();
  expect(await whoIs(email)).toBe(403);
  expect(await said(SEVERAL, since)).not.toContain(email);
  // From a third Space they are two strangers.
  expect(await whoIs(email, { host: 'third.example.org' })).toBe(403);
});

test('whoever changes the email ends what was confirmed, the release before this one, too', async () => {
  const email = newEmail();
  const { id } = await confirmed(email);
  const other = newEmail();
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, other]);
  expect([await whoIs(email), await whoIs(other)]).toEqual([403, 403]);
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, email]);
  expect(await whoIs(email)).toBe(id);
});

test('an admin who reads the code in the admin view confirms nothing with it', async () => {
  const email = newEmail();
  const puppet = await person(OTHER);
  await post(puppet, 'email/request', { email });
  const { json } = await system.api(`/accounts/${puppet.id}`, { key: admin.key });
  const { code } = json['email_change_code'] as { code: string };
  expect((await post(puppet, 'email', { code })).json).toMatchObject({ email });
  for (const host of [SPACE, OTHER]) expect(await whoIs(email, { host })).toBe(403);
  // Nor by what changing the account shows.
  const second = await person(OTHER);
  const another = newEmail();
  await post(second, 'email/request', { email: another });
  const { username } = (
    await system.api(`/accounts/${second.id}`, { key: (await system.account(`super-${unique()}`, { admin: true })).key })
  ).json;
  const changed = await system.api(`/accounts/${second.id}`, {
    method: 'PUT',
    key: admin.key,
    body: { username, password: 'password', algorithm: 'MD5' },
  });
  expect((await post(second, 'email', changed.json['email_change_code'] as { code: string })).status).toBe(200);
  expect(await whoIs(another)).toBe(403);
});

describe('the key that is mailed for a new account', () => {
  async function register(email: string, domain = OTHER): Promise<{ id: unknown; username: string }> {
    const token = unique().padStart(13, '0').slice(-13);
    await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
    const username = `mailed-${unique()}`;
    const body = { username, email, domain, password: 'password', algorithm: 'MD5', account_creation_token: token };
    const { json } = await system.api('/accounts/public', { method: 'POST', body });
    await eventually(
      () => Promise.resolve(world.mails.length),
      (sent) => sent === 1,
    );
    return { id: json['id'], username };
  }
  const keyInMail = (): string => /^([A-Za-z0-9]{13})$/m.exec(world.mails[0]?.text ?? '')?.[1] ?? '';
  const activate = ({ username }: { username: string }, code: unknown): Promise<Answer> =>
    system.api(`/accounts/${username}@${OTHER}/activate/email`, { method: 'POST', body: { code } });

  test('confirms', async () => {
    const email = newEmail();
    const made = await register(email);
    expect(await whoIs(email, { host: OTHER })).toBe(403);
    expect((await activate(made, keyInMail())).status).toBe(200);
    expect(await whoIs(email, { host: OTHER })).toBe(made.id);
  });

  test('does not where an admin was shown it, or made the account', async () => {
    const email = newEmail();
    const made = await register(email);
    const changed = await system.api(`/accounts/${String(made.id)}`, {
      method: 'PUT',
      key: admin.key,
      body: { username: made.username, password: 'password', algorithm: 'MD5', email },
    });
    expect((await activate(made, changed.json['confirmation_key'])).status).toBe(200);
    expect(await whoIs(email)).toBe(403);
    const another = newEmail();
    const username = `made-${unique()}`;
    const { json } = await system.api('/accounts', {
      method: 'POST',
      key: admin.key,
      body: { username, password: 'password', algorithm: 'MD5', email: another },
    });
    expect((await activate({ username }, json['confirmation_key'])).status).toBe(200);
    expect(await whoIs(another)).toBe(403);
  });
});

test('an address that the token’s issuer calls unverified does not count', async () => {
  const email = newEmail();
  const { id } = await confirmed(email);
  expect(await whoIs(email, { claims: { email_verified: false } })).toBe(403);
  expect(await whoIs(email, { claims: { email_verified: true } })).toBe(id);
});

test('an operator vouches for the emails of one Space', async () => {
  const flexiapi = async (...parameters: string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [`${__dirname}/../bin/flexiapi`, ...parameters, '--json'], {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', ...system.environment },
    });
    return JSON.parse(stdout);
  };
  const [email, theirs] = [newEmail(), newEmail()];
  const { json } = await create(theirs);
  const { id } = await system.account(`vouched-${unique()}`);
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, email]);
  const [before] = await system.rows('SELECT updated_at FROM accounts WHERE id = $1', [id]);
  expect(await flexiapi('accounts:confirm-emails', SPACE.toUpperCase())).toMatchObject({ domain: SPACE, confirmed: 1 });
  expect(await flexiapi('accounts:confirm-emails', SPACE)).toMatchObject({ confirmed: 0 });
  expect([await whoIs(email), await whoIs(theirs)]).toEqual([id, 403]);
  expect(await system.rows('SELECT updated_at FROM accounts WHERE id = $1', [id])).toEqual([before]);
  await flexiapi('accounts:confirm-emails', OTHER);
  expect(await whoIs(theirs)).toBe(json['id']);
  await expect(flexiapi('accounts:confirm-emails', 'nowhere.example.org')).rejects.toMatchObject({ code: 1 });
});
