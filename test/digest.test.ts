// DIGEST (RFC 7616) over HTTP, against two web processes.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { parseAuthParameters } from '../src/http/schemes/credentials';
import { digestResponse } from '../src/http/schemes/digest';
import { parseSipUri } from '../src/infra/sip-uri';
import { hashPassword } from '../src/services/credentials/secrets';
import { SPACE, startSystem, type Answer, type System } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({
    webs: 2,
    workers: 0,
    environment: { APP_KEY: 'a-secret-of-the-installation', APP_URL: 'https://front.example.org/flexiapi' },
  });
});
afterAll(() => system.stop());

type Algorithm = 'MD5' | 'SHA-256' | 'CLRTXT';

async function account(username: string, passwords: [Algorithm, string][], options: object = {}): Promise<number> {
  const { id } = await system.account(username, options);
  for (const [algorithm, password] of passwords) {
    const stored = algorithm === 'CLRTXT' ? password : hashPassword(algorithm, username, SPACE, password);
    await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [id, algorithm, stored]);
  }
  return id;
}

interface Challenge {
  algorithm: string;
  nonce: string;
  opaque: string;
  realm: string;
  stale: string | undefined;
}

/** Challenges of an answer, one header line each; fetch joins the lines with a comma and a space. */
function challengesOf({ headers }: Answer): Challenge[] {
  const lines = (headers.get('www-authenticate') ?? '').split(/, (?=Digest )/).filter((line) => line !== '');
  return lines.map((line) => {
    expect(line).toMatch(
      /^Digest realm="[^"]*",qop="auth",algorithm=(MD5|SHA-256),nonce="[\w-]+",opaque="[0-9a-f]{64}"(,charset=UTF-8)?(,stale=true)?$/,
    );
    const directives = parseAuthParameters(line.slice('Digest '.length)) as Map<string, string>;
    return { ...(Object.fromEntries(directives) as unknown as Challenge), stale: directives.get('stale') };
  });
}

interface Attempt {
  user: string;
  password?: string;
  challenge: Challenge;
  nc?: string;
  path?: string;
  uri?: string;
  method?: string;
  change?: (header: string) => string;
  from?: string;
  url?: string;
}

/** A second implementation of the client's side, as belle-sip writes it (`src/auth_helper.c` in its sources). */
function authorize({
  user,
  password = 'pass word é',
  challenge,
  nc = '00000001',
  path = '/api/accounts/me',
  uri = path,
  method = 'GET',
  change = (header) => header,
}: Attempt): string {
  const { algorithm, nonce, realm, opaque } = challenge;
  const hash = (text: string): string =>
    createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
      .update(text)
      .digest('hex');
  const cnonce = 'abc-~DEF12345678';
  const response = hash(`${hash(`${user}:${realm}:${password}`)}:${nonce}:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`);
  return change(
    `Digest realm="${realm}", nonce="${nonce}", algorithm="${algorithm}", opaque="${opaque}", username="${user}", response="${response}", cnonce="${cnonce}", nc=${nc}, qop=auth, uri="${uri}"`,
  );
}

const bare = (user: string, from = `sip:${user}@${SPACE}`): Promise<Answer> => system.api('/accounts/me', { headers: { from } });

/** One request with an answer to a challenge, to either process. */
const attempt = (given: Attempt): Promise<Answer> =>
  system.api((given.path ?? '/api/accounts/me').slice(4), {
    method: given.method ?? 'GET',
    headers: { from: given.from ?? `sip:${given.user}@${SPACE}`, authorization: authorize(given) },
  });

const challenged = async (user: string, index = 0): Promise<Challenge> => challengesOf(await bare(user))[index] as Challenge;

describe('RFC 7616 3.9.1, its example', () => {
  const claim = {
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    nc: '00000001',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
    qop: 'auth',
    uri: '/dir/index.html',
  };
  test.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ] as const)('%s', (algorithm, response) => {
    expect(digestResponse(algorithm, hashPassword(algorithm, 'Mufasa', 'http-auth@example.org', 'Circle of Life'), 'GET', claim)).toBe(
      response,
    );
  });
});

