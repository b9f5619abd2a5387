// bin/flexiapi: every command. 0 done, 1 refused or failed, 2 wrong usage; with --json one JSON value on stdout and nothing else.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { ApiError } from '../infra/errors';
import { log } from '../infra/log';
import { VERSION } from '../infra/version';
import { render } from '../i18n';
import { addAccountCommands } from './accounts';
import { addApiKeyCommands } from './api-keys';
import { addCredentialCommands } from './credentials';
import { addDatabaseCommands } from './database';
import { addFlexisipCommands } from './flexisip';
import { addPhoneCountryCommands } from './phone-countries';
import { addQueueCommands } from './queues';
import { addSendCommands } from './sends';
import { addSpaceCommands } from './spaces';

// stdout is for the command's own output, stderr for its one line: what is wrong is said there.
log.level = 'silent';

const program = new Command('flexiapi');
program
  .description('Operates an account server: run it where the server’s .env is, or with the same environment.')
  .version(VERSION)
  .option('--json', 'print one JSON value and nothing else')
  .showHelpAfterError('(--help shows how)')
  .exitOverride();

// In the order of the help. Each file loads what its commands need when one of them runs.
addDatabaseCommands(program);
addSpaceCommands(program);
addAccountCommands(program);
addPhoneCountryCommands(program);
addApiKeyCommands(program);
addCredentialCommands(program);
addQueueCommands(program);
addSendCommands(program);
addFlexisipCommands(program);

function explain(error: unknown): string {
  if (error instanceof ApiError) return render(error.text, 'en');
  if (!(error instanceof Error)) return String(error);
  const { code, parent } = error as { code?: string; parent?: { code?: string } };
  const server = parent?.code ?? code;
  return error.message === '' ? `${error.name} ${server ?? ''}`.trim() : error.message;
}

program.parseAsync().then(
  () => {
    process.exitCode ??= 0;
  },
  (error: unknown) => {
    if (error instanceof CommanderError) {
      // commander has said what is wrong; help and version are no errors.
      if (error instanceof InvalidArgumentError) process.stderr.write(`error: ${error.message}\n`);
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`${explain(error).replaceAll('\n', ' ')}\n`);
    process.exitCode = 1;
  },
);
