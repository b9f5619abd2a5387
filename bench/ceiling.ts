// A program of bench/ceilings/, started beside the `web` that it is compared with, on the same database and Redis.
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { startChild } from './child';

/** Ceilings that have work done by another process. */
const WORKERS: Record<string, string> = { bullmq: 'bullmq-worker' };

/** What is compiled, beside this file. */
const PROGRAMS = path.join(__dirname, 'ceilings');

export class Ceiling {
  private constructor(
    readonly name: string,
    readonly port: number,
    readonly processes: readonly ChildProcess[],
  ) {}

  /**
   * @param name its file in bench/ceilings
   * @param environment as `web` has it
   * @param directory where it works, and leaves what it prints
   * @param programs where the compiled ones are
   */
  static async start(name: string, environment: Record<string, string>, directory: string, programs = PROGRAMS): Promise<Ceiling> {
    const start = (program: string): ReturnType<typeof startChild> =>
      startChild(program, path.join(programs, `${program}.js`), environment, directory);
    const worker = WORKERS[name] === undefined ? [] : [(await start(WORKERS[name])).process];
    try {
      const { process: server, said } = await start(name);
      return new Ceiling(name, Number(said), [server, ...worker]);
    } catch (error) {
      for (const child of worker) child.kill('SIGKILL');
      throw error;
    }
  }

  get pids(): number[] {
    return this.processes.map(({ pid }) => pid ?? 0);
  }

  /** It has nothing that would have to be put in order. */
  stop(): void {
    for (const child of this.processes) child.kill('SIGKILL');
  }
}
