// bin/flexiapi: every command. 0 done, 1 refused or failed, 2 wrong usage; with --json one JSON value on stdout and nothing else.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { settings } from '../../config';
import { ApiError } from '../infra/errors';
import { log } from '../infra/log';
import { VERSION } from '../infra/version';
import { render } from '../i18n';

export class Refusal extends Error {}

interface Output {
  json: unknown;
  text: string;
}

// stdout is for the command's own output, stderr for its one line: what is wrong is said there.
log.level = 'silent';

const program = new Command('flexiapi');
program
  .description('Operates an account server: run it where the server’s .env is, or with the same environment.')
  .version(VERSION)
  .option('--json', 'print one JSON value and nothing else')
  .showHelpAfterError('(--help shows how)')
  .exitOverride();

/** Closes what a command may have opened, so that the process ends by itself. */
async function close(): Promise<void> {
  const [{ closeDatabase }, { closeQueues }] = await Promise.all([import('../infra/database.js'), import('../queues/producer.js')]);
  await closeQueues();
  await closeDatabase();
}

function action<Arguments extends unknown[]>(work: (...given: Arguments) => Promise<Output>): (...given: Arguments) => Promise<void> {
  return async (...given) => {
    try {
      const { json, text } = await work(...given);
      process.stdout.write(`${program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text}\n`);
    } finally {
      await close();
    }
  };
}

const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is expected');
  return Number(text);
};

function databaseUrl(): string {
  if (settings.DATABASE_URL === undefined) throw new Refusal('DATABASE_URL is not set, and no npm start runs in this folder');
  return settings.DATABASE_URL;
}
function requireRedis(): void {
  if (settings.REDIS_URL === undefined) throw new Refusal('REDIS_URL is not set, and no npm start runs in this folder');
}

