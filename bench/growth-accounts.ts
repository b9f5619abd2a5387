// Requests among few accounts and among many: each has a database and a web process of its own, and rounds of all alternate.
import { DOMAIN, ADMIN, authorized, creating, fillAccounts, fillBasics, getting, SUPER_ADMIN, usernameOf } from './growth-rows';
import { connect, type Connection } from './connection';
import { driveAll } from './growth-load';
import { costOf, diskOf, openDatabase, startProgram, type Database, type Program } from './growth-system';
import { figure, markdownTable, size } from './growth-table';
import type { Client } from './load';
import { median } from './median';
import { say, type Servers } from './servers';

const ROUNDS = 12;
const REQUESTS = 25;

/** A database with so many accounts, and its web process. */
interface Side extends Database {
  accounts: number;
  web: Program;
  seconds: number;
  bytes: number;
}

interface Measured {
  times: number[];
  webMs: number;
  postgresMs: number;
}

const ROWS: Record<string, (side: Side) => Client> = {
  'me by API key': (side) => getting('/api/accounts/me', () => usernameOf(anyOf(side))),
  'page 1': () => getting('/api/accounts', ADMIN),
  'last page': (side) => getting(lastPage(side), ADMIN),
  'last page, all Spaces': (side) => getting(lastPage(side), SUPER_ADMIN),
  'search by SIP address': (side) => getting(() => `/api/accounts/${usernameOf(anyOf(side))}@${DOMAIN}/search`, ADMIN),
  'search by email': (side) => getting(() => `/api/accounts/${usernameOf(anyOf(side))}@mail.invalid/search-by-email`, ADMIN),
  'create account (admin)': () => creating,
};

const anyOf = ({ accounts }: Side): number => Math.floor(Math.random() * accounts);
const lastPage = ({ accounts }: Side): string => `/api/accounts?page=${Math.floor(accounts / 20)}`;

async function openSide(servers: Servers, accounts: number): Promise<Side> {
  say(`Making ${accounts.toLocaleString('en-US')} accounts …`);
  const database = await openDatabase(servers);
  const empty = await diskOf(database.db);
  const started = performance.now();
  await fillBasics(database.db);
  await fillAccounts(database.db, accounts);
  const seconds = (performance.now() - started) / 1000;
  const web = await startProgram(servers, 'web', database);
  const connection = await connect(web.port);
  const reply = await connection.exchange({ method: 'GET', path: '/api/accounts', headers: authorized(ADMIN) });
  connection.close();
  const total = (JSON.parse(reply.body()) as { total?: number }).total;
  if (total !== accounts + 1) throw new Error(`there are ${String(total)} accounts, not ${accounts + 1}: ${reply.status}`);
  return { ...database, accounts, web, seconds, bytes: (await diskOf(database.db)) - empty };
}

async function measure(sides: readonly Side[], clientOf: (side: Side) => Client): Promise<Measured[]> {
  const measured = sides.map((): Measured => ({ times: [], webMs: 0, postgresMs: 0 }));
  const clients = sides.map(clientOf);
  // Made anew for each row: a connection that nobody uses for long is ended.
  const lines = await Promise.all(sides.map(({ web }) => connect(web.port)));
  // The first is for what is read, compiled and planned once.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [n, side] of sides.entries()) {
      const work = (): ReturnType<typeof driveAll> =>
        driveAll([lines[n] as Connection], [clients[n] as Client], { ms: Number.POSITIVE_INFINITY, max: REQUESTS });
      const { result, programsMs, postgresMs } = await costOf(side.db, [side.web.pid], work);
      const sums = measured[n] as Measured;
      if (round === 0) continue;
      sums.times.push(...result.times);
      sums.webMs += programsMs;
      sums.postgresMs += postgresMs;
    }
  }
  for (const connection of lines) connection.close();
  return measured;
}

/**
 * @param large with ten million accounts as well, which takes long and 10 GB of disk
 * @returns lines to print
 */
export async function growAccounts(servers: Servers, large: boolean): Promise<string[]> {
  const sides: Side[] = [];
  for (const accounts of [10_000, 1_000_000, ...(large ? [10_000_000] : [])]) sides.push(await openSide(servers, accounts));
  const rows: string[][] = [];
  for (const [name, clientOf] of Object.entries(ROWS)) {
    say(`Measuring ${name} …`);
    const measured = await measure(sides, clientOf);
    const perRequest = (ms: number): string => figure(ms / (ROUNDS * REQUESTS));
    const [fewest] = measured;
    for (const [n, { times, webMs, postgresMs }] of measured.entries())
      rows.push([
        n === 0 ? name : '',
        (sides[n] as Side).accounts.toLocaleString('en-US'),
        figure(median(times)),
        figure(median(times) / median(fewest?.times ?? [])),
        perRequest(webMs),
        perRequest(postgresMs),
        figure(postgresMs / (fewest?.postgresMs ?? 1)),
      ]);
  }
  return [
    ...markdownTable(['request, one at a time', 'accounts', 'ms', '÷ fewest', 'CPU ms of `web`', 'CPU ms of PostgreSQL', '÷ fewest'], rows),
    '',
    ...sides.map(
      ({ accounts, seconds, bytes }) =>
        `${accounts.toLocaleString('en-US')} accounts, each with a password and a key: ${size(bytes)} on disk, made in ${seconds.toFixed(0)} s`,
    ),
  ];
}
