// Requests over HTTP against the web process of this checkout, and of another one beside it. Machines are noisy, and more so while others
// use them: rounds of both alternate, what counts is the median of the ratios of neighbours.
import { Agent } from 'node:http';
import Table from 'cli-table3';
import { Web } from './checkout';
import { fill, httpRows, type HttpRow } from './http-rows';
import { drive, type Client } from './load';
import { say, type Servers } from './servers';
import { median, quartiles } from './median';

const CLIENTS = 16;
const ROUNDS = 20;
const ROUND = { ms: 250, max: 1000 };
const WARM_UP = { ms: 500, max: 2000 };
/** What is wanted. A checkout against itself tells how far the ratio strays on a machine, and so does the column of quartiles. */
const MIN_RATIO = 0.95;

/** A web process with the clients of one row, and what was measured of it. */
interface Side {
  web: Web;
  agent: Agent;
  clients: Client[];
  requests: number;
  cpuMs: number | undefined;
  perSecond: number[];
}

async function measureRound(side: Side): Promise<void> {
  const before = side.web.cpuMs();
  const { requests, ms } = await drive(side.agent, side.web.port, side.clients, ROUND);
  const after = side.web.cpuMs();
  side.requests += requests;
  side.cpuMs = before === undefined || after === undefined || side.cpuMs === undefined ? undefined : side.cpuMs + after - before;
  side.perSecond.push((requests * 1000) / ms);
}

async function measure({ clients }: HttpRow, webs: readonly Web[]): Promise<Side[]> {
  const sides: Side[] = [];
  try {
    for (const web of webs) {
      const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
      const side: Side = { web, agent, clients: [], requests: 0, cpuMs: 0, perSecond: [] };
      sides.push(side);
      side.clients = await clients(web, agent, CLIENTS);
      await drive(agent, web.port, side.clients, WARM_UP);
    }
    // New, old, old, new, new, …: neither is always the one that comes second.
    for (let round = 0; round < ROUNDS; round += 1)
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) await measureRound(side);
  } finally {
    for (const { agent } of sides) agent.destroy();
  }
  return sides;
}

const cpuPerRequest = ({ cpuMs, requests }: Side): number | undefined =>
  cpuMs === undefined || requests === 0 ? undefined : cpuMs / requests;
const show = (value: number | undefined, digits: number): string => (value === undefined ? '–' : value.toFixed(digits));

function cellsOf(name: string, [current, other]: Side[]): { cells: string[]; ratio: number | undefined } {
  if (!current) return { cells: [name], ratio: undefined };
  const cpu = cpuPerRequest(current);
  if (!other) return { cells: [name, show(median(current.perSecond), 0), show(cpu, 3)], ratio: undefined };
  const ratios = current.perSecond.map((rate, round) => rate / (other.perSecond[round] ?? rate));
  const ratio = median(ratios);
  const spread = (quartiles(ratios) ?? []).map((value) => show(value, 2)).join(' – ');
  const cpuOther = cpuPerRequest(other);
  const cpuRatio = cpu === undefined || cpuOther === undefined || cpuOther === 0 ? undefined : cpu / cpuOther;
  const rates = [show(median(current.perSecond), 0), show(median(other.perSecond), 0), show(ratio, 2), spread];
  return { cells: [name, ...rates, show(cpu, 3), show(cpuOther, 3), show(cpuRatio, 2)], ratio };
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
  const head =
    against === undefined
      ? ['over HTTP', 'requests/s', 'CPU ms/request']
      : ['over HTTP', 'requests/s new', 'old', 'new ÷ old', 'half of them', 'CPU ms/request new', 'old', 'new ÷ old'];
  const table = new Table({ head, colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')), style: { head: [], border: [] } });
  const slow: string[] = [];
  for (const row of httpRows.filter(({ name }) => name.includes(wanted))) {
    say(`Measuring ${row.name} …`);
    const { cells, ratio } = cellsOf(row.name, await measure(row, webs));
    table.push(cells);
    if (ratio !== undefined && ratio < MIN_RATIO) slow.push(row.name);
  }
  const verdict = slow.length === 0 ? [] : [`Below ${MIN_RATIO} of the old throughput: ${slow.join(', ')}`];
  return [table.toString(), ...verdict];
}
