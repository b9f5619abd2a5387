// Lint: what a reader can trust of every file. Which room may import which stands in lint/rooms.js.
const { doors, elements, mayImport, mayImportPackage, packages, rooms, sqlAllowed } = require('./lint/rooms');

const isFile = (path) => path.endsWith('.ts');
const roomNames = Object.keys(rooms);
/** A room is known by its folder, or by its files where it is no folder. */
const isFolder = (room) => rooms[room].paths.every((path) => !isFile(path));

// A folder inside of another comes before that.
const folders = roomNames
  .filter(isFolder)
  .flatMap((type) => rooms[type].paths.map((pattern) => ({ type, pattern, partialMatch: false })))
  .toSorted((a, b) => b.pattern.split('/').length - a.pattern.split('/').length);
const files = [
  ...roomNames.filter((room) => !isFolder(room)).flatMap((category) => rooms[category].paths.map((pattern) => ({ category, pattern }))),
  ...Object.entries(doors).map(([category, { path: pattern }]) => ({ category, pattern })),
  { category: 'package.json', pattern: 'package.json' },
];

/** Selectors of rooms and doors, by their names. */
const select = (names) => [
  ...names.filter((name) => name in rooms && isFolder(name)).map((type) => ({ element: { type } })),
  ...names.filter((name) => !(name in rooms && isFolder(name))).map((category) => ({ file: { categories: category } })),
];
const nothing = (names) => names.length === 0;

// The last policy that matches decides.
const policies = [
  { allow: { to: [{ module: { origin: 'external' } }, { module: { origin: 'core' } }] } },
  ...roomNames.map((from) => ({
    from: select([from]),
    allow: { to: select(roomNames.filter((to) => mayImport(from, to))) },
    message: `${from} may import ${roomNames.filter((to) => to !== from && mayImport(from, to)).join(', ') || 'nothing of ours'} (lint/rooms.js).`,
  })),
  ...Object.keys(doors).flatMap((to) => {
    const forbidden = roomNames.filter((from) => !mayImport(from, to));
    const allowed = roomNames.filter((from) => mayImport(from, to));
    return [
      { from: select(forbidden), disallow: { to: select([to]) }, message: `${to} is for ${allowed.join(', ')} alone (lint/rooms.js).` },
      { from: select(allowed), allow: { to: select([to]) } },
    ];
  }),
  ...Object.keys(packages).flatMap((name) => {
    const to = [{ module: { origin: 'external', source: name } }];
    return [
      {
        from: select(roomNames.filter((from) => !mayImportPackage(from, name))),
        disallow: { to },
        message: `The package ${name} is for ${packages[name].join(', ')} alone (lint/rooms.js).`,
      },
      { from: select(elements.filter((from) => mayImportPackage(from, name))), allow: { to } },
    ];
  }),
  { from: select(roomNames.filter((from) => rooms[from].may.includes('*'))), allow: { to: select(['package.json']) } },
].filter(({ from }) => from === undefined || !nothing(from));

module.exports = {
  plugins: ['typescript', 'import', 'promise', 'unicorn', 'oxc'],
  jsPlugins: ['eslint-plugin-boundaries', './lint/plugin.js'],
  settings: {
    'boundaries/root-path': __dirname,
    'boundaries/elements': folders,
    'boundaries/files': files,
    'boundaries/dependency-nodes': ['import', 'dynamic-import', 'require', 'export'],
    'boundaries/additional-dependency-nodes': [
      { name: 'import-type', selector: 'TSImportType > Literal', kind: 'type' },
      { name: 'import-require', selector: 'TSExternalModuleReference > Literal', kind: 'value' },
    ],
    'import/resolver': { typescript: { project: `${__dirname}/tsconfig.json` } },
  },
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'boundaries/dependencies': ['error', { default: 'disallow', checkAllOrigins: true, checkUnknownLocals: true, policies }],
    'boundaries/no-unknown-files': 'error',
    'own/no-sql': 'error',
    'own/literal-specifier': 'error',
    'own/no-import-type': 'error',
    // A circle of types alone ties two files together as well.
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'import/no-default-export': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/await-thenable': 'error',
    'typescript/switch-exhaustiveness-check': 'error',
    'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    eqeqeq: 'error',
    'no-console': 'error',
    'no-await-in-loop': 'off',
    'no-unmodified-loop-condition': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'promise/always-return': 'off',
    'import/no-named-as-default-member': 'off',
    'oxc/no-async-endpoint-handlers': 'off',
    'typescript/consistent-return': 'off',
    'promise/no-callback-in-promise': 'off',
    'unicorn/no-thenable': 'off',
  },
  overrides: [
    { files: sqlAllowed, rules: { 'own/no-sql': 'off' } },
    {
      files: ['test/**'],
      rules: {
        'import/no-default-export': 'off',
        'no-console': 'off',
        'own/literal-specifier': 'off',
        'own/no-import-type': 'off',
      },
    },
    // Configuration of tools, in no room.
    { files: ['*.js'], rules: { 'boundaries/no-unknown-files': 'off' } },
  ],
  ignorePatterns: ['dist', 'node_modules', '.data'],
};