test.each([
  ['sip:user@example.org', 'user', 'example.org'],
  ['<sip:user@Example.ORG>', 'user', 'example.org'],
  ['"A name" <sip:user@example.org>;tag=1', 'user', 'example.org'],
  ['sip:user@example.org;transport=tls', 'user', 'example.org'],
  ['sip:%2B33612345678@example.org', '+33612345678', 'example.org'],
  ['sip:us%65r%40example.org', undefined, undefined],
  ['user@example.org', undefined, undefined],
  ['sip:%zz@example.org', undefined, undefined],
])('the address %s', (text, username, domain) => {
  expect(parseSipUri(text)).toEqual(username === undefined ? null : { username, domain });
});

describe('challenges', () => {
  test('one a password, in the order stored, all with one nonce; a fresh one each time', async () => {
    await account('two-algorithms', [
      ['SHA-256', 'pass word é'],
      ['MD5', 'pass word é'],
    ]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => bare('two-algorithms')));
    expect(answers.every(({ status, headers }) => status === 401 && headers.get('content-type') === 'application/json')).toBe(true);
    const all = answers.map(challengesOf);
    for (const lines of all) {
      expect(lines.map(({ algorithm }) => algorithm)).toEqual(['SHA-256', 'MD5']);
      expect(new Set(lines.map(({ nonce }) => nonce)).size).toBe(1);
      expect(lines[0]?.realm).toBe(SPACE);
    }
    expect(new Set(all.map(([first]) => first?.nonce)).size).toBe(20);
    expect(await system.rows('SELECT 1 FROM nonces')).toEqual([]);
  });

  test('clear text gives both, MD5 first; no password gives none; nobody gives 404; no address gives none', async () => {
    await account('clear-text', [['CLRTXT', 'pass word é']]);
    await account('no-password', []);
    expect(challengesOf(await bare('clear-text')).map(({ algorithm }) => algorithm)).toEqual(['MD5', 'SHA-256']);
    for (const index of [0, 1])
      expect((await attempt({ user: 'clear-text', challenge: await challenged('clear-text', index) })).status).toBe(200);
    const none = await bare('no-password');
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, null]);
    expect((await bare('nobody-at-all')).status).toBe(404);
    for (const from of ['user', 'sip:', 'mailto:user@example.org']) {
      const answer = await bare('', from);
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, null]);
    }
  });
});

