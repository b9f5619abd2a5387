// CPU profiles of processes that have profiler.ts loaded, and what stands first in them.
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const TOP = 15;
const WRITE_TIMEOUT_MS = 20_000;
const BEGIN_MS = 100;

/** The parts of a `.cpuprofile` that are read here. */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** Settings of a process that can be profiled; its profiles come into the folder. */
export function profilerSettings(directory: string): Record<string, string> {
  mkdirSync(directory, { recursive: true });
  return { NODE_OPTIONS: `--require ${JSON.stringify(path.join(__dirname, 'profiler.js'))}`, PROFILE_DIRECTORY: directory };
}

/** The functions in which most time passed, with what they call left out. `(program)` is time in native code that no function is known of. */
function topOf({ nodes, samples, timeDeltas }: Profile): string[] {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.split('/').slice(-2).join('/');
      return [id, `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`];
    }),
  );
  const selfMs = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '';
    selfMs.set(name, (selfMs.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  }
  selfMs.delete('(idle)');
  // The profiler's own beginning and end.
  selfMs.delete('dispatch');
  const busyMs = [...selfMs.values()].reduce((sum, ms) => sum + ms, 0);
  const first = [...selfMs].toSorted(([, a], [, b]) => b - a).slice(0, TOP);
  return first.map(([name, ms]) => `${((100 * ms) / busyMs).toFixed(1).padStart(6)} %  ${name}`);
}

async function take(pid: number, directory: string, file: string): Promise<string[]> {
  const written = path.join(directory, `${pid}.cpuprofile`);
  for (const end = Date.now() + WRITE_TIMEOUT_MS; !existsSync(written); await sleep(50))
    if (Date.now() > end) throw new Error(`process ${pid} has written no profile`);
  renameSync(written, file);
  return [file, ...topOf(JSON.parse(readFileSync(file, 'utf8')) as Profile)];
}

/**
 * Profiles processes while something is done.
 *
 * @param processes their numbers, with the files that their profiles become in the folder
 * @returns lines about each
 */
export async function profile(directory: string, processes: ReadonlyMap<string, number>, work: () => Promise<unknown>): Promise<string[]> {
  for (const pid of processes.values()) process.kill(pid, 'SIGUSR2');
  await sleep(BEGIN_MS);
  await work();
  for (const pid of processes.values()) process.kill(pid, 'SIGUSR2');
  const lines: string[] = [];
  for (const [name, pid] of processes) lines.push(...(await take(pid, directory, path.join(directory, `${name}.cpuprofile`))));
  return lines;
}
