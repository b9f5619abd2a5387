// Phone numbers as people write and paste them.
import { normalisePhone } from '../src/infra/phone-number';
import { startSystem, type Account, type Answer, type System } from './helpers/system';

const FRENCH = '+33612345678';
const written = (digits: string, zero: number): string => digits.replaceAll(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)));

/** Every run of ten decimal digits that Unicode has. */
function zeros(): number[] {
  const found: number[] = [];
  for (let codePoint = 0, run = 0; codePoint <= 0x10ffff; codePoint += 1) {
    run = /^\p{Nd}$/u.test(String.fromCodePoint(codePoint)) ? run + 1 : 0;
    if (run % 10 === 1) found.push(codePoint);
  }
  return found;
}

describe('a number is stored as E.164', () => {
  test('in the digits of every script', () => {
    const scripts = zeros();
    expect(scripts.length).toBeGreaterThan(60);
    for (const zero of scripts) expect([zero.toString(16), normalisePhone(written(FRENCH, zero))]).toEqual([zero.toString(16), FRENCH]);
  });

  test.each([
    ['Arabic', '+٩٧١٥٠١٢٣٤٥٦٧', '+971501234567'],
    ['Persian', '+۹۸۹۱۲۳۴۵۶۷۸۹', '+989123456789'],
    ['Devanagari', '+९१ ९८७६५ ४३२१०', '+919876543210'],
    ['full width, as in Japan', '＋８１　９０−１２３４－５６７８', '+819012345678'],
    ['two kinds of digits', '+33 6 12 34 56 7８', FRENCH],
  ])('%s', (_name, given, number) => expect(normalisePhone(given)).toBe(number));

  /** libphonenumber's VALID_PUNCTUATION, but for its `x` and tildes, which may begin an extension; then what word processors write. */
  const BETWEEN =
    '-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff0d/\uff0f.\uff0e \u00a0\u00ad\u200b\u2060\u3000()\uff08\uff09[]\uff3b\uff3d' +
    '\u202f\u2009\u2003\t\u00b7\u2022\u2027\u30fb\ufe63\u301c\u058a';
  test.each(Array.from(BETWEEN, (mark) => [`U+${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`, mark]))(
    'with %s between',
    (_code, mark) => {
      expect(normalisePhone(`+33${mark}6${mark}12${mark}34${mark}56${mark}78`)).toBe(FRENCH);
    },
  );

  /** What an address book, a page or a keyboard puts around and between. */
  const INVISIBLE =
    '\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200c\u200d\u200e\u200f\u061c\u2060\u2063\ufeff\u00ad\ufe0f\u034f';
  test.each(Array.from(INVISIBLE, (mark) => [`U+${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`, mark]))(
    '%s is ignored',
    (_code, mark) => {
      expect(normalisePhone(`${mark}+${mark}33 6 12${mark} 34 56 78${mark}`)).toBe(FRENCH);
    },
  );

  test.each([
    '(+33) 6 12 34 56 78',
    '[+33] 6 12 34 56 78',
    '（＋33）6 12 34 56 78',
    '+33 (0)6 12 34 56 78',
    '++33 6 12 34 56 78',
    '+＋33 6 12 34 56 78',
    'tel:+33-6-12-34-56-78',
    'TEL:+33(6)12345678',
    'Tel: +33 6 12 34 56 78',
    '  +33612345678  ',
    '"+33 6 12 34 56 78"',
    '“+33612345678”',
    '« +33612345678 »',
    "'+33612345678'",
    '<+33612345678>',
    '<tel:+33612345678>',
    '+33612345678,',
    '+33612345678;',
    '+33612345678 / ',
    '\u2022 +33612345678\u2028',
    '\u260e\ufe0f +33612345678',
    '\u202a\u201c+33612345678\u201d,\u202c\r\n',
    '+33612345678\r\n',
    '+33612345678\t',
  ])('%s', (given) => expect(normalisePhone(given)).toBe(FRENCH));

  test.each([
    ['no country code', '06 12 34 56 78'],
    ['a prefix that leads abroad from some countries only', '0033 6 12 34 56 78'],
    ['no plus', '33612345678'],
    ['a short number', '+33612'],
    ['a number that nobody has', '+33012345678'],
    ['an extension', '+33612345678 x5'],
    ['an extension in words', '+33612345678 ext. 5'],
    ['an extension of RFC 3966', 'tel:+33612345678;ext=5'],
    ['an extension after a tilde', '+33612345678~5'],
    ['an extension after a number sign', '+33612345678#5'],
    ['a sub-address', 'tel:+33612345678;isub=5'],
    ['a local number with its context', 'tel:612345678;phone-context=+33'],
    ['letters', '+1 800 FLOWERS'],
    ['a word', 'Mobile +33612345678'],
    ['a word behind', '+33612345678 home'],
    ['a pause', '+33612345678,,5'],
    ['a star', '+33612345678*5'],
    ['a number sign at the end', '+33612345678#'],
    ['a control character', '\u0000+33612345678'],
    ['a control character behind it', '+33612345678\u0007'],
    ['half of a character', '+33612345678\ud83d'],
    ['a second number', '+33612345678, +33612345679'],
    ['a word in brackets', '+33612345678 (mobile)'],
    ['two plus signs', '+33+612345678'],
    ['other kinds of numbers', '+33⁶¹²³⁴⁵⁶⁷⁸'],
    ['nothing', ''],
    ['invisible characters alone', '\u200b\u202a'],
    ['a plus', '+'],
    ['more than 64 characters', `+33${' '.repeat(60)}612345678`],
  ])('%s is refused', (_what, given) => expect(normalisePhone(given)).toBeNull());
});

