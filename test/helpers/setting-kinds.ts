// Values, wrong and right, that settings of one kind are tried with.
import { generateKeyPairSync } from 'node:crypto';

/** What a setting is tried with. */
export interface Case {
  /** Each with a part of what is said of it. */
  wrong: readonly (readonly [value: string, fault: string])[];
  /** Each with the value that becomes of it, where that is another. */
  right: readonly (string | readonly [value: string, parsed: unknown])[];
}

export const all = (values: readonly string[], fault: string): [string, string][] => values.map((value) => [value, fault]);

export const CONTROL = 'control character';
const LINES = [...all(['a\nb', 'a\r\nb', 'a\tb', 'a\u0007b', 'a\u0085b', 'a\u2028b'], CONTROL), ['caf\uFFFD', 'no UTF-8']] as [
  string,
  string,
][];
export const text = (...right: string[]): Case => ({ wrong: LINES, right: ['a', ...right] });
export const secret = (...right: string[]): Case => text('null', '€uro', 'a b#c=d"e\'f`g', '${x}', ...right);
export const display = (...right: string[]): Case => ({
  wrong: [...LINES, ['${APP_NAME}', 'nothing replaces'], ['x'.repeat(256), '255 characters']],
  right: ['Téléphonie & Co', '電話', 'x'.repeat(255), ...right],
});
export const integer = (min: number, max: number): Case => ({
  wrong: all(
    [
      ...'1e3,0x10,0b1,5.0,1 000,1_000,+5,-1,٥,５,five,true,NaN,Infinity,5;'.split(','),
      '5,0',
      '9'.repeat(30),
      String(max + 1),
      ...(min > 0 ? [String(min - 1)] : []),
    ],
    `must be a whole number from ${min} to ${max}`,
  ),
  right: [
    [String(min), min],
    [String(max), max],
    [` ${min + 1} `, min + 1],
    [`0${min}`, min],
  ],
});
export const flag: Case = {
  wrong: all(['maybe', '2', '-1', 'oui', 't', '"true"', 'true,false', '１'], 'must be true or false'),
  right: [
    ...['true', 'TRUE', '1', 'on', 'Yes'].map((value) => [value, true] as const),
    ...['false', 'False', '0', 'off', 'no'].map((value) => [value, false] as const),
  ],
};
export const choice = (...allowed: string[]): Case => ({
  wrong: all(
    ['x', (allowed[0] ?? '').toUpperCase() === allowed[0] ? 'sha-256' : (allowed[0] ?? '').toUpperCase(), `${allowed[0]},`, '1'],
    `must be one of ${allowed.join(', ')}`,
  ),
  right: allowed,
});
const HOSTS = [
  'localhost',
  'mail.example.org',
  'my_service',
  'a.example.org.',
  'bücher.example',
  'xn--bcher-kva.example',
  '192.0.2.1',
  '2001:db8::1',
  'fe80::1%eth0',
];
export const NO_HOSTS = [
  'a b',
  'http://a',
  'a/b',
  '-a.org',
  'a..b',
  'a,b',
  '192.0.2.300',
  '1.2.3',
  '[a]',
  '[::1',
  'a@b',
  'a\nb',
  `${'x'.repeat(64)}.org`,
  'x.'.repeat(140),
  '[192.0.2.1]',
];
export const host: Case = {
  wrong: [
    ...all(NO_HOSTS, 'must be a host name or an address, and nothing else'),
    ...all(['a:25', 'mail.example.org:', '[::1]:25'], 'must be a host name or an address'),
  ],
  right: [...HOSTS, ['[::1]', '::1']],
};
const NO_URL = [
  'example.org',
  '//example.org',
  'ftp://example.org',
  'javascript:alert(1)',
  'https:example.org',
  'https:\\\\example.org',
  'https://',
  'https:///x',
];
/** Of addresses that may have a path: the last of those is one. */
export const NO_WEBHOOK = NO_URL.slice(0, -1);
const DATABASE_FORM = 'has a host that is none';
export const postgres: Case = {
  wrong: [
    ...all(
      ['mysql://root:geheim@db', 'db', 'POSTGRES://h/d', 'socket:/tmp/x', '/var/run/postgresql flexiapi', 'postgres:/h/d'],
      'must begin with postgres:// or postgresql://',
    ),
    ['postgres://', 'names no server'],
    ...all(['postgres://h d/x', 'postgres://u:p#w@h/d', 'postgres://u:p\\w@h/d', 'postgres://u:p\nw@h/d'], 'has a blank, a # or a \\'),
    ...all(
      ['postgres://h:0/d', 'postgres://h:70000/d', 'postgres://h:x/d', 'postgres://h:/d', 'postgres:///d?port=x'],
      'has a port that is none',
    ),
    ...all(['postgres://a,b/d', 'postgres://a:1,b:2/d', 'postgres:///d?host=a,b'], 'names several hosts'),
    ...all(
      ['postgres://-h/d', 'postgres://h:1:2/d', 'postgres://::1/d', 'postgres://[::1/d', 'postgres://[x]/d', 'postgres:///d?host=a:1'],
      DATABASE_FORM,
    ),
    ['postgres://u:p/w@h/d', 'has a / before its @'],
    ['postgres://u:p?w@h/d', 'has a ? before its @'],
    ['postgres://u@h/d?p?w@h', 'begins no parameters'],
    ...all(['postgres://u:%zz@h/d', 'postgres://u:100%@h/d', 'postgres://u:%e9@h/d'], 'has a % in its password'),
    ['postgres://%@h/d', 'has a % in its user name'],
    ['postgres://h/%', 'has a % in its database name'],
    ['postgres://h/a/b', 'has a / behind the name of its database'],
    ...all(['postgres://h/d?sslmode=on', 'postgres://h/d?sslmode=', 'postgres://h/d?sslmode=allow'], '«sslmode»'),
    ['postgres://h/d?ssl=false', '«ssl»'],
    ['postgres://h/d?sslnegotiation=x', '«sslnegotiation»'],
    ['postgres://h/d?uselibpqcompat=1', '«uselibpqcompat»'],
    ['postgres://h/d?uselibpqcompat=true&sslmode=verify-ca', 'without «sslrootcert»'],
    ['postgres://h/d?sslmode=require&sslmode=disable', 'has the parameter «sslmode» twice'],
  ],
  right: [
    'postgres://h/d',
    'postgresql://u:p@h:5433/d',
    'postgres://u:p%40s%2Fs@h/d',
    'postgres://u:p@ss@h/d',
    'postgres://user%40tenant:p@h.example.org:6432/d?sslmode=no-verify&application_name=x',
    'postgres://u@[2001:db8::1]:5432/d',
    'postgres:///d?host=/var/run/postgresql',
    'postgres:///d?host=/var/run/postgresql&user=u&password=p&port=5433',
    'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d',
    'postgres://u@/d?host=/tmp',
    'postgres:///d',
    'postgres://h',
    'postgres://h/d?schema=public&connection_limit=5&channel_binding=require&sslmode=verify-full',
    'postgres://u:пароль@h/d',
  ],
};
const REDIS_SCHEMES = 'must begin with redis:// or rediss:// or redis+sentinel:// or rediss+sentinel://';
export const redis: Case = {
  wrong: [
    ...all(['http://a', 'a:6379', 'unix:///tmp/redis.sock', 'REDIS://a'], REDIS_SCHEMES),
    ['redis://a?connectTimeout=1000', 'has the parameter «connectTimeout», which is not known here: family can be given'],
    ['redis://a?sentinel_password=x', 'has the parameter «sentinel_password», which is not known here: family can be given'],
    [
      'redis+sentinel://a/m?x=1',
      'has the parameter «x», which is not known here: family, sentinel_username, sentinel_password can be given',
    ],
    ['redis+sentinel://a/m?sentinel_username=x', 'has the parameter «sentinel_username» without «sentinel_password»'],
    ...all(
      ['redis+sentinel://a/m?sentinel_password=', 'redis+sentinel://a/m?sentinel_username=&sentinel_password=x'],
      'has an empty parameter',
    ),
    ...all(
      ['redis://me@a', 'redis://me:@a', 'redis://@a'],
      'has a user without a password: write user:password@, or :password@ for the default user',
    ),
    ['redis://me:%zz@a', 'has a % in its password that no two hexadecimal digits'],
    ['redis://:p?w@a', 'has a ? before its @'],
    ['redis://:p/w@a', 'has a / before its @'],
    ['redis://:p@a?p?w@h', 'begins no parameters'],
    ...all(
      ['redis://a/one', 'redis://a/-1', 'redis://a/10000', 'redis://a/1/2', 'redis://a/1.5'],
      'has a database that is none: 0 to 9999 can be given',
    ),
    ['redis://a,b/1', 'has a database: a Cluster has none but 0'],
    ['redis://a,rediss://b', 'has nodes of different schemes'],
    ['redis://x:1@a,y:2@b', 'has nodes with different users or passwords'],
    ['redis://a?family=4,redis://b?family=6', 'has nodes with different parameters'],
    ['redis://a?family=5', 'has a parameter «family» that is neither 4 nor 6'],
    ['redis://a?family=4&family=6', 'has the parameter «family» twice'],
    ...all(['redis://:p#w@a', 'redis://a b'], 'has a blank or a # in it: write them as %20 and %23'),
    ['redis+sentinel://a/m/1/2', 'has too long a path; must be redis'],
    ...all(
      ['redis://', 'redis://a,', 'redis://::1', 'redis://[x]', 'redis://-a', 'redis://a:1:2'],
      'has a host that is none; must be redis',
    ),
    ...all(
      ['redis://a:70000', 'redis://a:0', 'redis://a:', 'redis://a:x', 'redis://a:63٧9'],
      'has a port that is none: 1 to 65535 can be given',
    ),
  ],
  right: [
    'redis://a',
    'redis://a:6379/15',
    'rediss://me:p%40ss@redis.example.org:6380/0',
    'redis://:пароль@bücher.example',
    'redis://[::1]:7',
    'redis://my_redis/2?family=6',
    'redis://a,b:7,[::1]:8',
    'redis://a?family=6,redis://b?family=6',
    'redis+sentinel://:p@one:26379,two/main/3',
    'rediss+sentinel://me:a@b@[::1]:7,two?sentinel_username=s&sentinel_password=%2B&family=6',
  ],
};
export const appleId: Case = {
  wrong: all(['ABCDE1234', 'ABCDE123456', 'abcde12345', 'ABCDE-1234', 'ABCDÉ12345'], 'must have 10 capital letters and digits'),
  right: ['ABCDE12345'],
};
export const rsa = (bits: number): string =>
  generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ type: 'spki', format: 'pem' }) as string;
export const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
