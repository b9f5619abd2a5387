// The settings of this process, read once.
import { existsSync, readFileSync } from 'node:fs';
import { environment, SERVERS_FILE } from './environment';
import { parseSettings, SettingsError, type Settings } from './settings';

function embeddedServers(): Record<string, string> {
  // Production names its servers itself and must never fall back to a developer's.
  if (environment['NODE_ENV'] === 'production' || !existsSync(SERVERS_FILE)) return {};
  return JSON.parse(readFileSync(SERVERS_FILE, 'utf8')) as Record<string, string>;
}

function load(): Settings {
  try {
    return parseSettings({ ...embeddedServers(), ...environment });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** Frozen; a wrong value has ended the process with a line for each fault on stderr. */
export const settings: Settings = load();
export type { Settings };
