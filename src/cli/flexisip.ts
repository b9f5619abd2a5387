// Commands for Flexisip: its configuration, and whether it works.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ConfigureOptions } from '../services/flexisip/configure';
import type { Step } from '../services/flexisip/step';
import { MAX_GRACE_MINUTES } from '../services/credentials/key-limits';
import { action, Refusal, requireDatabase, wholeNumber } from './command';

/** As FLEXISIP_VERSIONS has them, which is not loaded for the help. */
const VERSIONS = ['2.3', '2.4', '2.5', '2.6', '2.7'];
/** A day: whoever restarts Flexisip once a night has the new key by then. */
const DEFAULT_GRACE_MINUTES = 1440;
const MAX_PORT = 65_535;

const several = (one: string, before: string[] | undefined): string[] => [...(before ?? []), one];

function addConfig(program: Command): void {
  program
    .command('flexisip:config')
    .description(
      'prints the parameters of flexisip.conf that point at this server, with a fresh key and the SQL of a database role; with --write, edits a copy',
    )
    .option('--account <account>', 'whose key it is, id or user@domain of a super admin; the one that has it, or the first')
    .option('--name <name>', 'what the key is called; as the one of the file, or the first of flexisip, flexisip-2, … that nobody uses')
    .option('--grace-minutes <minutes>', 'how long a key that is rotated stays good', wholeNumber(MAX_GRACE_MINUTES), DEFAULT_GRACE_MINUTES)
    .option('--key <key>', 'a named key that is there, instead of a fresh one')
    .option(
      '--rotate',
      'gives a key that is there a fresh secret, whoever uses it; else the file keeps its key, and one that is used goes on',
      false,
    )
    .option('--url <url>', 'where Flexisip reaches this server, https://…; APP_URL where not given')
    .option('--domain <domain>', 'which Flexisip serves, may be given several times; every space where not given', several)
    .addOption(
      new Option('--auth <kind>', 'passwords, or JSON Web Tokens; tokens where ACCOUNT_AUTHENTICATION_BEARER is set').choices([
        'digest',
        'jwt',
      ]),
    )
    .addOption(
      new Option('--flexisip-version <version>', 'for which version; where not given, one that fits 2.4 and later').choices(VERSIONS),
    )
    .option('--role <role>', 'the database role; as the file has it, or the first of flexisip, flexisip_2, … that is not there')
    .option(
      '--role-password <password>',
      'its password; the one that the file of --write has, or a fresh one for a role that is not there yet',
    )
    .option('--new-role-password', 'a fresh password for a role that is there: whoever has the one before is cut off', false)
    .option('--sql-host <host>', "where Flexisip reaches PostgreSQL; DATABASE_URL's where not given")
    .option('--sql-port <port>', 'and at which port', wholeNumber(MAX_PORT))
    .option(
      '--redis-ca <file>',
      "certificates of authorities on Flexisip's machine, for a Redis that speaks TLS",
      '/etc/ssl/certs/ca-certificates.crt',
    )
    .option('--issuer <url>', 'with --auth jwt: who signs the tokens')
    .option('--audience <text>', 'with --auth jwt: whom the tokens are for')
    .option('--jwt-key-file <file>', "with --auth jwt: where the public key is on Flexisip's machine", '/etc/flexisip/flexiapi-jwt.pem')
    .option('--write <file>', 'edits a copy of this flexisip.conf, FILE.new; a file that is not there is made')
    .option('--yes', 'with --write: edits the file itself, and keeps a copy of it', false)
    .option('--sql <file>', 'writes the SQL to a file of its own, for psql -f')
    .action(
      action(async (options: ConfigureOptions) => {
        requireDatabase();
        if (options.name !== undefined && !/^[\x21-\x7e]{1,64}$/.test(options.name))
          throw new Refusal('--name: 1 to 64 letters, digits and signs are expected');
        const { configureFlexisip } = await import('../services/flexisip/configure.js');
        const done = await configureFlexisip(options);
        const { key, conf, sql, notes, written, sql_file } = done;
        const what = { made: 'made', rotated: 'rotated', given: 'taken as it is', kept: 'kept', unchanged: 'left as it is' }[key.what];
        const head = `The key ${key.name} of ${key.account.address} (${key.id}) was ${what}.`;
        const file = written
          ? `${written.file} written, ${written.changed} ${written.changed === 1 ? 'parameter' : 'parameters'} changed${written.backup ? `; before: ${written.backup}` : ''}.`
          : undefined;
        const text = [
          ...(file === undefined ? [conf] : []),
          ...(sql.length === 0 ? [] : [sql_file === undefined ? ['-- SQL', ...sql].join('\n') : `SQL written to ${sql_file}.`]),
          [...(file === undefined ? [] : [file]), head, ...notes].map((line) => `# ${line}`).join('\n'),
        ];
        return { json: done, text: text.join('\n\n') };
      }),
    );
}

