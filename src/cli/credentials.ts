// Commands for API keys and DIGEST nonces.
import type { Command } from 'commander';
import { settings } from '../../config';
import { action, MAX_AGE_MINUTES, requireDatabase, wholeNumber } from './command';

/** As NONCE_LIFETIME_MINUTES has it, which is not loaded for the help. */
const DEFAULT_NONCE_AGE_MINUTES = 60;

/** Adds the commands of this file to the program. */
export function addCredentialCommands(program: Command): void {
  program
    .command('api-keys:clear-expired')
    .description('deletes keys unused for that long')
    .argument(
      '[minutes]',
      'APP_API_KEY_EXPIRATION_MINUTES where not given',
      wholeNumber(MAX_AGE_MINUTES),
      settings.APP_API_KEY_EXPIRATION_MINUTES,
    )
    .action(
      action(async (minutes: number) => {
        requireDatabase();
        const { clearExpiredApiKeys } = await import('../services/credentials/api-keys.js');
        const deleted = minutes === 0 ? 0 : await clearExpiredApiKeys(minutes);
        return { json: { deleted }, text: minutes === 0 ? 'Keys never expire here.' : `${deleted} keys deleted.` };
      }),
    );

  program
    .command('nonces:clear-expired')
    .description('deletes old DIGEST nonces')
    .argument('[minutes]', 'their age', wholeNumber(MAX_AGE_MINUTES), DEFAULT_NONCE_AGE_MINUTES)
    .action(
      action(async (minutes: number) => {
        requireDatabase();
        const { clearNonces } = await import('../services/credentials/nonces.js');
        const deleted = await clearNonces(minutes);
        return { json: { deleted }, text: `${deleted} nonces deleted.` };
      }),
    );
}
