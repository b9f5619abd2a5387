// Remote provisioning: the documents that apps fetch, and the tokens that open them.
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { create as parseXml } from 'xmlbuilder2';
import { request, SPACE, startSystem, type Answer, type System } from './helpers/system';
import { testServers } from './setup/servers';

let system: System;
beforeAll(async () => {
  const file = path.join(mkdtempSync(path.join(testServers().directory, 'rc-')), 'general.rc');
  writeFileSync(file, '[misc]\nuuid=1\n[sound]\nname=a < b & "c"\n');
  system = await startSystem({
    webs: 2,
    workers: 0,
    environment: {
      APP_URL: 'https://accounts.example.org',
      ACCOUNT_PROVISIONING_RC_FILE: file,
      ACCOUNT_PROVISIONING_OVERWRITE_ALL: 'true',
      COTURN_SERVER_HOST: 'turn.example.org',
      COTURN_STATIC_AUTH_SECRET: 'secret',
      APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES: '30',
    },
  });
  await system.rows('UPDATE spaces SET hide_settings = true, max_account = 3');
});
afterAll(() => system.stop());

const header = { 'x-linphone-provisioning': '1' };
const fetchXml = (route: string, headers: Record<string, string> = header): Promise<Answer> =>
  request(`${system.url}/provisioning${route}`, { headers });

/** The library gives a text as it stands in the document. */
const plain = (text: string): string => text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** Sections of a document in order, each with its entries. */
function sections(text: string): Record<string, Record<string, string>> {
  const { config } = parseXml(text).end({ format: 'object' }) as unknown as { config: { '@xmlns': string; section: unknown } };
  expect(config['@xmlns']).toBe('http://www.linphone.org/xsds/lpconfig.xsd');
  const list = <T>(value: unknown): T[] => (Array.isArray(value) ? value : [value]) as T[];
  return Object.fromEntries(
    list<{ '@name': string; entry: unknown }>(config.section).map(({ '@name': name, entry }) => [
      name,
      Object.fromEntries(
        list<{ '@name': string; '@overwrite': string; '#': string }>(entry).map((one) => {
          expect(one['@overwrite']).toBe('true');
          return [one['@name'], plain(one['#'])];
        }),
      ),
    ]),
  );
}

async function account(username: string): Promise<{ id: number; key: string; token: string }> {
  const made = await system.account(username);
  await system.rows('UPDATE accounts SET display_name = \'Ann "A" <x>\', activated = false WHERE id = $1', [made.id]);
  await system.rows(
    "INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'md5hash', 'MD5'), ($1, 'sha256hash', 'SHA-256')",
    [made.id],
  );
  const token = (await system.api('/accounts/me/provision', { key: made.key })).json['provisioning_token'] as string;
  return { ...made, token };
}

test('the general settings, and only where the header is there', async () => {
  const answer = await fetchXml('');
  expect([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')]).toEqual([
    200,
    'application/xml',
    'no-store',
  ]);
  expect(sections(answer.text)).toEqual({
    misc: { uuid: '1', 'contacts-vcard-list': 'https://accounts.example.org/contacts/vcard' },
    sound: { name: 'a < b & "c"' },
  });
  expect(answer.text).toContain('a &lt; b &amp; "c"</entry>');
  const refused = await fetchXml('', {});
  expect([refused.status, refused.headers.get('content-type')]).toEqual([400, 'application/json']);
});

test('the caller’s own', async () => {
  const { key } = await account('prov-me-user');
  expect((await fetchXml('/me')).status).toBe(401);
  expect((await fetchXml('/me', { 'x-api-key': key })).status).toBe(400);
  const own = sections((await fetchXml('/me', { ...header, 'x-api-key': key })).text);
  expect(Object.keys(own)).toEqual(['misc', 'sound', 'ui', 'proxy_0', 'net', 'nat_policy_0', 'auth_info_0', 'auth_info_1', 'auth_info_2']);
  expect(own['ui']).toMatchObject({ hide_settings: '1', super: '1', disable_chat_feature: '0', max_account: '3' });
  expect(own['proxy_0']).toEqual({ reg_identity: `"Ann \\"A\\" <x>" <sip:prov-me-user@${SPACE}>` });
  expect(own['nat_policy_0']).toMatchObject({
    ref: own['net']?.['nat_policy_ref'],
    stun_server: 'turn.example.org',
    stun_server_username: own['auth_info_0']?.['username'],
    protocols: 'turn,ice',
  });
  expect(own['auth_info_2']).toEqual({ username: 'prov-me-user', domain: SPACE, ha1: 'sha256hash', realm: SPACE, algorithm: 'SHA-256' });
});

test('by token, once; of many at once one wins; it activates', async () => {
  const { id, token } = await account('prov-token-user');
  expect((await fetchXml(`/${token}`, {})).status).toBe(400);
  expect((await request(`${system.url}/provisioning/${token}`, { method: 'HEAD', headers: header })).status).toBe(404);
  const answers = await Promise.all(Array.from({ length: 8 }, () => fetchXml(`/${token}`)));
  expect(answers.filter(({ status }) => status === 404)).toHaveLength(7);
  expect(sections(answers.find(({ status }) => status === 200)?.text ?? '')['proxy_0']?.['reg_identity']).toContain('sip:prov-token-user@');
  expect(await system.rows('SELECT activated FROM accounts WHERE id = $1', [id])).toEqual([{ activated: true }]);
});

