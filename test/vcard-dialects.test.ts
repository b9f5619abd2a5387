// vCards as programs write them, each way that is known to have broken a reader. Names and numbers are made up.
import { card, textOf, uidOf, valuesOf } from './helpers/vcards';
import { readMeaning } from './helpers/vcard-meaning';

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

describe('quoted-printable', () => {
  test.each([
    [
      'a soft break, the next line not indented',
      ['N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=98=D0=B2=', '=D0=B0=D0=BD;;;'],
      'N=Иван;;;',
    ],
    ['the parameter without a name, in any case', ['NOTE;quoted-printable:a=', 'b'], 'NOTE=ab'],
    ['quotation marks around it', ['NOTE;ENCODING="QUOTED-PRINTABLE":a=', 'b'], 'NOTE=ab'],
    ['several breaks', ['NOTE;ENCODING=QUOTED-PRINTABLE:a=', 'b=', 'c=', 'd'], 'NOTE=abcd'],
    ['a next line like a property', ['NOTE;ENCODING=QUOTED-PRINTABLE:a=', 'TEL:1'], 'NOTE=aTEL:1'],
    ['a next line like base64', ['NOTE;ENCODING=QUOTED-PRINTABLE:a=', 'AAAA'], 'NOTE=aAAAA'],
    ['an escaped = at the end of a line', ['NOTE;ENCODING=QUOTED-PRINTABLE:a=3D', 'TEL:1'], 'NOTE=a='],
    ['a break at the very end', ['NOTE;ENCODING=QUOTED-PRINTABLE:a=0D=0A=', '', 'TEL:1'], 'NOTE=a\r\n'],
    ['a break before the end of the card', ['NOTE;ENCODING=QUOTED-PRINTABLE:a='], 'NOTE=a'],
    ['white space behind the break', ['NOTE;ENCODING=QUOTED-PRINTABLE:a= \t', 'b'], 'NOTE=ab'],
    ['a group', ['item1.NOTE;ENCODING=QUOTED-PRINTABLE:a=', 'b'], 'NOTE=ab'],
  ])('%s', (_name, lines, expected) => {
    for (const version of ['2.1', '3.0']) {
      const text = textOf(card(version, ...lines));
      expect(readMeaning(text.replaceAll(/=[ \t]+\n/g, '=\n')).map(({ name, value }) => `${name}=${value}`)[3]).toBe(expected);
      expect(textOf(text)).toBe(text);
    }
  });

  test('a next line that is indented is the same value: as it came in 2.1, put together in 3.0', () => {
    const lines = ['NOTE;ENCODING=QUOTED-PRINTABLE:a=', ' b'];
    expect(textOf(card('2.1', ...lines))).toContain('NOTE;ENCODING=QUOTED-PRINTABLE:a=\n b\n');
    expect(textOf(card('3.0', ...lines))).toContain('NOTE;ENCODING=QUOTED-PRINTABLE:ab\n');
  });

  test('of one property says nothing of the next', () => {
    expect(textOf(card('3.0', 'NOTE;QUOTED-PRINTABLE:a', 'ORG:b=', 'TEL:1'))).toContain('\nORG:b=\nTEL:1\n');
  });

  test('of version 3.0 and 4.0 no fold makes a soft break of an escape', () => {
    for (let start = 0; start < 4; start += 1) {
      const value = 'x'.repeat(start) + '=D0=98'.repeat(60);
      for (const version of ['3.0', '4.0']) {
        const text = textOf(card(version, `NOTE;ENCODING=QUOTED-PRINTABLE:${value}`));
        expect([text.match(/=$|=.$/m), Math.max(...text.split('\n').map((line) => line.length)) <= 75]).toEqual([null, true]);
        expect(valuesOf(card(version, `NOTE;ENCODING=QUOTED-PRINTABLE:${value}`))[3]).toBe(`NOTE=${'x'.repeat(start)}${'И'.repeat(60)}`);
      }
    }
  });

  test.each([
    ['of another property is none', ['NOTE:a=', 'TEL:1'], ['NOTE=a=', 'TEL=1']],
    ['of the next property is none', ['NOTE;QUOTED-PRINTABLE:a', 'ORG:b=', 'TEL:1'], ['NOTE=a', 'ORG=b=', 'TEL=1']],
    ['of base64 is none', ['PHOTO;ENCODING=BASE64:QQ==', '', 'TEL:1'], ['PHOTO=41', 'TEL=1']],
    [
      'in a word that only names it is none',
      ['TEL;X-CUSTOM(CHARSET=UTF-8,ENCODING=QUOTED-PRINTABLE,=D0=A0):1=', 'NOTE:b'],
      ['TEL=1=', 'NOTE=b'],
    ],
    ['in a parameter of another name is none', ['NOTE;X-WAS=QUOTED-PRINTABLE:a=', 'TEL:1'], ['NOTE=a=', 'TEL=1']],
  ])('an = at the end of a line %s', (_name, lines, expected) => {
    const values = textOf(card('2.1', ...lines))
      .split('\n')
      .slice(4, -2)
      .filter((line) => line !== '');
    expect(values).toEqual(lines.filter((line) => line !== ''));
    if (!lines[0]?.includes('CUSTOM')) expect(valuesOf(card('2.1', ...lines)).slice(3)).toEqual(expected);
  });

  test.each([
    ['UTF-8', 'UID;ENCODING=QUOTED-PRINTABLE:=C3=A9=', 'é-é'],
    ['UTF-8', 'UID;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C3=A9=', 'é-é'],
    ['ISO-8859-1', 'UID;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:=E9=', 'é-'],
    ['windows-1251', 'UID;QUOTED-PRINTABLE;CHARSET=windows-1251:=C0=', 'А-'],
    ['one that nobody knows', 'UID;QUOTED-PRINTABLE;CHARSET=X-NONE:=C3=A9=', 'é-é'],
  ])('a UID in %s is what it stands for', (_charset, line, uid) => {
    const text = ['BEGIN:VCARD', 'VERSION:2.1', 'FN:A', line, uid.endsWith('é') ? '-=C3=A9' : '-', 'END:VCARD'].join('\n');
    expect(uidOf(text)).toBe(uid);
  });

  test('a UID of which nothing can be stored is refused', () => {
    expect(uidOf('BEGIN:VCARD\nVERSION:2.1\nFN:A\nUID;QUOTED-PRINTABLE:a=00\nEND:VCARD')).toMatch(
      /^Line 4 of the vcard field has a control/,
    );
  });
});