describe('wherever a number is given', () => {
  let system: System;
  let admin: Account;
  beforeAll(async () => {
    system = await startSystem({ webs: 1, workers: 0, environment: { ACCOUNT_USERNAME_REGEX: '^[^A-Z]*$' } });
    await system.rows("UPDATE phone_countries SET activated = true WHERE code IN ('FR', 'AE')");
    admin = await system.account('phone-admin', { admin: true });
  });
  afterAll(() => system.stop());

  const make = (fields: object): Promise<Answer> =>
    system.api('/accounts', {
      method: 'POST',
      key: admin.key,
      body: { username: 'phone-owner', password: 'password', algorithm: 'MD5', ...fields },
    });

  test('it is one number, however it is written', async () => {
    const made = await make({ phone: '+٩٧١٥٠١٢٣٤٥٦٧' });
    expect([made.status, made.json['phone']]).toEqual([200, '+971501234567']);
    const taken = await make({ username: 'phone-owner-2', phone: '\u202a＋９７１ 50-123-4567\u202c' });
    expect([taken.status, taken.json['errors']]).toEqual([422, { phone: ['This phone is already taken.'] }]);
    const route = `/accounts/${String(made.json['id'])}`;
    const body = { username: 'phone-owner', password: 'password', algorithm: 'MD5', phone: '(+33) 6 12\u202f34\u202f56\u202f78' };
    expect((await system.api(route, { method: 'PUT', key: admin.key, body })).json['phone']).toBe(FRENCH);
    const { key } = await system.account('phone-asker');
    const asked = await system.api('/accounts/me/phone/request', { method: 'POST', key, body: { phone: 'tel:+33-6-12-34-56-78' } });
    expect([asked.status, asked.json['errors']]).not.toEqual([422, { phone: [expect.stringContaining('must be an international')] }]);
  });

  test('as a username it is refused in every script', async () => {
    for (const username of [
      '+33612345678',
      '＋33612345678',
      '\u0660\u0666\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668',
      '06\u201112\u201134\u201156\u201178',
    ])
      expect((await make({ username })).json['errors']).toEqual({ username: ['The username field must not be a phone number.'] });
  });
});
