// The rules for vCards: every example of the RFCs is taken, how often a property may be there, and what a refusal says.
import { render } from '../src/i18n';
import { parseVcard } from '../src/services/address-book/vcards';
import { card, textOf } from './helpers/vcards';
import { readMeaning } from './helpers/vcard-meaning';

/** Every line of an example in RFC 6350, section by section; and of the RFCs that add to it. */
const EXAMPLES: Record<string, string[]> = {
  '3.2': [
    'NOTE:This is a long description that exists on a long line.',
    'NOTE:This is a long description\r\n  that exists on a long line.',
    'NOTE:This is a long descrip\r\n tion that exists o\r\n n a long line.',
  ],
  '5.1': ['ROLE;LANGUAGE=tr:hoca'],
  '5.4': [
    'TITLE;ALTID=1;LANGUAGE=fr:Patron',
    'TITLE;ALTID=1;LANGUAGE=en:Boss',
    'TITLE;ALTID=2;LANGUAGE=en:Chief vCard Evangelist',
    'TITLE:LANGUAGE=en:Boss',
    'PHOTO;ALTID=1:data:image/jpeg;base64,...',
    'PHOTO;ALTID=1;data:image/jp2;base64,...',
  ],
  '6.1.3': [
    'SOURCE:ldap://ldap.example.com/cn=Babs%20Jensen,%20o=Babsco,%20c=US',
    'SOURCE:http://directory.example.com/addressbooks/jdoe/\r\n Jean%20Dupont.vcf',
  ],
  '6.1.4': ['KIND:individual'],
  '6.2.2': ['N:Stevenson;John;Philip,Paul;Dr.;Jr.,M.D.,A.C.P.'],
  '6.2.3': ['NICKNAME:Robbie', 'NICKNAME:Jim,Jimmie', 'NICKNAME;TYPE=work:Boss'],
  '6.2.4': [
    'PHOTO:http://www.example.com/pub/photos/jqpublic.gif',
    'PHOTO:data:image/jpeg;base64,MIICajCCAdOgAwIBAgICBEUwDQYJKoZIhv\r\n AQEEBQAwdzELMAkGA1UEBhMCVVMxLDAqBgNVBAoTI05ldHNjYXBlIENvbW11bm\r\n ljYXRpb25zIENvcnBvcmF0aW9uMRwwGgYDVQQLExNJbmZvcm1hdGlvbiBTeXN0',
  ],
  '6.2.5': ['BDAY:19960415'],
  '6.2.6': ['ANNIVERSARY:19960415'],
  '6.2.7': ["GENDER:;it's complicated"],
  '6.3.1': [
    String.raw`ADR;GEO="geo:12.3457,78.910";LABEL="Mr. John Q. Public, Esq.\nMail Drop: TNE QB\n123 Main Street\nAny Town, CA  91921-1234\nU.S.A.":;;123 Main Street;Any Town;CA;91921-1234;U.S.A.`,
  ],
  '6.4.1': ['TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-555-555-5555;ext=5555', 'TEL;VALUE=uri;TYPE=home:tel:+33-01-23-45-67'],
  '6.4.2': ['EMAIL;TYPE=work:jqpublic@xyz.example.com', 'EMAIL;PREF=1:jane_doe@example.com'],
  '6.4.3': ['IMPP;PREF=1:xmpp:alice@example.com'],
  '6.4.4': ['LANG;TYPE=work;PREF=1:en', 'LANG;TYPE=work;PREF=2:fr', 'LANG;TYPE=home:fr'],
  '6.5.1': ['TZ:Raleigh/North America', 'TZ;VALUE=utc-offset:-0500'],
  '6.5.2': ['GEO:geo:37.386013,-122.082932'],
  '6.6': [
    'TITLE:Research Scientist',
    'ROLE:Project Leader',
    'LOGO:http://www.example.com/pub/logos/abccorp.jpg',
    String.raw`ORG:ABC\, Inc.;North American Division;Marketing`,
  ],
  '6.6.5': [
    'MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af',
    'MEMBER:mailto:subscriber1@example.com',
    'MEMBER:xmpp:subscriber2@example.com',
    'MEMBER:sip:subscriber3@example.com',
    'MEMBER:tel:+1-418-555-5555',
  ],
  '6.6.6': [
    'RELATED;TYPE=friend:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
    'RELATED;TYPE=contact:http://example.com/directory/jdoe.vcf',
    'RELATED;TYPE=co-worker;VALUE=text:Please contact my assistant Jane\r\n  Doe for any inquiries.',
  ],
  '6.7': [
    'CATEGORIES:TRAVEL AGENT',
    'CATEGORIES:INTERNET,IETF,INDUSTRY,INFORMATION TECHNOLOGY',
    String.raw`NOTE:This fax number is operational 0800 to 1715 EST\, Mon-Fri.`,
    'PRODID:-//ONLINE DIRECTORY//NONSGML Version 1//EN',
    'REV:19951031T222710Z',
    'SOUND:CID:JOHNQPUBLIC.part8.19960229T080000.xyzMail@example.com',
    'URL:http://example.org/restaurant.french/~chezchic.html',
  ],
  '6.7.7': [
    'TEL;PID=3.1,4.2;VALUE=uri:tel:+1-555-555-5555',
    'EMAIL;PID=4.1,5.2:jdoe@example.com',
    'CLIENTPIDMAP:1;urn:uuid:3df403f4-5924-4bb7-b077-3c711d9eb34b',
    'CLIENTPIDMAP:2;urn:uuid:d89c9c7a-2e1b-4832-82de-7e992d95faa5',
  ],
  '6.8.1': [
    'KEY:http://www.example.com/keys/jdoe.cer',
    'KEY;MEDIATYPE=application/pgp-keys:ftp://example.com/keys/jdoe',
    'KEY:data:application/pgp-keys;base64,MIICajCCAdOgAwIBAgICBE\r\n UwDQYJKoZIhvcNAQEEBQAwdzELMAkGA1UEBhMCVVMxLDAqBgNVBAoTI05l',
  ],
  '6.9': [
    'FBURL;PREF=1:http://www.example.com/busy/janedoe',
    'FBURL;MEDIATYPE=text/calendar:ftp://example.com/busy/project-a.ifb',
    'CALADRURI;PREF=1:mailto:janedoe@example.com',
    'CALADRURI:http://example.com/calendar/jdoe',
    'CALURI;PREF=1:http://cal.example.com/calA',
    'CALURI;MEDIATYPE=text/calendar:ftp://ftp.example.com/calA.ics',
  ],
  '7.2': [
    'EMAIL;PID=1.1:jdoe@example.com',
    'EMAIL;PID=2.2:ceo@example.com',
    'TEL;PID=2.1,2.2;VALUE=uri:tel:+1-666-666-6666',
    'CLIENTPIDMAP:2;urn:uuid:1f762d2b-03c4-4a83-9a03-75ff658a6eee',
  ],
  '10.2.4': ['TEL;X-A="a:b;c,d":1', 'X-QQ:21588891'],
  'RFC 6474': [
    "BIRTHPLACE:Babies'R'Us Hospital",
    'BIRTHPLACE;VALUE=uri:geo:46.769307,-71.283079',
    'DEATHPLACE:Aboard the Titanic\\, near Newfoundland',
    'DEATHDATE:--0415',
    'DEATHDATE;VALUE=text:circa 1800',
  ],
  'RFC 6715': [
    'EXPERTISE;LEVEL=beginner;INDEX=2:chinese literature',
    'HOBBY;INDEX=1;LEVEL=high:reading',
    'INTEREST;INDEX=1;LEVEL=medium:r&b music',
    'ORG-DIRECTORY;PREF=1:ldap://ldap.tech.example/o=Example%20Tech,ou=Engineering',
  ],
  'RFC 6868': ['GEO;X-ADDRESS="Pittsburgh Pirates^n115 Federal St^nPittsburgh, PA 15212":geo:40.446816,-80.00566'],
  'RFC 9554': [
    'CREATED:20220705T093412Z',
    'GRAMGENDER:feminine',
    'LANGUAGE:de-AT',
    'PRONOUNS;LANGUAGE=en;PREF=1:xe/xir',
    'SOCIALPROFILE;SERVICE-TYPE=Mastodon:https://example.com/@foo',
    'SOCIALPROFILE;SERVICE-TYPE=SomeSite;USERNAME="The Foo":https://example.com/ietf',
    'NOTE;AUTHOR="mailto:john@example.com":This is some note.',
    'TEL;PROP-ID=abc;DERIVED=true;SERVICE-TYPE=x:1',
    'N;PHONETIC=ipa;SCRIPT=Latn;ALTID=1:a;b;;;;;',
    'ADR:;;;Oak Street;;;;;;;54321;;;;;;;',
  ],
};

