// The command for the ledger of sends: what was sent, newest first, or as it ends.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type * as SendsReading from '../services/messaging/sends-reading';
import { accountOf } from './account-option';
import { action, type Output, Refusal, requireDatabase, wholeNumber } from './command';

const MAX_SHOWN = 500;
const POLL_MS = 1000;
/** Of ages. */
const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

interface Options {
  channel?: string;
  kind?: string;
  state?: string;
  outcome?: string;
  reason?: string;
  account?: string;
  recipient?: string;
  requestId?: string;
  since?: Date;
  limit: number;
  follow?: true;
}

/** @param text `90m`, `24h`, `7d`, or a moment in ISO 8601 @throws {InvalidArgumentError} */
function readSince(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const moment = count === undefined ? new Date(text) : new Date(Date.now() - Number(count) * (UNITS_MS[unit ?? ''] ?? 0));
  if (Number.isNaN(moment.getTime()) || (count === undefined && !/^\d{4}-/.test(text)))
    throw new InvalidArgumentError('90m, 24h, 7d, or a moment in ISO 8601 is expected');
  return moment;
}

type Reading = typeof SendsReading;
type Send = Awaited<ReturnType<Reading['readSends']>>['sends'][number];

const timing = ({ queued_ms: queued, provider_ms: provider }: Send): string =>
  queued === null && provider === null ? '' : `${queued ?? '–'}+${provider ?? '–'} ms`;
const because = ({ reason, provider_code: code }: Send): string => [reason, code].filter((part) => part !== null).join(' ');

/** When, what, to whom, and what came of it: as lines and the table begin. */
const begin = (send: Send): string[] => [
  send.created_at.slice(0, 19).replace('T', ' '),
  send.channel,
  send.kind,
  send.recipient ?? '–',
  send.outcome ?? send.state,
  because(send),
  timing(send),
];

/** One line, for whoever follows. */
const lineOf = (send: Send): string =>
  [...begin(send), send.account_id === null ? '' : `account ${send.account_id}`, send.request_id ?? '']
    .filter((part) => part !== '')
    .join('  ');

/** Prints sends as they end, until Ctrl-C. */
async function follow({ followSends }: Reading, query: object, asJson: boolean): Promise<void> {
  const { SYSTEM } = await import('../models/visibility.js');
  const { isDatabaseUnavailable } = await import('../infra/database.js');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  // Whoever reads went away, as `head` does.
  process.stdout.once('error', () => stop.abort());
  const next = followSends(query, SYSTEM);
  let isAway = false;
  while (!stop.signal.aborted) {
    try {
      for (const send of await next()) process.stdout.write(`${asJson ? JSON.stringify(send) : lineOf(send)}\n`);
      isAway = false;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      if (!isAway) process.stderr.write('the database does not answer: asked again each second\n');
      isAway = true;
    }
    await sleep(POLL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

async function list({ readSends }: Reading, query: object, limit: number): Promise<Output> {
  const [{ SYSTEM }, { default: Table }] = await Promise.all([import('../models/visibility.js'), import('cli-table3')]);
  const { sends, nextCursor } = await readSends(query, limit, SYSTEM);
  if (sends.length === 0) return { json: sends, text: 'No sends.' };
  const table = new Table({
    head: ['time (UTC)', 'channel', 'kind', 'to', 'outcome', 'why not', 'queue + provider', 'account', 'request'],
    style: { head: [], border: [] },
  });
  for (const send of sends) table.push([...begin(send), send.account_id ?? '', send.request_id ?? '']);
  const more = nextCursor === null ? '' : '\nThere are more: --limit shows up to 500, --since fewer days.';
  return { json: sends, text: `${table.toString()}${more}` };
}

/** What is looked for. @throws {Refusal} where there is no such account */
async function queryOf({ account, requestId, limit: _limit, follow: _follow, ...equal }: Options): Promise<object> {
  return {
    ...equal,
    ...(account === undefined ? {} : { account_id: await accountOf(account) }),
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
}

async function listed(options: Options): Promise<Output> {
  if (options.limit < 1) throw new Refusal('--limit: at least 1 is expected');
  return list(await import('../services/messaging/sends-reading.js'), await queryOf(options), options.limit);
}

async function followed(options: Options, asJson: boolean): Promise<void> {
  const { closeDatabase } = await import('../infra/database.js');
  try {
    await follow(await import('../services/messaging/sends-reading.js'), await queryOf(options), asJson);
  } finally {
    await closeDatabase();
  }
}

/** Adds the commands of this file to the program. */
export function addSendCommands(program: Command): void {
  const among = (name: string, what: string, words: readonly string[]): Option => new Option(`--${name} <${name}>`, what).choices(words);
  program
    .command('sends')
    .description('lists what was sent, newest first; with --follow, sends as they end')
    .addOption(among('channel', 'by what it goes', ['push', 'sms', 'email', 'message']))
    .option('--kind <kind>', 'what it is about: creation_token, notification, email_change, …')
    .addOption(among('state', 'what became of it', ['due', 'sending', 'sent', 'failed', 'unknown']))
    .option('--outcome <outcome>', 'what came of it: sent, unregistered, refused, …')
    .option('--reason <reason>', 'why not: device_unknown, provider_throttled, …')
    .option('--account <account>', 'number or SIP address of an account')
    .option('--recipient <recipient>', 'an address, a phone number, a SIP address, a device token')
    .option('--request-id <id>', 'x-request-id of the request that it was sent for')
    .option('--since <age>', '90m, 24h, 7d, or a moment; unset, 7 days, or of a recipient and an account all', readSince)
    .option('--limit <count>', 'sends at most', wholeNumber(MAX_SHOWN), 50)
    .option('--follow', 'prints each send once it has ended, until Ctrl-C; with --json a line each')
    .action(async function act(this: Command, options: Options) {
      requireDatabase();
      const asJson = this.optsWithGlobals<{ json?: boolean }>().json === true;
      if (options.follow) await followed(options, asJson);
      else await action(() => listed(options)).call(this);
    });
}
