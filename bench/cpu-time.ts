// The CPU time of a process, where Linux's /proc tells.
import { existsSync, readFileSync } from 'node:fs';

/** Linux counts the CPU time of processes in hundredths of a second (USER_HZ), whatever the kernel's own clock is. */
const CLOCK_TICK_MS = 10;

/** User and system time of a process and all its threads, in milliseconds; undefined where there is no /proc. */
export function cpuTimeMs(pid: number): number | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  // Fields after the command's name, which is in parentheses and may hold spaces: state is the first, utime the 12th, stime the 13th.
  const fields = readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}
