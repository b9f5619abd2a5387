// The rooms of the program and what each may import: the one place that says so. oxlint.config.js makes lint rules of it, test/lint.test.ts tries
// each arrow, and holds the table in ARCHITECTURE.md against it.

/**
 * Groups of rules, each with the groups below it. A group imports no other, so there are no circles between them.
 * `migrations` is for what looks after the installation as a whole.
 */
const SERVICES = {
  limits: [],
  credentials: [],
  spaces: [],
  statistics: [],
  devices: [],
  messaging: ['credentials', 'limits'],
  flexisip: ['credentials'],
  'address-book': [],
  tokens: ['credentials', 'messaging'],
  accounts: ['credentials', 'limits', 'messaging', 'spaces', 'tokens'],
  provisioning: ['accounts', 'credentials', 'spaces', 'tokens'],
  operations: ['migrations'],
};

const services = Object.keys(SERVICES).map((group) => `services/${group}`);
const FOUNDATION = ['config', 'i18n', 'infra'];
const RULES = [...FOUNDATION, 'queues', 'models', ...services];

/**
 * `paths`: folders and files of the room. `may`: rooms and doors that it may import; its own files it always may.
 *
 * A **door** is one file of a room that is open to others than the rest of the room is.
 *
 * @type {Record<string, { paths: string[]; may: string[] }>}
 */
const rooms = {
  config: { paths: ['config'], may: [] },
  i18n: { paths: ['src/i18n'], may: ['config'] },
  infra: { paths: ['src/infra'], may: ['config', 'i18n'] },
  queues: { paths: ['src/queues'], may: ['config', 'infra'] },
  models: { paths: ['src/models'], may: ['config', 'infra', 'infra/sequelize', 'infra/sql-guest'] },
  migrations: { paths: ['src/migrations'], may: ['config', 'infra', 'infra/sequelize', 'models'] },
  ...Object.fromEntries(
    Object.entries(SERVICES).map(([group, below]) => [
      `services/${group}`,
      {
        paths: [`src/services/${group}`],
        may: [...FOUNDATION, 'queues', 'models', ...below.map((name) => (name in SERVICES ? `services/${name}` : name))],
      },
    ]),
  ),
  http: { paths: ['src/http'], may: [...FOUNDATION, 'queues', ...services] },
  api: { paths: ['src/api'], may: [...RULES, 'http/route'] },
  pages: { paths: ['src/pages'], may: [...RULES, 'http'] },
  browser: { paths: ['src/browser'], may: [] },
  cli: { paths: ['src/cli'], may: [...RULES, 'migrations'] },
  start: { paths: ['src/start'], may: [...RULES, 'migrations'] },
  web: { paths: ['src/app.ts', 'src/web.ts'], may: [...RULES, 'migrations', 'http', 'api', 'pages'] },
  workers: { paths: ['workers'], may: [...RULES, 'workers/providers'] },
  'workers/providers': { paths: ['workers/providers'], may: [...FOUNDATION, 'queues'] },
  bin: { paths: ['bin'], may: [] },
  // Not parts of the program: they may look everywhere.
  bench: { paths: ['bench'], may: ['*'] },
  lint: { paths: ['lint'], may: [] },
  test: { paths: ['test'], may: ['*'] },
};

/** @type {Record<string, { room: string; path: string; open: boolean }>} `open`: whoever may import the room may import the door, too. */
const doors = {
  'infra/sequelize': { room: 'infra', path: 'src/infra/sequelize.ts', open: false },
  'infra/postgres-client': { room: 'infra', path: 'src/infra/postgres-client.ts', open: false },
  // What another program's database user may do is asked as that user: no pool of ours has its sessions.
  'infra/sql-guest': { room: 'infra', path: 'src/infra/sql-guest.ts', open: false },
  'infra/database': { room: 'infra', path: 'src/infra/database.ts', open: true },
  'http/route': { room: 'http', path: 'src/http/route.ts', open: true },
  'start/postgres': { room: 'start', path: 'src/start/postgres.ts', open: true },
};

/** Packages that only some rooms and doors may import, by whatever name of a part (`pg/lib/…`). */
const packages = {
  sequelize: ['models', 'migrations', 'infra/sequelize', 'infra/database'],
  pg: ['migrations', 'infra/sequelize', 'infra/postgres-client', 'infra/sql-guest', 'start/postgres'],
  'pg-connection-string': ['infra/sequelize', 'infra/sql-guest'],
  express: ['http', 'http/route', 'pages', 'web'],
};

/** Where statements may stand: those of limits, and what makes a session read-only, are part of a connection, tests and benches look at the database from outside. */
const sqlAllowed = [
  'src/infra/postgres-client.ts',
  'src/infra/sql-guest.ts',
  'src/models/**',
  'src/migrations/**',
  'test/**',
  'bench/**',
  'lint/**',
];

/** Rooms and doors. */
const elements = [...Object.keys(doors), ...Object.keys(rooms)];

/** Whether a file of `from` may import one of `to`; each is a room or a door. */
function mayImport(from, to) {
  const fromRoom = doors[from]?.room ?? from;
  const toRoom = doors[to]?.room ?? to;
  if (fromRoom === toRoom) return true;
  const { may } = rooms[fromRoom];
  const opened = to in doors && doors[to].open;
  return may.includes('*') || may.includes(to) || (opened && may.includes(toRoom));
}

/** Whether a file of `from`, a room or a door, may import the package. */
function mayImportPackage(from, name) {
  const allowed = packages[name];
  return allowed === undefined || allowed.includes(from) || (from in rooms && rooms[from].may.includes('*'));
}

module.exports = { rooms, doors, packages, sqlAllowed, elements, mayImport, mayImportPackage };
