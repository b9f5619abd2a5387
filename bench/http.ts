// Requests over HTTP against the web process of this checkout, against bare programs that do the same work (bench/ceilings), and against another
// checkout's. Machines are noisy, and more so while others use them: rounds of all alternate, what counts is the median of the ratios of
// neighbours, and CPU time more than the clock's.
import Table from 'cli-table3';
import { Ceiling } from './ceiling';
import { Web } from './checkout';
import { fill, httpRows, type HttpRow } from './http-rows';
import { median, quartiles } from './median';
import { profile, profilerSettings } from './profile';
import { say, type Servers } from './servers';
import { compareBodies, measureRounds, Side } from './sides';
import { plainly, withTls, withWorkers } from './surroundings';

/** What is wanted. A checkout against itself tells how far the ratio strays on a machine. */
const MIN_RATIO = 0.95;

/** What to measure. */
export interface HttpOptions {
  /** Another built checkout. */
  against: string | undefined;
  /** Rows whose name has this in it. */
  row: string;
  /** The folder that gets CPU profiles of this checkout's processes, one of each for each row. */
  profiles: string | undefined;
}

const show = (value: number | undefined, digits: number): string => (value === undefined ? '–' : value.toFixed(digits));

type Rates = readonly (number | undefined)[];

/** The ratios of neighbours; none where one is not known. */
function ratiosOf(ours: Rates, other: Rates): number[] {
  const ratios = ours.map((value, round) => (value ?? Number.NaN) / (other[round] ?? Number.NaN));
  return ratios.some(Number.isNaN) ? [] : ratios;
}

/** The median of the ratios of neighbours; undefined where nothing is known. */
function ratioOf(ours: Rates, other: Rates): number | undefined {
  const ratios = ratiosOf(ours, other);
  return ratios.length === 0 ? undefined : median(ratios);
}

/** What `ours` is beside another: of what an hour brings, and of what an hour of CPU time brings. */
const ratioCells = (ours: Side, other: Side): string[] => [
  show(ratioOf(ours.perSecond, other.perSecond), 2),
  show(ratioOf(ours.perCpuSecond, other.perCpuSecond), 2),
];

const verdict = (isReached: boolean): string => (isReached ? 'yes' : 'no');

/** The goal in requests per CPU second, and whether it is reached. */
function goalCells(ours: Side, { rival, perCpuSecond }: Side): string[] {
  if (rival?.goal === undefined) return ['', ''];
  const ratio = ratioOf(ours.perCpuSecond, perCpuSecond);
  return [`≥ ${rival.goal}`, ratio === undefined ? '–' : verdict(ratio >= rival.goal)];
}

/** Lines of the table: each side, and what the `web` are beside it. */
function linesOf(row: HttpRow, sides: readonly Side[], webs: number): string[][] {
  const ours = sides.slice(0, webs);
  return sides.map((side, index) => {
    const what = [index === 0 ? row.name : '', side.measured.name];
    const figures = [show(median(side.perSecond), 0), show(side.cpuMsPerRequest, 3), show(median(side.latenciesMs), 1)];
    const ratios = ours.flatMap((web) => (web === side ? ['', ''] : ratioCells(web, side)));
    return [...what, ...figures, ...ratios, ...goalCells(sides[0] as Side, side)];
  });
}

/** Of a row with such a goal: how long our clients wait beside those of its first ceiling. */
function waitLine({ name, waitGoal }: HttpRow, sides: readonly Side[], webs: number): string[] {
  const [ours, ceiling] = [sides[0], sides[webs]];
  if (waitGoal === undefined || !ours || !ceiling) return [];
  const ratio = median(ours.latenciesMs) / median(ceiling.latenciesMs);
  return [
    `${name}: p50 is ${show(ratio, 2)} of that of ${ceiling.measured.name}; goal ≤ ${waitGoal}, reached: ${verdict(ratio <= waitGoal)}`,
  ];
}