test.each(Object.entries(EXAMPLES))('the examples of %s are taken, and mean the same', (_section, lines) => {
  const text = card('4.0', ...lines);
  const stored = textOf(text);
  expect(stored).toMatch(/^BEGIN:VCARD\n/);
  expect(readMeaning(stored)).toEqual(readMeaning(text));
  expect(readMeaning(stored)).toHaveLength(lines.length + 3);
});

test.each(
  [
    'BDAY:--0415',
    'BDAY:19531015T231000Z',
    'BDAY;VALUE=text:circa 1800',
    'GENDER:M',
    'GENDER:F',
    'GENDER:M;Fellow',
    'GENDER:O;intersex',
    'KIND:org',
    'KIND:group',
    'KIND:location',
    'KIND:x-a',
    'N:Public;John;Quinlan;Mr.;Esq.',
    'N;SORT-AS="Harten,Rene":van der Harten;Rene,J.;Sir;R.D.O.N.',
    'N;SORT-AS="Pau Shou Chang,Robert":Shou Chang;Robert,Pau;;',
    'N;SORT-AS="Aboville,Christine":d\'Aboville;Christine;;',
    'BDAY;CALSCALE=gregorian:19960415',
    'TEL;PREF=01:1',
    'TEL;PREF="100":1',
    'XML:<config xmlns="http://a.example"/>',
  ].map((line) => [line]),
)('the example %s is taken', (line) => expect(textOf(card('4.0', line))).toContain(`${line}\n`));