describe('base64', () => {
  const data = [
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8U',
    'HRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDI=',
    '',
    'TEL:1',
  ];
  const photo = hex(data.slice(0, 2).join(''));
  test.each([
    ['lines without indentation, ended by an empty one', 'PHOTO;ENCODING=BASE64;TYPE=JPEG:', data],
    ['indented, as Outlook does', 'PHOTO;TYPE=JPEG;ENCODING=BASE64:', data.map((line) => line.replace(/^(?=[/H])/, ' '))],
    ['indented by four, as old phones do', 'PHOTO;BASE64;JPEG:', data.map((line) => line.replace(/^(?=[/H])/, '    '))],
    ['white space behind', 'PHOTO;ENCODING=BASE64:', data.map((line) => (line.startsWith('T') ? line : `${line} `))],
    ['the first line behind the colon', `PHOTO;ENCODING=b:${data[0]}`, data.slice(1)],
    ['no empty line', 'PHOTO;ENCODING=BASE64:', data.filter((line) => line !== '')],
    ['several empty lines', 'PHOTO;ENCODING=BASE64:', [...data.slice(0, 2), '', '', 'TEL:1']],
    ['a certificate', 'KEY;X509;ENCODING=BASE64:', data],
  ])('%s', (_name, head, lines) => {
    for (const version of ['2.1', '3.0']) {
      const text = textOf(card(version, head, ...lines));
      expect(textOf(text)).toBe(text);
      const value = text.slice(text.indexOf(':', text.indexOf(head.split(':', 1)[0] ?? '')) + 1, text.indexOf('TEL:1'));
      expect(hex(value.replaceAll(/\s/g, ''))).toBe(photo);
      if (version === '3.0') expect(text).not.toMatch(/^[^ ].*(?<![:=])\n\n|\n\n/);
    }
  });

  test('is as it came in 2.1, its empty line too', () => {
    expect(textOf(card('2.1', 'PHOTO;ENCODING=BASE64:', ...data))).toContain(`PHOTO;ENCODING=BASE64:\n${data.join('\n')}\nEND`);
  });

  test('ends where a folded property begins whose name looks like it', () => {
    expect(valuesOf(card('3.0', 'PHOTO;ENCODING=b:QUJD', 'CATEGO', ' RIES:x')).slice(3)).toEqual(['PHOTO=414243', 'CATEGORIES=x']);
  });
});

