// What may be wrong with a request around its values: bytes of the body, headers, path, method, framing. Each takes a whole request and spoils it.
import { HEADER_VALUES } from './fuzz-headers';
import type { Member } from './fuzz-rows';

/** How it goes out: over HTTP/1.1, over TLS with either protocol, or as bytes that no client library would send. */
export type Transport = 'http1' | 'https1' | 'http2' | 'raw';

/** A request, whole. */
export interface Plan {
  method: string;
  /** Path and query, as they stand in the request line. */
  target: string;
  headers: [name: string, value: string][];
  body: Buffer | undefined;
  transport: Transport;
  /** Whether the body's length is told, or the body is sent in chunks. */
  chunked: boolean;
  /** What was done to it, for people. */
  spoiled: string[];
  /** Who asks; undefined: a stranger. */
  member: Member | undefined;
  /** Set where the very bytes on the connection are wrong, so that hanging up is an answer, too. */
  broken: boolean;
}

/** A request of which nothing is said but what it asks for: over HTTP/1.1, by a stranger, right in all respects. */
export const plainPlan = (method: string, target: string, more: Partial<Plan> = {}): Plan => ({
  method,
  target,
  headers: [],
  body: undefined,
  transport: 'http1',
  chunked: false,
  spoiled: [],
  member: undefined,
  broken: false,
  ...more,
});

const set = (plan: Plan, name: string, value: string): void => {
  plan.headers = [...plan.headers.filter(([other]) => other.toLowerCase() !== name), [name, value]];
};
const text = (plan: Plan): string => plan.body?.toString('utf8') ?? '{}';
const write = (plan: Plan, body: string | Buffer): void => {
  plan.body = Buffer.from(body as string);
  if (!plan.headers.some(([name]) => name === 'content-type')) plan.headers.push(['content-type', 'application/json']);
};
/** The path alone, without what follows the question mark. */
const onPath = (plan: Plan, change: (path: string) => string): void => {
  const [path = '', ...rest] = plan.target.split('?');
  plan.target = [change(path), ...rest].join('?');
};
const insertedAt = (path: string, n: number, inserted: string): string => {
  const at = path.indexOf('/', 1 + (n % Math.max(1, path.length - 1)));
  return at < 0 ? path + inserted : path.slice(0, at) + inserted + path.slice(at);
};

interface Envelope {
  name: string;
  /** @param n picks one of several ways */
  spoil: (plan: Plan, n: number) => void;
}
const of = <T>(list: readonly T[], n: number): T => list[n % list.length] as T;

const HEADERS: Envelope[] = Object.entries(HEADER_VALUES).map(([name, values]) => ({
  name: `header ${name}`,
  spoil: (plan, n) => {
    const value = of(values, n);
    if (n % 5 === 4 && name !== 'host') plan.headers.push([name, value]);
    else set(plan, name, value);
  },
}));

