// Programs of the machine that tests run, and npm does not bring.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

/** Debian has servers where only root's PATH leads. */
const FOLDERS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/local/sbin'];

/** Path of a program; undefined where there is none, which is an error under CI=true and said aloud otherwise. */
export function findProgram(name: string): string | undefined {
  const found = FOLDERS.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
  if (found === undefined) {
    const missing = `There is no ${name} on this machine: install it. What needs it was not tested.`;
    if (process.env['CI'] === 'true') throw new Error(missing);
    process.stderr.write(`\n${missing}\n`);
  }
  return found;
}

export interface Ran {
  code: number;
  /** Both of its streams. */
  output: string;
}

/** Runs a program to its end, whatever that is. */
export async function runProgram(file: string, parameters: string[], environment: NodeJS.ProcessEnv = process.env): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(file, parameters, { env: environment });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}
