// Commands for the schema.
import type { Command } from 'commander';
import { action, requireDatabase } from './command';

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
}
