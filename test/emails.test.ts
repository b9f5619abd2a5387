// Email addresses by the grammar of RFC 5321, section 4.1.2 (RFC 6531 beyond ASCII): what is stored, found again, and written on the wire.
import { canonicalEmail } from '../src/infra/email-address';
import { RawSmtp } from './helpers/raw-smtp';
import { eventually, startSystem, type Account, type Answer, type System } from './helpers/system';

const server = new RawSmtp();
let system: System;
let admin: Account;
beforeAll(async () => {
  const port = await server.listen();
  system = await startSystem({
    webs: 1,
    workers: 1,
    environment: {
      APP_DANGEROUS_ENDPOINTS: 'true',
      ACCOUNT_EMAIL_UNIQUE: 'true',
      MAIL_HOST: '127.0.0.1',
      MAIL_PORT: String(port),
      MAIL_FROM_ADDRESS: 'no-reply@sip.example.org',
      MAIL_REQUIRE_TLS: 'false',
    },
  });
  admin = await system.account('admin', { admin: true });
});
afterAll(async () => {
  await system.stop();
  server.close();
});

let serial = 0;
const make = (email: string): Promise<Answer> =>
  system.api('/accounts', {
    method: 'POST',
    key: admin.key,
    body: { username: `person-${(serial += 1)}`, password: 'password', algorithm: 'MD5', email },
  });
const search = (email: string): Promise<Answer> => system.api(`/accounts/${encodeURIComponent(email)}/search-by-email`, { key: admin.key });

const LONG = 'l'.repeat(64);
/** 254 octets in all. */
const LONGEST = `${LONG}@${'d'.repeat(63)}.${'d'.repeat(63)}.${'d'.repeat(57)}.org`;

describe('taken', () => {
  test.each([
    // Dot-string
    ['jane.doe@example.org'],
    ["!#$%&'*+-/=?^_`{|}~@example.org"],
    ['1@2.example'],
    [`${LONG}@example.org`],
    [LONGEST],
    // Quoted-string, where the name needs it
    ['"jane doe"@example.org'],
    ['"jane@home"@example.org'],
    ['"john..doe"@example.org'],
    ['".john"@example.org'],
    ['"a\\"b"@example.org'],
    ['"a\\\\b"@example.org'],
    ['"a,b;c:(d)[e]"@example.org'],
    ['""@example.org'],
    ['"jürgen m"@example.org'],
    // and where it does not: one spelling
    ['"jane.quoted"@example.org', 'jane.quoted@example.org'],
    ['"j\\ane\\.escaped"@example.org', 'jane.escaped@example.org'],
    ['"jane\\ doe\\x"@example.org', '"jane doex"@example.org'],
    // address-literal
    ['jane@[127.0.0.1]'],
    ['"jane doe"@[192.0.2.255]'],
    ['jane@[IPv6:2001:db8::1]'],
    ['june@[ipv6:2001:DB8:0:0:0:0:0:1]', 'june@[IPv6:2001:db8::1]'],
    ['jane@[IPv6:::]'],
    ['jane@[IPv6:::ffff:192.0.2.1]', 'jane@[IPv6:::ffff:c000:201]'],
    // Domain
    ['jane@localhost'],
    ['jane@sub-domain.example.org'],
    ['jane@xn--mnchen-3ya.de'],
    ['jane@münchen.example'],
    ['用户@例え.example'],
    ['jane@3com.example'],
    // One form of Unicode
    ['ju\u0308rgen@example.org', 'jürgen@example.org'],
  ])('%s', async (email, stored = email) => {
    const made = await make(email);
    expect([made.status, made.json['email']]).toEqual([200, stored]);
    for (const asked of [email, stored, stored.toUpperCase()]) expect((await search(asked)).json['email']).toBe(stored);
    const again = await make(email);
    expect([again.status, Object.keys(again.json['errors'] as object)]).toEqual([422, ['email']]);
  });

  test('one mailbox, however it is quoted and written', async () => {
    expect((await make('one.mailbox@example.org')).status).toBe(200);
    for (const same of ['"one.mailbox"@example.org', '"ONE.mail\\box"@EXAMPLE.org']) expect((await make(same)).status).toBe(422);
  });
});

