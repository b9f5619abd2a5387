// The file with general settings for apps: its grammar is liblinphone's, and what it says comes whole.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { create as parseXml } from 'xmlbuilder2';
import { parseLinphonerc } from '../src/services/provisioning/linphonerc';
import { request, startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

const parsed = (text: string): Record<string, Record<string, string>> =>
  Object.fromEntries([...parseLinphonerc(text).sections].map(([name, entries]) => [name, Object.fromEntries(entries)]));
const faultsOf = (text: string): string[] => parseLinphonerc(text).faults;

describe('grammar', () => {
  test.each([
    ['a parameter of a SIP URI', 'reg_proxy=<sip:sip.example.org:5223;transport=tls>', '<sip:sip.example.org:5223;transport=tls>'],
    ['several of them', 'reg_route=<sip:h;lr;transport=tls>;x=1', '<sip:h;lr;transport=tls>;x=1'],
    ['a fragment', 'url=https://example.org/a#b?c=d', 'https://example.org/a#b?c=d'],
    ['equals signs', 'key=inline:a=b==', 'inline:a=b=='],
    ['quotes, which are part of it', 'identity="Ann \\"A\\"" <sip:ann@example.org>', '"Ann \\"A\\"" <sip:ann@example.org>'],
    ['one quote', "name='tis", "'tis"],
    ['a name in quotes at both ends', 'name="quoted"', '"quoted"'],
    ['a pattern', 'username_regex=^[a-z0-9+_.\\-]*$', '^[a-z0-9+_.\\-]*$'],
    ['what INI takes for no text', 'enabled=true', 'true'],
    ['a number', 'size=007', '007'],
    ['a percent sign', 'path=%H/%u', '%H/%u'],
    ['a variable', 'home=${HOME}', '${HOME}'],
    ['a backslash at the end', 'path=C:\\', 'C:\\'],
    ['other scripts', 'name=Éric 😀 د', 'Éric 😀 د'],
    ['markup', 'html=<a href="x">&amp;</a> ]]>', '<a href="x">&amp;</a> ]]>'],
    ['a tab', 'a=b\tc', 'b\tc'],
    ['nothing', 'empty=', ''],
    ['blanks around it', '  spaced =  b c  ', 'b c'],
    ['a long line', `long=${'x'.repeat(40_000)}`, 'x'.repeat(40_000)],
    ['a key like an array', 'codec[]=opus', 'opus'],
    ['a key like a prototype', '__proto__=x', 'x'],
  ])('a value with %s comes whole', (_what, line, value) => {
    const key = line.slice(0, line.indexOf('=')).trim();
    const { sections, faults } = parseLinphonerc(`[s]\n${line}\n`);
    expect([[...(sections.get('s') ?? [])], faults]).toEqual([[[key, value]], []]);
  });

  test('names of sections have dots, colons, blanks and whatever is no bracket; parameters of liblinphone are none of it', () => {
    const names = ['video.preview', 'a:b', 'My Section', 'in-app-purchase', 'x/y#z;', 'é', '__proto__', 'friend_0'];
    expect([...parseLinphonerc(names.map((name) => `[${name}]\nk=v\n`).join('')).sections.keys()]).toEqual(names);
    expect(parsed('  [ padded ] # said of it\nk=v\n[named p=1 q=2]\nk=v')).toEqual({ padded: { k: 'v' }, named: { k: 'v' } });
  });

  test('comments are lines that begin with # or ;, after blanks, too; empty lines are nothing', () => {
    expect(parsed('# a=b\n;c=d\n\n[s]\n  # [no]\n\t; e=f\nk=1 ; 2 # 3\n')).toEqual({ s: { k: '1 ; 2 # 3' } });
    expect(faultsOf('# a=b\n;c=d\n\n[s]\n  # [no]\nk=v')).toEqual([]);
  });

  test('sections with one name are one; of entries with one name the last counts, where the first stood', () => {
    const { sections } = parseLinphonerc('[a]\nx=1\ny=1\n[b]\nz=1\n[a]\nx=2\nw=1\n');
    expect([...sections].map(([name, entries]) => [name, [...entries]])).toEqual([
      [
        'a',
        [
          ['x', '2'],
          ['y', '1'],
          ['w', '1'],
        ],
      ],
      ['b', [['z', '1']]],
    ]);
  });

  test('a byte order mark, and the line ends of every system', () => {
    for (const end of ['\n', '\r\n', '\r']) expect(parsed(`\ufeff[s]${end}a=1${end}b=2`)).toEqual({ s: { a: '1', b: '2' } });
  });

  test('what cannot be read is left out, and told by its line', () => {
    const { sections, faults } = parseLinphonerc(
      'early=1\n[s]\nnonsense\n=x\nbad=a\u0000b\nlatin=\ufffd\nok=1\n[]\nlost=1\n[open\nlost=2\n[nul\u0001]\nlost=3\n[s]\nalso=1\n',
    );
    expect([...(sections.get('s') ?? [])]).toEqual([
      ['ok', '1'],
      ['also', '1'],
    ]);
    expect([...sections.keys()]).toEqual(['s']);
    expect(faults.map((fault) => fault.replace(/:.*/, ''))).toEqual([1, 3, 4, 5, 6, 8, 10, 12].map((line) => `line ${line}`));
  });

  test('whatever liblinphone writes reads back', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 30 }).map((value) => value.replaceAll(/\p{C}|\ufffd/gu, '').trim());
    const key = text.map((value) => value.replaceAll(/[=\s]/g, '')).filter((value) => value !== '' && !/^[#;[]/.test(value));
    const name = text.map((value) => value.replaceAll(/[\s\]=]/g, '')).filter((value) => value !== '');
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.dictionary(key, text, { maxKeys: 5 }), { maxKeys: 5 }),
        fc.constantFrom('\n', '\r\n'),
        (file, end) => {
          const lines = Object.entries(file).flatMap(([section, entries]) => [
            `[${section}]`,
            ...Object.entries(entries).map(([entry, value]) => `${entry}=${value}`),
            '',
          ]);
          const { sections, faults } = parseLinphonerc(lines.join(end));
          expect(faults).toEqual([]);
          expect([...sections].map(([section, entries]) => [section, [...entries]])).toEqual(
            Object.entries(file).map(([section, entries]) => [section, Object.entries(entries)]),
          );
        },
      ),
    );
  });

  test('the time grows with the length alone', () => {
    for (const text of ['[', '=', ' ', '[a]\n', '\t \t', 'a=', ']', '[a b'].map((piece) => piece.repeat(2_000_000 / piece.length))) {
      const begun = performance.now();
      parseLinphonerc(text);
      expect(performance.now() - begun).toBeLessThan(3000);
    }
  });
});