/** Of a row with another checkout: how far the ratio to it strays, which tells what of it is noise. */
function spreadLine({ name }: HttpRow, [ours, other]: readonly Side[], webs: number): string[] {
  if (webs < 2 || !ours || !other) return [];
  const [faster, cheaper] = [ratiosOf(ours.perSecond, other.perSecond), ratiosOf(ours.perCpuSecond, other.perCpuSecond)].map((ratios) =>
    (quartiles(ratios) ?? []).map((ratio) => show(ratio, 2)).join(' – '),
  );
  const slow = (ratioOf(ours.perSecond, other.perSecond) ?? 1) < MIN_RATIO ? `; below ${MIN_RATIO} of the old throughput` : '';
  return [`${name}: new ÷ old in half of the rounds ${faster} per second, ${cheaper} per CPU second${slow}`];
}

/** One run over rows. */
class HttpBench {
  readonly #settings: Record<string, string>;

  constructor(
    readonly servers: Servers,
    readonly webs: readonly Web[],
    readonly profiles: string | undefined,
  ) {
    this.#settings = settingsOf(profiles);
  }

  async measure(row: HttpRow): Promise<{ sides: Side[]; profiled: string[] }> {
    const around = { worker: withWorkers, tls: withTls, none: plainly };
    const surroundings = row.with === undefined ? around.none(this.webs) : await around[row.with](this.servers, this.webs, this.#settings);
    const sides: Side[] = [];
    const ceilings: Ceiling[] = [];
    try {
      for (const measured of surroundings.measured) sides.push(await Side.open(row, surroundings, measured));
      for (const rival of row.rivals ?? []) {
        const settings = { ...this.webs[0]?.environment, ...surroundings.settings };
        const ceiling = await Ceiling.start(rival.ceiling, settings, this.servers.directory);
        ceilings.push(ceiling);
        sides.push(await Side.open(row, surroundings, ceiling, rival));
      }
      if (ceilings.length > 0) await compareBodies(sides);
      await measureRounds(sides);
      return { sides, profiled: await this.#profile(row, sides[0]) };
    } finally {
      for (const side of sides) side.close();
      for (const ceiling of ceilings) ceiling.stop();
      await surroundings.end();
    }
  }

  /** After all rounds, since it takes time itself. */
  async #profile({ name }: HttpRow, side: Side | undefined): Promise<string[]> {
    if (this.profiles === undefined || !side) return [];
    const file = name.replaceAll(/[^A-Za-z0-9]+/g, '-');
    const processes = new Map(side.measured.pids.map((pid, index) => [`${file}-${index === 0 ? 'web' : 'worker'}`, pid]));
    return profile(this.profiles, processes, () => side.driveForProfile());
  }
}

const settingsOf = (profiles: string | undefined): Record<string, string> => (profiles === undefined ? {} : profilerSettings(profiles));

/** What is printed, and whether everything could be measured. */
export interface HttpOutcome {
  lines: string[];
  isWhole: boolean;
}

/** @param directory this checkout */
export async function benchHttp(
  servers: Servers,
  directory: string,
  { against, row: wanted, profiles }: HttpOptions,
): Promise<HttpOutcome> {
  const webs = [await Web.start(servers, 'new', directory, settingsOf(profiles))];
  if (against !== undefined) webs.push(await Web.start(servers, 'old', against));
  for (const web of webs) await fill(web);
  const ratios = webs.flatMap(({ name }) => [`${name} ÷ it, per s`, 'per CPU s']);
  const head = ['over HTTP', 'who', 'per s', 'CPU ms each', 'p50 ms', ...ratios, 'goal', 'reached'];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column < 2 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  const run = new HttpBench(servers, webs, profiles);
  const notes: string[] = [];
  let isWhole = true;
  for (const row of httpRows.filter(({ name }) => name.includes(wanted))) {
    say(`Measuring ${row.name} …`);
    try {
      const { sides, profiled } = await run.measure(row);
      table.push(...linesOf(row, sides, webs.length));
      notes.push(...waitLine(row, sides, webs.length), ...spreadLine(row, sides, webs.length), ...profiled);
    } catch (error) {
      // What was measured before, and what comes after, is worth having all the same.
      isWhole = false;
      notes.push(`${row.name}: not measured: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { lines: [table.toString(), ...notes], isWhole };
}
