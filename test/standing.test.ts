// Blocked accounts and expired Spaces: refused wherever an account or a Space acts, with the same words, and nothing is used up by it.
import { endpoints } from '../src/api';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, request, startSystem, type Account, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 2,
    workers: 1,
    environment: { ...world.environment, MAIL_ALLOW_SELF_SIGNED: 'true', APP_DANGEROUS_ENDPOINTS: 'true', TRUST_PROXY: '1' },
  });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
});
afterAll(async () => {
  await system.stop();
  await world.close();
});

const BLOCKED = 'This account is blocked.';
const EXPIRED = 'This space has expired.';

let serial = 0;
/** A Space of its own for each case, asked for by its host. */
interface Place {
  domain: string;
  headers: Record<string, string>;
}
async function place(): Promise<Place> {
  const domain = `s${(serial += 1)}.example.org`;
  await system.space(domain);
  return { domain, headers: { 'x-forwarded-host': domain } };
}
async function creationToken(): Promise<string> {
  const token = `stand${String((serial += 1)).padStart(8, '0')}`;
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
  return token;
}
const newPhone = (): string => `+336${String(10_000_000 + (serial += 1))}`;
const api = (route: string, headers: Record<string, string>, method = 'GET', body?: object): Promise<Answer> =>
  system.api(route, { method, headers, ...(body ? { body } : {}) });
const page = (route: string, headers: Record<string, string>): Promise<Answer> =>
  request(`${system.url}${route}`, { headers: { 'x-linphone-provisioning': '1', ...headers } });

interface Subject extends Account, Place {
  username: string;
}
/** Prepares what the account acts by, then gives the act; it may be tried any number of times until it is admitted. */
type Act = (subject: Subject) => Promise<() => Promise<Answer>>;

async function attachedToken({ key, headers }: Subject): Promise<string> {
  const { token } = (await system.api('/accounts/auth_token', { method: 'POST' })).json as { token: string };
  expect((await api(`/accounts/auth_token/${token}/attach`, { ...headers, 'x-api-key': key })).status).toBe(200);
  return token;
}
async function provisioningToken({ id, key, headers }: Subject, password = true): Promise<string> {
  if (password) await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'hash', 'MD5')", [id]);
  return (await api('/accounts/me/provision', { ...headers, 'x-api-key': key })).json['provisioning_token'] as string;
}
const withConfirmationKey =
  (route: string, key: string, send: (path: string, key: string, headers: Record<string, string>) => Promise<Answer>): Act =>
  async ({ id, username, domain, headers }) => {
    await system.rows('UPDATE accounts SET confirmation_key = $2 WHERE id = $1', [id, key]);
    return () => send(`/accounts/${username}@${domain}/${route}`, key, headers);
  };
const post = (path: string, key: string, headers: Record<string, string>): Promise<Answer> =>
  api(path, headers, 'POST', { confirmation_key: key });
const withKey =
  (route: (subject: Subject) => string): Act =>
  (subject) =>
    Promise.resolve(() => page(route(subject), { ...subject.headers, 'x-api-key': subject.key }));

/** Every way to act as an account without signing in, by endpoint or page, and the pages that sign in by themselves. */
const ACCOUNT_ACTS: Record<string, Act> = {
  'get /accounts/me/api_key/:auth_token': async (subject) => {
    const token = await attachedToken(subject);
    return () => api(`/accounts/me/api_key/${token}`, subject.headers);
  },
  'post /accounts/:sip/activate/email': withConfirmationKey('activate/email', 'k'.repeat(13), post),
  'post /accounts/:sip/activate/phone': withConfirmationKey('activate/phone', '1234', post),
  'get /accounts/:sip/recover/:recover_key': withConfirmationKey('recover', '1234', (path, key, headers) => api(`${path}/${key}`, headers)),
  'post /accounts/recover-by-phone': async ({ id, headers }) => {
    const phone = newPhone();
    await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [id, phone]);
    const token = await creationToken();
    return () => api('/accounts/recover-by-phone', headers, 'POST', { phone, account_creation_token: token });
  },
  '/provisioning/auth_token/:auth_token': async (subject) => {
    const token = await attachedToken(subject);
    return () => page(`/provisioning/auth_token/${token}`, subject.headers);
  },
  '/provisioning/:token': async (subject) => {
    const token = await provisioningToken(subject);
    return () => page(`/provisioning/${token}`, subject.headers);
  },
  '/provisioning/:token?reset_password': async (subject) => {
    const token = await provisioningToken(subject, false);
    return () => page(`/provisioning/${token}?reset_password`, subject.headers);
  },
  '/provisioning/qrcode/:token': async (subject) => {
    const token = await provisioningToken(subject);
    return () => page(`/provisioning/qrcode/${token}`, subject.headers);
  },
  '/provisioning/me': withKey(() => '/provisioning/me'),
  '/contacts/vcard': withKey(() => '/contacts/vcard'),
  '/contacts/vcard/:name': async (subject) => {
    await system.rows('INSERT INTO contacts (account_id, contact_id) VALUES ($1, $1)', [subject.id]);
    return withKey(({ username, domain }) => `/contacts/vcard/${username}@${domain}`)(subject);
  },
  '/vcards-storage': withKey(() => '/vcards-storage'),
  '/vcards-storage/:name': async (subject) => {
    await system.rows("INSERT INTO vcards_storage (account_id, uuid, vcard) VALUES ($1, 'card', 'BEGIN:VCARD')", [subject.id]);
    return withKey(() => '/vcards-storage/card')(subject);
  },
  'get /accounts/auth_token/:auth_token/attach': async ({ key, headers }) => {
    const { token } = (await system.api('/accounts/auth_token', { method: 'POST' })).json as { token: string };
    return () => api(`/accounts/auth_token/${token}/attach`, { ...headers, 'x-api-key': key });
  },
};