describe('lines', () => {
  const plain = 'BEGIN:VCARD\nVERSION:4.0\nFN:A\nUID:u\nTEL:1\nTEL:2\nEND:VCARD\n';
  test.each([
    ['one empty line', card('4.0', 'TEL:1', '', 'TEL:2')],
    ['empty lines everywhere', plain.replaceAll('\n', '\n\n\n')],
    ['lines of white space', plain.replace('TEL:1', '\n \t\nTEL:1')],
    ['CR LF', plain.replaceAll('\n', '\r\n')],
    ['CR CR LF', plain.replaceAll('\n', '\r\r\n')],
    ['CR alone', plain.replaceAll('\n', '\r')],
    ['some CR LF and some LF', plain.replaceAll(/\n(?=[TF])/g, '\r\n')],
    ['a byte order mark', `\ufeff${plain}`],
    ['white space around', ` \r\n\t${plain}\r\n \r\n`],
    ['BEGIN:vCard', plain.replaceAll('VCARD', 'vCard')],
    ['begin: vcard', plain.replace('BEGIN:VCARD', 'begin: vcard').replace('END:VCARD', 'end: vcard ')],
    ['names in lower case', plain.replace('VERSION', 'version')],
    ['VERSION behind others', 'BEGIN:VCARD\nFN:A\nUID:u\nTEL:1\nVERSION:4.0\nTEL:2\nEND:VCARD'],
    ['folds in names, before colons, by tabs, one after another', plain.replace('TEL:1', 'T\n EL\n\t:\n \n 1')],
  ])('%s', (_name, text) => expect(textOf(text).replace('version', 'VERSION')).toBe(plain));

  test('a character that a fold cuts is whole again, or refused where it cannot be', () => {
    const cut = 'NOTE:a\ud83d\r\n \ude00b';
    expect(textOf(card('4.0', cut))).toContain('NOTE:a😀b\n');
    expect(textOf(card('2.1', cut))).toMatch(/^Line 5 of the vcard field has a control character, or half of a character/);
    expect(textOf(card('4.0', 'NOTE:a\ud83d\r\n b'))).toMatch(/^Line 5 /);
  });

  test('of version 2.1 a fold keeps its place and its white space', () => {
    const note = `NOTE:${'long '.repeat(10)}\n  words ${'x'.repeat(200)}\n\tthere`;
    expect(textOf(card('2.1', note))).toContain(`${note}\n`);
  });

  test('white space at the end of lines and at the beginning of folds is part of the value', () => {
    expect(textOf(card('4.0', 'NOTE:a \r\n  b', 'TEL:1'))).toContain('NOTE:a  b\n');
    expect(valuesOf(card('4.0', `NOTE:${' '.repeat(200)}x`))[3]).toBe(`NOTE=${' '.repeat(200)}x`);
  });
});

