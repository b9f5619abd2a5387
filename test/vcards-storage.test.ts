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
    ['no end', 'BEGIN:VCARD\nVERSION:4.0\nFN:A\nUID:u', 'vcard.end'],
    ['something after the end', `${simple('u')}\r\nX`, 'vcard.after_end'],
    ['two cards', `${simple('u')}\r\n${simple('v')}`, 'vcard.one'],
    ['a card in a card', card(['FN:A', 'BEGIN:VCARD', 'UID:u']), 'vcard.one'],
    ['a junk line', card(['FN:A', 'junk', 'UID:u']), 'vcard.line'],
    ['a name with a space', card(['FN:A', 'MY NAME:x', 'UID:u']), 'vcard.line'],
    ['a parameter whose quote does not end', card(['FN:A', 'NOTE;X="a:b', 'UID:u']), 'vcard.quote'],
    ['no FN', card(['UID:u']), 'vcard.missing'],
    ['two FN', card(['FN:A', 'g.fn:B', 'UID:u']), 'vcard.one_name'],
    ['no UID', card(['FN:A']), 'vcard.missing'],
    ['two UID', card(['FN:A', 'UID:u', 'UID:v']), 'vcard.once'],
    ['an empty UID', card(['FN:A', 'UID: ']), 'vcard.uid'],
    ['a UID without end', card(['FN:A', `UID:${'u'.repeat(256)}`]), 'vcard.uid_long'],
    ['no VERSION', 'BEGIN:VCARD\nFN:A\nUID:u\nEND:VCARD', 'vcard.missing'],
    ['two VERSION', card(['VERSION:4.0', 'FN:A', 'UID:u']), 'vcard.once'],
    ['VERSION 5.0', card(['FN:A', 'UID:u'], '5.0'), 'vcard.version'],
    ['two KIND', card(['FN:A', 'KIND:group', 'KIND:group', 'UID:u']), 'vcard.once'],
    ['two N', card(['FN:A', 'N:a', 'N:b', 'UID:u']), 'vcard.once'],
    ['a parameter where RFC 6350 has none', card(['FN:A', 'UID:u', 'REV;SORT-AS=a:20240101T000000Z']), 'vcard.misplaced'],
    ['NUL', card(['FN:A\u0000', 'UID:u']), 'vcard.characters'],
    ['a bell', card(['FN:A\u0007', 'UID:u']), 'vcard.characters'],
    ['a bare carriage return', card(['FN:A\rNOTE:x', 'UID:u']), 'vcard.characters'],
    ['half a character', card(['FN:\ud800', 'UID:u']), 'vcard.characters'],
    ['a known parameter without a value', card(['FN:A', 'TEL;TYPE:1', 'UID:u']), 'vcard.no_value'],
    ['a name of no components', card(['FN:A', 'N:', 'UID:u']), 'vcard.components'],
    ['quotes without end', card(['FN:A', `TEL;TYPE=":"${',":"'.repeat(125_000)},":1`, 'UID:u']), 'vcard.quote'],
    ['parameters without a value', card(['FN:A', `NOTE${';X-A=b'.repeat(150_000)}`, 'UID:u']), 'vcard.line'],
  ])('is refused: %s', (_name, text, key) => expect(refusalOf(text)).toBe(key));

  /** As long as a body may be, in JSON. */
  const fill = (text: string): string => text.repeat(Math.floor(1_048_000 / (JSON.stringify(text).length - 2)));
  // Nothing but the body's limit bounds a card, and a square of anything in these would take minutes.
  test.each([
    ['properties', '4.0', fill('TEL:1\n'), undefined],
    ['properties that count as one', '4.0', fill('N;ALTID=1:a\n'), undefined],
    ['empty lines', '4.0', fill('\n'), undefined],
    ['lines of white space', '4.0', fill(' \n'), undefined],
    ['folds of a letter', '4.0', `NOTE:x${fill('\n y')}`, undefined],
    ['folds of a letter in a name', '4.0', `NOTE;QUOTED-PRINTABLE;A=x${fill('\n y')}:=\n`, undefined],
    ['folds of nothing', '2.1', `NOTE:x${fill('\n ')}`, undefined],
    ['soft line breaks', '2.1', `NOTE;QUOTED-PRINTABLE:x${fill('=\n')}y`, undefined],
    ['soft line breaks, indented', '4.0', `NOTE;QUOTED-PRINTABLE:x${fill('=\n ')}y`, undefined],
    ['soft line breaks that break nothing', '2.1', fill('A;QUOTED-PRINTABLE:=\n\n'), undefined],
    ['= that are no escapes', '4.0', `NOTE;QUOTED-PRINTABLE:${fill('= ')}x`, undefined],
    ['lines of base64', '2.1', `PHOTO;BASE64:${fill('\nA')}`, undefined],
    ['empty lines in base64', '2.1', `PHOTO;BASE64:${fill('\n ')}`, undefined],
    ['values of base64', '2.1', fill('A;BASE64:A\n\n'), undefined],
    ['cards in cards', '2.1', fill('AGENT:\nBEGIN:VCARD\n'), 'vcard.end'],
    ['cards beside cards', '2.1', fill('AGENT:BEGIN:VCARD\nEND:VCARD\n'), undefined],
    ['parameters', '4.0', `NOTE${fill(';X-A=b')}:x`, undefined],
    ['parameters of RFC 6350', '4.0', `NOTE${fill(';TYPE=b')}:x`, undefined],
    ['parameters of nothing', '2.1', `NOTE${fill(';')}:x`, undefined],
    ['values of a parameter', '4.0', `NOTE;A=${fill(',')}:x`, undefined],
    ['values of PID', '4.0', `TEL;PID=1${fill(',1')}:x`, undefined],
    ['values in quotes', '4.0', `NOTE;A=${fill('"",')}:x`, undefined],
    ['quotes without end', '4.0', `NOTE${fill(';A="x')}:x`, 'vcard.line'],
    ['groups', '2.1', `${fill('a.')}TEL:x`, undefined],
    ['commas in quotes', '4.0', `NOTE:${fill('"a",')}`, undefined],
    ['components', '4.0', `ORG:${fill(';')}`, undefined],
    ['backslashes', '4.0', `NOTE:${fill('\\')}`, undefined],
    ['escapes', '4.0', `NOTE:${fill('\\,')}`, undefined],
    ['spaces', '4.0', `NOTE:${fill(' ')}x`, undefined],
    ['letters of two octets', '4.0', `NOTE:${fill('é')}`, undefined],
    ['a photograph', '4.0', `PHOTO:data:image/jpeg;base64,${fill('QUJD')}`, undefined],
    ['a UID of escapes', '4.0', `UID:${fill('\\n')}`, 'vcard.uid_long'],
    ['a UID in quoted-printable', '2.1', `UID;QUOTED-PRINTABLE:${fill('=41')}`, 'vcard.uid_long'],
    ['beginnings', '4.0', fill('BEGIN:VCARD\n'), 'vcard.one'],
  ])('is judged at once, of any length: %s', (_name, version, lines, key) => {
    const uid = lines.startsWith('UID') ? [] : ['UID:u'];
    const text = card(['FN:A', ...uid, lines], version);
    const before = process.cpuUsage();
    expect(refusalOf(text)).toBe(key);
    const { user, system } = process.cpuUsage(before);
    // 20 to 60 ms, of which most is the first time that code runs.
    expect((user + system) / 1000).toBeLessThan(500);
  });

  test.each([
    ['before a card', `${'\n'.repeat(500_000)}x`],
    ['behind its beginning', `BEGIN:VCARD${'\n'.repeat(500_000)}`],
  ])('line ends %s are judged at once', (_name, text) => expect(refusalOf(text)).toMatch(/^vcard\.(?:begin|end)$/));
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
    ['a body above 1 MiB', card(['FN:A', 'UID:u', `NOTE:${'x'.repeat(1_048_576)}`])],
    ['white space', ' \n '],
  ])('refused with 422 under vcard: %s', async (_name, vcard) => {
    for (const [method, route] of [
      ['POST', ''],
      ['PUT', '/u'],
    ] as const) {
      const { status, json } = await system.api(`/accounts/me/vcards-storage${route}`, { method, key: alice.key, body: { vcard } });
      expect([status, Object.keys(json['errors'] ?? {}), typeof json['message']]).toEqual([422, ['vcard'], 'string']);
    }
  });

  test('nothing but the limit of a body bounds a card', async () => {
    const long = card(['FN:A', 'UID:long', `PHOTO:data:image/jpeg;base64,${'QUJD'.repeat(261_900)}`]);
    expect(long.length).toBeGreaterThan(1_047_000);
    expect((await ask('POST', '', long)).status).toBe(201);
    const { json } = await ask('GET', '/long');
    expect(String(json['vcard']).replaceAll('\n ', '').length).toBe(long.replaceAll('\r', '').length + 1);
    const folded = card(['FN:A', 'UID:folded', `NOTE:x${'\r\n y'.repeat(150_000)}`]);
    expect((await ask('POST', '', folded)).status).toBe(201);
    expect(await ask('POST', '', card(['FN:A', 'UID:longer', `NOTE:${'x'.repeat(1_048_576)}`]))).toMatchObject({
      status: 422,
      json: { errors: { vcard: ['The body is larger than 1 MiB.'] } },
    });
  });

  test.each([
    [
      'quoted-printable of version 2.1, the next line not indented',
      card(['FN:A', 'UID:case-1', 'N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=98=D0=B2=', '=D0=B0=D0=BD;;;'], '2.1'),
      'N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=98=D0=B2=\n=D0=B0=D0=BD;;;\n',
    ],
    [
      'quoted-printable of version 3.0',
      card(['FN:A', 'UID:case-2', 'LABEL;TYPE=HOME;ENCODING=QUOTED-PRINTABLE:Main Street 1=0D=0A=', 'Springfield'], '3.0'),
      'LABEL;TYPE=HOME;ENCODING=QUOTED-PRINTABLE:Main Street 1=0D=0ASpringfield\n',
    ],
    [
      'base64 that an empty line ends',
      card(['FN:A', 'UID:case-3', 'PHOTO;ENCODING=BASE64;TYPE=JPEG:', '/9j/4AAQSkZJRgAB', 'AQEASABIAAD/2w==', '', 'TEL:1'], '2.1'),
      'PHOTO;ENCODING=BASE64;TYPE=JPEG:\n/9j/4AAQSkZJRgAB\nAQEASABIAAD/2w==\n\nTEL:1\n',
    ],
    ['an empty line between two properties', card(['FN:A', 'UID:case-4', 'TEL:1', '', 'TEL:2']), 'TEL:1\nTEL:2\n'],
  ])('what phones send is stored: %s', async (_name, sent, kept) => {
    const made = await ask('POST', '', sent);
    expect([made.status, made.json['vcard']]).toEqual([201, expect.stringContaining(kept)]);
    const uid = /UID:(.*)\r/.exec(sent)?.[1] ?? '';
    expect((await ask('GET', `/${uid}`)).json['vcard']).toBe(made.json['vcard']);
    // What came back may be sent again.
    expect((await ask('PUT', `/${uid}`, made.json['vcard'])).json['vcard']).toBe(made.json['vcard']);
  });

  test('a refusal names the line as it came, in the language of the caller', async () => {
    const sent = `\r\n\r\n${card(['FN:A', 'UID:u', 'N:a;;;;', 'N:b;;;;'])}`;
    expect((await ask('POST', '', sent)).json).toEqual({
      message: 'Line 8 of the vcard field: N may be there once (RFC 6350 6.2.2): N:b;;;;',
      errors: { vcard: ['Line 8 of the vcard field: N may be there once (RFC 6350 6.2.2): N:b;;;;'] },
    });
    const french = await system.api('/accounts/me/vcards-storage', {
      method: 'POST',
      key: alice.key,
      body: { vcard: sent },
      headers: { 'accept-language': 'fr' },
    });
    expect(french.json['message']).toBe('Ligne 8 du champ vcard : N ne peut y être qu’une fois (RFC 6350 6.2.2) : N:b;;;;');
  });

  test('10 MB from nobody are 401, and too large elsewhere is 413', async () => {
    const body = { vcard: 'x'.repeat(10_000_000) };
    expect((await system.api('/accounts/me/vcards-storage', { method: 'POST', body })).status).toBe(401);
    expect((await system.api('/accounts/me/password', { method: 'POST', body, key: alice.key })).status).toBe(413);
  });
});
