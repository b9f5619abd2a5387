// Commands for accounts.
import type { Command } from 'commander';
import { settings } from '../../config';
import type { Clearing, ClearingProgress } from '../services/accounts/deletion';
import { hasInvisible } from '../infra/characters';
import { ApiError } from '../infra/errors';
import { parseIpAddress } from '../infra/ip-address';
import { action, MAX_AGE_DAYS, MAX_ID, Refusal, requireDatabase, wholeNumber } from './command';

const clearingText = (what: string, { found, deleted }: Clearing, apply: boolean): string =>
  apply ? `${deleted} ${what} deleted.` : `${found} ${what} would be deleted; --apply deletes them.`;

const PROGRESS_INTERVAL_MS = 1000;

/** Says how far a clearing of accounts is, at most once a second, and what failed: beside what the command prints. */
function sayProgress(): ClearingProgress {
  let said = Date.now();
  return ({ found, deleted, failed }, failure) => {
    if (failure) process.stderr.write(`account ${failure.id}: ${failure.reason.replaceAll('\n', ' ')}\n`);
    else if (Date.now() - said >= PROGRESS_INTERVAL_MS) {
      said = Date.now();
      process.stderr.write(`${deleted} of ${found} accounts deleted${failed === 0 ? '' : `, ${failed} failed`}\n`);
    }
  };
}

interface AdminOptions {
  username: string;
  password?: string;
  domain: string;
  apiKeyIp: string;
}

/** Adds the commands of this file to the program. */
export function addAccountCommands(program: Command): void {
  program
    .command('accounts:create-admin')
    .description('makes an admin and its API key')
    .option('-u, --username <username>', 'its name', 'admin')
    .option('-p, --password <password>', 'its password; one is made where not given')
    .option('-d, --domain <domain>', 'its space', settings.APP_SIP_DOMAIN)
    .option('-k, --api-key-ip <ip>', "the only address the key works from; '' = from anywhere", '127.0.0.1')
    .action(
      action(async ({ username, password, domain, apiKeyIp }: AdminOptions) => {
        requireDatabase();
        const ip = apiKeyIp.trim() === '' ? null : parseIpAddress(apiKeyIp);
        if (apiKeyIp.trim() !== '' && ip === null) throw new Refusal(`-k: ${apiKeyIp} is not an IP address`);
        if (!/^[^\s@]{1,64}$/.test(username) || username !== username.normalize('NFC').toLowerCase() || hasInvisible(username))
          throw new Refusal('-u: 1 to 64 characters without spaces, @ and upper case letters are expected');
        if (password !== undefined && password.length < 6) throw new Refusal('-p: at least 6 characters are expected');
        const { createAdmin } = await import('../services/accounts/accounts.js');
        const { findSpace } = await import('../services/spaces/spaces.js');
        if ((await findSpace(domain)) === null) throw new Refusal(`-d: there is no space ${domain}; spaces:create-update makes one`);
        const admin = await createAdmin({
          username,
          domain: domain.toLowerCase(),
          ip,
          ...(password === undefined ? {} : { password }),
        }).catch((error: unknown) => {
          const taken = error instanceof ApiError && error.details.errors?.['username'];
          throw taken ? new Refusal(`-u: the username ${username} is already taken in ${domain.toLowerCase()}`) : error;
        });
        const text = [
          `Admin sip:${admin.username}@${admin.domain}, id ${admin.id}`,
          `Password ${admin.password}`,
          `API key  ${admin.api_key}`,
        ];
        return { json: admin, text: text.join('\n') };
      }),
    );

  program
    .command('accounts:set-admin')
    .description('gives the admin role')
    .argument('<account_id>', 'number of the account', wholeNumber(MAX_ID))
    .action(
      action(async (id: number) => {
        requireDatabase();
        const { Account } = await import('../models/index.js');
        const { SYSTEM, visibleTo } = await import('../models/visibility.js');
        const [changed] = await Account.scope(visibleTo(SYSTEM)).update({ admin: true }, { where: { id } });
        if (changed === 0) throw new Refusal(`there is no account ${id}`);
        return { json: { id, admin: true }, text: `Account ${id} is an admin.` };
      }),
    );

  program
    .command('accounts:confirm-emails')
    .description('vouches for the emails that the accounts of a space have now: JSON Web Tokens by email count for confirmed ones alone')
    .argument('<domain>', 'of the space')
    .action(
      action(async (given: string) => {
        requireDatabase();
        const domain = given.toLowerCase();
        const { findSpace } = await import('../services/spaces/spaces.js');
        if ((await findSpace(domain)) === null) throw new Refusal(`there is no space ${domain}`);
        const { confirmEmails } = await import('../models/accounts/account.js');
        const confirmed = await confirmEmails(domain);
        return { json: { domain, confirmed }, text: `${confirmed} emails confirmed.` };
      }),
    );

  program
    .command('accounts:clear-unconfirmed')
    .description('counts, and with --apply deletes, accounts never activated')
    .argument('<days>', 'made before so many days', wholeNumber(MAX_AGE_DAYS))
    .option('--apply', 'delete them', false)
    .option('--and-confirmed', 'activated ones, too', false)
    .action(
      action(async (days: number, { apply, andConfirmed }: { apply: boolean; andConfirmed: boolean }) => {
        requireDatabase();
        const { clearUnconfirmed } = await import('../services/accounts/deletion.js');
        const done = await clearUnconfirmed(days, { apply, confirmed: andConfirmed }, sayProgress());
        if (done.failed > 0) process.exitCode = 1;
        const failed = done.failed === 0 ? '' : ` ${done.failed} could not be deleted.`;
        return { json: done, text: clearingText('accounts', done, apply) + failed };
      }),
    );

  program
    .command('accounts:clear-tombstones')
    .description('counts, and with --apply deletes, tombstones of deleted accounts: their names are free again')
    .argument('<days>', 'older than so many days', wholeNumber(MAX_AGE_DAYS))
    .option('--apply', 'delete them', false)
    .action(
      action(async (days: number, { apply }: { apply: boolean }) => {
        requireDatabase();
        const { clearTombstones } = await import('../services/accounts/deletion.js');
        const done = await clearTombstones(days, apply);
        return { json: done, text: clearingText('tombstones', done, apply) };
      }),
    );
}
