// What ARCHITECTURE.md forbids lint refuses, and nothing more: each arrow between rooms is tried on a scratch file in a copy of the configuration.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { doors, elements, mayImport, mayImportPackage, packages, rooms } from '../lint/rooms';

const root = path.join(__dirname, '..');
// Not inside the tree: other suites and the editor see nothing of it.
const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-lint-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const write = (file: string, lines: string[]): void => {
  mkdirSync(path.join(directory, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(directory, file), `${lines.join('\n')}\n`);
};
/** A specifier from one file of the tree to another, as an import has it. */
const specifier = (from: string, to: string): string => {
  const relative = path.relative(path.dirname(from), to).replace(/\.ts$/, '');
  return relative.startsWith('.') ? relative : `./${relative}`;
};

const names = Object.keys(rooms);
const pathOf = (room: string): string => rooms[room]?.paths[0] ?? '';
const isFolder = (room: string): boolean => !pathOf(room).endsWith('.ts');
/** The file of a room or door that others import. */
const targetOf = (name: string): string => doors[name]?.path ?? (isFolder(name) ? `${pathOf(name)}/target.ts` : pathOf(name));
/** The file of a room that imports. */
const sourceOf = (room: string): string => (isFolder(room) ? `${pathOf(room)}/inner/source.ts` : (rooms[room]?.paths[1] ?? ''));

const FORMS = (to: string): string[] => [
  `import { x } from '${to}';`,
  `import type { X } from '${to}';`,
  `import { type X as Y } from '${to}';`,
  `import * as all from '${to}';`,
  `import '${to}';`,
  `export { x as again } from '${to}';`,
  `export type { X as Again } from '${to}';`,
  `export * from '${to}';`,
  `export * as names from '${to}';`,
  `import old = require('${to}');`,
  `export const dynamic = () => import('${to}');`,
  `export const required = () => require('${to}');`,
  `export type Imported = import('${to}').X;`,
  `export type Whole = typeof import('${to}');`,
  `import { x as withExtension } from '${to}.js';`,
  `import { x as roundabout } from '../../src/http/../..${to.startsWith('../api') ? '/src/api/target' : '/src/infra/target'}';`,
];

const SQL = [
  'SELECT 1',
  'SELECT id FROM accounts WHERE id = $1',
  '\\n  WITH input AS (SELECT 1) SELECT * FROM input',
  'INSERT INTO accounts (id) VALUES (1)',
  'UPDATE accounts SET blocked = true',
  'DELETE FROM accounts',
  'CREATE TABLE t (id int)',
  'ALTER TABLE t ADD c int',
  'DROP DATABASE d',
  'TRUNCATE TABLE t',
  ' WHERE id = $1',
  ' ORDER BY id',
  'RETURNING id',
  'ON CONFLICT DO NOTHING',
  'LEFT JOIN spaces s ON s.domain = a.domain',
  'COMMIT',
  'select id, username from accounts where id = $1',
  'select count(*) from accounts',
  'insert into accounts (id) values (1)',
  'update accounts set blocked = true',
  'delete from accounts where id = 1',
  'drop table accounts',
  'create table t (id int)',
];
const PROSE = [
  'Select a file from the list',
  'select a file from the list',
  'select one of the accounts from the list below',
  'Update the settings and set a password',
  'update your profile and set a password',
  'Delete from the list what you no longer need',
  'delete from your device what you do not need',
  'Insert into the field the code that you got',
  'Create a table of contents',
  'create an account',
  'with love, as (nearly) always',
  'Drop the database connection',
  'BEGIN:VCARD',
  'Values are in seconds',
  'Where accounts come from',
  'SET',
  'order by phone',
];

/** Each is refused: the time that it takes grows with the square of the text, or faster. */
const SLOW_PATTERNS = [
  '/<([^>]*)>/',
  '/^(a+)+$/',
  '/\\n+$/',
  '/\\s+$/',
  '/^Bearer +(.*)$/i',
  '/^(\\w+\\s?)*$/',
  '/x*y/',
  "new RegExp('(a|a)*b')",
  'new RegExp(String.raw`\\d+$`)',
  "new RegExp(`${PART}${PART}!`, 'u')",
  'new RegExp(`^${FIRST.source}$`)',
  'Joi.string().pattern(/^([a-z]+-?)*$/)',
  "''.match('(a*)*b')",
  'new RegExp(given)',
  'RegExp(`^${given}`)',
];
const QUICK_PATTERNS = [
  '/^sip:([^@\\s]+)@([^@;\\s]+)(?:;.*)?$/i',
  '/^[a-z0-9_-]+$/',
  '/[\\\\,;]/g',
  "new RegExp(`^${PART}$`, 'u')",
  'new RegExp(FIRST)',
  "''.match('abc')",
];

interface Diagnostic {
  message: string;
  code: string;
  filename: string;
  labels: { span: { line: number } }[];
}

/** `rule(name)` by file and line. */
const found = new Map<string, string[]>();
const at = (file: string, line: number): string[] => found.get(`${file}:${line}`) ?? [];
const linesWith = (file: string, rule: string): number[] =>
  [...found]
    .flatMap(([place, rules]) => (place.startsWith(`${file}:`) && rules.includes(rule) ? [Number(place.slice(file.length + 1))] : []))
    .toSorted((a, b) => a - b);
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const ARROW = 'boundaries(dependencies)';

beforeAll(() => {
  cpSync(path.join(root, 'lint'), path.join(directory, 'lint'), { recursive: true });
  for (const file of ['oxlint.config.js', 'tsconfig.json', 'package.json']) cpSync(path.join(root, file), path.join(directory, file));
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));

  const target = ['export const x = 1;', 'export type X = number;'];
  for (const name of elements) write(targetOf(name), target);
  // One line an arrow, first the rooms and doors, then the packages.
  for (const from of names) {
    const file = sourceOf(from);
    write(file, [
      ...elements.map((to, index) => `import { x as x${index} } from '${specifier(file, targetOf(to))}';`),
      ...Object.keys(packages).map((name, index) => `import * as p${index} from '${name}';`),
    ]);
  }
  // Doors, too, import packages that their room may not.
  for (const door of Object.keys(doors))
    write(doors[door]?.path ?? '', [...target, ...Object.keys(packages).map((name, index) => `import * as p${index} from '${name}';`)]);

  write('src/http/forbidden.ts', FORMS('../api/target'));
  write('src/http/allowed.ts', FORMS('../infra/target'));
  write('src/services/tokens/package.ts', FORMS('sequelize').slice(0, -2));
  write('src/services/tokens/part-of-package.ts', FORMS('sequelize/lib/model').slice(0, -2));
  write('src/http/computed.ts', [
    'export const a = (name: string) => import(name);',
    'export const b = () => import(`../api/target`);',
    "export const c = () => require('../api/' + 'target');",
    "export const d = () => import('node:fs');",
  ]);
  write('src/somewhere/file.ts', target);
  for (const file of ['test/version.ts', 'src/infra/version.ts'])
    write(file, [`import { version } from '${specifier(file, 'package.json')}';`]);

  write('src/infra/type-one.ts', ["import type { Two } from './type-two';", 'export type One = Two | null;']);
  write('src/infra/type-two.ts', ["import type { One } from './type-one';", 'export type Two = One | null;']);
  write('src/infra/type-import.ts', [
    "export type Three = import('./type-import-back').Four | null;",
    "export type Pino = typeof import('pino');",
  ]);
  write('src/infra/type-import-back.ts', ["import type { Three } from './type-import';", 'export type Four = Three | null;']);

  write(
    'src/services/tokens/sql.ts',
    SQL.map((sql, index) => (index % 2 === 0 ? `export const s${index} = '${sql}';` : `export const s${index} = \`${sql}\`;`)),
  );
  write(
    'src/services/tokens/prose.ts',
    PROSE.map((text, index) => `export const t${index} = '${text}';`),
  );
  write('src/services/tokens/way-round.ts', [
    'export const q = (model: any) => model.sequelize.query;',
    "export const r = (model: any) => model['sequelize'];",
  ]);
  const constants = ["const PART = '[a-z]*';", 'const FIRST = /(?:a|aa)+/;', 'declare const given: string;', 'declare const Joi: any;'];
  for (const [file, patterns] of [
    ['src/http/slow.ts', SLOW_PATTERNS],
    ['src/http/quick.ts', QUICK_PATTERNS],
    ['test/slow.ts', SLOW_PATTERNS],
  ] as const)
    write(file, [...constants, ...patterns.map((pattern, index) => `export const p${index} = ${pattern};`)]);

  for (const file of ['workers/sql.ts', 'config/sql.ts', 'src/api/sql.ts', 'src/cli/sql.ts', 'src/models/sql.ts', 'src/migrations/sql.ts'])
    write(file, ["export const s = 'SELECT id FROM accounts';"]);

  for (const file of ['src/services/tokens/undocumented.ts', 'src/models/undocumented.ts', 'src/api/undocumented.ts'])
    write(file, [
      'export function declared(): void {}',
      'export const arrow = (): number => 1;',
      'export async function waits(): Promise<void> {}',
      'export class Model { static named(): number { return 1; } static #own(): void {} own(): void { Model.#own(); } }',
      'function later(): void {}',
      'const laterArrow = (): void => {};',
      'export { later, laterArrow };',
      '// Not a doc comment.',
      'export function commented(): void {}',
    ]);
  write('src/services/tokens/documented.ts', [
    '/** Says what it does. */',
    'export function declared(): void {}',
    '/** Says what it does. */',
    'export const arrow = (): number => 1;',
    'export class Model {',
    '  /** Says what it does. */',
    '  static named(): number { return 1; }',
    '  own(): number { return inner(); }',
    '}',
    'function inner(): number { return 1; }',
    'export const value = [1, 2].map((n) => n + 1);',
  ]);

  const { stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'node_modules', 'oxlint', 'bin', 'oxlint'), '-c', 'oxlint.config.js', '-f', 'json'],
    {
      cwd: directory,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  // A plugin that crashes is a diagnostic without a rule; one that misunderstands its settings says so before the report.
  expect([stderr, stdout.slice(0, stdout.indexOf('{'))]).toEqual(['', '']);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  expect(diagnostics.filter(({ code }) => !code)).toEqual([]);
  for (const { code, filename, labels } of diagnostics) {
    const place = `${filename}:${labels[0]?.span.line}`;
    found.set(place, [...(found.get(place) ?? []), code]);
  }
});

