// What this process was given: its environment, and `.env` of the working directory beneath it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnvFile } from './env-file';

/** Where `npm start` keeps its embedded servers' data and what else must outlive it. */
export const DATA_DIRECTORY = path.resolve('.data');

/** Written by `npm start`: how to reach the servers it runs, web among them, so that the command line finds them. */
export const SERVERS_FILE = path.join(DATA_DIRECTORY, 'servers.json');

function readEnvFile(): ReturnType<typeof parseEnvFile> {
  try {
    return parseEnvFile(readFileSync('.env', 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { values: new Map(), faults: code === 'ENOENT' ? [] : [`.env cannot be read: ${code}`] };
  }
}

const file = readEnvFile();
// Whatever else reads the environment in this process finds it as well; what is set already stays.
for (const [name, value] of file.values) process.env[name] ??= value;

/** An empty variable is an absent one. */
export const environment: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1].trim() !== ''),
);

/** The names that `.env` gives a value, in its order. */
export const namesInFile: readonly string[] = [...file.values].filter(([, value]) => value.trim() !== '').map(([name]) => name);

/** What is not understood of `.env`. */
export const fileFaults: readonly string[] = file.faults;