test('the card of RFC 6350 section 8 and those of RFC 2426 section 7 are taken', () => {
  const author = [
    'N:Perreault;Simon;;;ing. jr,M.Sc.',
    'BDAY:--0203',
    'ANNIVERSARY:20090808T1430-0500',
    'GENDER:M',
    'LANG;PREF=1:fr',
    'LANG;PREF=2:en',
    'ORG;TYPE=work:Viagenie',
    'ADR;TYPE=work:;Suite D2-630;2875 Laurier;\r\n Quebec;QC;G1V 2M2;Canada',
    'TEL;VALUE=uri;TYPE="work,voice";PREF=1:tel:+1-418-656-9254;ext=102',
    'TEL;VALUE=uri;TYPE="work,cell,voice,video,text":tel:+1-418-262-6501',
    'EMAIL;TYPE=work:simon.perreault@viagenie.ca',
    'GEO;TYPE=work:geo:46.772673,-71.282945',
    'KEY;TYPE=work;VALUE=uri:\r\n http://www.viagenie.ca/simon.perreault/simon.asc',
    'TZ:-0500',
    'URL;TYPE=home:http://nomis80.org',
  ];
  const older = [
    'ORG:Lotus Development Corporation',
    'ADR;TYPE=WORK,POSTAL,PARCEL:;;6544 Battleford Drive;Raleigh;NC;27613-3502;U.S.A.',
    'TEL;TYPE=VOICE,MSG,WORK:+1-919-676-9515',
    'EMAIL;TYPE=INTERNET,PREF:Frank_Dawson@Lotus.com',
    'LABEL;TYPE=dom,home,postal,parcel:Mr.John Q. Public\\, Esq.\\n',
    'MAILER:PigeonMail 2.1',
    'SORT-STRING:Harten',
    'CLASS:PUBLIC',
    "NAME:Babs Jensen's Contact Information",
    'PROFILE:VCARD',
    'TZ;VALUE=text:-05:00; EST; Raleigh/North America',
    'KEY;ENCODING=b:MIICajCCAdOgAwIBAgICBEUwDQYJKoZIhvcNAQEEBQA\r\n wdzELMAkGA1UEBhMCVVMxLDAqBgNVBAoTI05l',
    'BDAY:1996-04-15',
    'PHOTO;VALUE=uri:http://www.abc.com/pub/photos/jqpublic.gif',
    'GEO:37.386013;-122.082932',
  ];
  for (const [version, lines] of [
    ['4.0', author],
    ['3.0', older],
  ] as const) {
    const text = card(version, ...lines);
    expect(readMeaning(textOf(text))).toEqual(readMeaning(text));
    expect(readMeaning(textOf(text))).toHaveLength(lines.length + 3);
  }
});