/** Every way in which a Space acts for somebody who is not signed in. */
const SPACE_ACTS: Record<string, (place: Place) => Promise<() => Promise<Answer>>> = {
  'post /accounts/with-account-creation-token': async ({ headers }) => {
    const token = await creationToken();
    const body = { username: `made.here.${serial}`, password: 'password', algorithm: 'MD5', account_creation_token: token };
    return () => api('/accounts/with-account-creation-token', headers, 'POST', body);
  },
  'post /accounts/public': async ({ domain }) => {
    const token = await creationToken();
    const body = { phone: newPhone(), domain, password: 'password', algorithm: 'MD5', account_creation_token: token };
    return () => api('/accounts/public', {}, 'POST', body);
  },
  'post /account_creation_tokens/send-by-push': ({ headers }) => {
    const device = { pn_provider: 'apns', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: String((serial += 1)).padStart(64, 'a') };
    return Promise.resolve(() => api('/account_creation_tokens/send-by-push', headers, 'POST', device));
  },
  'post /account_creation_request_tokens': ({ headers }) => Promise.resolve(() => api('/account_creation_request_tokens', headers, 'POST')),
  'post /account_creation_tokens/using-account-creation-request-token': async ({ headers }) => {
    const token = `reqst${String((serial += 1)).padStart(8, '0')}`;
    await system.rows('INSERT INTO account_creation_request_tokens (token, validated_at, created_at) VALUES ($1, now(), now())', [token]);
    const body = { account_creation_request_token: token };
    return () => api('/account_creation_tokens/using-account-creation-request-token', headers, 'POST', body);
  },
};

/** What anybody may ask for, whoever is blocked: nobody acts. A new public endpoint is named in one of the three tables. */
const NOBODY_ACTS: Record<string, string> = {
  'get /ping': 'no account, no Space',
  'get /phone_countries': 'one list for all Spaces',
  'get /phones_countries': 'one list for all Spaces',
  'get /accounts/:sip/info': 'public information about an account',
  'get /accounts/:phone/info-by-phone': 'public information about an account',
  'post /accounts/auth_token': 'a device asks, and nobody has attached it yet; whom it gives access to is looked at when it is used',
};

test('each public endpoint says whether an account or a Space acts by it', () => {
  const open = endpoints.filter(({ access }) => access === 'public').map(({ method, path }) => `${method} ${path}`);
  const named = [...Object.keys(ACCOUNT_ACTS), ...Object.keys(SPACE_ACTS), ...Object.keys(NOBODY_ACTS)];
  expect(open.filter((endpoint) => !named.includes(endpoint))).toEqual([]);
});

async function newSubject(at: Place): Promise<Subject> {
  const username = `person-${(serial += 1)}`;
  return { ...at, username, ...(await system.account(username, { domain: at.domain })) };
}
const block = (id: number, blocked: boolean): Promise<unknown> =>
  system.rows('UPDATE accounts SET blocked = $2 WHERE id = $1', [id, blocked]);
const expire = (domain: string, expired: boolean): Promise<unknown> =>
  system.rows("UPDATE spaces SET expire_at = CASE WHEN $2 THEN now() - interval '1 second' END WHERE domain = $1", [domain, expired]);
const admitted = ({ status }: Answer): boolean => status === 200 || status === 201;

