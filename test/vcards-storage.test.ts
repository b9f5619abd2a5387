// vCards that people store: what is taken, what is refused, and the form in which it comes back.
import { parseVcard } from '../src/services/address-book/vcards';
import { SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const card = (lines: string[], version = '4.0'): string => ['BEGIN:VCARD', `VERSION:${version}`, ...lines, 'END:VCARD'].join('\r\n');
const simple = (uid: string, name = 'Alice'): string => card([`FN:${name}`, `UID:${uid}`]);
const stored = (uid: string, name = 'Alice'): string => `BEGIN:VCARD\nVERSION:4.0\nFN:${name}\nUID:${uid}\nEND:VCARD\n`;
const refusalOf = (text: string): string | undefined => {
  const result = parseVcard(text);
  return 'refused' in result ? result.refused.key : undefined;
};
const textOf = (text: string): string | undefined => {
  const result = parseVcard(text);
  return 'text' in result ? result.text : JSON.stringify(result.refused);
};

describe('a vCard', () => {
  test('normalised: LF, VERSION first, folded at 75 octets with no character cut', () => {
    const note = `NOTE:${'é'.repeat(60)}`;
    expect(textOf(['begin:vcard', 'UID:u', note, 'FN:A', 'VERSION:4.0', 'END:VCARD', '', ''].join('\n'))).toBe(
      `BEGIN:VCARD\nVERSION:4.0\nUID:u\nNOTE:${'é'.repeat(35)}\n ${'é'.repeat(25)}\nFN:A\nEND:VCARD\n`,
    );
    const long = textOf(card(['FN:A', 'UID:u', `NOTE:${'x'.repeat(300)}`])) ?? '';
    expect(Math.max(...long.split('\n').map((line) => Buffer.byteLength(line)))).toBe(75);
    // What was folded anyhow comes back folded our way, and folding it again changes nothing.
    expect(textOf(card(['FN:A', 'UID:u', `NOTE:${'x'.repeat(10)}`, ' y', '\tz']))).toContain('NOTE:xxxxxxxxxxyz\n');
    expect(textOf(long)).toBe(long);
  });

  test.each([
    ['2.1', card(['FN:A', 'N:A;B', 'TEL;HOME;VOICE:+331', 'UID:u'], '2.1')],
    ['3.0', card(['FN:A', 'N:A;B;;;', 'item1.TEL;TYPE=HOME,VOICE:+331', 'item1.X-ABLabel:_$!<Home>!$_', 'UID:u'], '3.0')],
    ['4.0 with properties of later RFCs', card(['FN:A', 'SOCIALPROFILE:https://x.example', 'CREATED:20240101T000000Z', 'UID:urn:uuid:1'])],
    ['4.0 with parameters of later RFCs', card(['FN;DERIVED=true;X-A=b:A', 'IMPP;SERVICE-TYPE=sip;PROP-ID=a1:sip:a@b', 'UID:u'])],
    ['4.0 with a property that nobody knows', card(['FN:A', 'FAVOURITE-COLOUR:red', 'UID:urn:uuid:1'])],
    ['a quoted parameter with a colon', card(['FN:A', 'ADR;LABEL="1: a, b";TYPE=home:;;s;c;;1;F', 'UID:u'])],
    ['letters of other scripts', card(['FN:Зоя 😀', 'UID:u'])],
    [
      'names to sort by (RFC 6350 section 5.9)',
      card(['FN:A', 'N;SORT-AS="Harten,Rene":van der Harten;Rene;;;', 'ORG;SORT-AS=abc:ABC', 'UID:u']),
    ],
    ['a parameter with = in its value', card(['FN:A', 'TEL;TYPE=a=b:1', 'UID:u'])],
    ['a photograph as large as a card may be', card(['FN:A', 'UID:u', `PHOTO:data:image/jpeg;base64,${'QUJD'.repeat(129_000)}`])],
  ])('is taken: %s', (_name, text) => expect(refusalOf(text)).toBeUndefined());

  test.each([
    ['no text', '', 'vcard.begin'],
    ['JSON', '{"fn":"A"}', 'vcard.begin'],
    ['HTML', '<html>BEGIN:VCARD</html>', 'vcard.begin'],
    ['no end', 'BEGIN:VCARD\nVERSION:4.0\nFN:A\nUID:u', 'vcard.begin'],
    ['something after the end', `${simple('u')}\r\nX`, 'vcard.begin'],
    ['two cards', `${simple('u')}\r\n${simple('v')}`, 'vcard.one'],
    ['a card in a card', card(['FN:A', 'BEGIN:VCARD', 'UID:u']), 'vcard.one'],
    ['a fold before anything', ` ${simple('u')}`, 'vcard.begin'],
    ['a junk line', card(['FN:A', 'junk', 'UID:u']), 'vcard.line'],
    ['an empty line', card(['FN:A', '', 'UID:u']), 'vcard.line'],
    ['a name with a space', card(['FN:A', 'MY NAME:x', 'UID:u']), 'vcard.line'],
    ['a parameter whose quote does not end', card(['FN:A', 'NOTE;X="a:b', 'UID:u']), 'vcard.line'],
    ['no FN', card(['UID:u']), 'vcard.exactly_once'],
    ['two FN', card(['FN:A', 'g.fn:B', 'UID:u']), 'vcard.exactly_once'],
    ['no UID', card(['FN:A']), 'vcard.exactly_once'],
    ['two UID', card(['FN:A', 'UID:u', 'UID:v']), 'vcard.exactly_once'],
    ['an empty UID', card(['FN:A', 'UID: ']), 'vcard.uid'],
    ['a UID without end', card(['FN:A', `UID:${'u'.repeat(256)}`]), 'vcard.uid_long'],
    ['no VERSION', 'BEGIN:VCARD\nFN:A\nUID:u\nEND:VCARD', 'vcard.exactly_once'],
    ['two VERSION', card(['VERSION:4.0', 'FN:A', 'UID:u']), 'vcard.exactly_once'],
    ['VERSION 5.0', card(['FN:A', 'UID:u'], '5.0'), 'vcard.version'],
    ['two KIND', card(['FN:A', 'KIND:group', 'KIND:group', 'UID:u']), 'vcard.at_most_once'],
    ['two N', card(['FN:A', 'N:a', 'N:b', 'UID:u']), 'vcard.at_most_once'],
    ['a parameter where RFC 6350 has none', card(['FN:A', 'UID:u', 'REV;SORT-AS=a:20240101T000000Z']), 'vcard.invalid'],
    ['NUL', card(['FN:A\u0000', 'UID:u']), 'field.characters'],
    ['a bell', card(['FN:A\u0007', 'UID:u']), 'field.characters'],
    ['a bare carriage return', card(['FN:A\rNOTE:x', 'UID:u']), 'field.characters'],
    ['half a character', card(['FN:\ud800', 'UID:u']), 'field.characters'],
    ['more than 512 KiB', card(['FN:A', `NOTE:${'x'.repeat(600_000)}`, 'UID:u']), 'vcard.too_large'],
    ['folded at every letter', card(['FN:A', `NOTE:x${'\r\n y'.repeat(20_000)}`, 'UID:u']), 'vcard.lines'],
    ['a known parameter without a value', card(['FN:A', 'TEL;TYPE:1', 'UID:u']), 'vcard.invalid'],
    ['a name of no components', card(['FN:A', 'N:', 'UID:u']), 'vcard.invalid'],
    ['colons in quotes without end', card(['FN:A', `TEL;TYPE=":"${',":"'.repeat(125_000)}:1`, 'UID:u']), 'vcard.line'],
    [
      'more parameters than a card may have',
      card(['FN:A', 'UID:u', ...Array.from({ length: 120 }, () => `NOTE${';A=b'.repeat(1000)}:x`)]),
      'vcard.parameters',
    ],
    [
      'more values of parameters than a card may have',
      card(['FN:A', 'UID:u', ...Array.from({ length: 120 }, () => `NOTE;A=${'b,'.repeat(2000)}:x`)]),
      'vcard.parameter_values',
    ],
    ['parameters without end', card(['FN:A', `NOTE${';X-A=b'.repeat(50_000)}:x`, 'UID:u']), 'vcard.line'],
  ])('is refused: %s', (_name, text, key) => expect(refusalOf(text)).toBe(key));

  // A square of anything in these would run into the test's time limit.
  test.each([
    ['thousands of properties', card(['FN:A', 'UID:u', ...Array.from({ length: 8000 }, (_, n) => `TEL:${n}`)]), undefined],
    ['a quote without end', card(['FN:A', 'UID:u', `NOTE;X="${'a'.repeat(4000)}`]), 'vcard.line'],
    ['thousands of parameters', card(['FN:A', 'UID:u', ...Array.from({ length: 100 }, () => `NOTE${';X-A=b'.repeat(600)}:x`)]), undefined],
    ['line ends, and then something', `BEGIN:VCARD${'\n'.repeat(500_000)}x`, 'vcard.lines'],
    ['a UID of escapes', card(['FN:A', `UID:${'\\n'.repeat(250_000)}`]), 'vcard.uid_long'],
    ['commas in quotes', card(['FN:A', 'UID:u', `NOTE:${'"a",'.repeat(100_000)}`]), undefined],
    ['backslashes', card(['FN:A', 'UID:u', `NOTE:${'\\'.repeat(500_000)}`]), undefined],
    ['components', card(['FN:A', 'UID:u', `ORG:${'a;'.repeat(250_000)}`]), undefined],
    ['nothing but line ends', `BEGIN:VCARD${'\n'.repeat(500_000)}`, 'vcard.begin'],
    ['nothing but beginnings', `${'BEGIN:VCARD\n'.repeat(8000)}END:VCARD`, 'vcard.one'],
    ['nothing but escapes', card(['FN:A', 'UID:u', `NOTE:${'\\,'.repeat(200_000)}`]), undefined],
    ['spaces without end', card(['FN:A', 'UID:u', `NOTE:${' '.repeat(400_000)}`]), undefined],
  ])('is judged at once: %s', (_name, text, key) => expect(refusalOf(text)).toBe(key));
});

describe('vCards storage', () => {
  let system: System;
  let admin: Account;
  let alice: Account;
  const ask = (method: string, route: string, vcard?: unknown, { key = alice.key, whose = 'me' } = {}): Promise<Answer> =>
    system.api(`/accounts/${whose}/vcards-storage${route}`, { method, key, ...(vcard === undefined ? {} : { body: { vcard } }) });

  beforeAll(async () => {
    system = await startSystem({ webs: 2, workers: 0 });
    await system.space('tenant.example.org');
    admin = await system.account('the-admin', { domain: 'tenant.example.org', admin: true });
    alice = await system.account('alice-of-tenant', { domain: 'tenant.example.org' });
  });
  afterAll(() => system.stop());

  test('stored, read, replaced, deleted; by the UID, raw or escaped', async () => {
    expect(await ask('GET', '')).toMatchObject({ status: 200, text: '{}' });
    const uid = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const made = await ask('POST', '', simple(uid));
    expect(made).toMatchObject({ status: 201, json: { vcard: stored(uid) } });
    expect(Object.keys(made.json)).toEqual(['vcard', 'created_at', 'updated_at']);
    expect(await ask('POST', '', simple(uid, 'Again'))).toMatchObject({
      status: 409,
      json: { message: 'The account already has a vCard with this UID.' },
    });
    expect((await ask('GET', '')).json).toEqual({ [uid]: made.json });
    expect((await ask('GET', `/${encodeURIComponent(uid)}`)).json).toEqual(made.json);
    expect(await ask('PUT', `/${uid}`, simple(uid, 'Alicia'))).toMatchObject({ status: 200, json: { vcard: stored(uid, 'Alicia') } });
    expect(await ask('PUT', `/${uid}`, simple('another'))).toMatchObject({
      status: 422,
      json: { errors: { vcard: ['The vcard field must have the UID that the address names.'] } },
    });
    expect((await ask('PUT', '/absent', simple('absent'))).status).toBe(404);
    expect((await ask('GET', '/absent')).status).toBe(404);
    expect((await ask('GET', '/nul%00')).status).toBe(404);
    // UIDs compare as they are, spaces, slashes and quotes in them too.
    const odd = 'a/b "<c>" \\d';
    expect((await ask('POST', '', simple(odd.replace('\\', '\\\\')))).status).toBe(201);
    expect((await ask('GET', `/${encodeURIComponent(odd)}`)).status).toBe(200);
    expect((await ask('DELETE', `/${encodeURIComponent(odd)}`)).status).toBe(200);

    const text = await fetch(`${system.url}/vcards-storage`, { headers: { 'x-api-key': alice.key } });
    expect([text.headers.get('content-type'), await text.text()]).toEqual(['text/vcard; charset=utf-8', `${stored(uid, 'Alicia')}\n`]);
    const one = await fetch(`${system.url}/vcards-storage/${uid}`, { headers: { 'x-api-key': alice.key } });
    expect(await one.text()).toBe(stored(uid, 'Alicia'));
    expect((await fetch(`${system.url}/vcards-storage/absent`, { headers: { 'x-api-key': alice.key } })).status).toBe(404);

    expect(await ask('DELETE', `/${uid}`)).toMatchObject({ status: 200, text: '{}' });
    expect((await ask('DELETE', `/${uid}`)).status).toBe(404);
  });

  test('an admin for the accounts of the Space; each account has UIDs of its own', async () => {
    const bob = await system.account('bob-of-tenant', { domain: 'tenant.example.org' });
    const foreign = await system.account('foreign', { domain: SPACE });
    const as = (whose: number): { key: string; whose: string } => ({ key: admin.key, whose: String(whose) });
    expect((await ask('POST', '', simple('shared'), as(bob.id))).status).toBe(201);
    expect((await ask('POST', '', simple('shared'))).status).toBe(201);
    expect((await ask('GET', '/shared', undefined, as(bob.id))).status).toBe(200);
    expect((await ask('PUT', '/shared', simple('shared', 'B'), as(bob.id))).json['vcard']).toBe(stored('shared', 'B'));
    for (const [method, route, vcard] of [
      ['GET', '', undefined],
      ['GET', '/shared', undefined],
      ['POST', '', simple('x')],
      ['PUT', '/x', simple('x')],
      ['DELETE', '/shared', undefined],
    ] as const)
      expect([method, (await ask(method, route, vcard, as(foreign.id))).status]).toEqual([method, 404]);
    expect((await ask('DELETE', '/shared', undefined, as(bob.id))).status).toBe(200);
    expect((await ask('GET', '/shared')).status).toBe(200);
  });

  test('ten at once with one UID: one 201, nine 409', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask('POST', '', simple('raced'))));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
  });

  test.each([
    ['missing', undefined],
    ['null', null],
    ['a number', 7],
    ['no vCard', 'hello'],
    ['binary', Buffer.from([0, 255, 254, 1, 2]).toString('latin1')],
    ['10 MB', `BEGIN:VCARD\nVERSION:4.0\nFN:A\nUID:u\nNOTE:${'x'.repeat(10_000_000)}\nEND:VCARD`],
    ['600 KB', card(['FN:A', 'UID:u', `NOTE:${'x'.repeat(600_000)}`])],
  ])('refused with 422 under vcard: %s', async (_name, vcard) => {
    for (const [method, route] of [
      ['POST', ''],
      ['PUT', '/u'],
    ] as const) {
      const { status, json } = await system.api(`/accounts/me/vcards-storage${route}`, { method, key: alice.key, body: { vcard } });
      expect([status, Object.keys(json['errors'] ?? {}), typeof json['message']]).toEqual([422, ['vcard'], 'string']);
    }
  });

  test('10 MB from nobody are 401, and too large elsewhere is 413', async () => {
    const body = { vcard: 'x'.repeat(10_000_000) };
    expect((await system.api('/accounts/me/vcards-storage', { method: 'POST', body })).status).toBe(401);
    expect((await system.api('/accounts/me/password', { method: 'POST', body, key: alice.key })).status).toBe(413);
  });
});
