// Lint: what a reader can trust of every file. Which room may import which stands in lint/rooms.js.
const { doors, mayImport, mayImportPackage, packages, rooms, sqlAllowed } = require('./lint/rooms');

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

/** Selectors of rooms and doors, by their names: few, since each costs time with every import. */
const select = (names) => {
  const type = names.filter((name) => name in rooms && isFolder(name));
  const categories = names.filter((name) => !type.includes(name));
  return [...(type.length > 0 ? [{ element: { type } }] : []), ...(categories.length > 0 ? [{ file: { categories } }] : [])];
};

const PACKAGE_ORIGINS = [{ module: { origin: 'external' } }, { module: { origin: 'core' } }];

/** What files of a room, or a door, may import. The last policy that matches decides. */
function optionsOf(from) {
  const allowed = roomNames.filter((to) => mayImport(from, to));
  const closedDoors = Object.keys(doors).filter((to) => !mayImport(from, to));
  const openDoors = Object.keys(doors).filter((to) => mayImport(from, to));
  const forbiddenPackages = Object.keys(packages).filter((name) => !mayImportPackage(from, name));
  // Of the files outside of rooms, only what is no part of the program reads one.
  const loose = rooms[from]?.may.includes('*') ? ['package.json'] : [];
  const ours = [...allowed, ...openDoors].filter((to) => to !== from);
  const policies = [
    { allow: { to: [...PACKAGE_ORIGINS, ...select(allowed)] } },
    { disallow: { to: select(closedDoors) } },
    { allow: { to: select([...openDoors, ...loose]) } },
    {
      disallow: { to: forbiddenPackages.map((source) => ({ module: { origin: 'external', source } })) },
      message: `${from} may not import this package: ${forbiddenPackages.map((name) => `${name} is for ${packages[name].join(', ')}`).join('; ')} (lint/rooms.js).`,
    },
  ].filter(({ allow, disallow }) => (allow ?? disallow).to.length > 0);
  const message = `${from} may import ${ours.join(', ') || 'nothing of ours'} (lint/rooms.js).`;
  return { default: 'disallow', checkAllOrigins: true, checkUnknownLocals: true, message, policies };
}

const depthOf = (room) => rooms[room].paths[0].split('/').length;
const override = (from, paths) => ({
  files: paths.map((path) => (isFile(path) ? path : `${path}/**`)),
  rules: { 'boundaries/dependencies': ['error', optionsOf(from)] },
});
/** Each room has its own few policies, since each costs time with every import. The last override counts: rooms inside of others, then doors. */
const arrows = [
  ...roomNames.toSorted((a, b) => depthOf(a) - depthOf(b)).map((room) => override(room, rooms[room].paths)),
  ...Object.entries(doors).map(([door, { path }]) => override(door, [path])),
];

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
    'boundaries/no-unknown-files': 'error',
    'own/no-sql': 'error',
    'own/linear-pattern': 'error',
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
    ...arrows,
    { files: sqlAllowed, rules: { 'own/no-sql': 'off' } },
    {
      files: ['src/services/**', 'src/models/**'],
      rules: {
        'own/documented-functions': [
          'error',
          {
            publicOnly: true,
            require: { FunctionDeclaration: true, FunctionExpression: true, ArrowFunctionExpression: true },
            enableFixer: false,
          },
        ],
        'own/documented-methods': [
          'error',
          {
            require: { FunctionDeclaration: false },
            contexts: ['MethodDefinition[static=true]:not([accessibility="private"]):not([key.type="PrivateIdentifier"])'],
            enableFixer: false,
          },
        ],
      },
    },
    {
      files: ['test/**'],
      rules: {
        'import/no-default-export': 'off',
        'no-console': 'off',
        'own/literal-specifier': 'off',
        'own/no-import-type': 'off',
        // Only texts of ours are read there.
        'own/linear-pattern': 'off',
      },
    },
    // What an operator sets, which one file compiles and bounds.
    { files: ['config/operator-pattern.ts'], rules: { 'own/linear-pattern': 'off' } },
    // Configuration of tools and the build, in no room.
    { files: ['*.js'], rules: { 'boundaries/no-unknown-files': 'off', 'own/literal-specifier': 'off' } },
  ],
  // A program of its own, which imports what its test makes.
  ignorePatterns: ['dist', 'node_modules', '.data', 'test/typed-client'],
};
