// The settings of this process, read once.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { environment, SERVERS_FILE } from './environment';
import type { Role } from './files';
import { loadSettings } from './load';
import { SettingsError, type Settings } from './settings';

/** Which files a process needs, by the file that it began in. The command line needs none, and its user may not be able to read a server's keys. */
const ROLES: Readonly<Record<string, readonly Role[]>> = {
  'src/web.js': ['web'],
  'workers/main.js': ['worker'],
};

function roles(): readonly Role[] {
  const main = path.relative(path.join(__dirname, '..'), require.main?.filename ?? '');
  return ROLES[main.replaceAll(path.sep, '/')] ?? [];
}

function embeddedServers(): Record<string, string> {
  // Production names its servers itself and must never fall back to a developer's.
  if (environment['NODE_ENV'] === 'production' || !existsSync(SERVERS_FILE)) return {};
  return JSON.parse(readFileSync(SERVERS_FILE, 'utf8')) as Record<string, string>;
}

function load(): ReturnType<typeof loadSettings> {
  try {
    const own = roles();
    // Commands say for themselves what they need.
    return loadSettings({ ...embeddedServers(), ...environment }, own, own.length === 0 ? [] : ['DATABASE_URL', 'REDIS_URL']);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const loaded = load();

/** Frozen; a wrong value has ended the process with a line for each fault on stderr. */
export const settings: Settings = loaded.settings;
/** What the operator should hear of, a line each: for the log of `web` and `worker`. */
export const settingsWarnings: readonly string[] = loaded.warnings;
export type { Settings };