/** Each program's way, in full. */
const DIALECTS: Record<string, string> = {
  'Android 2.1': card(
    '2.1',
    'N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=9B=D0=B8=D1=81=D0=B0;=D0=90=D0=BB=',
    '=D0=B8=D1=81=D0=B0;;;',
    'TEL;CELL;PREF:+33 1 00 00 00 01',
    'TEL;WORK;FAX:1',
    'X-ANDROID-CUSTOM:vnd.android.cursor.item/nickname;Lis;1;;;;;;;;;;;;;',
    'X-PHONETIC-FIRST-NAME;CHARSET=UTF-8:アリス',
    'PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD',
    ' 2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8U',
    '',
  ),
  Samsung: card(
    '2.1',
    'TEL;X-CUSTOM(CHARSET=UTF-8,ENCODING=QUOTED-PRINTABLE,=C3=A9t=C3=A9):+3311',
    'TEL;X-Été;VOICE:2',
    'EMAIL;X-INTERNET:a@b.example',
    'X-SAMSUNGADR;ENCODING=QUOTED-PRINTABLE:;;=41=',
    '=42;;;;',
  ),
  Nokia: card(
    '2.1',
    'N:Lis;Alice',
    'TEL;PREF;CELL;VOICE:1',
    'X-CLASS:private',
    'LABEL;WORK;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:Rue d=E9=0D=0A=',
    'Paris=0D=0A=',
    '',
    'REV:20260101T000000Z',
  ),
  'Outlook 2.1': card(
    '2.1',
    'N;LANGUAGE=de:Müller;Jo;;Dr.',
    'ADR;WORK;PREF:;;Weg 1;Ort;;12345;Land',
    'LABEL;WORK;PREF;ENCODING=QUOTED-PRINTABLE:Weg 1=0D=0A=',
    '=0D=0A=',
    '12345 Ort',
    'X-MS-OL-DEFAULT-POSTAL-ADDRESS:2',
    'X-MS-IMADDRESS:a@b.example',
    'KEY;X509;ENCODING=BASE64:',
    '    MIICajCCAdOgAwIBAgICBEUwDQYJ',
    '    KoZIhvcNAQEEBQAwdzELMAkGA1UE',
    '',
    '',
    'X-MS-OL-DESIGN;CHARSET=utf-8:<card xmlns="http://schemas.microsoft.com/office/outlook/12/electronicbusinesscards" ver="1.0"/>',
    'AGENT:',
    'BEGIN:VCARD',
    'VERSION:2.1',
    'N:Friday;Fred',
    'FN:Fred Friday',
    'TEL;WORK;VOICE:+1-213-555-1234',
    'END:VCARD',
    'REV:20260101T000000Z',
  ),
  'iOS 3.0': card(
    '3.0',
    'PRODID:-//Apple Inc.//iPhone OS 18.0//EN',
    'N:Lis;Alice;;;',
    'item1.TEL;type=pref:+33 1',
    'item1.X-ABLabel:_$!<HomeFAX>!$_',
    'TEL;type=CELL;type=VOICE;type=pref:2',
    'item2.ADR;type=HOME;type=pref:;;1 Rue\\nA;Paris;;75001;France',
    'item2.X-ABADR:fr',
    'item3.URL;type=pref:https\\://a.example',
    'item4.X-ABRELATEDNAMES;type=pref:Bob',
    'X-SOCIALPROFILE;type=twitter;x-user=alice:http://x.example/alice',
    'BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29',
    'IMPP;X-SERVICE-TYPE=Jabber;type=HOME;type=pref:xmpp:a@b.example',
    'PHOTO;ENCODING=b;TYPE=JPEG;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&414&414&abc==:/9j/4AAQSkZJRgABAQAAAQABAAD',
    ' 2wBDAAgGBgcGBQgH',
  ),
  'Google Contacts 3.0': card(
    '3.0',
    'N:Lis;Alice;;;',
    'EMAIL;TYPE=INTERNET;TYPE=HOME:a@b.example',
    'item1.EMAIL;TYPE=INTERNET:c@d.example',
    'item1.X-ABLabel:Autre',
    'TEL;TYPE=CELL:1',
    'CATEGORIES:myContacts,starred',
    'item2.X-ABDATE:2000-01-02',
    'NOTE:a\\nb\\, c\\: d',
  ),
  'Evolution 3.0': card(
    '3.0',
    'X-EVOLUTION-FILE-AS:Lis\\, Alice',
    'TEL;X-EVOLUTION-UI-SLOT=1;TYPE=WORK,VOICE:1',
    'X-EVOLUTION-BLOG-URL:',
    'X-MOZILLA-HTML:FALSE',
    'EMAIL;X-EVOLUTION-UI-SLOT=1;TYPE=OTHER:a@b.example',
    'LABEL;TYPE=HOME;ENCODING=QUOTED-PRINTABLE:Main Street 1=0D=0A=',
    'Springfield',
    'CALURI:',
    'X-EVOLUTION-E164;X-EVOLUTION-E164-NATIONAL="":1',
  ),
  'Nextcloud 4.0': card(
    '4.0',
    'PRODID:-//Nextcloud Contacts v7',
    'TEL;TYPE="HOME,VOICE":1',
    'N:Lis;Alice;;;',
    'ADR;TYPE=HOME:;;1 Rue;Paris;;75001;France',
    'PHOTO;ENCODING=b;TYPE=image/png:iVBORw0KGgo=',
    'X-SOCIALPROFILE;TYPE=MASTODON:https://m.example/@a',
    'REV;VALUE=DATE-AND-OR-TIME:20260101T000000Z',
    'X-MANAGERSNAME;X-UID=1:B',
    'RELATED;TYPE=CO-WORKER:B',
    'BDAY;VALUE=DATE:20000101',
    'PROFILE:vcard',
  ),
  'CardBook and Thunderbird 4.0': card(
    '4.0',
    'PRODID:-//Thunderbird.net/NONSGML Thunderbird CardBook V90//EN-GB',
    'EMAIL;PREF=1:a@b.example',
    'TEL;VALUE=uri;TYPE=work:tel:1',
    'N:Lis;Alice,Ann;;;',
    'X-MAILER;TYPE=:x',
    'IMPP;TYPE=home;PREF=:xmpp:a@b.example',
    'X-CUSTOM1;VALUE=TEXT:a',
    'ORG:A;B;;',
    'SPECIAL-DATE:x',
    'NOTE:a\\nb',
    'TZ;VALUE=text:Europe/Paris',
    'CATEGORIES:a\\,b,c',
  ),
  'Linphone 4.0': card(
    '4.0',
    'N:Lis;Alice;;;',
    'IMPP:sip:alice@sip.example.org',
    'TEL;TYPE=cell:+331',
    'X-LINPHONE-ACCOUNT-TYPE:phone',
    'X-LINPHONE-STARRED:1',
    'PHOTO:file:///data/user/0/a.jpg',
    'ORG:A',
  ),
  'Siemens and Sony Ericsson 2.1': card(
    '2.1',
    'N;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:=C3=84;=C3=96',
    'TEL ; HOME ; VOICE : 1',
    'X-IRMC-LUID:0001',
    'A.B.TEL;TYPE = HOME;WORK:2',
    'X_ODD/NAME:3',
    'TEL;:4',
    'ADR;X-LABEL=12" road:;;;',
  ),
};

