// Commands for Spaces.
import type { Command } from 'commander';
import { ApiError } from '../infra/errors';
import { action, Refusal, requireDatabase } from './command';

/** Adds the commands of this file to the program. */
export function addSpaceCommands(program: Command): void {
  program
    .command('spaces:create-update')
    .description('makes or changes a space')
    .argument('<domain>')
    .option('--host <host>', 'the host that its apps call; the domain where not given')
    .option('--super', 'its admins manage every space', false)
    .action(
      action(async (domain: string, { host, super: isSuper }: { host?: string; super: boolean }) => {
        requireDatabase();
        if (!/^[A-Za-z0-9_.-]{1,64}$/.test(domain))
          throw new Refusal('domain: 1 to 64 letters, digits, dots, dashes and underscores are expected');
        if (host !== undefined && (host === '' || host.length > 255)) throw new Refusal('--host: 1 to 255 characters are expected');
        const { createOrUpdateSpace } = await import('../services/spaces/spaces.js');
        const { onUniqueViolation } = await import('../infra/database.js');
        const created = await onUniqueViolation(
          { spaces_host_key: () => new Refusal(`--host: another space has the host ${host ?? domain}`) },
          () => createOrUpdateSpace(domain, { isSuper, ...(host === undefined ? {} : { host }) }),
        ).catch((error: unknown) => {
          const isLast = error instanceof ApiError && error.text.key === 'space.last_super';
          throw isLast ? new Refusal('--super: without it no super space with an admin who is not blocked would be left') : error;
        });
        return {
          json: { domain: domain.toLowerCase(), created },
          text: `Space ${domain.toLowerCase()} ${created ? 'created' : 'changed'}.`,
        };
      }),
    );
}
