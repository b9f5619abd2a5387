// The grammar of DIGEST's headers: RFC 9110 (11.2, 11.4, 5.6.1 to 5.6.4) and RFC 7616 (3.3, 3.4), production by production, as octets on the wire.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { headerText, parseAuthParameters, parseExtendedValue } from '../src/http/schemes/credentials';
import { normaliseTarget } from '../src/http/schemes/target';
import { hashPassword } from '../src/services/credentials/secrets';
import { SPACE, startSystem, type System } from './helpers/system';

const PASSWORD = 'pass word é';
const ODD_SPACE = 'сип.example.org';
const QUOTED_SPACE = 'quo"te\\d.example.org';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0, environment: { APP_URL: 'https://front.example.org/flexi%20api' } });
  await system.space(ODD_SPACE);
  await system.space(QUOTED_SPACE);
  await system.space('line\nbreak.example.org');
  for (const username of ['alice', 'üser', 'quo"te\\d', 'Alice-Imported']) await account(username);
  await account('cleartext', SPACE, 'CLRTXT');
  await account('alice', ODD_SPACE);
  await account('alice', QUOTED_SPACE);
  await account('alice', 'line\nbreak.example.org');
});
afterAll(() => system.stop());

async function account(username: string, domain = SPACE, algorithm: 'MD5' | 'CLRTXT' = 'MD5'): Promise<void> {
  const { id } = await system.account(username, { domain });
  const stored = algorithm === 'CLRTXT' ? PASSWORD : hashPassword(algorithm, username, domain, PASSWORD);
  await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [id, algorithm, stored]);
}

interface Reply {
  status: number;
  challenges: string[];
  message: unknown;
  username: unknown;
}

/** Text as node:http writes its UTF-8: each octet one character. */
const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function ask(target: string, headers: [string, string][], method = 'GET'): Promise<Reply> {
  const { hostname, port } = new URL(system.url);
  return new Promise((resolve, reject) => {
    const all = [['host', `${hostname}:${port}`], ...headers].flat();
    const request = httpRequest({ hostname, port, path: target, method, headers: all as unknown as Record<string, string> }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        const json = JSON.parse(text) as Record<string, unknown>;
        const lines = response.headers['www-authenticate'] ?? [];
        resolve({
          status: response.statusCode ?? 0,
          challenges: [lines].flat().flatMap((line) => line.split(/, (?=Digest )/)),
          message: json['message'],
          username: json['username'],
        });
      });
    });
    request.on('error', reject);
    request.end();
  });
}

/** Directives in the order of belle-sip; each value as it stands on the wire. */
type Directives = Record<string, string>;

interface Given {
  user?: string;
  domain?: string;
  from?: string;
  target?: string;
  uri?: string;
  cnonce?: string;
  nc?: string;
  qop?: string;
  /** What the client hashes as its name. */
  hashed?: string;
  /** Directives that differ; undefined: left out. */
  directives?: Record<string, string | undefined>;
  write?: (directives: Directives) => string;
  more?: [string, string][];
}

const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
const join = (directives: Directives, separator = ', '): string =>
  Object.entries(directives)
    .map(([name, value]) => `${name}=${value}`)
    .join(separator);
const write = (directives: Directives): string => `Digest ${join(directives)}`;

