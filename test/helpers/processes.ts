// Processes of the machine.
import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that it has begun: of PostgreSQL all that serve. */
export function treeOf(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1]) === pid;
      } catch {
        return false;
      }
    });
  return [pid, ...children.map(Number)];
}
