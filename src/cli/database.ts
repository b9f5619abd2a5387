// Commands for the schema.
import type { Command } from 'commander';
import { action, Refusal, requireDatabase } from './command';

/** Adds the commands of this file to the program. */
export function addDatabaseCommands(program: Command): void {
  program
    .command('db:migrate')
    .description('brings the schema up to date')
    .action(
      action(async () => {
        const { migrate } = await import('../migrations/index.js');
        const applied = await migrate(requireDatabase());
        return { json: { applied }, text: applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}` };
      }),
    );

  program
    .command('statistics:make-months <first>')
    .description(
      'makes the months of raw statistics from one on, such as 2019-01, before an import; events wait while what is there already is moved',
    )
    .action(
      action(async (first: string) => {
        const since = new Date(`${first}-01T00:00:00Z`);
        if (!/^20\d\d-\d\d$/.test(first) || Number.isNaN(since.getTime())) throw new Refusal(`${first} is no month such as 2019-01`);
        const { ensurePartitions, STATISTICS } = await import('../models/partitions.js');
        const { made, left } = await ensurePartitions(STATISTICS, new Date(), undefined, since);
        const text =
          left.length === 0
            ? `Made: ${made.length}.`
            : `Made: ${made.length}; somebody holds a table, run it again for: ${left.join(', ')}`;
        return { json: { made, left }, text };
      }),
    );
}