describe('how often a property may be there', () => {
  const ONCE = { KIND: 'individual', N: 'a;b;;;', BDAY: '1996', ANNIVERSARY: '1996', GENDER: 'M', REV: '1996', PRODID: 'x' };
  test.each(Object.entries(ONCE))('%s: alternatives with one ALTID count as one (RFC 6350 section 5.4)', (name, value) => {
    const other = String.raw`\(RFC 6350 6\.\d\.\d\)`;
    const once = new RegExp(`^Line 6 of the vcard field: ${name} may be there once ${other}: ${name}`);
    expect(textOf(card('4.0', `${name};ALTID=1:${value}`, `${name};ALTID=1;LANGUAGE=en:${value}`))).toMatch(/^BEGIN/);
    expect(textOf(card('4.0', `a.${name};altid="1":${value}`, `${name};X-A=b;ALTID=1:${value}`, `${name};ALTID=1:${value}`))).toMatch(
      /^BEGIN/,
    );
    expect(textOf(card('4.0', `${name};ALTID=1:${value}`, `${name};ALTID=2:${value}`))).toMatch(once);
    expect(textOf(card('4.0', `${name};ALTID=1:${value}`, `${name}:${value}`))).toMatch(once);
    expect(textOf(card('4.0', `${name}:${value}`, `${name};ALTID=1:${value}`))).toMatch(once);
    expect(textOf(card('4.0', `${name}:${value}`, `${name}:${value}`))).toMatch(once);
    // ALTID is of version 4.0.
    for (const version of ['2.1', '3.0'])
      expect(textOf(card(version, `${name};ALTID=1:${value}`, `${name};ALTID=1:${value}`))).toMatch(once);
  });

  test('FN: one, or alternatives of it; UID and VERSION have none', () => {
    const rest = (...lines: string[]): string => ['BEGIN:VCARD', 'VERSION:4.0', ...lines, 'END:VCARD'].join('\n');
    expect(textOf(rest('UID:u', 'FN;ALTID=1;LANGUAGE=ja:山田', 'FN;ALTID=1;LANGUAGE=en:Yamada'))).toMatch(/^BEGIN/);
    expect(textOf(rest('UID:u', 'FN;ALTID=1:A', 'FN:B'))).toMatch(/^Line 5 .*same ALTID \(RFC 6350 5\.4\): FN:B$/);
    expect(textOf(rest('UID;ALTID=1:u', 'UID;ALTID=1:v', 'FN:A'))).toMatch(/^Line 4 .*UID may be there once \(RFC 6350 6\.7\.6\)/);
    expect(textOf(rest('VERSION:4.0', 'UID:u', 'FN:A'))).toMatch(/^Line 3 .*VERSION may be there once/);
  });
});

