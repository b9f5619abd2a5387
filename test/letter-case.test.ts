// Letter case of an account's name and domain, everywhere that either is said: nobody's account is missed for it, and none has a double by it.
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { caselessUsernames, isSameUsername } from '../src/infra/sip-uri';
import { loadModels } from './helpers/models';
import { SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const OTHER = 'other.example.org';
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

let system: System;
let superAdmin: Account;
let lower: Account;
let imported: Account;
beforeAll(async () => {
  system = await startSystem({
    webs: 1,
    workers: 0,
    environment: {
      APP_DANGEROUS_ENDPOINTS: 'true',
      ACCOUNT_USERNAME_REGEX: '^[^A-Z]*$',
      JWT_RSA_PUBLIC_KEY_PEM: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    },
  });
  await system.space(OTHER, { host: 'app.other.example.org' });
  superAdmin = await system.account('super-admin', { admin: true });
  lower = await system.account('lower-case');
  imported = await system.account('Imported-Name');
  await system.account('übergröße');
  await system.account('both-there', { domain: OTHER });
  await system.account('Both-There', { domain: OTHER });
});
afterAll(() => system.stop());

const get = (route: string, key = superAdmin.key): Promise<Answer> => system.api(route, { key });
const post = (route: string, body: object, { key = superAdmin.key, host }: { key?: string; host?: string } = {}): Promise<Answer> =>
  system.api(route, { method: 'POST', key, body, ...(host === undefined ? {} : { headers: { host } }) });
const faultsOf = ({ status, json }: Answer): [number, string[]] => [status, Object.keys((json['errors'] as object | undefined) ?? {})];

let serial = 0;
async function creationToken(): Promise<string> {
  const token = `case${String((serial += 1)).padStart(9, '0')}`;
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
  return token;
}

/** How each is written by somebody, and which account that is. */
const SPELLINGS: [address: string, username: string][] = [
  [`lower-case@${SPACE}`, 'lower-case'],
  [`Lower-CASE@${SPACE}`, 'lower-case'],
  [`lower-case@SIP.Example.ORG`, 'lower-case'],
  [`imported-name@${SPACE}`, 'Imported-Name'],
  [`Imported-Name@${SPACE.toUpperCase()}`, 'Imported-Name'],
  [`IMPORTED-NAME@${SPACE}`, 'Imported-Name'],
  [`ÜBERGRÖßE@${SPACE}`, 'übergröße'],
  [`u\u0308bergro\u0308ße@${SPACE}`, 'übergröße'],
  [`both-there@${OTHER}`, 'both-there'],
  [`Both-There@Other.Example.Org`, 'Both-There'],
  // Nobody is spelled so: the older one.
  [`BOTH-THERE@${OTHER}`, 'both-there'],
];

describe.each(SPELLINGS)('%s', (address, username) => {
  const path = encodeURIComponent(address);

  test('in a path: /search, /info', async () => {
    expect((await get(`/accounts/${path}/search`)).json['username']).toBe(username);
    expect((await system.api(`/accounts/sip:${path}/info`)).status).toBe(200);
  });

  test('in a From and in a token', async () => {
    expect((await system.api('/accounts/me', { headers: { from: `sip:${path.replace('%40', '@')}` } })).status).toBe(401);
    const token = await new SignJWT({ sip_identity: `sip:${address}` })
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime('1m')
      .sign(privateKey);
    expect((await system.api('/accounts/me', { headers: { authorization: `bearer ${token}` } })).json['username']).toBe(username);
  });

  test('of a contact, as JSON and as a vCard', async () => {
    const [row] = await system.rows<{ id: number }>('SELECT id FROM accounts WHERE username = $1', [username]);
    await system.rows('INSERT INTO contacts (account_id, contact_id) VALUES ($1, $2)', [superAdmin.id, row?.id]);
    expect((await get(`/accounts/me/contacts/${path}`)).json['id']).toBe(row?.id);
    const card = await fetch(`${system.url}/contacts/vcard/${path}`, { headers: { 'x-api-key': superAdmin.key } });
    expect(await card.text()).toContain(`IMPP:sip:${username}@`);
    await system.rows('DELETE FROM contacts');
  });

  test('of whoever redeems a key', async () => {
    const redeem = async (key: string, route: string, body?: object): Promise<unknown> => {
      await system.rows('UPDATE accounts SET activated = false, confirmation_key = $2 WHERE username = $1', [username, key]);
      return (await system.api(`/accounts/${path}/${route}`, body ? { method: 'POST', body } : {})).json;
    };
    const activated = { username, activated: true };
    expect(await redeem('1234567890abc', 'activate/email', { code: '1234567890abc' })).toMatchObject(activated);
    expect(await redeem('1234', 'activate/phone', { code: '1234' })).toMatchObject(activated);
    expect(await redeem('1234567890abc', 'recover/1234567890abc')).toMatchObject(activated);
  });
});

test('an account that is no contact is none in another letter case', async () => {
  expect((await get(`/accounts/me/contacts/LOWER-CASE@${SPACE}`)).status).toBe(404);
});

test('an admin of another Space finds nobody by letter case', async () => {
  const { key } = await system.account('other-admin', { domain: OTHER, admin: true });
  expect((await get(`/accounts/LOWER-case@${SPACE}/search`, key)).status).toBe(404);
  expect((await get(`/accounts/BOTH-there@${OTHER}/search`, key)).status).toBe(200);
});

test('letters that only look alike are others', async () => {
  for (const name of ['lower-cas\u0435', 'lower-casé', 'ubergrosse', 'übergrösse'])
    expect((await get(`/accounts/${encodeURIComponent(name)}@${SPACE}/search`)).status).toBe(404);
});

describe('making accounts', () => {
  const admin = (username: string, domain?: string): Promise<Answer> =>
    post('/accounts', { username, password: 'password', algorithm: 'MD5', ...(domain === undefined ? {} : { domain }) });
  const ways: [string, (username: string) => Promise<Answer>][] = [
    ['an admin', admin],
    [
      'anybody with a token',
      async (username) =>
        post('/accounts/with-account-creation-token', {
          username,
          password: 'password',
          algorithm: 'MD5',
          account_creation_token: await creationToken(),
        }),
    ],
    [
      'an older app',
      async (username) =>
        post('/accounts/public', {
          username,
          email: 'somebody@example.org',
          password: 'password',
          algorithm: 'MD5',
          account_creation_token: await creationToken(),
        }),
    ],
  ];

  describe.each(ways)('by %s', (_name, make) => {
    test('a name that an imported account has with capitals is taken, and that of a deleted one', async () => {
      await system.rows(
        "INSERT INTO accounts_tombstones (username, domain, created_at) VALUES ('Deleted-Name', $1, now()) ON CONFLICT DO NOTHING",
        [SPACE],
      );
      for (const username of ['imported-name', 'deleted-name', 'u\u0308bergröße'])
        expect([username, ...faultsOf(await make(username))]).toEqual([username, 422, ['username']]);
    });

    test('capitals are refused, of any script', async () => {
      for (const username of ['Capital-Name', 'Élodie-name', 'ИМЯ-имя-имя', 'ǅungla-name'])
        expect([username, ...faultsOf(await make(username))]).toEqual([username, 422, ['username']]);
    });
  });

  test('one name in two forms of Unicode is one account', async () => {
    expect((await admin('e\u0301lodie-name')).json['username']).toBe('élodie-name');
    expect(faultsOf(await admin('élodie-name'))).toEqual([422, ['username']]);
    // In the form that is stored it is longer than it came.
    expect(faultsOf(await admin('\u0958'.repeat(64)))).toEqual([422, ['username']]);
  });

  test('an imported name can be kept, and be brought into lower case, by whoever changes the account', async () => {
    const { id } = await system.account('To-Be-Lowered');
    const body = { username: 'to-be-lowered', password: 'password', algorithm: 'MD5' };
    const put = (account: number): Promise<Answer> => system.api(`/accounts/${account}`, { method: 'PUT', key: superAdmin.key, body });
    expect(faultsOf(await put(imported.id))).toEqual([422, ['username']]);
    expect((await put(id)).json['username']).toBe('to-be-lowered');
    expect(lower.id).not.toBe(id);
  });

  test('a domain in the body, whatever its letter case', async () => {
    expect((await admin('in-capitals', 'OTHER.Example.ORG')).json['domain']).toBe(OTHER);
    const [row] = await system.rows<{ id: number }>("SELECT id FROM accounts WHERE username = 'in-capitals'");
    const body = { username: 'in-capitals', password: 'password', algorithm: 'MD5', domain: 'Sip.EXAMPLE.org' };
    const moved = await system.api(`/accounts/${row?.id}`, { method: 'PUT', key: superAdmin.key, body });
    expect(moved.json['domain']).toBe(SPACE);
    const made = await post('/accounts/public', {
      username: 'public-name',
      email: 'public@example.org',
      password: 'password',
      algorithm: 'MD5',
      domain: 'oTHER.example.org',
      account_creation_token: await creationToken(),
    });
    expect(made.json['domain']).toBe(OTHER);
  });

  test('the command line', async () => {
    const cli = (...parameters: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, [`${__dirname}/../bin/flexiapi`, ...parameters], {
        cwd: '/',
        env: { PATH: process.env['PATH'] ?? '', ...system.environment },
      });
    await expect(cli('accounts:create-admin', '-u', 'imported-name', '-d', 'SIP.example.org')).rejects.toThrow(/already taken/);
    for (const username of ['Admin', 'Élodie']) await expect(cli('accounts:create-admin', '-u', username)).rejects.toThrow(/upper case/);
    expect((await cli('accounts:create-admin', '-u', 'cli-admin', '-d', 'OTHER.Example.org')).stdout).toContain(`sip:cli-admin@${OTHER}`);
    expect((await cli('spaces:create-update', 'CLI.Example.org')).stdout).toContain('cli.example.org');
    expect((await cli('accounts:confirm-emails', 'CLI.Example.ORG')).stdout).toContain('0 emails confirmed');
  });
});

describe('domains of Spaces', () => {
  const flags = {
    super: false,
    disable_chat_feature: false,
    disable_meetings_feature: false,
    disable_broadcast_feature: false,
    hide_settings: false,
    hide_account_settings: false,
    disable_call_recordings_feature: false,
    only_display_sip_uri_username: false,
    assistant_hide_create_account: false,
    assistant_disable_qr_code: false,
    assistant_hide_third_party_account: false,
    max_account: 0,
    max_accounts: 0,
    expire_at: null,
  };

  test('made, shown, changed, read and deleted in any letter case', async () => {
    const space = (method: string, domain: string, body?: object): Promise<Answer> =>
      system.api(`/spaces/${domain}`, { method, key: superAdmin.key, ...(body ? { body } : {}) });
    expect((await post('/spaces', { domain: 'New.Example.ORG', host: 'App.NEW.example.org', super: false })).json).toMatchObject({
      domain: 'new.example.org',
      host: 'app.new.example.org',
    });
    expect(faultsOf(await post('/spaces', { domain: 'NEW.example.org', super: false }))).toEqual([422, ['domain']]);
    expect(faultsOf(await post('/spaces', { domain: 'x.example.org', host: 'APP.new.example.org', super: false }))).toEqual([
      422,
      ['host'],
    ]);
    expect((await space('GET', 'nEw.example.org')).status).toBe(200);
    expect((await space('PUT', 'NEW.Example.org', { ...flags, max_account: 5, host: 'APP2.example.org' })).json).toMatchObject({
      max_account: 5,
      host: 'app2.example.org',
    });
    expect((await get('/statistics/messages?domain=New.EXAMPLE.org')).status).toBe(200);
    expect((await space('DELETE', 'NEW.EXAMPLE.ORG')).status).toBe(200);
    expect((await space('GET', 'new.example.org')).status).toBe(404);
  });

  test('the Host header', async () => {
    const { stdout } = await promisify(execFile)('curl', [
      '-s',
      '-H',
      'Host: APP.Other.Example.ORG:8080',
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify({ username: 'by-host-name', password: 'password', algorithm: 'MD5', account_creation_token: await creationToken() }),
      `${system.url}/api/accounts/with-account-creation-token`,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ domain: OTHER });
  });

  test('statistics: an own domain, and that of a report', async () => {
    const { key } = await system.account('figures-admin', { domain: OTHER, admin: true });
    expect((await get('/statistics/calls?domain=OTHER.example.org', key)).status).toBe(200);
    const message = { id: 'case', from: 'alice@OTHER.example.org', sent_at: '2026-01-01T00:00:00Z', encrypted: false };
    expect((await post('/statistics/messages', message)).status).toBe(200);
    expect(await system.rows("SELECT from_domain FROM statistics_messages WHERE id = 'case'")).toEqual([{ from_domain: OTHER }]);
  });
});

test('an account of fifty thousand is found by the index, whatever the letter case', async () => {
  await system.rows(
    `INSERT INTO accounts (username, domain, ip_address, user_agent, created_at)
     SELECT 'many-' || n, $1, '192.0.2.1', 'test', now() FROM generate_series(1, 50000) n`,
    [OTHER],
  );
  const { close } = await loadModels(system);
  const { sipAddressBinds, sipAddressSql } = await import('../src/models/accounts/account.js');
  const sql = `SELECT id FROM accounts a WHERE ${sipAddressSql('$1', '$2', '$3')}`;
  const planOf = async (): Promise<string> =>
    (await system.rows<Record<string, string>>(`EXPLAIN ${sql}`, sipAddressBinds({ username: 'Many-777', domain: OTHER })))
      .map((line) => line['QUERY PLAN'])
      .join('\n');
  // Before PostgreSQL knows how many there are, and after.
  expect(await planOf()).toMatch(/Scan (using|on) accounts_name_idx/);
  await system.rows('ANALYZE accounts');
  expect(await planOf()).toMatch(/Scan using accounts_name_idx/);
  await close();
});

test('PostgreSQL and this program agree on who is meant, for each letter', async () => {
  const letters = Array.from({ length: 0x2000 }, (_, n) => String.fromCodePoint(n + 0x21)).filter((letter) => /^\p{L}$/u.test(letter));
  const forms = (letter: string): string[] => [letter, letter.toLowerCase(), letter.toUpperCase(), letter.normalize('NFD')];
  const pairs = letters.flatMap((letter) => forms(letter).flatMap((asked) => forms(letter).map((stored) => [asked, stored] as const)));
  const rows = await system.rows<{ found: boolean }>(
    `SELECT lower(stored COLLATE "C") IN (first, last) OR stored = asked AS found
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS p(asked, stored, first, last, n) ORDER BY n`,
    [
      pairs.map(([asked]) => asked),
      pairs.map(([, stored]) => stored),
      pairs.map(([asked]) => caselessUsernames(asked)[0]),
      pairs.map(([asked]) => caselessUsernames(asked).at(-1)),
    ],
  );
  const wrong = pairs.filter(([asked, stored], n) => isSameUsername(asked, stored) !== rows[n]?.found);
  expect([pairs.length > 50_000, wrong]).toEqual([true, []]);
  // An import may have stored what its people typed in Unicode's other form.
  expect(isSameUsername('U\u0308ser', 'u\u0308ser')).toBe(true);
  // By rule they are stored in lower case.
  const missed = letters.filter((letter) => !isSameUsername(letter, letter.normalize('NFC').toLowerCase()));
  expect(missed).toEqual([]);
});
