// Processes that say when they are ready.
import { fork, type ChildProcess, type Serializable } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';

const START_TIMEOUT_MS = 30_000;

/** A process, and the first thing that it said. */
export interface Child {
  process: ChildProcess;
  said: Serializable;
}

/**
 * Starts a process and waits until it says something over its channel.
 *
 * @param name of the file in the folder where what it prints is left
 * @throws {Error} with the end of that where it ends before, or says nothing for long
 */
export async function startChild(name: string, file: string, environment: Record<string, string>, directory: string): Promise<Child> {
  const logFile = path.join(directory, `${name}.log`);
  const log = openSync(logFile, 'w');
  const child = fork(file, { cwd: directory, env: environment, execArgv: [], stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);
  const said = await new Promise<Serializable | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), START_TIMEOUT_MS);
    const settle = (message?: Serializable): void => {
      clearTimeout(timer);
      resolve(message);
    };
    child.once('message', (message) => settle(message));
    child.once('exit', () => settle());
  });
  if (said !== undefined) return { process: child, said };
  child.kill('SIGKILL');
  throw new Error(`${name} does not start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
}
