// flexisip.conf, read as Flexisip reads it and changed so that what is not meant stays byte for byte; connection strings of libpq and statements of SOCI.
import fc from 'fast-check';
import { ConfFile, type Parameter } from '../src/services/flexisip/conf-file';
import { connectionString, numberNames, parseConnectionString } from '../src/services/flexisip/connection-string';

const edit = (text: string | Buffer, ...parameters: Parameter[]): string => {
  const conf = new ConfFile(Buffer.from(text as string, 'utf8'));
  for (const parameter of parameters) conf.set(parameter);
  return conf.content.toString('utf8');
};
const log = (name: string, value: string, more: Partial<Parameter> = {}): Parameter => ({ section: 'event-logs', name, value, ...more });

describe('a file that is changed', () => {
  test('a value in its place; comments, blanks, other sections and the end of the file as they were', () => {
    const before = [
      '## top',
      '[global]',
      'enabled=false # no comment, part of the value',
      '',
      '  [ event-logs ]  ',
      '#enabled=false',
      '   Enabled  =   false  ',
      '[other]',
      'enabled=false',
    ].join('\n');
    expect(edit(before, log('enabled', 'true'))).toBe(before.replace('=   false  ', '=   true'));
  });

  test('what is right already is not touched, however it is written', () => {
    const before = '[event-logs]\n enabled =  true   \n';
    expect(edit(before, log('enabled', 'true'))).toBe(before);
  });

  test('missing parameters: behind the comment that shows the default, else behind the last one, else in a new section', () => {
    const before = '[event-logs]\n# Where.\n#flexiapi-host=localhost\n\n# Last.\nlogger=x\n\n# Of the next section.\n[next]\n';
    expect(edit(before, log('flexiapi-host', 'h'), log('flexiapi-port', '1'), { section: 'new', name: 'a', value: 'b' })).toBe(
      '[event-logs]\n# Where.\n#flexiapi-host=localhost\nflexiapi-host=h\n\n# Last.\nlogger=x\nflexiapi-port=1\n\n# Of the next section.\n[next]\n\n[new]\na=b\n',
    );
    expect(edit('', log('a', 'b'))).toBe('[event-logs]\na=b\n');
    expect(edit('[event-logs]', log('a', 'b'))).toBe('[event-logs]\na=b');
    expect(edit('[x]\na=1', log('a', 'b'))).toBe('[x]\na=1\n\n[event-logs]\na=b\n');
  });

  test('CRLF, bytes that are no UTF-8, a section that comes twice, a line that ends in a backslash', () => {
    expect(edit('[event-logs]\r\na=1\r\n', log('a', '2'), log('b', '3'))).toBe('[event-logs]\r\na=2\r\nb=3\r\n');
    const odd = Buffer.from('[x]\nname=caf\xe9\n[event-logs]\na=1\n', 'latin1');
    const conf = new ConfFile(odd);
    conf.set(log('a', 'ü'));
    expect(conf.content).toEqual(Buffer.concat([Buffer.from('[x]\nname=caf\xe9\n[event-logs]\na=', 'latin1'), Buffer.from('ü\n')]));
    expect(edit('[event-logs]\na=1\n[x]\n[EVENT-LOGS]\nb=1\n', log('b', '2'), log('c', '3'))).toBe(
      '[event-logs]\na=1\nc=3\n[x]\n[EVENT-LOGS]\nb=2\n',
    );
    const continued = '[x]\nfilter=a \\\n  b\n[event-logs]\n';
    expect(edit(continued, log('a', '1'))).toBe(`${continued}a=1\n`);
  });

  test('one that comes twice is changed in both places, and is told', () => {
    const conf = new ConfFile(Buffer.from('[event-logs]\na=1\n[event-logs]\nA=2\nb=1\n'));
    expect(conf.repeated).toEqual(['[event-logs] A']);
    conf.set(log('a', '3'));
    expect(conf.content.toString()).toBe('[event-logs]\na=3\n[event-logs]\nA=3\nb=1\n');
  });

  test('older names, values that stay, values that are only changed', () => {
    expect(edit('[event-logs]\nflexiapi-token=1\n', log('flexiapi-api-key', '2', { aliases: ['flexiapi-token'] }))).toBe(
      '[event-logs]\nflexiapi-token=2\n',
    );
    expect(edit('[event-logs]\nsize=7\n', log('size', '10', { when: 'if-absent' }))).toBe('[event-logs]\nsize=7\n');
    expect(edit('[event-logs]\nsize=\n', log('size', '10', { when: 'if-absent' }))).toBe('[event-logs]\nsize=10\n');
    expect(edit('[event-logs]\n', log('realm', '', { when: 'if-set' }))).toBe('[event-logs]\n');
    expect(edit('[event-logs]\nrealm=x\n', log('realm', '', { when: 'if-set' }))).toBe('[event-logs]\nrealm=\n');
    expect(() => edit('', log('a', 'b\nc'))).toThrow('[event-logs] a');
  });
});