const BODIES: Envelope[] = [
  { name: 'trailing garbage', spoil: (plan, n) => write(plan, text(plan) + of(['x', ',', '}', '\0', ' {}', '\ufeff', '//', '\n\n'], n)) },
  { name: 'cut', spoil: (plan, n) => write(plan, text(plan).slice(0, n % (text(plan).length + 1))) },
  {
    name: 'UTF-16',
    spoil: (plan, n) => write(plan, n % 2 ? Buffer.from(text(plan), 'utf16le') : Buffer.from(text(plan), 'utf16le').swap16()),
  },
  { name: 'Latin-1', spoil: (plan) => write(plan, Buffer.from(text(plan).replace(/"(?=[,}])/, '\u00e9"'), 'latin1')) },
  {
    name: 'byte order mark',
    spoil: (plan, n) =>
      write(plan, Buffer.concat([of([Buffer.from('efbbbf', 'hex'), Buffer.from('fffe', 'hex')], n), Buffer.from(text(plan))])),
  },
  {
    name: 'no UTF-8',
    spoil: (plan, n) =>
      write(
        plan,
        Buffer.concat(
          [
            Buffer.from('{"username":"'),
            of([[0xed, 0xa0, 0x80], [0xff], [0xc0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]], n),
            Buffer.from('"}'),
          ].map((part) => Buffer.from(part as Buffer)),
        ),
      ),
  },
  { name: 'members twice', spoil: (plan) => write(plan, text(plan).replace(/^\{(.+)\}$/su, '{$1,$1}')) },
  {
    name: 'odd numbers',
    spoil: (plan, n) =>
      write(
        plan,
        text(plan).replace(
          /:("[^"]*"|\d+)(?=[,}])/,
          `:${of(['-0', '1e400', '-1e-400', '01', '1.', '.5', 'NaN', '0x1', '1e', '9'.repeat(400), '1.0', '1e0'], n)}`,
        ),
      ),
  },
  {
    name: 'no object',
    spoil: (plan, n) =>
      write(
        plan,
        of(
          [
            '',
            ' ',
            'null',
            '[]',
            '[{}]',
            '"x"',
            '0',
            'true',
            '[[',
            '{',
            '{"',
            '{"a"',
            '{"a":}',
            "{'a':1}",
            '{a:1}',
            '[1,]',
            '\0',
            '<xml/>',
            'a=b&c=d',
          ],
          n,
        ),
      ),
  },
  {
    name: 'unknown members',
    spoil: (plan, n) =>
      write(
        plan,
        text(plan)
          .replace(
            /^\{/,
            `{${of(['"__proto__":{"admin":true},', '"constructor":1,', '"toString":null,', '"":1,', '"id":1,"domain":null,"admin":true,"account_id":1,', '"\\ud800":"\\udfff",', '"length":5,'], n)}`,
          )
          .replace(/,\}$/, '}'),
      ),
  },
  {
    name: 'deep',
    spoil: (plan, n) => {
      const depth = of([31, 33, 1000, 100_000], n);
      write(plan, `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`);
    },
  },
  {
    name: 'many members',
    spoil: (plan, n) => write(plan, `{${Array.from({ length: of([1999, 2001, 60_000], n) }, (_, index) => `"k${index}":0`).join(',')}}`),
  },
  {
    name: 'large',
    spoil: (plan, n) =>
      write(plan, JSON.stringify({ [of(['vcard', 'username', 'x'], n)]: 'x'.repeat(of([900_000, 1_048_576, 1_100_000], n)) })),
  },
  { name: 'spaces', spoil: (plan) => write(plan, `${' '.repeat(10_000)}${text(plan)}${'\t'.repeat(10_000)}`) },
  {
    name: 'chunked',
    spoil: (plan) => {
      write(plan, text(plan));
      plan.chunked = true;
    },
  },
  { name: 'no type', spoil: (plan) => (plan.headers = plan.headers.filter(([name]) => name !== 'content-type')) },
  { name: 'a body', spoil: (plan) => write(plan, '{"a":1}') },
  { name: 'no body', spoil: (plan) => (plan.body = undefined) },
];

const PATHS: Envelope[] = [
  {
    name: 'odd path',
    spoil: (plan, n) =>
      onPath(plan, (path) =>
        insertedAt(
          path,
          n,
          of(
            [
              '%2f',
              '%00',
              '%zz',
              '%',
              '/',
              '//',
              '/.',
              '/..',
              '%2e%2e',
              '%c3%28',
              '%ff',
              '%ud800',
              ';a=b',
              '%20',
              '%e2%80%ae',
              '+',
              '*',
              ':',
              '@',
              '%0d%0a',
              '\u00e9',
              '(',
              '|',
              '%25zz',
              '%F0%9F%98%80',
              "'",
              ',',
              '=',
              '$&',
              '\\',
              '%5c',
            ],
            n,
          ),
        ),
      ),
  },
  { name: 'trailing slash', spoil: (plan, n) => onPath(plan, (path) => path + of(['/', '//', '/.', '%2f', '/x'], n)) },
  { name: 'leading slashes', spoil: (plan) => onPath(plan, (path) => `/${path}`) },
  { name: 'letter case', spoil: (plan, n) => onPath(plan, (path) => (n % 2 ? path.toUpperCase() : path.replace('/api', '/API'))) },
  {
    name: 'over-long',
    spoil: (plan, n) => onPath(plan, (path) => path + of(['a'.repeat(3000), '/a'.repeat(3000), '%41'.repeat(3000), '%'.repeat(2000)], n)),
  },
  {
    name: 'last part',
    spoil: (plan, n) =>
      onPath(
        plan,
        (path) =>
          path.slice(0, path.lastIndexOf('/') + 1) +
          of(
            [
              '0',
              '-1',
              '1e3',
              '2147483648',
              '99999999999999999999',
              '0x1',
              '1.0',
              '%31',
              '01',
              '+1',
              '%D9%A1',
              'NaN',
              '__proto__',
              'constructor',
              'me',
              '%20',
              '.',
              'a'.repeat(256),
              'a%40b',
              'a%40b%40c',
              '%F0%9F%98%80',
              '%ED%A0%80',
            ],
            n,
          ),
      ),
  },
  {
    name: 'odd query',
    spoil: (plan, n) =>
      (plan.target +=
        (plan.target.includes('?') ? '&' : '?') +
        of(
          [
            'a[b]=c',
            'page=1&page=2',
            'page[]=1',
            'page[__proto__]=1',
            '__proto__[x]=1',
            '%zz',
            'from=%zz',
            'by[]=day',
            'a=%00',
            '&&&',
            '=',
            '=a',
            `a=${'b'.repeat(5000)}`,
            'from=2026-01-01+02:00',
            'domain=%ff',
            '?',
            'a=\u00e9',
            Array.from({ length: 1500 }, (_, index) => `p${index}`).join('&'),
          ],
          n,
        )),
  },
  { name: 'fragment', spoil: (plan) => (plan.target += '#x?y') },
  {
    name: 'absolute form',
    spoil: (plan, n) =>
      (plan.target = of(['http://127.0.0.1', 'http://super.invalid', 'https://a:b@c.invalid:1', 'HTTP://X'], n) + plan.target),
  },
];

const METHODS: Envelope[] = [
  {
    name: 'method',
    spoil: (plan, n) =>
      (plan.method = of(['HEAD', 'OPTIONS', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'HEAD', 'QUERY'], n)),
  },
  {
    name: 'many headers',
    spoil: (plan, n) => {
      for (let index = 0; index < of([100, 140, 1100], n); index += 1) plan.headers.push([`x-${index}`, '']);
    },
  },
  { name: 'long header', spoil: (plan, n) => plan.headers.push([`x-long`, 'a'.repeat(of([15_000, 17_000, 70_000], n))]) },
];

const raw = (name: string, spoil: Envelope['spoil']): Envelope => ({
  name,
  spoil: (plan, n) => {
    plan.transport = 'raw';
    plan.broken = true;
    spoil(plan, n);
  },
});
/** Written to the connection as they stand. */
const FRAMINGS: Envelope[] = [
  raw('wrong length', (plan, n) => {
    write(plan, text(plan));
    plan.headers.push(['content-length', of(['0', '1', '-1', 'x', '1e1', '', '99999999999999999999', '+5', '3, 3', ' 2 '], n)]);
  }),
  raw('two lengths', (plan) => {
    write(plan, text(plan));
    plan.headers.push(['content-length', '1'], ['content-length', '2']);
  }),
  raw('length and chunks', (plan) => {
    write(plan, '0\r\n\r\n');
    plan.headers.push(['content-length', '5'], ['transfer-encoding', 'chunked']);
  }),
  raw('bad chunks', (plan, n) => {
    write(
      plan,
      of(['zz\r\n', '-1\r\n', 'ffffffffffffffff\r\n', '1\r\nab\r\n0\r\n\r\n', '1;x=y\r\na\r\n0\r\nTrailer: x\r\n\r\n', '\r\n'], n),
    );
    plan.headers.push(['transfer-encoding', 'chunked']);
  }),
  raw('transfer coding', (plan, n) => {
    write(plan, text(plan));
    plan.headers.push(['transfer-encoding', of(['gzip', 'identity', 'chunked, chunked', 'x, chunked', 'CHUNKED ', ''], n)]);
  }),
  raw('header line', (plan, n) =>
    plan.headers.push(
      of<[string, string]>(
        [
          ['a b', 'c'],
          ['a\0', 'b'],
          ['', 'b'],
          ['x', 'a\0b'],
          ['x', 'a\u0001b'],
          ['x', 'a\n b'],
          ['\u00e9', 'b'],
          ['x y:', 'z'],
          ['x', 'a\r b'],
        ],
        n,
      ),
    ),
  ),
  raw(
    'method line',
    (plan, n) => (plan.method = of(['get', 'FOO', '', 'GET\t', 'G'.repeat(9000), 'G\0T', '\u00e9', 'GET /x HTTP/1.1\r\n\r\nGET'], n)),
  ),
  raw(
    'target',
    (plan, n) =>
      (plan.target = of(
        [
          '',
          '*',
          '?',
          '/ /',
          '/\0',
          '/\u00ff',
          'a',
          '//',
          'http://',
          'http:///api/ping',
          '/api/ping HTTP/9.9\r\nX: ',
          '\\',
          '/api/\u0001',
          '/api/ping\t',
        ],
        n,
      )),
  ),
];

/** Those that any request bears, and those of the bytes themselves. */
export const ENVELOPES: readonly Envelope[] = [...HEADERS, ...BODIES, ...BODIES, ...PATHS, ...PATHS, ...METHODS, ...METHODS];
export const RAW_ENVELOPES: readonly Envelope[] = FRAMINGS;