test.each([
  ['no beginning', 'hello', 'Line 1 of the vcard field must be BEGIN:VCARD (RFC 6350 6.1.1): hello'],
  ['lines before it count', '\r\n\r\n\r\nhello', 'Line 4 of the vcard field must be BEGIN:VCARD (RFC 6350 6.1.1): hello'],
  [
    'no end',
    'BEGIN:VCARD\nVERSION:4.0\n\nFN:A',
    'The vcard field must have an END:VCARD to its BEGIN:VCARD (RFC 6350 6.1.2), behind line 4: FN:A',
  ],
  ['something behind the end', `${card('4.0')}\r\nTEL:1`, 'Line 7 of the vcard field stands behind END:VCARD (RFC 6350 6.1.2): TEL:1'],
  [
    'a second card',
    card('4.0') + card('4.0'),
    'Line 6 of the vcard field begins another vCard; it must be one only (RFC 6350 6.1.1): BEGIN:VCARD',
  ],
  [
    'a card inside',
    card('4.0', 'AGENT:', 'BEGIN:VCARD', 'END:VCARD'),
    'Line 6 of the vcard field: a vCard inside another is for version 2.1 (RFC 2426 3.5.4): BEGIN:VCARD',
  ],
  [
    'a calendar inside',
    card('2.1', 'AGENT:', 'BEGIN:VCALENDAR', 'END:VCALENDAR'),
    'Line 6 of the vcard field begins another vCard; it must be one only (RFC 6350 6.1.1): BEGIN:VCALENDAR',
  ],
  [
    'junk, behind folds and empty lines',
    card('4.0', 'NOTE:a', ' b', '', ' ', '', 'junk'),
    'Line 10 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): junk',
  ],
  [
    'a long line is quoted in part',
    card('4.0', 'é'.repeat(50)),
    `Line 5 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): ${'é'.repeat(40)}…`,
  ],
  [
    'no half of a character is quoted',
    card('4.0', `${'x'.repeat(39)}😀`),
    `Line 5 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): ${'x'.repeat(39)}…`,
  ],
  [
    'another end',
    card('4.0', 'END:VCALENDAR'),
    'The vcard field must have an END:VCARD to its BEGIN:VCARD (RFC 6350 6.1.2), behind line 5: END:VCALENDAR',
  ],
  [
    'a card that is not of AGENT',
    card('2.1', 'AGENT:', 'TEL:1', 'BEGIN:VCARD', 'END:VCARD'),
    'Line 7 of the vcard field begins another vCard; it must be one only (RFC 6350 6.1.1): BEGIN:VCARD',
  ],
  [
    'groups in groups in 3.0',
    card('3.0', 'a.b.TEL:1'),
    'Line 5 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): a.b.TEL:1',
  ],
  [
    'a quotation mark alone',
    card('4.0', 'TEL;X="a:1'),
    'Line 5 of the vcard field has a quotation mark without a second one (RFC 6350 3.3): TEL;X="a:1',
  ],
  [
    'a bell',
    card('4.0', 'NOTE:a\u0007'),
    'Line 5 of the vcard field has a control character, or half of a character (RFC 6350 3.3): NOTE:a\ufffd',
  ],
  [
    'no FN',
    'BEGIN:VCARD\nVERSION:4.0\nUID:u\nEND:VCARD',
    'Line 4 of the vcard field ends the vCard, and there was no FN (RFC 6350 6.2.1): END:VCARD',
  ],
  [
    'no UID',
    'BEGIN:VCARD\nVERSION:4.0\nFN:A\nEND:VCARD',
    'Line 4 of the vcard field ends the vCard, and there was no UID (RFC 6350 6.7.6): END:VCARD',
  ],
  [
    'an empty UID',
    'BEGIN:VCARD\nVERSION:4.0\nFN:A\nUID: \nEND:VCARD',
    'Line 4 of the vcard field: UID must not be empty (RFC 6350 6.7.6): UID: ',
  ],
  [
    'VERSION 5.0',
    'BEGIN:VCARD\nVERSION:5.0\nEND:VCARD',
    'Line 2 of the vcard field: VERSION must be 2.1, 3.0 or 4.0 (RFC 6350 6.7.9): VERSION:5.0',
  ],
  [
    'no components',
    card('4.0', 'ADR;TYPE=home:'),
    'Line 5 of the vcard field: ADR has components, separated by semicolons (RFC 6350 6.3.1): ADR;TYPE=home:',
  ],
  [
    'SORT-AS elsewhere',
    card('4.0', 'REV;SORT-AS=a:1'),
    'Line 5 of the vcard field: REV has no parameter SORT-AS (RFC 6350 5.9): REV;SORT-AS=a:1',
  ],
  [
    'a PID that is none',
    card('4.0', 'TEL;PID=1.a:1'),
    'Line 5 of the vcard field: the parameter PID has a wrong value (RFC 6350 5.5): TEL;PID=1.a:1',
  ],
  ['PREF 0', card('4.0', 'TEL;PREF=0:1'), 'Line 5 of the vcard field: the parameter PREF has a wrong value (RFC 6350 5.3): TEL;PREF=0:1'],
  [
    'PREF 00',
    card('4.0', 'TEL;PREF=00:1'),
    'Line 5 of the vcard field: the parameter PREF has a wrong value (RFC 6350 5.3): TEL;PREF=00:1',
  ],
  [
    'PREF 101',
    card('4.0', 'TEL;PREF=101:1'),
    'Line 5 of the vcard field: the parameter PREF has a wrong value (RFC 6350 5.3): TEL;PREF=101:1',
  ],
  [
    'TYPE without a value',
    card('4.0', 'TEL;TYPE:1'),
    'Line 5 of the vcard field: the parameter TYPE must have a value (RFC 6350 3.3): TEL;TYPE:1',
  ],
  [
    'a name of 2.1 in 3.0',
    card('3.0', 'X_A:1'),
    'Line 5 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): X_A:1',
  ],
  [
    'white space of 2.1 in 3.0',
    card('3.0', 'TEL; HOME:1'),
    'Line 5 of the vcard field is no property, NAME;PARAMETER=value:value (RFC 6350 3.3): TEL; HOME:1',
  ],
])('a refusal names the line and the rule: %s', (_name, text, message) => {
  const result = parseVcard(text);
  expect('refused' in result && render(result.refused, 'en')).toBe(message);
  // In French the same line and rule.
  const french = 'refused' in result ? render(result.refused, 'fr') : '';
  expect(french.match(/\d[\d.]*/g)).toEqual(message.match(/\d[\d.]*/g));
  expect(french).not.toMatch(/\{|vcard field/);
});

test('what RFC 6350 forbids of version 4.0 is no fault of versions before, nor of properties that are not its own', () => {
  for (const line of ['TEL;TYPE:1', 'TEL;PREF:1', 'BDAY;TYPE=a:1', 'TEL;PREF=0:1', 'N:', 'REV;SORT-AS=a:1'])
    for (const version of ['2.1', '3.0']) expect(textOf(card(version, line))).toContain(`\n${line}\n`);
  for (const line of ['X-A;TYPE:1', 'X-A;PREF=0:1', 'CREATED;TYPE=a:1']) expect(textOf(card('4.0', line))).toContain(`\n${line}\n`);
});