interface Element {
  nodeName: string;
  textContent: string;
  childNodes: Iterable<unknown>;
  getAttribute: (name: string) => string;
}

describe('the document', () => {
  let system: System;
  let file: string;
  beforeAll(async () => {
    file = path.join(mkdtempSync(path.join(testServers().directory, 'rc-')), 'linphonerc');
    writeFileSync(
      file,
      [
        '## Settings of everybody',
        '[proxy_default_values]',
        'reg_proxy=<sip:sip.example.org:5223;transport=tls>',
        'reg_sendregister=1',
        'conference_factory_uri=sip:conference-factory@sip.example.org;lr',
        '',
        '[video.preview]',
        'size=vga',
        '[misc]',
        'contacts-vcard-list=https://elsewhere.example.org',
        'note=a <b> & "c" \u00e9',
        '[nothing]',
        '[auth_info_0]',
        'username=dav',
        'ha1=40aa5ad3b300405c20c5e4eda2da9751',
        'realm=dav.example.org',
        '[proxy_0]',
        'reg_expires=3600',
        'reg_identity=sip:somebody@else.example.org',
        'no entry',
      ].join('\r\n'),
    );
    system = await startSystem({
      webs: 1,
      workers: 0,
      environment: { APP_URL: 'https://accounts.example.org', ACCOUNT_PROVISIONING_RC_FILE: file },
    });
  });
  afterAll(() => system.stop());

  /** Sections with their entries, in order and with doubles. */
  async function fetchSections(route = '', headers: Record<string, string> = {}): Promise<[string, [string, string][]][]> {
    const { status, text } = await request(`${system.url}/provisioning${route}`, {
      headers: { 'x-linphone-provisioning': '1', ...headers },
    });
    expect(status).toBe(200);
    const named = (parent: { childNodes: Iterable<unknown> }, name: string): Element[] =>
      Array.from(parent.childNodes as Iterable<Element>).filter(({ nodeName }) => nodeName === name);
    return named(parseXml(text).root().node, 'section').map((section) => [
      section.getAttribute('name'),
      named(section, 'entry').map((entry): [string, string] => [entry.getAttribute('name'), entry.textContent]),
    ]);
  }
  const warnings = (): string[] =>
    (system.webs[0]?.output() ?? '').split('\n').filter((line) => line.includes('ACCOUNT_PROVISIONING_RC_FILE'));

  test('has all that the file has; what is the server’s own stands once, with its value', async () => {
    const sections = Object.fromEntries(await fetchSections());
    expect(sections).toEqual({
      proxy_default_values: [
        ['reg_proxy', '<sip:sip.example.org:5223;transport=tls>'],
        ['reg_sendregister', '1'],
        ['conference_factory_uri', 'sip:conference-factory@sip.example.org;lr'],
      ],
      'video.preview': [['size', 'vga']],
      misc: [
        ['contacts-vcard-list', 'https://accounts.example.org/contacts/vcard'],
        ['note', 'a <b> & "c" é'],
      ],
      auth_info_0: [
        ['username', 'dav'],
        ['ha1', '40aa5ad3b300405c20c5e4eda2da9751'],
        ['realm', 'dav.example.org'],
      ],
      proxy_0: [
        ['reg_expires', '3600'],
        ['reg_identity', 'sip:somebody@else.example.org'],
      ],
    });
  });

  test('an account’s credentials come after those of the file, its identity in place of the file’s', async () => {
    const { id, key } = await system.account('rc-file-user');
    await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, 'abc', 'MD5')", [id]);
    const sections = Object.fromEntries(await fetchSections('/me', { 'x-api-key': key }));
    expect(sections['auth_info_0']?.[0]).toEqual(['username', 'dav']);
    expect(Object.fromEntries(sections['auth_info_1'] ?? [])).toMatchObject({ username: 'rc-file-user', ha1: 'abc', algorithm: 'MD5' });
    expect(sections['proxy_0']).toEqual([
      ['reg_expires', '3600'],
      ['reg_identity', '<sip:rc-file-user@sip.example.org>'],
    ]);
    // Nobody else gets any of it.
    const general = Object.fromEntries(await fetchSections());
    expect([general['proxy_0']?.[1], general['auth_info_1'], general['ui']]).toEqual([
      ['reg_identity', 'sip:somebody@else.example.org'],
      undefined,
      undefined,
    ]);
  });

  test('a faulty line is told once, by its number; a change is seen at once; a file that is gone is told once, and what it said stays', async () => {
    expect(warnings()).toHaveLength(1);
    expect(JSON.parse(warnings()[0] ?? '{}')).toMatchObject({
      level: 40,
      file,
      faults: ['line 20: this is neither [section] nor key=value'],
    });
    const next = `${file}.next`;
    writeFileSync(next, '[sound]\nringer=1\n');
    renameSync(next, file);
    const changed = [
      ['sound', [['ringer', '1']]],
      ['misc', [['contacts-vcard-list', 'https://accounts.example.org/contacts/vcard']]],
    ];
    for (const seen of await Promise.all(Array.from({ length: 20 }, () => fetchSections()))) expect(seen).toEqual(changed);
    rmSync(file);
    for (let n = 0; n < 3; n += 1) expect(await fetchSections()).toEqual(changed);
    expect(warnings()).toHaveLength(2);
    writeFileSync(file, '[sound]\nringer=2\n');
    expect((await fetchSections())[0]).toEqual(['sound', [['ringer', '2']]]);
  });
});
