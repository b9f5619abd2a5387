// How what requests cost grows: with the number of web processes, accounts, stored events and waiting jobs.
import { growAccounts } from './growth-accounts';
import { growProcesses } from './growth-processes';
import { growQueue } from './growth-queue';
import { growStatistics } from './growth-statistics';
import type { Servers } from './servers';

/** By the name that `--row` has a part of. */
const TABLES: Record<string, (servers: Servers, large: boolean) => Promise<string[]>> = {
  processes: growProcesses,
  accounts: growAccounts,
  statistics: growStatistics,
  queue: growQueue,
};

/**
 * @param wanted tables whose name has this in it
 * @param large with ten million accounts as well
 * @returns lines to print
 */
export async function benchGrowth(servers: Servers, wanted: string, large: boolean): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, table] of Object.entries(TABLES))
    if (name.includes(wanted)) lines.push(`growth: ${name}`, '', ...(await table(servers, large)), '');
  return lines;
}