describe.each(Object.entries(ACCOUNT_ACTS))('%s', (_name, prepare) => {
  test.each([
    ['blocked', true, false, BLOCKED],
    ['of an expired Space', false, true, EXPIRED],
    ['both', true, true, BLOCKED],
  ])('an account that is %s is refused, and goes on with the same once it may', async (_state, blocked, expired, message) => {
    const who = await newSubject(await place());
    const act = await prepare(who);
    await block(who.id, blocked);
    await expire(who.domain, expired);
    const refused = await act();
    expect([refused.status, refused.json['message']]).toEqual([403, message]);
    await block(who.id, false);
    await expire(who.domain, false);
    expect(admitted(await act())).toBe(true);
  });

  test('neither: admitted', async () => {
    const act = await prepare(await newSubject(await place()));
    expect(admitted(await act())).toBe(true);
  });
});

describe.each(Object.entries(SPACE_ACTS))('%s', (_name, prepare) => {
  test('an expired Space refuses, and nothing is used up', async () => {
    const at = await place();
    const act = await prepare(at);
    await expire(at.domain, true);
    const refused = await act();
    expect([refused.status, refused.json['message']]).toEqual([403, EXPIRED]);
    expect(await system.rows('SELECT 1 FROM accounts WHERE domain = $1', [at.domain])).toEqual([]);
    await expire(at.domain, false);
    expect(admitted(await act())).toBe(true);
  });
});

test('the Space of the request counts, too; super admins are exempt from expiry, not from being blocked', async () => {
  const [own, other] = [await place(), await place()];
  const who = await newSubject(own);
  const token = await attachedToken(who);
  await expire(other.domain, true);
  const refused = await api(`/accounts/me/api_key/${token}`, other.headers);
  expect([refused.status, refused.json['message']]).toEqual([403, EXPIRED]);
  expect((await api(`/accounts/me/api_key/${token}`, own.headers)).status).toBe(200);

  await system.rows('UPDATE spaces SET super = true WHERE domain = $1', [other.domain]);
  await expire(other.domain, false);
  const username = `super-${(serial += 1)}`;
  const superAdmin: Subject = { ...other, username, ...(await system.account(username, { domain: other.domain, admin: true })) };
  const tokens = [await attachedToken(superAdmin), await attachedToken(superAdmin)];
  await expire(other.domain, true);
  expect((await page(`/provisioning/auth_token/${tokens[0]}`, other.headers)).status).toBe(200);
  await block(superAdmin.id, true);
  expect((await page(`/provisioning/auth_token/${tokens[1]}`, other.headers)).status).toBe(403);
});

test('a wrong key of a blocked account says nothing of it, and counts', async () => {
  const who = await newSubject(await place());
  await system.rows("UPDATE accounts SET blocked = true, confirmation_key = '1234' WHERE id = $1", [who.id]);
  expect((await api(`/accounts/${who.username}@${who.domain}/recover/4321`, who.headers)).status).toBe(404);
  expect(await system.rows('SELECT confirmation_key_attempts AS n FROM accounts WHERE id = $1', [who.id])).toEqual([{ n: 1 }]);
});

test('a super admin makes an account in an expired Space', async () => {
  const { domain } = await place();
  await expire(domain, true);
  const { key } = await system.account(`super-${(serial += 1)}`, { admin: true });
  const body = { username: `made.there.${serial}`, domain, password: 'password', algorithm: 'MD5' };
  expect((await system.api('/accounts', { method: 'POST', key, body })).status).toBe(200);
});

test('a message that waits for a worker is not sent to an account that is blocked meanwhile', async () => {
  const waiting = await startSystem({
    workers: 0,
    environment: { ...world.environment, MAIL_ALLOW_SELF_SIGNED: 'true', APP_DANGEROUS_ENDPOINTS: 'true' },
  });
  await waiting.rows("INSERT INTO account_creation_tokens (token, created_at) VALUES ('blockedmailto', now())");
  const body = { username: 'blocked.mail', email: 'blocked@example.org', password: 'password', algorithm: 'MD5' };
  const made = await waiting.api('/accounts/public', { method: 'POST', body: { ...body, account_creation_token: 'blockedmailto' } });
  expect(made.status).toBe(200);
  await waiting.rows('UPDATE accounts SET blocked = true WHERE id = $1', [made.json['id']]);
  await waiting.startWorker();
  try {
    const rows = (): Promise<Record<string, unknown>[]> => waiting.rows("SELECT state, last_reason FROM sends WHERE state <> 'due'");
    expect(await eventually(rows, ({ length }) => length > 0)).toEqual([{ state: 'failed', last_reason: 'the account may not act' }]);
    expect(world.mails.filter(({ to }) => to.includes('blocked@example.org'))).toEqual([]);
  } finally {
    await waiting.stop();
  }
});
