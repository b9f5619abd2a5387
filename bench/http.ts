// Requests over HTTP against the web process of this checkout, against bare programs that do the same work (bench/ceilings), and against another
// checkout's. Machines are noisy, and more so while others use them: rounds of all alternate, what counts is the median of the ratios of
// neighbours, and CPU time more than the clock's.
import { setTimeout as sleep } from 'node:timers/promises';
import Table from 'cli-table3';
import { Ceiling } from './ceiling';
import { Web } from './checkout';
import { connect, type Connection } from './connection';
import { preciseCpuMs } from './cpu-time';
import { fill, httpRows, type HttpRow, type Rival } from './http-rows';
import { drive, type Client } from './load';
import { median } from './median';
import { say, type Servers } from './servers';

const CLIENTS = 64;
const ROUNDS = 11;
const ROUND = { ms: 250, max: 10_000 };
const WARM_UP = { ms: 1500, max: 20_000 };
/** What a server still does when the last answer is there. */
const TRAILING_MS = 15;
/** What is wanted. A checkout against itself tells how far the ratio strays on a machine. */
const MIN_RATIO = 0.95;

/** What is measured, and what was measured of it. */
interface Side {
  name: string;
  /** Processes that do its work. */
  pids: number[];
  rival?: Rival;
  connections: Connection[];
  clients: Client[];
  perSecond: number[];
  /** Undefined where the system does not tell. */
  perCpuSecond: (number | undefined)[];
  latenciesMs: number[];
}

const cpuOf = ({ pids }: Side): number => pids.reduce((sum, pid) => sum + preciseCpuMs(pid), 0);

async function measureRound(side: Side): Promise<void> {
  const before = cpuOf(side);
  const { requests, ms, latenciesMs } = await drive(side.connections, side.clients, ROUND);
  await sleep(TRAILING_MS);
  const cpuMs = cpuOf(side) - before;
  side.perSecond.push((requests * 1000) / ms);
  side.perCpuSecond.push(cpuMs > 0 ? (requests * 1000) / cpuMs : undefined);
  side.latenciesMs.push(...latenciesMs);
}

async function openSide(row: HttpRow, server: { name: string; port: number; pids: number[] }, rival?: Rival): Promise<Side> {
  const connections = await Promise.all(Array.from({ length: CLIENTS }, () => connect(server.port)));
  const clients = await row.clients(server.port, CLIENTS);
  return {
    ...server,
    pids: server.pids,
    name: server.name,
    ...(rival && { rival }),
    connections,
    clients,
    perSecond: [],
    perCpuSecond: [],
    latenciesMs: [],
  };
}

/** What a side answers to the first request of its first client. */
async function bodyOf({ connections: [connection], clients: [client] }: Side): Promise<string> {
  if (!connection || !client) return '';
  return (await connection.exchange(client())).text().split('\r\n\r\n').slice(1).join('\r\n\r\n');
}

/** @throws where a ceiling answers something else than ours does: it would not be the same work */
async function compareBodies(sides: readonly Side[]): Promise<void> {
  const [ours, ...others] = await Promise.all(sides.map(bodyOf));
  for (const [index, body] of others.entries())
    if (body !== ours) throw new Error(`${sides[index + 1]?.name} answers\n${body}\nand not\n${ours}`);
}

async function measure(row: HttpRow, webs: readonly Web[], directory: string): Promise<Side[]> {
  const sides: Side[] = [];
  const ceilings: Ceiling[] = [];
  try {
    for (const web of webs) sides.push(await openSide(row, web));
    for (const rival of row.rivals ?? []) {
      const ceiling = await Ceiling.start(rival.ceiling, webs[0]?.environment ?? {}, directory);
      ceilings.push(ceiling);
      sides.push(await openSide(row, ceiling, rival));
    }
    if (row.same === true) await compareBodies(sides);
    for (const side of sides) await drive(side.connections, side.clients, WARM_UP);
    // There and back again: none is always the one that comes after another.
    for (let round = 0; round < ROUNDS; round += 1)
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) await measureRound(side);
  } finally {
    for (const { connections } of sides) for (const connection of connections) connection.close();
    for (const ceiling of ceilings) ceiling.stop();
  }
  return sides;
}

const show = (value: number | undefined, digits: number): string => (value === undefined ? '–' : value.toFixed(digits));
const known = (values: readonly (number | undefined)[]): number[] => values.filter((value) => value !== undefined);
const cpuPerRequest = ({ perCpuSecond }: Side): number | undefined => {
  const values = known(perCpuSecond);
  return values.length === 0 ? undefined : 1000 / median(values);
};

/** The median of the ratios of neighbours; undefined where nothing is known. */
function ratioOf(ours: readonly (number | undefined)[], other: readonly (number | undefined)[]): number | undefined {
  const ratios = known(ours.map((value, round) => (value === undefined ? undefined : value / (other[round] ?? Number.NaN))));
  return ratios.length === 0 || ratios.some(Number.isNaN) ? undefined : median(ratios);
}

const ratioCells = (ours: Side, other: Side): string[] => [
  show(ratioOf(ours.perSecond, other.perSecond), 2),
  show(ratioOf(ours.perCpuSecond, other.perCpuSecond), 2),
];

function goalCells(ours: Side, { rival, perCpuSecond }: Side): string[] {
  if (rival?.goal === undefined) return ['', ''];
  const ratio = ratioOf(ours.perCpuSecond, perCpuSecond);
  return [`≥ ${rival.goal}`, ratio === undefined ? '–' : ratio >= rival.goal ? 'yes' : 'no'];
}

/** Lines of the table: each side, and what this checkout's `web`, and the other one's, are beside it. */
function linesOf(row: HttpRow, sides: readonly Side[], webs: number): string[][] {
  const measured = sides.slice(0, webs);
  return sides.map((side, index) => {
    const what = [index === 0 ? row.name : '', side.name, show(median(side.perSecond), 0), show(cpuPerRequest(side), 3)];
    const ratios = measured.flatMap((web) => (web === side ? ['', ''] : ratioCells(web, side)));
    return [...what, show(median(side.latenciesMs), 1), ...ratios, ...goalCells(measured[0] as Side, side)];
  });
}

/**
 * @param directory this checkout
 * @param against another built checkout, or none
 * @param wanted rows whose name has this in it
 * @returns lines to print
 */
export async function benchHttp(servers: Servers, directory: string, against: string | undefined, wanted: string): Promise<string[]> {
  const webs = [await Web.start(servers, 'new', directory)];
  if (against !== undefined) webs.push(await Web.start(servers, 'old', against));
  for (const web of webs) await fill(web);
  const ratios = webs.flatMap(({ name }) => [`${name} ÷ it, per s`, 'per CPU s']);
  const head = ['over HTTP', 'who', 'per s', 'CPU ms each', 'p50 ms', ...ratios, 'goal', 'reached'];
  const table = new Table({ head, colAligns: head.map((_, column) => (column < 2 ? 'left' : 'right')), style: { head: [], border: [] } });
  const slow: string[] = [];
  for (const row of httpRows.filter(({ name }) => name.includes(wanted))) {
    say(`Measuring ${row.name} …`);
    const sides = await measure(row, webs, servers.directory);
    table.push(...linesOf(row, sides, webs.length));
    const [ours, other] = sides;
    if (webs.length > 1 && ours && other && (ratioOf(ours.perSecond, other.perSecond) ?? 1) < MIN_RATIO) slow.push(row.name);
  }
  const verdict = slow.length === 0 ? [] : [`Below ${MIN_RATIO} of the old throughput: ${slow.join(', ')}`];
  return [table.toString(), ...verdict];
}