test.each([
  'jane',
  '@example.org',
  'jane@',
  '.jane@example.org',
  'jane.@example.org',
  'ja..ne@example.org',
  'jane doe@example.org',
  'jane@.example.org',
  'jane@example..org',
  'jane@example.org.',
  'jane@-example.org',
  'jane@example-.org',
  'jane@exa_mple.org',
  'jane@exa mple.org',
  'jane@home@example.org',
  `jane@${'d'.repeat(64)}.org`,
  `${LONG}l@example.org`,
  `${'é'.repeat(33)}@example.org`,
  `"${'q'.repeat(30)} ${'q'.repeat(32)}"@example.org`,
  `l${LONGEST}`,
  LONGEST.replace('d.org', 'dd.org'),
  // Quoted
  '"jane@example.org',
  'jane"@example.org',
  '"jane\\"@example.org',
  '"a"b"@example.org',
  '"a"b@example.org',
  '"a"."b"@example.org',
  '"a" @example.org',
  '"a<b"@example.org',
  '"a\\>b"@example.org',
  '"é\\é"@example.org',
  '"a\r\nRCPT TO:<x@example.org>"@example.org',
  '"a\tb"@example.org',
  // Literals
  'jane@[]',
  'jane@[300.0.0.1]',
  'jane@[127.0.0.01]',
  'jane@[127.1]',
  'jane@[2001:db8::1]',
  'jane@[IPv6:1::2::3]',
  'jane@[IPv6:fe80::1%eth0]',
  'jane@[IPv6:127.0.0.1]',
  'jane@[x-tag:content]',
  'jane@[127.0.0.1',
  'jane@127.0.0.1]',
  'jane@[[127.0.0.1]]',
  // Of messages, not of SMTP (RFC 5322)
  'jane(comment)@example.org',
  'Jane <jane@example.org>',
  '<jane@example.org>',
  'jane@example.org,june@example.org',
  'mailto:jane@example.org@',
])('refused: %s', async (email) => {
  const { status, json } = await make(email);
  expect([status, Object.keys(json['errors'] as object)]).toEqual([422, ['email']]);
  expect((await search(email)).status).toBe(404);
});

test.each([
  ['jane@example.org', 'jane@example.org'],
  ['"jane"@example.org', 'jane@example.org'],
  ['no address', 'no address'],
  ['"no" address@', '"no" address@'],
])('%s is spelled %s', (text, spelled) => {
  expect(canonicalEmail(text)).toBe(spelled);
});

describe('on the wire', () => {
  const mail = async (email: string): Promise<Answer> => {
    const token = `mail${String((serial += 1)).padStart(9, '0')}`;
    await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
    return system.api('/accounts/public', {
      method: 'POST',
      body: { username: `mailed-${serial}`, email, password: 'password', algorithm: 'MD5', account_creation_token: token },
    });
  };

  test.each([
    ['"wire doe"@example.org'],
    ['"victim@example.com x"@example.org'],
    ['"a,b@example.com"@example.org'],
    ['"x:y;z@example.com"@example.org'],
    ['"wire\\"quote\\\\d"@example.org'],
    ['""@wire.example.org'],
    ['"john..wire"@example.org'],
    ['"\\"victim@example.com\\""@example.org'],
    ['wire@[127.0.0.1]'],
    // The tag's letter case means nothing.
    ['wire@[IPv6:2001:db8::1]', 'wire@[ipv6:2001:db8::1]'],
    ['wire@münchen.example', 'wire@xn--mnchen-3ya.example'],
    ['"wire jürgen"@example.org', '"wire j\u00c3\u00bcrgen"@example.org'],
    ["wire'o+tag@example.org"],
  ])('%s is the one recipient', async (email, written = email) => {
    server.reset();
    server.extensions = ['8BITMIME', 'SMTPUTF8'];
    expect((await mail(email)).status).toBe(200);
    await eventually(
      () => Promise.resolve(server.taken),
      (taken) => taken === 1,
    );
    expect(server.recipients).toEqual([written]);
    expect(/^To: <?(.*?)>?\r$/m.exec(server.text)?.[1]).toBe(written);
    expect(server.text.match(/^(to|cc|bcc):/gim)).toHaveLength(1);
  });
});
