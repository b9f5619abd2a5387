// What a process starts with: the settings of its environment, the files that they name, and what its operator should hear.
import { fileFaults, namesInFile } from './environment';
import { checkFiles, type Role } from './files';
import { foreignNames } from './foreign-names';
import { readSettings, SettingsError, type Settings } from './settings';

/** The address of a server. */
type ServerName = 'DATABASE_URL' | 'REDIS_URL';

/** What is allowed, and yet hardly meant. */
function doubts(settings: Settings, roles: readonly Role[]): string[] {
  const found: string[] = [];
  if (roles.includes('web')) {
    // Whoever believes any address has no limit by address, and no key that is bound to one.
    if (settings.TRUST_PROXY === true)
      found.push(
        'TRUST_PROXY=true believes the X-Forwarded-For of anybody, so that clients choose their own address: set it to the number of proxies, or to their addresses',
      );
    // oxlint-disable-next-line no-control-regex -- that is what ASCII is
    if (settings.ACCOUNT_REALM !== undefined && !/^[\x00-\x7f]*$/.test(settings.ACCOUNT_REALM))
      found.push('ACCOUNT_REALM has characters beyond ASCII: clients that hash them in another encoding cannot sign in by DIGEST');
  }
  if (roles.includes('worker')) {
    const queues = settings.WORKER_QUEUES;
    if (queues.includes('maintenance') && !queues.includes('chores'))
      found.push('WORKER_QUEUES names maintenance without chores, which was a part of it: some worker must serve chores, too');
  }
  const longest = Math.max(settings.PUSH_TIMEOUT_SECONDS, settings.SMS_TIMEOUT_SECONDS, settings.EMAIL_TIMEOUT_SECONDS);
  if (roles.length > 0 && settings.SHUTDOWN_GRACE_SECONDS < longest)
    found.push(
      `SHUTDOWN_GRACE_SECONDS=${settings.SHUTDOWN_GRACE_SECONDS} is less than a send may take (${longest} s): what is under way at a restart is cut off`,
    );
  return found;
}

/** Production says so itself, and of what is wrong already enough is said. */
const missingOf = (given: Readonly<Record<string, string>>, needed: readonly ServerName[], values: Partial<Settings>): string[] =>
  needed
    .filter((name) => (given[name] ?? '').trim() === '' && values.NODE_ENV !== 'production')
    .map((name) => `${name} is missing, and no npm start runs in this folder`);

/**
 * Reads the settings, and looks at the files that the process needs.
 *
 * @param given the environment, with what stands in for it
 * @param roles whose files are needed
 * @param needed the servers without which it can do nothing
 * @returns the settings, frozen, and lines for the log
 * @throws {SettingsError} with all faults at once
 */
export function loadSettings(
  given: Readonly<Record<string, string>>,
  roles: readonly Role[],
  needed: readonly ServerName[] = [],
): { settings: Settings; warnings: readonly string[] } {
  const { values, faults } = readSettings(given);
  const files = checkFiles(values, roles);
  const all = [...fileFaults, ...faults, ...missingOf(given, needed, values), ...files.faults];
  if (all.length > 0) throw new SettingsError(all);
  const settings = Object.freeze(values) as Settings;
  const foreign = foreignNames(given, namesInFile);
  return { settings, warnings: [...doubts(settings, roles), ...files.warnings, ...(foreign === undefined ? [] : [foreign])] };
}