test.each(names)('%s imports what it may, and nothing else', (from) => {
  const file = sourceOf(from);
  const refused = elements.filter((_to, index) => at(file, index + 1).includes(ARROW));
  expect(refused).toEqual(elements.filter((to) => !mayImport(from, to)));
  const refusedPackages = Object.keys(packages).filter((_name, index) => at(file, elements.length + index + 1).includes(ARROW));
  expect(refusedPackages).toEqual(Object.keys(packages).filter((name) => !mayImportPackage(from, name)));
});

test.each(Object.keys(doors))('%s imports the packages it may', (door) => {
  const refused = Object.keys(packages).filter((_name, index) => at(doors[door]?.path ?? '', index + 3).includes(ARROW));
  expect(refused).toEqual(Object.keys(packages).filter((name) => !mayImportPackage(door, name)));
});

// Written out, so that a change of the table does not change what is tested here.
test.each([
  ['api', 'workers'],
  ['api', 'http'],
  ['api', 'migrations'],
  ['services/accounts', 'pages'],
  ['services/accounts', 'http'],
  ['services/accounts', 'api'],
  ['services/accounts', 'infra/sequelize'],
  ['services/accounts', 'provisioning'],
  ['services/credentials', 'services/accounts'],
  ['services/tokens', 'services/accounts'],
  ['infra', 'services/accounts'],
  ['infra', 'models'],
  ['infra', 'queues'],
  ['config', 'infra'],
  ['i18n', 'infra'],
  ['queues', 'models'],
  ['queues', 'workers'],
  ['models', 'services/accounts'],
  ['models', 'queues'],
  ['models', 'migrations'],
  ['migrations', 'services/accounts'],
  ['http', 'api'],
  ['http', 'pages'],
  ['http', 'models'],
  ['http', 'infra/sequelize'],
  ['pages', 'api'],
  ['pages', 'infra/sequelize'],
  ['browser', 'infra'],
  ['cli', 'http'],
  ['cli', 'infra/sequelize'],
  ['start', 'http'],
  ['start', 'workers'],
  ['web', 'workers'],
  ['web', 'cli'],
  ['web', 'start'],
  ['workers', 'http'],
  ['workers', 'api'],
  ['workers', 'pages'],
  ['workers', 'cli'],
  ['workers', 'start'],
  ['workers', 'infra/sequelize'],
  ['workers/providers', 'workers'],
  ['workers/providers', 'models'],
])('%s never imports %s', (from, to) => {
  expect(mayImport(from, to)).toBe(false);
});