program
  .command('db:migrate')
  .description('brings the schema up to date')
  .action(
    action(async () => {
      const { migrate } = await import('../migrations/index.js');
      const applied = await migrate(databaseUrl());
      return { json: { applied }, text: applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}` };
    }),
  );

program
  .command('spaces:create-update')
  .description('makes or changes a space')
  .argument('<domain>')
  .option('--host <host>', 'the host that its apps call; the domain where not given')
  .option('--super', 'its admins manage every space', false)
  .action(
    action(async (domain: string, { host, super: isSuper }: { host?: string; super: boolean }) => {
      databaseUrl();
      if (!/^[A-Za-z0-9_.-]{1,64}$/.test(domain))
        throw new Refusal('domain: 1 to 64 letters, digits, dots, dashes and underscores are expected');
      if (host !== undefined && (host === '' || host.length > 255)) throw new Refusal('--host: 1 to 255 characters are expected');
      const { createOrUpdateSpace } = await import('../services/spaces/spaces.js');
      const { violatedConstraint } = await import('../infra/database.js');
      try {
        const created = await createOrUpdateSpace(domain, { isSuper, ...(host === undefined ? {} : { host }) });
        return {
          json: { domain: domain.toLowerCase(), created },
          text: `Space ${domain.toLowerCase()} ${created ? 'created' : 'changed'}.`,
        };
      } catch (error) {
        if (violatedConstraint(error) === 'spaces_host_key') throw new Refusal(`--host: another space has the host ${host ?? domain}`);
        throw error;
      }
    }),
  );

program
  .command('accounts:create-admin')
  .description('makes an admin and its API key')
  .option('-u, --username <username>', 'its name', 'admin')
  .option('-p, --password <password>', 'its password; one is made where not given')
  .option('-d, --domain <domain>', 'its space', settings.APP_SIP_DOMAIN)
  .option('-k, --api-key-ip <ip>', "the only address the key works from; '' = from anywhere", '127.0.0.1')
  .action(
    action(async ({ username, password, domain, apiKeyIp }: { username: string; password?: string; domain: string; apiKeyIp: string }) => {
      databaseUrl();
      const { isIP } = await import('node:net');
      if (apiKeyIp !== '' && isIP(apiKeyIp) === 0) throw new Refusal(`-k: ${apiKeyIp} is not an IP address`);
      if (!/^[^\s@A-Z]{1,64}$/.test(username))
        throw new Refusal('-u: 1 to 64 characters without spaces, @ and upper case letters are expected');
      if (password !== undefined && password.length < 6) throw new Refusal('-p: at least 6 characters are expected');
      const { select: rows } = await import('../infra/sequelize.js');
      const { createAdmin } = await import('../services/accounts/accounts.js');
      const space = await rows('SELECT 1 AS one FROM spaces WHERE domain = $1', [domain.toLowerCase()]);
      if (space.length === 0) throw new Refusal(`-d: there is no space ${domain}; spaces:create-update makes one`);
      const admin = await createAdmin({
        username,
        domain: domain.toLowerCase(),
        ip: apiKeyIp || null,
        ...(password === undefined ? {} : { password }),
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
  .argument('<account_id>', 'number of the account', wholeNumber)
  .action(
    action(async (id: number) => {
      databaseUrl();
      const { setAdmin } = await import('../services/accounts/accounts.js');
      if (!(await setAdmin(id))) throw new Refusal(`there is no account ${id}`);
      return { json: { id, admin: true }, text: `Account ${id} is an admin.` };
    }),
  );

const clearingText = (what: string, { found, deleted }: { found: number; deleted: number }, apply: boolean): string =>
  apply ? `${deleted} ${what} deleted.` : `${found} ${what} would be deleted; --apply deletes them.`;

program
  .command('accounts:clear-unconfirmed')
  .description('counts, and with --apply deletes, accounts never activated')
  .argument('<days>', 'made before so many days', wholeNumber)
  .option('--apply', 'delete them', false)
  .option('--and-confirmed', 'activated ones, too', false)
  .action(
    action(async (days: number, { apply, andConfirmed }: { apply: boolean; andConfirmed: boolean }) => {
      databaseUrl();
      const { clearUnconfirmed } = await import('../services/accounts/deletion.js');
      const done = await clearUnconfirmed(days, { apply, confirmed: andConfirmed });
      return { json: done, text: clearingText('accounts', done, apply) };
    }),
  );

program
  .command('accounts:clear-tombstones')
  .description('counts, and with --apply deletes, tombstones of deleted accounts: their names are free again')
  .argument('<days>', 'older than so many days', wholeNumber)
  .option('--apply', 'delete them', false)
  .action(
    action(async (days: number, { apply }: { apply: boolean }) => {
      databaseUrl();
      const { clearTombstones } = await import('../services/accounts/deletion.js');
      const done = await clearTombstones(days, apply);
      return { json: done, text: clearingText('tombstones', done, apply) };
    }),
  );

for (const [verb, activated] of [
  ['activate', true],
  ['deactivate', false],
] as const) {
  program
    .command(`phone-countries:${verb}`)
    .description(`${verb}s countries: whether their phone numbers are accepted`)
    .argument('<code...>', 'ISO 3166 codes, or all')
    .action(
      action(async (codes: string[]) => {
        databaseUrl();
        const { listPhoneCountries, setCountriesActivated } = await import('../services/accounts/phone-numbers.js');
        const wanted = codes.map((code) => code.toUpperCase());
        const all = wanted.includes('ALL');
        const known = new Set((await listPhoneCountries()).map(({ code }) => code));
        const unknown = all ? [] : wanted.filter((code) => !known.has(code));
        if (unknown.length > 0) throw new Refusal(`there is no country ${unknown.join(', ')}`);
        const changed = (await setCountriesActivated(all ? null : wanted, activated)).toSorted((a, b) => a.localeCompare(b));
        return { json: { codes: changed, activated }, text: `${changed.length} countries ${verb}d.` };
      }),
    );
}

program
  .command('api-keys:clear-expired')
  .description('deletes keys unused for that long')
  .argument('[minutes]', 'APP_API_KEY_EXPIRATION_MINUTES where not given', wholeNumber, settings.APP_API_KEY_EXPIRATION_MINUTES)
  .action(
    action(async (minutes: number) => {
      databaseUrl();
      const { clearExpiredApiKeys } = await import('../services/credentials/api-keys.js');
      const deleted = minutes === 0 ? 0 : await clearExpiredApiKeys(minutes);
      return { json: { deleted }, text: minutes === 0 ? 'Keys never expire here.' : `${deleted} keys deleted.` };
    }),
  );

program
  .command('nonces:clear-expired')
  .description('deletes old DIGEST nonces')
  .argument('[minutes]', 'their age', wholeNumber, 60)
  .action(
    action(async (minutes: number) => {
      databaseUrl();
      const { clearNonces } = await import('../services/credentials/nonces.js');
      const deleted = await clearNonces(minutes);
      return { json: { deleted }, text: `${deleted} nonces deleted.` };
    }),
  );

program
  .command('queues')
  .description('shows the state of every queue')
  .action(
    action(async () => {
      requireRedis();
      const { reportQueues } = await import('../queues/report.js');
      const { default: Table } = await import('cli-table3');
      const report = await reportQueues();
      const table = new Table({
        head: ['queue', 'waiting', 'active', 'delayed', 'failed', 'completed', 'oldest waiting', 'workers'],
        style: { head: [], border: [] },
      });
      for (const { queue, waiting, active, delayed, failed, completed, oldest_waiting_seconds: oldest, workers } of report) {
        table.push([queue, waiting, active, delayed, failed, completed, oldest === null ? '—' : `${oldest} s`, workers]);
      }
      return { json: report, text: table.toString() };
    }),
  );

program
  .command('queues:retry-failed')
  .description('puts the failed jobs of a queue back; a send whose time is over fails again and is not sent')
  .argument('<queue>')
  .action(
    action(async (name: string) => {
      requireRedis();
      const [{ QUEUE_NAMES }, { queueOf }] = await Promise.all([import('../queues/contracts.js'), import('../queues/producer.js')]);
      const queue = QUEUE_NAMES.find((known) => known === name);
      if (queue === undefined) throw new InvalidArgumentError(`there is no queue ${name}: ${QUEUE_NAMES.join(', ')}`);
      const { failed = 0 } = await queueOf(queue).getJobCounts('failed');
      await queueOf(queue).retryJobs({ state: 'failed', count: 1000 });
      return { json: { queue, retried: failed }, text: `${failed} jobs put back.` };
    }),
  );

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