interface CheckCommand {
  config?: string;
  url?: string;
  key?: string;
  sqlConnection?: string;
  account?: { username: string; domain: string };
}

function accountOf(text: string): { username: string; domain: string } {
  const [, username, domain] = /^(?:sips?:)?([^@\s]{1,64})@([^@\s]{1,64})$/i.exec(text) ?? [];
  if (username === undefined || domain === undefined) throw new InvalidArgumentError('user@domain is expected');
  return { username, domain: domain.toLowerCase() };
}

const SIGNS = { ok: 'ok     ', warning: 'warning', wrong: 'WRONG  ', skipped: 'skipped' } as const;

function addCheck(program: Command): void {
  program
    .command('flexisip:check')
    .description('does what Flexisip would, with requests that store nothing, and says what is right or wrong; 1 where something is wrong')
    .option('--config <file>', 'the flexisip.conf that says where and how')
    .option('--url <url>', "where this server is, https://…; the file's, or APP_URL")
    .option('--key <key>', "the key; the file's where not given")
    .option('--sql-connection <text>', "of Flexisip's database role: dbname=… user=… password=… host=…")
    .option('--account <user@domain>', 'that can register, to try the statement with', accountOf)
    .action(
      action(async ({ config, url, key, sqlConnection, account }: CheckCommand) => {
        const { readFile } = await import('node:fs/promises');
        const { settings } = await import('../../config/index.js');
        const [{ ConfFile }, { apiAddressOf }, { checkFlexisip }, { findViewsPlace, passwordRequest }] = await Promise.all([
          import('../services/flexisip/conf-file.js'),
          import('../services/flexisip/address.js'),
          import('../services/flexisip/check.js'),
          import('../models/accounts/sip-credentials.js'),
        ]);
        const content =
          config === undefined
            ? undefined
            : await readFile(config).catch((error: unknown) => {
                throw new Refusal(`--config: ${config}: ${(error as { code?: string }).code ?? 'cannot be read'}`);
              });
        const given = url ?? (config === undefined ? settings.APP_URL : undefined);
        const address = given === undefined ? undefined : apiAddressOf(given);
        if (address === null) throw new Refusal(`--url: ${given} is not https://host, with a port and a path if need be`);
        const place =
          settings.DATABASE_URL === undefined ? { schema: 'public' } : await findViewsPlace().catch(() => ({ schema: 'public' }));
        const steps = await checkFlexisip({
          conf: content && new ConfFile(content),
          address,
          key,
          connection: sqlConnection,
          ...(sqlConnection === undefined || content
            ? {}
            : { request: passwordRequest(place, settings.ACCOUNT_REALM === undefined ? undefined : account?.domain) }),
          account,
        });
        const of = (wanted: Step['verdict']): number => steps.filter(({ verdict }) => verdict === wanted).length;
        const [wrong, warnings, skipped] = [of('wrong'), of('warning'), of('skipped')];
        const end = [
          wrong === 0 ? 'Nothing is wrong' : `${wrong} wrong`,
          ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`]),
          ...(skipped === 0 ? [] : [`${skipped} skipped`]),
        ].join(', ');
        if (wrong > 0) process.exitCode = 1;
        const lines = steps.flatMap(({ step, verdict, found, todo }) => [
          `${SIGNS[verdict]}  ${step}: ${found}`,
          ...(todo === undefined ? [] : [`         → ${todo}`]),
        ]);
        return { json: { ok: wrong === 0, steps }, text: [...lines, `${end}.`].join('\n') };
      }),
    );
}

/** Adds the commands of this file to the program. */
export function addFlexisipCommands(program: Command): void {
  addConfig(program);
  addCheck(program);
}
