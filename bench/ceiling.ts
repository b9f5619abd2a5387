// A program of bench/ceilings/, started beside the `web` that it is compared with, on the same database and Redis.
import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';

const START_TIMEOUT_MS = 15_000;

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
   * @param worker another file there, of a process that works for it
   */
  static async start(name: string, environment: Record<string, string>, directory: string, worker?: string): Promise<Ceiling> {
    const processes: ChildProcess[] = [];
    try {
      if (worker !== undefined) await startProcess(worker, environment, directory, processes);
      return new Ceiling(name, await startProcess(name, environment, directory, processes), processes);
    } catch (error) {
      for (const child of processes) child.kill('SIGKILL');
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

/** @returns the port on which it says that it listens; of a worker, whatever it says */
async function startProcess(
  name: string,
  environment: Record<string, string>,
  directory: string,
  processes: ChildProcess[],
): Promise<number> {
  const logFile = path.join(directory, `${name}.log`);
  const log = openSync(logFile, 'w');
  const child = fork(path.join(__dirname, 'ceilings', `${name}.js`), {
    cwd: directory,
    env: environment,
    execArgv: [],
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  processes.push(child);
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new Error(`the ceiling ${name} does not start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`));
    const timer = setTimeout(fail, START_TIMEOUT_MS);
    child.once('message', (port) => {
      clearTimeout(timer);
      resolve(Number(port));
    });
    child.once('exit', () => {
      clearTimeout(timer);
      fail();
    });
  });
}
