// The CPU time and memory of a process, where Linux's /proc tells.
import { existsSync, readdirSync, readFileSync } from 'node:fs';

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

/** The same in fractions of a millisecond, from the scheduler's own count; 0 where there is no /proc. */
export function preciseCpuMs(pid: number): number {
  const threads = `/proc/${pid}/task`;
  if (!existsSync(threads)) return 0;
  return readdirSync(threads).reduce((sum, thread) => {
    try {
      return sum + Number(readFileSync(`${threads}/${thread}/schedstat`, 'utf8').split(' ', 1)[0]) / 1_000_000;
    } catch {
      // It has ended meanwhile.
      return sum;
    }
  }, 0);
}

/** What a process has of the machine's memory, in megabytes; 0 where there is no /proc. */
export function residentMb(pid: number): number {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return 0;
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 0) / 1024;
}
