// What this process was given: its environment, and `.env` of the working directory beneath it.
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where `npm start` keeps its embedded servers' data and what else must outlive it. */
export const DATA_DIRECTORY = path.resolve('.data');

/** Written by `npm start`: how to reach the servers it runs, so that the command line finds them. */
export const SERVERS_FILE = path.join(DATA_DIRECTORY, 'servers.json');

function read(): Record<string, string> {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const given = Object.entries(process.env).filter(([, value]) => value !== undefined && value.trim() !== '');
  return Object.fromEntries(given) as Record<string, string>;
}

/** An empty variable is an absent one. */
export const environment: Readonly<Record<string, string>> = read();