/** As Flexisip's own reader goes through a file: what it would find there. */
function readAsFlexisip(bytes: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  let section: string | undefined;
  for (const line of bytes
    .toString('latin1')
    .split('\n')
    .map((text) => text.replace(/\r$/, ''))) {
    const start = line.replace(/^ */, '');
    if (start.startsWith('#')) continue;
    if (start.startsWith('[')) {
      const name = start.includes(']') ? start.slice(1, start.indexOf(']')).trim().split(/\s/)[0] : '';
      if (name) section = name.toLowerCase();
    } else if (section !== undefined && line.includes('=')) {
      const [name = ''] = line.slice(0, line.indexOf('=')).trim().split(/\s/);
      let value = line.slice(line.indexOf('=') + 1);
      while (value.endsWith(' ')) value = value.slice(0, -1);
      while (value.startsWith(' ')) value = value.slice(1);
      const key = `${section}/${name.toLowerCase()}`;
      if (name !== '' && !found.has(key)) found.set(key, value);
    }
  }
  return found;
}

const SECTIONS = ['event-logs', 'Event-Logs', 'global', 'module::Registrar', 'x'];
const NAMES = ['enabled', 'Enabled', 'logger', 'host', 'other', 'a b'];
const blanks = fc.stringMatching(/^ {0,2}$/);
const line = fc.oneof(
  fc.constant(''),
  fc.stringMatching(/^[#[\]=; \ta-z\\\u00ff]{0,12}$/),
  fc.tuple(blanks, fc.constantFrom(...SECTIONS), blanks).map(([a, name, b]) => `${a}[${b}${name}${a}]${b}`),
  fc
    .tuple(blanks, fc.constantFrom(...NAMES), blanks, fc.stringMatching(/^[a-z=# \\]{0,6}$/))
    .map(([a, name, b, value]) => `${a}${name}${b}=${b}${value}`),
  fc.tuple(blanks, fc.constantFrom(...NAMES)).map(([a, name]) => `${a}#${name}=default`),
);
const contents = fc
  .tuple(fc.array(fc.tuple(line, fc.constantFrom('\n', '\n', '\r\n')), { maxLength: 14 }), line)
  .map(([lines, last]) => Buffer.from(lines.map(([text, end]) => text + end).join('') + last, 'latin1'));
const parameters = fc.array(
  fc.record({
    section: fc.constantFrom('event-logs', 'module::Registrar', 'new::section'),
    name: fc.constantFrom('enabled', 'logger', 'host'),
    value: fc.stringMatching(/^[a-z=#:/ ]{0,8}$/).map((text) => text.trim()),
  }),
  { maxLength: 5 },
);
const keyOf = ({ section, name }: Parameter): string => `${section}/${name}`.toLowerCase();

test('whatever the file: Flexisip finds what was set, all else is there byte for byte, and a second time changes nothing', () => {
  fc.assert(
    fc.property(contents, parameters, (before, wanted) => {
      const conf = new ConfFile(before);
      const last = new Map(wanted.map((each) => [keyOf(each), each]));
      for (const each of last.values()) conf.set(each);
      const after = conf.content;
      const [was, is] = [readAsFlexisip(before), readAsFlexisip(after)];
      for (const [key, { value }] of last) expect([key, is.get(key) ?? '']).toEqual([key, value]);
      for (const [key, value] of was) if (!last.has(key)) expect([key, is.get(key)]).toEqual([key, value]);
      for (const key of is.keys()) expect(was.has(key) || last.has(key)).toBe(true);
      // Lines that were there and are not of these parameters are there still, in their order; others were added or changed.
      const isOurs = (text: string): boolean =>
        [...last.values()].some(({ name }) => text.trim().split(/[\s=]/)[0]?.toLowerCase() === name);
      const kept = (bytes: Buffer): string[] =>
        bytes
          .toString('latin1')
          .split(/\r?\n/)
          .filter((text) => text !== '' && !isOurs(text));
      const added = new Set([...last.values()].map(({ section }) => `[${section}]`));
      let rest = kept(after);
      for (const text of kept(before)) {
        const at = rest.indexOf(text);
        expect(at).toBeGreaterThanOrEqual(0);
        expect(rest.slice(0, at).every((between) => added.has(between))).toBe(true);
        rest = rest.slice(at + 1);
      }
      expect(rest.every((text) => added.has(text))).toBe(true);
      const again = new ConfFile(after);
      for (const each of last.values()) again.set(each);
      expect(again.content.equals(after)).toBe(true);
      expect(new ConfFile(before).content.equals(before)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

describe('connection strings', () => {
  test('as libpq reads them', () => {
    expect(parseConnectionString("dbname=flexiapi user = 'a b' password='it\\'s \\\\' host=/var/run port=5432 x=")).toEqual({
      dbname: 'flexiapi',
      user: 'a b',
      password: "it's \\",
      host: '/var/run',
      port: '5432',
      x: '',
    });
    for (const wrong of ['dbname', "a='b", '=x', 'a=b c', "a='b'c"]) expect([wrong, parseConnectionString(wrong)]).toEqual([wrong, null]);
    expect(connectionString({ dbname: 'a', password: "it's", host: undefined })).toBe("dbname=a password='it\\'s'");
  });

  test('what is written is read again', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('dbname', 'user', 'password', 'host'), fc.string()), (given) => {
        expect(parseConnectionString(connectionString(given))).toEqual({ ...given });
      }),
    );
  });

  test('names in a statement, as SOCI numbers them', () => {
    expect(numberNames(`select ':id', ":x", a::text from t where b = :id and c = :domain::varchar and d = :id`)).toEqual({
      text: `select ':id', ":x", a::text from t where b = $1 and c = $2::varchar and d = $3`,
      names: ['id', 'domain', 'id'],
    });
  });
});