test.each(Object.entries(DIALECTS))('%s', (_program, text) => {
  const stored = textOf(text);
  expect(stored).toMatch(/^BEGIN:VCARD\n/);
  expect(textOf(stored)).toBe(stored);
  expect(readMeaning(stored)).toEqual(readMeaning(text));
});

test('a card in AGENT of version 2.1 is part of it, at any depth; its properties are its own', () => {
  const agent = [
    'AGENT:',
    'BEGIN:VCARD',
    'VERSION:2.1',
    'N:F',
    'FN:F',
    'UID:v',
    'AGENT:BEGIN:VCARD',
    'VERSION:2.1',
    'UID:w',
    'END:VCARD',
    'END:VCARD',
  ];
  const text = textOf(card('2.1', 'TEL:1', ...agent, 'TEL:2'));
  expect(text).toContain(['TEL:1', ...agent, 'TEL:2', 'END:VCARD', ''].join('\n'));
  expect(uidOf(text)).toBe('u');
  expect(textOf(card('3.0', String.raw`AGENT:BEGIN:VCARD\nFN:Susan\nEND:VCARD\n`))).toContain('Susan');
  expect(textOf(card('3.0', 'AGENT;VALUE=uri:CID:a@b.example', 'AGENT:', 'TEL:1'))).toContain('AGENT:\n');
});