/** Asks for a challenge and answers it. */
async function attempt(given: Given): Promise<Reply> {
  const {
    user = 'alice',
    domain = SPACE,
    target = '/api/accounts/me',
    uri = target,
    cnonce = 'abc',
    nc = '00000001',
    qop = 'auth',
  } = given;
  const from: [string, string] = ['from', octets(given.from ?? `sip:${user}@${domain}`)];
  const [line = ''] = (await ask(target, [from])).challenges;
  const challenge = parseAuthParameters(line.slice('Digest '.length)) as Map<string, string>;
  const get = (name: string): string => challenge.get(name) ?? '';
  const hash = (text: string): string => createHash('md5').update(text, 'latin1').digest('hex');
  const ha1 = hash(`${octets(given.hashed ?? user)}:${get('realm')}:${octets(PASSWORD)}`);
  const response = hash(`${ha1}:${get('nonce')}:${nc}:${octets(cnonce)}:${qop}:${hash(`GET:${uri}`)}`);
  const directives: Record<string, string | undefined> = {
    realm: quote(get('realm')),
    nonce: quote(get('nonce')),
    algorithm: '"MD5"',
    opaque: quote(get('opaque')),
    username: quote(octets(user)),
    response: quote(response),
    cnonce: quote(octets(cnonce)),
    nc,
    qop,
    uri: quote(uri),
    ...given.directives,
  };
  const kept = Object.fromEntries(Object.entries(directives).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  return ask(target, [from, ['authorization', (given.write ?? write)(kept)], ...(given.more ?? [])]);
}

const TOKEN = "!#$%&'*+-.^_`|~09AZaz";

describe('200', () => {
  test.each<[string, Given]>([
    // RFC 9110, 11.4: credentials = auth-scheme [ 1*SP ( token68 / [ auth-param *( OWS "," OWS auth-param ) ] ) ]
    ['the scheme in lower case', { write: (all) => `digest ${join(all)}` }],
    ['the scheme in capitals', { write: (all) => `DIGEST ${join(all)}` }],
    ['several spaces behind the scheme', { write: (all) => `Digest   ${join(all)}` }],
    // RFC 9110, 11.2: auth-param = token BWS "=" BWS ( token / quoted-string ), names in any case
    ['Cnonce', { write: (all) => write(all).replace('cnonce=', 'Cnonce=') }],
    ['names capitalised', { write: (all) => write(all).replace(/\b[a-z]+=(?=["\w])/g, (name) => name[0]?.toUpperCase() + name.slice(1)) }],
    ['names in capitals', { write: (all) => write(all).replace(/\b[a-z]+=(?=["\w])/g, (name) => name.toUpperCase()) }],
    ['white space around =', { write: (all) => write(all).replace(/\b([a-z]+)=(?=["\w])/g, '$1 \t=\t ') }],
    ['an unknown directive, quoted', { directives: { 'x-client': '"phone"' } }],
    ['an unknown directive, a token', { directives: { foo2: 'bar' } }],
    ['an unknown directive of every character that a token may have', { directives: { [TOKEN]: TOKEN } }],
    ['an unknown directive with every character that a quoted string may have', { directives: { x: `"\t !#[]~\u0080\u00ff\\"\\\\\\a"` } }],
    ['an empty unknown directive', { directives: { x: '""' } }],
    ['what looks like directives, in quotes', { directives: { x: '", nc=00000002, realm=\\"y\\""' } }],
    // RFC 9110, 5.6.1: #element, empty elements ignored; 5.6.3: OWS = *( SP / HTAB )
    ['a comma in front', { write: (all) => `Digest , ${join(all)}` }],
    ['commas behind', { write: (all) => `Digest ${join(all)} , ,` }],
    ['empty elements', { write: (all) => `Digest ${join(all, ', ,')}` }],
    ['commas alone between', { write: (all) => `Digest ${join(all, ',')}` }],
    ['tabs', { write: (all) => `Digest ${join(all, '\t,\t')}` }],
    ['nothing but commas and tabs in front', { write: (all) => `Digest ,\t,,\t ${join(all)}` }],
    // RFC 9110, 5.6.4: quoted-pair = "\" ( HTAB / SP / VCHAR / obs-text ), in every value
    [
      'each character quoted by a backslash',
      { write: (all) => write(all).replace(/"([^"]+)"/g, (_, value: string) => `"${value.replace(/./g, '\\$&')}"`) },
    ],
    ['a name with quotes and backslashes', { user: 'quo"te\\d', from: `sip:quo%22te%5Cd@${SPACE}` }],
    ['octets of a cnonce that are no UTF-8', { cnonce: 'é', directives: { cnonce: `"${octets('é')}"` } }],
    // RFC 7616, 3.4
    ['any order', { write: (all) => write(Object.fromEntries(Object.entries(all).toReversed())) }],
    ['algorithm bare', { directives: { algorithm: 'MD5' } }],
    ['algorithm in lower case', { directives: { algorithm: 'md5' } }],
    ['algorithm absent', { directives: { algorithm: undefined } }],
    ['qop quoted', { directives: { qop: '"auth"' } }],
    ['qop in capitals, hashed so', { qop: 'AUTH' }],
    ['nc quoted', { directives: { nc: '"00000001"' } }],
    ['nc with hexadecimal digits in capitals, hashed so', { nc: '0000ABCD' }],
    ['the response in capitals', { write: (all) => write({ ...all, response: (all['response'] ?? '').toUpperCase() }) }],
    ['all bare', { write: (all) => write(all).replaceAll('"', '') }],
    ['userhash=false', { directives: { userhash: 'false' } }],
    ['charset', { directives: { charset: 'UTF-8' } }],
    // RFC 7616, 3.4 and 4; RFC 8187: ext-value = charset "'" [ language ] "'" value-chars
    ['a name beyond ASCII in UTF-8', { user: 'üser' }],
    ['the same, From percent-encoded', { user: 'üser', from: `sip:%C3%BCser@${SPACE}` }],
    ['username*', { user: 'üser', directives: { username: undefined, 'username*': "UTF-8''%C3%BCser" } }],
    [
      'username* with a language, in lower case, userhash=false',
      { user: 'üser', directives: { username: undefined, 'username*': "utf-8'de-CH'%c3%bc%73er", userhash: '"FALSE"' } },
    ],
    ['username* of ASCII', { directives: { username: undefined, 'username*': "UTF-8''alice" } }],
    // RFC 7616, 3.4.6, and RFC 9112, 3.2.2
    ['the target in absolute form, uri the same', { target: 'http://sip.example.org/api/accounts/me' }],
    ['the target in absolute form, uri its path', { target: 'http://sip.example.org/api/accounts/me', uri: '/api/accounts/me' }],
    ['uri in absolute form', { uri: 'HTTPS://SIP.Example.ORG:443/api/accounts/me' }],
    ['uri in absolute form of an address', { uri: 'http://user@[2001:db8::1]:8080/api/accounts/me' }],
    ['a query', { target: 'http://h/api/accounts/me?a=%2f&b', uri: '/api/accounts/me?a=%2F&b' }],
    ['unreserved characters percent-encoded', { uri: '/api/%61ccounts/%6De' }],
    ['uri with the prefix that a front strips', { uri: '/flexi%20api/api/accounts/me' }],
    ['the same in absolute form', { target: 'http://back/api/accounts/me', uri: 'https://front.example.org/flexi%20api/api/accounts/me' }],
    // From: RFC 3261, 20.10
    ['From with a name that has brackets', { from: `"A <b>, \\"c" <sip:alice@${SPACE}>;tag=1` }],
    ['From with a port', { from: `sip:alice@${SPACE}:5061;transport=tls` }],
    ['From with headers', { from: `sip:alice@${SPACE}?subject=x` }],
    ['From with sips', { from: `<SIPS:alice@${SPACE.toUpperCase()}>` }],
  ])('%s', async (_name, given) => {
    const { status, username } = await attempt(given);
    expect([status, username]).toEqual([200, given.user ?? 'alice']);
  });
});

describe('401 with fresh challenges', () => {
  const twice = (name: string): Given => ({ write: (all) => `${write(all)}, ${name}=${all[name.toLowerCase()]}` });
  test.each<[string, Given]>([
    // RFC 9110, 11.2: «each parameter name MUST only occur once»
    ['a directive twice', twice('nc')],
    ['a directive twice, the second time in capitals', twice('USERNAME')],
    ['an unknown directive twice', { write: (all) => `${write(all)}, x=1, x=1` }],
    // RFC 7616, 3.4: username and username* together are an error
    ['username and username*', { user: 'üser', directives: { 'username*': "UTF-8''%C3%BCser" } }],
    ['neither of them', { directives: { username: undefined } }],
    ['username* in another charset', { user: 'üser', directives: { username: undefined, 'username*': "ISO-8859-1''%FCser" } }],
    ['username* that is no UTF-8', { user: 'üser', directives: { username: undefined, 'username*': "UTF-8''%FCser" } }],
    ['username* without quotes between', { directives: { username: undefined, 'username*': 'alice' } }],
    ['userhash=true', { directives: { userhash: 'true' } }],
    ['userhash of nothing known', { directives: { userhash: 'maybe' } }],
    ['a hashed name without userhash', { directives: { username: `"${hashPassword('MD5', 'alice', SPACE, '')}"` } }],
    ['qop=auth-int', { directives: { qop: 'auth-int' } }],
    ['no qop', { directives: { qop: undefined } }],
    ['no opaque', { directives: { opaque: undefined } }],
    ['an algorithm with a session', { directives: { algorithm: 'MD5-sess' } }],
    ['token68', { write: () => 'Digest YWxpY2U6cGFzcw==' }],
    ['nothing behind the scheme', { write: () => 'Digest' }],
    ['a space behind the scheme', { write: () => 'Digest ' }],
    ['commas alone', { write: () => 'Digest ,,\t,' }],
    ['a comma for the space', { write: (all) => write(all).replace('Digest ', 'Digest,') }],
    ['no comma between', { write: (all) => `Digest ${join(all, ' ')}` }],
    ['semicolons between', { write: (all) => `Digest ${join(all, '; ')}` }],
    ['a name that is no token', { directives: { 'x y': '1' } }],
    ['a name without a value', { write: (all) => `${write(all)}, x` }],
    ['nothing behind =', { write: (all) => `${write(all)}, x=` }],
    ['a quoted string that does not end', { write: (all) => `${write(all)}, x="y` }],
    ['a quoted string that ends in a backslash', { write: (all) => `${write(all)}, x="y\\"` }],
    ['something behind a quoted string', { write: (all) => `${write(all)}, x="y"z` }],
    ['two schemes in one', { write: (all) => `${write(all)}, Basic YTpi` }],
    ['another scheme', { write: () => 'Basic YTpi' }],
    ['no scheme', { write: join }],
    ['nc of seven digits', { nc: '0000001' }],
    ['nc with what is no digit', { nc: '0000000g' }],
    ['nc with a sign', { nc: '+0000001' }],
    ['Latin-1 for UTF-8', { user: 'üser', directives: { username: '"\u00fcser"' }, hashed: '\u00fc' }],
    ['another path', { uri: '/api/accounts/me/' }],
    ['an encoded slash for a slash', { uri: '/api%2Faccounts/me' }],
    ['another query', { target: '/api/accounts/me?a=b%26c', uri: '/api/accounts/me?a=b&c' }],
    ['a fragment', { uri: '/api/accounts/me#' }],
    ['the prefix twice', { uri: '/flexi%20api/flexi%20api/api/accounts/me' }],
    ['the path behind another name', { uri: 'ftp://sip.example.org/api/accounts/me' }],
  ])('%s', async (_name, given) => {
    const { status, challenges } = await attempt(given);
    expect([status, challenges.length]).toEqual([401, 1]);
  });

  test('two headers of that name, whichever is right', async () => {
    for (const more of [['authorization', 'Digest username="x"'] as [string, string], ['Authorization', 'Basic YTpi'] as [string, string]])
      expect((await attempt({ more: [more] })).status).toBe(401);
    const empty = await attempt({ write: () => '', more: [] });
    expect(empty.status).toBe(401);
  });
});

describe('letter case of the name', () => {
  test('is ignored where the client hashes the name that the account has', async () => {
    expect(await attempt({ from: `sip:ALICE@${SPACE}` })).toMatchObject({ status: 200, username: 'alice' });
    expect(await attempt({ user: 'Alice-Imported', from: `sip:alice-imported@${SPACE}` })).toMatchObject({
      status: 200,
      username: 'Alice-Imported',
    });
    expect(await attempt({ from: `sip:ALICE@${SPACE}`, directives: { username: '"Alice"' } })).toMatchObject({ status: 200 });
  });

  test('and where the password is known; of a hash of another name nobody can tell', async () => {
    const hashed = 'ClearText';
    expect(await attempt({ user: hashed, hashed })).toMatchObject({ status: 200, username: 'cleartext' });
    expect(await attempt({ user: 'Alice', hashed: 'Alice' })).toMatchObject({
      status: 401,
      challenges: [expect.stringMatching(/^Digest /)],
    });
  });

  test('of letters beyond ASCII, and their forms', async () => {
    for (const from of ['ÜSER', 'u\u0308ser', 'U\u0308SER'])
      expect(await attempt({ user: 'üser', from: `sip:${from}@${SPACE}` })).toMatchObject({ status: 200, username: 'üser' });
  });
});

describe('challenges', () => {
  test('a realm or name beyond ASCII: in UTF-8, and the client is told so', async () => {
    const asked = (from: string): Promise<Reply> => ask('/api/accounts/me', [['from', octets(from)]]);
    const [realm] = (await asked(`sip:alice@${ODD_SPACE}`)).challenges;
    expect(realm).toMatch(/,charset=UTF-8$/);
    expect(headerText(realm ?? '')).toContain(`realm="${ODD_SPACE}"`);
    expect((await asked(`sip:üser@${SPACE}`)).challenges[0]).toMatch(/,charset=UTF-8$/);
    expect((await asked(`sip:alice@${SPACE}`)).challenges[0]).not.toContain('charset');
    expect(await attempt({ domain: ODD_SPACE })).toMatchObject({ status: 200, username: 'alice' });
  });

  test('a realm with quotes and backslashes is quoted', async () => {
    const from = 'sip:alice@quo%22te%5Cd.example.org';
    const [challenge = ''] = (await ask('/api/accounts/me', [['from', from]])).challenges;
    expect(parseAuthParameters(challenge.slice('Digest '.length))?.get('realm')).toBe(QUOTED_SPACE);
    expect(await attempt({ domain: QUOTED_SPACE, from })).toMatchObject({ status: 200, username: 'alice' });
  });

  test('a realm that no header can have is no error of the server', async () => {
    expect(await ask('/api/accounts/me', [['from', 'sip:alice@line%0Abreak.example.org']])).toMatchObject({ status: 401 });
  });

  test('an address that no column can hold names nobody', async () => {
    for (const from of [`sip:a%00b@${SPACE}`, 'sip:alice@sip%00.example.org', `<sip:%00@${SPACE}>`])
      expect([from, (await ask('/api/accounts/me', [['from', from]])).status]).toEqual([from, 401]);
  });

  test('curl, which hashes octets as they come, answers one beyond ASCII', async () => {
    for (const [user, domain] of [
      ['alice', ODD_SPACE],
      ['üser', SPACE],
    ] as const) {
      const parameters = [
        '-s',
        '--digest',
        '-u',
        `${user}:${PASSWORD}`,
        '-H',
        `From: sip:${user}@${domain}`,
        `${system.url}/api/accounts/me`,
      ];
      expect(JSON.parse((await promisify(execFile)('curl', parameters)).stdout)).toMatchObject({ username: user, domain });
    }
  });
});

test('a mark of the byte order in a header is a character like any other', () => {
  expect(headerText(octets('\ufeffalice'))).toBe('\ufeffalice');
});

describe('generated lists', () => {
  const white = fc.constantFrom('', ' ', '\t', ' \t ');
  const token = fc.string({ unit: fc.constantFrom(...TOKEN.split('')), minLength: 1, maxLength: 8 });
  /** What a quoted string may hold, an octet a character. */
  const octet = fc.nat({ max: 0xff }).map((code) => String.fromCharCode(code));
  const text = fc.string({ unit: octet.filter((each) => /[\t -~\u0080-\u00ff]/.test(each)), maxLength: 12 });
  const element = fc.tuple(token, fc.oneof(token, text), white, white, fc.boolean()).map(([name, value, before, after, allEscaped]) => {
    const isBare = /^[\w-]+$/.test(value) && !allEscaped;
    const quoted = value.replace(allEscaped ? /[^]/g : /["\\]/g, '\\$&');
    return { name, value, written: `${name}${before}=${after}${isBare ? value : `"${quoted}"`}` };
  });
  const separator = fc.tuple(white, fc.constantFrom(',', ',,', ', ,', ',\t,,'), white).map((parts) => parts.join(''));
  const list = fc.array(fc.tuple(element, separator), { maxLength: 12 });

  test('are read as they were meant; a name twice is not', () => {
    fc.assert(
      fc.property(list, separator, (parts, first) => {
        const header = first + parts.map(([{ written }, after]) => written + after).join('');
        const meant = new Map(parts.map(([{ name, value }]) => [name.toLowerCase(), value]));
        const read = parseAuthParameters(header);
        expect(read && [...read]).toEqual(meant.size === parts.length ? [...meant] : null);
      }),
      { numRuns: 3000 },
    );
  });

  test('of any octets: an answer, in time', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.oneof(octet, fc.constantFrom('"', ',', '=', '\\', ' ', '\t', 'a')), maxLength: 200 }), (header) => {
        const read = parseAuthParameters(header);
        for (const name of read?.keys() ?? []) expect(name).toMatch(/^[!#$%&'*+.^_`|~\w-]+$/);
      }),
      { numRuns: 3000 },
    );
  });
});

test.each([
  ['/', '/'],
  ['http://host', '/'],
  ['http://host?a', '/?a'],
  ['https://host:8443/a%2fb', '/a%2Fb'],
  ['/a%40b%3a', '/a@b:'],
  ['/"<urn:uuid:1>"', '/%22%3Curn:uuid:1%3E%22'],
  ['/%C3%BC', '/\u00c3\u00bc'],
  ['/a?b=%7E&c=%26', '/a?b=~&c=%26'],
  ['/100%25', '/100%25'],
])('%s and %s are one target', (one, other) => {
  expect(normaliseTarget(one)).toBe(normaliseTarget(other));
});

test.each([
  ['/a%2Fb', '/a/b'],
  ['/a%252Fb', '/a%2Fb'],
  ['/a%3Fb', '/a?b'],
  ['/a?b%26c', '/a?b&c'],
  ['/a?b%2Bc', '/a?b+c'],
  ['/a#', '/a'],
  ['//host/a', '/a'],
  ['/a%23', '/a#'],
  ['/a%252fb', '/a%2fb'],
  ['/%011', '/%11'],
  ['?a', '/?a'],
])('%s and %s are two', (one, other) => {
  expect(normaliseTarget(one)).not.toBe(normaliseTarget(other));
});

test.each([
  ["UTF-8''a%20b", 'a b'],
  ["UTF-8'en'", ''],
  ["UTF-8''a b", null],
  ["UTF-8''%2", null],
  ["UTF-16''a", null],
  ["''a", null],
])('the extended value %s', (value, text) => {
  expect(parseExtendedValue(value)).toBe(text);
});

test.each([
  ['a backslash each', (n: number) => `x="${'\\'.repeat(n)}`],
  ['quotes', (n: number) => '"'.repeat(n)],
  ['commas', (n: number) => ','.repeat(n)],
  ['spaces', (n: number) => `x=1${' '.repeat(n)}y`],
  ['spaces in front', (n: number) => `${' '.repeat(n)}"`],
  ['a long name', (n: number) => 'x'.repeat(n)],
  ['a long value', (n: number) => `x=${'='.repeat(n)}"`],
  ['many names', (n: number) => Array.from({ length: n / 8 }, (_, i) => `n${i}=1`).join(',')],
])('%s: time grows with the length alone', (_name, make) => {
  const text = make(1_000_000);
  const start = performance.now();
  parseAuthParameters(text);
  expect(performance.now() - start).toBeLessThan(5000);
});
