// What comments and documents point to exists: files, links, anchors. Reading them must not need anything outside of this repository.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '..');
const FOLDERS = ['.ci', 'bench', 'bin', 'config', 'deploy', 'docs', 'lint', 'src', 'test', 'workers'];
const TEXT = /\.(ts|m?js|md|ya?ml|css|conf|cfg|service)$|^(\.ci\/|bin\/)|^(Dockerfile|Procfile|\.env\.example)$/;

/** The repository's own texts by path. Without this file, which shows wrong citations as examples. */
const texts = new Map<string, string>();
for (const folder of ['.', ...FOLDERS]) {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true, recursive: folder !== '.' })) {
    const file = path.relative(root, path.join(entry.parentPath, entry.name));
    if (entry.isFile() && TEXT.test(file) && file !== path.relative(root, __filename))
      texts.set(file, readFileSync(path.join(root, file), 'utf8'));
  }
}
const files = [...texts.keys()].sort();
const documents = files.filter((file) => file.endsWith('.md'));
const names = new Set(files.map((file) => path.basename(file)));
const textOf = (file: string): string => texts.get(file) ?? readFileSync(path.join(root, file), 'utf8');

/** What a path in a comment or document may be relative to. */
const isThere = (cited: string, from: string): boolean =>
  cited.includes('/')
    ? [path.dirname(from), '.', 'src'].some((base) => existsSync(path.join(root, base, cited)))
    : names.has(cited) || existsSync(path.join(root, cited));