test.each([
  ['api', 'http/route'],
  ['api', 'models'],
  ['models', 'infra/sequelize'],
  ['services/accounts', 'models'],
  ['services/accounts', 'infra/database'],
  ['workers', 'services/accounts'],
  ['web', 'http'],
])('%s may import %s', (from, to) => {
  expect(mayImport(from, to)).toBe(true);
});

test('no two rooms may import each other, not by way of others either', () => {
  const reach = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of names)
      if (to !== from && !seen.has(to) && mayImport(from, to)) {
        seen.add(to);
        reach(to, seen);
      }
    return seen;
  };
  expect(names.filter((room) => !rooms[room]?.may.includes('*') && reach(room).has(room))).toEqual([]);
});

test('regular expressions whose time grows faster than the text are refused, and what nobody can judge', () => {
  const rule = 'own(linear-pattern)';
  // Four lines of constants come first.
  expect(linesWith('src/http/slow.ts', rule)).toEqual(range(SLOW_PATTERNS.length).map((line) => line + 4));
  expect(linesWith('src/http/quick.ts', rule)).toEqual([]);
  // Texts of tests are their own.
  expect(linesWith('test/slow.ts', rule)).toEqual([]);
});

test('every way to import counts, and none is refused for itself', () => {
  const count = FORMS('').length;
  expect(linesWith('src/http/forbidden.ts', ARROW)).toEqual(range(count));
  expect(linesWith('src/http/allowed.ts', ARROW)).toEqual([]);
  // The last two forms are of paths.
  for (const file of ['package', 'part-of-package'])
    expect([file, linesWith(`src/services/tokens/${file}.ts`, ARROW)]).toEqual([file, range(count - 2)]);
  expect(linesWith('src/http/computed.ts', 'own(literal-specifier)')).toEqual([1, 2, 3]);
  expect(linesWith('src/somewhere/file.ts', 'boundaries(no-unknown-files)')).toEqual([1]);
  expect([linesWith('test/version.ts', ARROW), linesWith('src/infra/version.ts', ARROW)]).toEqual([[], [1]]);
});

