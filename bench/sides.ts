// What is measured in one row, side by side: `web`, another checkout's, and ceilings.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection';
import { preciseCpuMs } from './cpu-time';
import type { HttpRow, Rival } from './http-rows';
import { drive, type Client } from './load';
import { median } from './median';
import type { Measured, Surroundings } from './surroundings';

const CLIENTS = 64;
const ROUNDS = 11;
const ROUND = { ms: 250, max: 10_000 };
/** Until the compiler has seen enough of it; slow ones are not waited for without end. */
const WARM_UP = { ms: 3000, max: 8000 };
/** Long enough for a profile. */
const PROFILED = { ms: 3000, max: 100_000 };
/** What a server still does when the last answer is there. */
const TRAILING_MS = 15;

/** What was measured of one. */
export class Side {
  readonly perSecond: number[] = [];
  /** Undefined where the system does not tell. */
  readonly perCpuSecond: (number | undefined)[] = [];
  readonly latenciesMs: number[] = [];

  private constructor(
    readonly measured: Measured,
    readonly rival: Rival | undefined,
    readonly connections: readonly Connection[],
    readonly clients: readonly Client[],
  ) {}

  /** @param rival of a ceiling: what is to be reached */
  static async open(row: HttpRow, { connect, isShared }: Surroundings, measured: Measured, rival?: Rival): Promise<Side> {
    const connections = await Promise.all(Array.from({ length: isShared ? 1 : CLIENTS }, () => connect(measured.port)));
    return new Side(measured, rival, connections, await row.clients(measured.port, CLIENTS));
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }

  /** The answer to the next request of the first client. */
  async body(): Promise<string> {
    const [connection, client] = [this.connections[0], this.clients[0]];
    return connection && client ? (await connection.exchange(client())).body() : '';
  }

  warmUp = (): Promise<unknown> => drive(this.connections, this.clients, WARM_UP);
  driveForProfile = (): Promise<unknown> => drive(this.connections, this.clients, PROFILED);

  async round(): Promise<void> {
    const before = this.#cpuMs();
    const { requests, ms, latenciesMs } = await drive(this.connections, this.clients, ROUND);
    await sleep(TRAILING_MS);
    const cpuMs = this.#cpuMs() - before;
    this.perSecond.push((requests * 1000) / ms);
    this.perCpuSecond.push(cpuMs > 0 ? (requests * 1000) / cpuMs : undefined);
    this.latenciesMs.push(...latenciesMs);
  }

  #cpuMs(): number {
    return this.measured.pids.reduce((sum, pid) => sum + preciseCpuMs(pid), 0);
  }

  get cpuMsPerRequest(): number | undefined {
    const known = this.perCpuSecond.filter((rate) => rate !== undefined);
    return known.length === 0 ? undefined : 1000 / median(known);
  }
}

/** Rounds of all, there and back again: none is always the one that comes after another. */
export async function measureRounds(sides: readonly Side[]): Promise<void> {
  for (const side of sides) await side.warmUp();
  for (let round = 0; round < ROUNDS; round += 1) for (const side of round % 2 === 0 ? sides : sides.toReversed()) await side.round();
}

/** The names and kinds of what a body holds, without its values; of a list its first member's. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, shapeOf(member)]),
  );
}

/** The names and kinds of what an answer in JSON holds, as text; another answer as it is. */
export function shapeOfText(text: string): string {
  try {
    return JSON.stringify(shapeOf(JSON.parse(text)));
  } catch {
    return text;
  }
}

/** @throws {Error} where one answers something of another shape than the first: it would not be the same work */
export async function compareBodies(sides: readonly Side[]): Promise<void> {
  const bodies: string[] = [];
  for (const side of sides) bodies.push(await side.body());
  const [ours = ''] = bodies;
  for (const [index, body] of bodies.entries())
    if (shapeOfText(body) !== shapeOfText(ours)) throw new Error(`${sides[index]?.measured.name} answers\n${body}\nand not as in\n${ours}`);
}