describe('answers to a challenge', () => {
  beforeAll(async () => {
    await account('answerer', [
      ['MD5', 'pass word é'],
      ['SHA-256', 'pass word é'],
    ]);
    await account('stranger-x', [['MD5', 'pass word é']]);
  });

  test('right with each algorithm, quoted or not; the same nonce goes on with the next count', async () => {
    for (const index of [0, 1]) {
      const challenge = await challenged('answerer', index);
      const first = await attempt({ user: 'answerer', challenge });
      expect([first.status, first.json['username']]).toEqual([200, 'answerer']);
      expect(challengesOf(first)[0]?.nonce).toBe(challenge.nonce);
      expect((await attempt({ user: 'answerer', challenge, nc: '00000002' })).status).toBe(200);
      expect(
        (
          await attempt({
            user: 'answerer',
            challenge,
            nc: '0000000a',
            change: (header) =>
              header
                .replace('algorithm="', 'algorithm=')
                .replace(/(algorithm=[\w-]+)"/, '$1')
                .replace('nc=0000000a', 'nc="0000000a"'),
          })
        ).status,
      ).toBe(200);
    }
  });

  test('percent-encoded From, absolute uri, and a prefix that a front cuts', async () => {
    const ways: Partial<Attempt>[] = [
      { from: `sip:%61nswerer@${SPACE};transport=tls` },
      { uri: 'https://front.example.org/api/accounts/me' },
      { uri: '/flexiapi/api/accounts/me' },
      { path: '/api/accounts/me?x=%20y' },
    ];
    for (const way of ways) expect((await attempt({ user: 'answerer', challenge: await challenged('answerer'), ...way })).status).toBe(200);
  });

  test.each<[string, Partial<Attempt>]>([
    ['wrong password', { password: 'wrong' }],
    ['another target', { uri: '/api/accounts/other' }],
    ['another query', { path: '/api/accounts/me?a=1', uri: '/api/accounts/me' }],
    ['no cnonce', { change: (header) => header.replace(/ cnonce="[^"]*",/, '') }],
    ['no uri', { change: (header) => header.replace(/, uri="[^"]*"/, '') }],
    ['qop=auth-int', { change: (header) => header.replace('qop=auth', 'qop=auth-int') }],
    ['another opaque', { change: (header) => header.replace(/opaque="../, 'opaque="zz') }],
    ['another realm', { change: (header) => header.replace(`realm="${SPACE}"`, 'realm="x"') }],
    ['another username', { change: (header) => header.replace('username="answerer"', 'username="stranger-x"') }],
    ['nc of nine digits', { nc: '000000001' }],
    ['nc of zero', { nc: '00000000' }],
    ['nc that is too high', { nc: 'ffffffff' }],
    ['unknown algorithm', { change: (header) => header.replace('algorithm="MD5"', 'algorithm="SHA-512-256"') }],
    ['a directive twice', { change: (header) => `${header}, nc=00000001` }],
    ['rubbish', { change: () => 'Digest username=", ,,=' }],
  ])('%s: 401 with new challenges', async (_name, given) => {
    const challenge = await challenged('answerer');
    const answer = await attempt({ user: 'answerer', challenge, ...given });
    expect(answer.status).toBe(401);
    const [fresh] = challengesOf(answer);
    expect(fresh?.nonce).not.toBe(challenge.nonce);
    expect(fresh?.stale).toBeUndefined();
    await system.rows("DELETE FROM nonces WHERE nonce = 'none'");
  });

  test('no algorithm means MD5', async () => {
    expect(
      (
        await attempt({
          user: 'answerer',
          challenge: await challenged('answerer'),
          change: (header) => header.replace(' algorithm="MD5",', ''),
        })
      ).status,
    ).toBe(200);
  });

  test('a nonce of nobody, of another account, or spelled otherwise: Nonce invalid', async () => {
    const other = await challenged('stranger-x');
    const own = await challenged('answerer');
    const forged = [
      { ...own, nonce: 'AAAA' },
      { ...own, nonce: other.nonce },
      { ...own, nonce: `${own.nonce.slice(0, -1)}${own.nonce.endsWith('A') ? 'B' : 'A'}` },
      { ...own, nonce: `${own.nonce}=` },
    ];
    for (const challenge of forged) {
      const answer = await attempt({ user: 'answerer', challenge });
      expect([answer.status, answer.json['message']]).toEqual([401, 'Nonce invalid']);
    }
  });

  test('a replay loses, whatever process it comes to; its nonce is destroyed', async () => {
    const challenge = await challenged('answerer');
    const answers = await Promise.all(Array.from({ length: 10 }, () => attempt({ user: 'answerer', challenge })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const replayed = answers.filter(({ status }) => status === 401);
    expect(replayed.map(({ json }) => json['message'])).toEqual(Array.from({ length: 9 }, () => 'Nonce replayed'));
    expect((await attempt({ user: 'answerer', challenge, nc: '00000002' })).json['message']).toBe('Nonce replayed');
  });

  test('counts may leave gaps but never go back', async () => {
    const challenge = await challenged('answerer');
    expect((await attempt({ user: 'answerer', challenge, nc: '00000005' })).status).toBe(200);
    expect((await attempt({ user: 'answerer', challenge, nc: '00000009' })).status).toBe(200);
    expect((await attempt({ user: 'answerer', challenge, nc: '00000007' })).status).toBe(401);
  });

  test('cleared nonces, used or not, are stale: the client goes on with the new one', async () => {
    const unused = await challenged('answerer');
    const used = await challenged('answerer');
    expect((await attempt({ user: 'answerer', challenge: used })).status).toBe(200);
    const bin = `${__dirname}/../bin/flexiapi`;
    await promisify(execFile)(process.execPath, [bin, 'nonces:clear-expired', '0'], {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', ...system.environment },
    });
    for (const [challenge, nc] of [
      [unused, '00000001'],
      [used, '00000002'],
    ] as const) {
      const answer = await attempt({ user: 'answerer', challenge, nc });
      expect([answer.status, answer.json['message'], challengesOf(answer)[0]?.stale]).toEqual([401, 'Nonce invalid', 'true']);
      expect((await attempt({ user: 'answerer', challenge: challengesOf(answer)[0] as Challenge })).status).toBe(200);
    }
    const wrong = await attempt({ user: 'answerer', challenge: unused, password: 'wrong' });
    expect(challengesOf(wrong)[0]?.stale).toBeUndefined();
  });

  test('curl answers both algorithms', async () => {
    await account('curl-md5', [['MD5', 'secret']]);
    await account('curl-sha', [['SHA-256', 'secret']]);
    for (const user of ['curl-md5', 'curl-sha']) {
      const { stdout } = await promisify(execFile)('curl', [
        '-s',
        '--digest',
        '-u',
        `${user}:secret`,
        '-H',
        `From: sip:${user}@${SPACE}`,
        `${system.url}/api/accounts/me`,
      ]);
      expect(JSON.parse(stdout)).toMatchObject({ username: user });
    }
  });

  test('blocked: 403 however authenticated', async () => {
    await account('blocked-digest', [['MD5', 'pass word é']], { blocked: true });
    expect((await attempt({ user: 'blocked-digest', challenge: await challenged('blocked-digest') })).status).toBe(403);
  });
});

test('guessing is slowed for the account and address, over all processes; others go on', async () => {
  await account('guessed', [['MD5', 'pass word é']]);
  await account('bystander', [['MD5', 'pass word é']]);
  for (let n = 0; n < 10; n += 1)
    expect((await attempt({ user: 'guessed', challenge: await challenged('guessed'), password: `guess ${n}` })).status).toBe(401);
  const refused = await attempt({ user: 'guessed', challenge: await challenged('guessed') });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await attempt({ user: 'bystander', challenge: await challenged('bystander') })).status).toBe(200);
});

describe('guesses that come at once, to both processes', () => {
  const statuses = (answers: Answer[]): Record<number, number> =>
    answers.reduce<Record<number, number>>((counts, { status }) => ({ ...counts, [status]: (counts[status] ?? 0) + 1 }), {});

  test('of 200 wrong ones ten are told to be wrong, and a right one that stands behind them is not told from them', async () => {
    await account('stormed', [['MD5', 'pass word é']]);
    const challenges = await Promise.all(Array.from({ length: 200 }, () => challenged('stormed')));
    const guesses = challenges.map((challenge, n) =>
      attempt({ user: 'stormed', challenge, password: n < 190 ? `guess ${n}` : 'pass word é' }),
    );
    const answers = await Promise.all(guesses);
    expect(statuses(answers)).toEqual({ 401: 10, 429: 190 });
    const [wrong, right] = [answers.slice(0, 190).find(({ status }) => status === 429), answers.at(-1)];
    const told = ({ status, json, headers }: Answer): unknown[] => [
      status,
      Object.keys(json),
      [...headers.keys()].filter((name) => name !== 'x-request-id').sort(),
    ];
    expect(told(right as Answer)).toEqual(told(wrong as Answer));
  });

  test('right ones all pass, whatever their number', async () => {
    await account('busy-app', [['MD5', 'pass word é']]);
    const challenge = await challenged('busy-app');
    // A count may not go back, so each of them has a nonce of its own.
    const others = await Promise.all(Array.from({ length: 60 }, () => challenged('busy-app')));
    expect(statuses(await Promise.all(others.map((each) => attempt({ user: 'busy-app', challenge: each }))))).toEqual({ 200: 60 });
    for (let n = 0; n < 9; n += 1) await attempt({ user: 'busy-app', challenge, password: `guess ${n}` });
    const after = await Promise.all(Array.from({ length: 20 }, () => challenged('busy-app')));
    expect(statuses(await Promise.all(after.map((each) => attempt({ user: 'busy-app', challenge: each }))))).toEqual({ 200: 20 });
  });

  test('a nonce that is too old tells no more than a fresh one', async () => {
    await account('old-nonces', [['MD5', 'pass word é']]);
    const challenge = await challenged('old-nonces');
    await system.rows('DELETE FROM nonce_clearings');
    await system.rows("INSERT INTO nonce_clearings VALUES (now() + interval '1 second')");
    const answers: Answer[] = [];
    for (let n = 0; n < 12; n += 1) answers.push(await attempt({ user: 'old-nonces', challenge, password: `guess ${n}` }));
    await system.rows('DELETE FROM nonce_clearings');
    expect(statuses(answers)).toEqual({ 401: 10, 429: 2 });
    const right = await attempt({ user: 'old-nonces', challenge });
    expect([right.status, right.headers.get('www-authenticate')]).toEqual([429, null]);
  });
});