/** Comments of a program, for what would be an ordinary word in its code; a document is one comment. */
function commentsOf(file: string, text: string): string {
  if (file.endsWith('.md')) return text;
  const lines = /(?:^|\s)(?:\/\/|#|--)\s(.*)$/gm;
  return [...text.matchAll(/\/\*[\s\S]*?\*\//g), ...text.matchAll(lines)].map(([comment]) => comment).join('\n');
}

const withoutAddresses = (text: string): string => text.replace(/\bhttps?:\/\/[^\s)>\]]+/g, '');

/** `name.md 1.2` is a citation by its file; these are the forms that name no file: `pitfalls B1.2`, `(B4.31)`, `design, «Queues»`. */
const NAMELESS =
  /\b(?:api|clients|contract|data-model|design|import|pitfalls|recovery|style|rooms)(?:(?: section)? [A-Z]?\d[\d.]*|, «[^»]*»)|§ ?\d[\d.]* of the \w+|\(B\d+(?:\.\d+)?\)|\bB\d+\.\d+\b/g;
const DOCUMENT = /(?<![\w./-])[\w./-]*[\w-]\.md\b/g;
const SOURCE = /(?<![\w./@*<>{}:-])(?:[\w.-]+\/)*[\w.-]*[\w]\.(?:ts|js|mjs|json|yaml|sh)\b(?![\w*(])/g;
/** Files that others make: by the build, by npm, by the program at run time, or in other projects. */
const ELSEWHERE =
  /^(?:\.\/)?(?:dist|node_modules|\.data)\/|^(?:servers|tsconfig|service-account|path\/to\/service-account)\.json$|^(?:node|chart|ical)\.js$/i;

/** A citation of a part of a document: `docs/data-model.md, «Blocking»` by its heading, `data-model.md 1.2` by a number that its heading has. */
const PART = /([\w./-]*[\w-]\.md)(?:, «([^»]+)»| (\d[\d.]*\d|\d))/g;

function isPartThere(document: string, heading: string | undefined, number: string | undefined): boolean {
  const found = documents.find((file) => path.basename(file) === path.basename(document));
  if (found === undefined) return true; // Its file is at fault already.
  return headingsOf(textOf(found)).some((text) => (heading === undefined ? text.startsWith(`${number} `) : text === heading));
}

/** What a file cites that does not exist, as lines of text. */
function faultsOf(file: string, text = textOf(file)): string[] {
  const comments = withoutAddresses(commentsOf(file, text));
  const cited = [
    ...[...withoutAddresses(text).matchAll(DOCUMENT), ...comments.matchAll(SOURCE)]
      .map(([found]) => found)
      .filter((found) => !ELSEWHERE.test(found) && !isThere(found, file)),
    ...[...comments.matchAll(NAMELESS)].map(([found]) => found),
    ...[...comments.matchAll(PART)]
      .filter(([, document = '', heading, number]) => !isPartThere(document, heading, number))
      .map(([found]) => found),
  ];
  return [...new Set(cited)].map((citation) => `${file}: ${citation}`);
}

/** The headings of a document; what looks like one in a block of code is none. */
const headingsOf = (markdown: string): string[] =>
  [...markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ +(.*)$/gm)].map(([, heading = '']) => heading.trim());

/** The anchors of a document's headings, as GitHub and GitLab make them. */
const anchorsOf = (markdown: string): Set<string> =>
  new Set(
    headingsOf(markdown).map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );

interface Link {
  /** The file that it leads to, from the root. */
  file: string;
  anchor: string | undefined;
}

/** Links of a document into the repository. */
function linksOf(file: string, text = textOf(file)): Link[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .map((target) => {
      const [to = '', anchor] = target.split('#');
      return { file: to === '' ? file : path.join(path.dirname(file), to), anchor };
    });
}

const brokenLinksOf = (file: string, text = textOf(file)): string[] =>
  linksOf(file, text)
    .filter(({ file: to, anchor }) => {
      if (to !== file && !existsSync(path.join(root, to))) return true;
      return anchor !== undefined && to.endsWith('.md') && !anchorsOf(to === file ? text : textOf(to)).has(anchor);
    })
    .map(({ file: to, anchor }) => `${file}: ${to}${anchor === undefined ? '' : `#${anchor}`}`);

test('no comment or document cites a file that does not exist', () => {
  expect(files.flatMap((file) => faultsOf(file))).toEqual([]);
});

test('links of documents lead to files and headings that are there', () => {
  expect(documents.flatMap((file) => brokenLinksOf(file))).toEqual([]);
});

test('every document can be reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const file of reached)
    for (const { file: to } of linksOf(file)) if (to.endsWith('.md') && existsSync(path.join(root, to))) reached.add(to);
  expect(documents.filter((file) => !reached.has(file))).toEqual([]);
});

describe('citations that it refuses, and those that it does not', () => {
  test.each([
    ['// As api.md 1.2 has it.', 'api.md'],
    ['// As data-model.md 1.2 has it.', 'data-model.md 1.2'],
    ['// As data-model.md has it, docs/data-model.md, «Tokens».', 'docs/data-model.md, «Tokens»'],
    ['// See docs/nowhere.md.', 'docs/nowhere.md'],
    ['/** A reason (pitfalls B2.18). */', 'pitfalls B2.18'],
    ['// Never left to NODE_ENV (B4.33).', '(B4.33)'],
    ['// Its traps are listed elsewhere (B4).', '(B4)'],
    ['// At most once (design, «At most once to a person»).', 'design, «At most once to a person»'],
    ['/* A reason: pitfalls section 3. */', 'pitfalls section 3.'],
    ['// As §3.2 of the design has it.', '§3.2 of the design'],
    ['// One place has that (services/gone.ts).', 'services/gone.ts'],
    ['const a = 1; // nowhere.ts has it', 'nowhere.ts'],
    ['-- folded by services/gone.ts', 'services/gone.ts'],
  ])('%s', (text, cited) => {
    expect(faultsOf('src/example.ts', text)).toEqual([`src/example.ts: ${cited}`]);
  });

  test.each([
    '// The order of docs/api-rules.md, and README.md.',
    '// Counted as docs/data-model.md, «Blocking», has it.',
    '// Nonces as RFC 7616 3.3 has them; taskforcesh/bullmq#2341.',
    '// https://example.org/somewhere.md, https://example.org/a/b.ts',
    '// An import of infra/redis.ts, or redis.ts, or ../src/infra/redis.ts.',
    '// The design has 2 parts; a contract, an api and a style of 3 lines.',
    "const other = require('./nowhere.js');",
    '// node dist/src/web.js; node_modules/x/y.js',
  ])('%s', (text) => {
    expect(faultsOf('test/example.ts', text)).toEqual([]);
  });

  test('links', () => {
    const text =
      '# One heading: here\n[a](#one-heading-here) [b](#other) [c](nowhere.md) [d](../README.md#run) [e](../README.md#walk) [f](https://x.org/y.md)';
    expect(brokenLinksOf('docs/example.md', text)).toEqual([
      'docs/example.md: docs/example.md#other',
      'docs/example.md: docs/nowhere.md',
      'docs/example.md: README.md#walk',
    ]);
  });
});