test('a circle of types is a circle', () => {
  for (const file of ['type-one', 'type-two']) expect([file, linesWith(`src/infra/${file}.ts`, 'import(no-cycle)')]).toEqual([file, [1]]);
  // no-cycle does not follow import('…') as a type: of our own files nobody may write it.
  expect(linesWith('src/infra/type-import.ts', 'own(no-import-type)')).toEqual([1]);
});

test('SQL is refused outside of models and migrations; sentences are not SQL', () => {
  expect(linesWith('src/services/tokens/sql.ts', 'own(no-sql)')).toEqual(range(SQL.length));
  expect(linesWith('src/services/tokens/prose.ts', 'own(no-sql)')).toEqual([]);
  expect(linesWith('src/services/tokens/way-round.ts', 'own(no-sql)')).toEqual([1, 2]);
  for (const [file, lines] of [
    ['workers/sql.ts', [1]],
    ['config/sql.ts', [1]],
    ['src/api/sql.ts', [1]],
    ['src/cli/sql.ts', [1]],
    ['src/models/sql.ts', []],
    ['src/migrations/sql.ts', []],
  ] as const)
    expect([file, linesWith(file, 'own(no-sql)')]).toEqual([file, lines]);
});

test('exported functions of services and models have a doc comment', () => {
  for (const file of ['src/services/tokens/undocumented.ts', 'src/models/undocumented.ts'])
    expect([file, linesWith(file, 'own(documented-functions)'), linesWith(file, 'own(documented-methods)')]).toEqual([
      file,
      [1, 2, 3, 5, 6, 9],
      [4],
    ]);
  for (const file of ['src/services/tokens/documented.ts', 'src/api/undocumented.ts'])
    expect([file, linesWith(file, 'own(documented-functions)'), linesWith(file, 'own(documented-methods)')]).toEqual([file, [], []]);
});

/**
 * The table of rooms in ARCHITECTURE.md: a markdown table with a column `room` and a column `may import`. Names stand in backticks, with or without
 * `src/` before and `/` after. In `may import`, `services` means all groups of them; the words «nothing» and «everything» stand alone. Text
 * without backticks is for readers. Doors that all may import who may import their room are not named; all others are.
 */
test('ARCHITECTURE.md shows the rooms as they are', () => {
  const groups = names.filter((name) => name.startsWith('services/'));
  const lines = readFileSync(path.join(root, 'ARCHITECTURE.md'), 'utf8').split('\n');
  const cells = (line: string): string[] =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const start = lines.findIndex((line) => /^\|\s*room\s*\|/.test(line) && line.includes('may import'));
  const header = cells(lines[start] ?? '');
  const named = (text: string): string[] =>
    [...text.matchAll(/`([^`]+)`/g)].flatMap(([, given = '']) => {
      const name = given
        .replace(/^src\//, '')
        .replace(/\/$/, '')
        .replace(/\.ts$/, '');
      if (name === 'services') return groups;
      return name === 'app' ? ['web'] : [name];
    });
  const shown = new Map<string, string[]>();
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    const row = cells(line);
    const may = row[header.indexOf('may import')] ?? '';
    for (const room of named(row[0] ?? '')) shown.set(room, may.startsWith('everything') ? ['*'] : named(may));
  }
  const sorted = (list: Iterable<string>): string[] => [...new Set(list)].toSorted();
  // Every import goes up the table.
  const order = [...shown.keys()];
  const downwards = order.filter((room, index) => (shown.get(room) ?? []).some((to) => order.indexOf(to) > index));
  expect(downwards).toEqual([]);
  expect(Object.fromEntries([...shown].map(([room, may]) => [room, sorted(may)]))).toEqual(
    Object.fromEntries(names.map((room) => [room, sorted(rooms[room]?.may ?? [])])),
  );
});