test('unknown, not the newest, activation expired: 404; too old: 410', async () => {
  const { id, key, token } = await account('prov-old-user');
  const newest = (await system.api('/accounts/me/provision', { key })).json['provisioning_token'] as string;
  for (const bad of ['unknown', token]) expect((await fetchXml(`/${bad}`)).status).toBe(404);
  await system.rows("UPDATE provisioning_tokens SET created_at = now() - interval '31 minutes' WHERE account_id = $1", [id]);
  expect((await fetchXml(`/${newest}`)).status).toBe(410);
  await system.rows('UPDATE provisioning_tokens SET created_at = now() WHERE account_id = $1', [id]);
  await system.rows("INSERT INTO activation_expirations (account_id, expires) VALUES ($1, now() - interval '1 minute')", [id]);
  expect((await fetchXml(`/${newest}`)).status).toBe(404);
});

test('an address that anyone can extend changes no password, but gives one where there is none', async () => {
  const kept = await account('prov-reset-user');
  await fetchXml(`/${kept.token}?reset_password`);
  expect(await system.rows('SELECT password FROM passwords WHERE account_id = $1 ORDER BY id', [kept.id])).toEqual([
    { password: 'md5hash' },
    { password: 'sha256hash' },
  ]);
  const bare = await account('prov-bare-user');
  await system.rows('DELETE FROM passwords WHERE account_id = $1', [bare.id]);
  const { auth_info_1: info } = sections((await fetchXml(`/${bare.token}?reset_password`)).text);
  expect(info).toMatchObject({ algorithm: 'SHA-256', ha1: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
});

test('a name that a SIP URI cannot hold as it is is escaped there, and only there', async () => {
  for (const [username, user] of [
    ['prov-üser', 'prov-%C3%BCser'],
    ['prov%41@#?', 'prov%2541%40%23%3F'],
    ['+33612345678', '+33612345678'],
  ] as const) {
    const { id, key } = await system.account(username);
    await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'x', 'MD5')", [id]);
    const own = sections((await fetchXml('/me', { ...header, 'x-api-key': key })).text);
    expect([own['proxy_0'], own['auth_info_1']?.['username']]).toEqual([{ reg_identity: `<sip:${user}@${SPACE}>` }, username]);
  }
});

test('a password in clear text is never told: its hashes are, of each algorithm one', async () => {
  const { id, key } = await system.account('prov-clear-user');
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'in the clear é', 'CLRTXT')", [id]);
  const answer = await fetchXml('/me', { ...header, 'x-api-key': key });
  const ha1 = (algorithm: string): string => createHash(algorithm).update(`prov-clear-user:${SPACE}:in the clear é`).digest('hex');
  expect(answer.text).not.toContain('in the clear');
  const infos = sections(answer.text);
  expect([infos['auth_info_1'], infos['auth_info_2'], infos['auth_info_3']]).toEqual([
    { username: 'prov-clear-user', domain: SPACE, ha1: ha1('md5'), realm: SPACE, algorithm: 'MD5' },
    { username: 'prov-clear-user', domain: SPACE, ha1: ha1('sha256'), realm: SPACE, algorithm: 'SHA-256' },
    undefined,
  ]);
});

test('beside one in clear text, the hash that DIGEST takes is told, once', async () => {
  const { id, key } = await system.account('prov-both-user');
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'clear', 'CLRTXT'), ($1, 'ABCDEF', 'MD5')", [id]);
  const infos = sections((await fetchXml('/me', { ...header, 'x-api-key': key })).text);
  expect([infos['auth_info_1']?.['ha1'], infos['auth_info_2']?.['algorithm'], infos['auth_info_3']]).toEqual([
    'abcdef',
    'SHA-256',
    undefined,
  ]);
});

test('by auth token, once, without the header', async () => {
  const { key } = await account('prov-auth-user');
  const { token } = (await system.api('/accounts/auth_token', { method: 'POST' })).json as { token: string };
  expect((await fetchXml(`/auth_token/${token}`, {})).status).toBe(404);
  await system.api(`/accounts/auth_token/${token}/attach`, { key });
  const answers = await Promise.all(Array.from({ length: 4 }, () => fetchXml(`/auth_token/${token}`, {})));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 404, 404, 404]);
});

test('a QR code of the address; the token stays unused', async () => {
  const { token } = await account('prov-qr-user');
  const response = await fetch(`${system.url}/provisioning/qrcode/${token}`);
  const png = Buffer.from(await response.arrayBuffer());
  expect([response.status, response.headers.get('content-type'), response.headers.get('x-qrcode-url')]).toEqual([
    200,
    'image/png',
    `https://accounts.example.org/provisioning/${token}`,
  ]);
  expect([png.subarray(1, 4).toString(), png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual(['PNG', 300, 300]);
  expect((await fetchXml(`/${token}`)).status).toBe(200);
  expect((await fetchXml(`/qrcode/${token}`, {})).status).toBe(404);
});
