// Commands for the keys of machines.
import { type Command, InvalidArgumentError } from 'commander';
import { DateTime } from 'luxon';
import { hasInvisible } from '../infra/characters';
import { ApiError } from '../infra/errors';
import { formatIpRange, parseIpRange } from '../infra/ip-address';
import { render } from '../i18n';
import type { NamedApiKey } from '../models';
import { SCOPES, type Scope } from '../models/credentials/scopes';
import type { KeyValues } from '../services/credentials/key-changes';
import { MAX_GRACE_MINUTES, MAX_KEY_NAME_CHARACTERS, MAX_KEY_RANGES, MAX_UNUSED_MINUTES } from '../services/credentials/key-limits';
import { accountOf, firstSuperAdmin } from './account-option';
import { action, MAX_ID, Refusal, requireDatabase, wholeNumber } from './command';

/** For options that may be given several times, or once with commas. */
const gathered =
  <T>(parse: (text: string) => T) =>
  (text: string, before: T[] = []): T[] => [...before, ...text.split(',').map((part) => parse(part.trim()))];

function parseScope(text: string): Scope {
  const scope = SCOPES.find((known) => known === text);
  if (scope === undefined) throw new InvalidArgumentError(`there is no scope ${JSON.stringify(text)}: ${SCOPES.join(', ')}`);
  return scope;
}

function parseRange(text: string): string {
  const parsed = parseIpRange(text);
  if ('range' in parsed) return parsed.range;
  throw new InvalidArgumentError(
    parsed.fault === 'malformed'
      ? `${JSON.stringify(text)} is neither an IP address nor a range such as 203.0.113.0/24`
      : `${text} has bits behind its prefix: is the single address meant, or the range?`,
  );
}

/** A day, a moment, or so many days, hours or minutes from now. */
function parseEnd(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([dhm])$/.exec(text) ?? [];
  const units = { d: 'days', h: 'hours', m: 'minutes' } as const;
  const end =
    count === undefined
      ? DateTime.fromISO(text, { zone: 'utc' })
      : DateTime.utc().plus({ [units[unit as keyof typeof units]]: Number(count) });
  if (!end.isValid || end.year > 9999)
    throw new InvalidArgumentError('an ISO 8601 date such as 2030-12-31, or a time from now such as 90d, 12h or 30m is expected');
  if (end <= DateTime.utc()) throw new InvalidArgumentError(`${text} is past`);
  return end.toJSDate();
}

async function shownKeys(where: { id?: number; name?: string; account_id?: number }): Promise<NamedApiKey[]> {
  const { NamedApiKey: keys } = await import('../models/index.js');
  const { SYSTEM, visibleTo } = await import('../models/visibility.js');
  return keys.scope([visibleTo(SYSTEM), 'shown']).findAll({ where, order: [['id', 'ASC']] });
}

/** The key with a number or a name. @throws {Refusal} where there is none, or several: nobody chooses by a name of theirs what an operator's number means */
async function requireKey(given: string, account: string | undefined): Promise<NamedApiKey> {
  const owner = account === undefined ? {} : { account_id: await accountOf(account) };
  const byName = await shownKeys({ name: given, ...owner });
  const isId = /^\d{1,10}$/.test(given) && Number(given) <= MAX_ID;
  const byId = isId ? await shownKeys({ id: Number(given), ...owner }) : [];
  const found = [...byId, ...byName.filter(({ id }) => id !== byId[0]?.id)];
  const [key] = found;
  if (!key) throw new Refusal(`there is no API key ${given}; bin/flexiapi api-keys lists them`);
  if (found.length === 1) return key;
  throw new Refusal(
    byId.length > 0
      ? `${given} is the number of a key and the name of another: give the one by its name, the other by its number, or an account with --account`
      : `several accounts have a key ${given}: name it by its number, or its account with --account`,
  );
}

/** The key whose number is known, to be shown. @throws {Refusal} where it was revoked meanwhile */
async function keyOfId(id: number): Promise<NamedApiKey> {
  const [key] = await shownKeys({ id });
  if (!key) throw new Refusal(`there is no API key ${id} any more`);
  return key;
}

const addressOf = ({ account }: NamedApiKey): string => `${account?.username}@${account?.domain}`;
const minuteOf = (moment: Date | null): string =>
  moment === null ? '—' : `${new Date(moment).toISOString().slice(0, 16).replace('T', ' ')}Z`;

/** What the JSON of a key has; never the key itself. */
const toJson = (key: NamedApiKey): object => {
  const { account, ...columns } = key.get({ plain: true }) as Record<string, unknown> & { account?: unknown };
  void account;
  return { ...columns, allowed_addresses: key.allowed_addresses?.map(formatIpRange) ?? null, account: addressOf(key) };
};

function expiryOf(key: NamedApiKey): string {
  if (key.get('is_expired')) return `expired ${minuteOf(key.get('ends_at') as Date)}`;
  const { expires_after_last_used_minutes: minutes } = key;
  if (minutes !== null) return `unused for ${minutes} min`;
  return key.expires_at === null ? 'never' : minuteOf(key.expires_at);
}

/** What a new secret is printed with: it is not shown again. */
const secretText = (key: NamedApiKey, secret: string): string[] => [
  `API key  ${secret}`,
  `Name     ${key.name}, number ${key.id}, of sip:${addressOf(key)}`,
  `Scopes   ${key.scopes.join(', ')}`,
  `Expires  ${expiryOf(key)}`,
  `From     ${key.allowed_addresses?.map(formatIpRange).join(', ') ?? 'anywhere'}`,
  'It is shown this once.',
];

/** Says what the API would say. */
const asRefusal = (error: unknown): never => {
  throw error instanceof ApiError ? new Refusal(render(error.text, 'en')) : error;
};

interface CreateOptions {
  scope: Scope[];
  account?: string;
  never?: true;
  expires?: Date;
  unusedMinutes?: number;
  from?: string[];
}

function endOf({ never, expires, unusedMinutes }: CreateOptions): Pick<KeyValues, 'expires_at' | 'expires_after_last_used_minutes'> {
  if ([never, expires, unusedMinutes].filter((each) => each !== undefined).length > 1)
    throw new Refusal('--never, --expires and --unused-minutes: a key has one end, or none');
  return {
    ...(expires === undefined ? {} : { expires_at: expires }),
    ...(unusedMinutes === undefined ? {} : { expires_after_last_used_minutes: unusedMinutes }),
  };
}

const OF_KEY = 'its number or name';

/** Adds the commands of this file to the program. */
export function addApiKeyCommands(program: Command): void {
  program
    .command('api-keys')
    .description('lists the keys of machines: what they may do, when and from where they were last used, when they expire')
    .option('--account <account>', 'of one account: its number or SIP address')
    .action(
      action(async ({ account }: { account?: string }) => {
        requireDatabase();
        const keys = await shownKeys(account === undefined ? {} : { account_id: await accountOf(account) });
        const { default: Table } = await import('cli-table3');
        const head = ['id', 'name', 'account', 'scopes', 'last use', 'address', 'expires', 'refused'];
        const table = new Table({ head, style: { head: [], border: [] } });
        for (const key of keys) {
          const { last_refused_at: refused, last_refused_reason: reason } = key;
          table.push([
            key.id,
            key.name,
            addressOf(key),
            key.scopes.join('\n'),
            minuteOf(key.last_used_at),
            key.last_used_ip ?? '—',
            expiryOf(key),
            refused === null ? '—' : `${minuteOf(refused)} ${reason}`,
          ]);
        }
        const text = keys.length === 0 ? 'There is no key of a machine; api-keys:create makes one.' : table.toString();
        return { json: keys.map(toJson), text };
      }),
    );

  program
    .command('api-keys:create')
    .description('makes a key for a machine, and shows it once')
    .argument('<name>', 'what it is for; unique within the account')
    .requiredOption('-s, --scope <scope>', `what it may do, given several times or with commas: ${SCOPES.join(', ')}`, gathered(parseScope))
    .option('--account <account>', 'whose key it is, a number or SIP address; the first super admin where not given')
    .option('--never', 'it never expires; so where no end is given')
    .option('--expires <when>', 'a date, or a time from now such as 90d', parseEnd)
    .option('--unused-minutes <minutes>', 'it expires when unused for so long', wholeNumber(MAX_UNUSED_MINUTES))
    .option('--from <range>', 'IP addresses and ranges that it works from, given several times or with commas', gathered(parseRange))
    .action(
      action(async (given: string, options: CreateOptions) => {
        requireDatabase();
        const name = given.trim();
        if (name === '' || Array.from(name).length > MAX_KEY_NAME_CHARACTERS || hasInvisible(name))
          throw new Refusal(`name: 1 to ${MAX_KEY_NAME_CHARACTERS} characters that can be seen are expected`);
        if (options.unusedMinutes === 0) throw new Refusal('--unused-minutes: at least 1 is expected');
        if ((options.from?.length ?? 0) > MAX_KEY_RANGES)
          throw new Refusal(`--from: at most ${MAX_KEY_RANGES} addresses and ranges are expected`);
        const end = endOf(options);
        const accountId = options.account === undefined ? await firstSuperAdmin() : await accountOf(options.account);
        const { createNamedKey } = await import('../services/credentials/key-changes.js');
        const scopes = SCOPES.filter((scope) => options.scope.includes(scope));
        const allowed = options.from === undefined ? null : [...new Set(options.from)];
        const { id, api_key: secret } = await createNamedKey({
          account_id: accountId,
          name,
          scopes,
          ...end,
          allowed_addresses: allowed,
        }).catch((error: unknown) => {
          if (error instanceof ApiError && error.details.errors?.['name'])
            throw new Refusal(`name: the account has a key ${name} already; api-keys:rotate gives it another secret`);
          return asRefusal(error);
        });
        const key = await keyOfId(id);
        return { json: { ...toJson(key), api_key: secret }, text: secretText(key, secret).join('\n') };
      }),
    );

  program
    .command('api-keys:rotate')
    .description('gives a key a new secret, and shows it once')
    .argument('<key>', OF_KEY)
    .option('--account <account>', 'whose key it is, where several have one of the name')
    .option('--grace-minutes <minutes>', 'for how long the one before stays good', wholeNumber(MAX_GRACE_MINUTES), 0)
    .action(
      action(async (given: string, { account, graceMinutes }: { account?: string; graceMinutes: number }) => {
        requireDatabase();
        const { id } = await requireKey(given, account);
        const { OPERATOR, rotateNamedKey } = await import('../services/credentials/key-changes.js');
        const { api_key: secret } = await rotateNamedKey(id, graceMinutes, OPERATOR).catch(asRefusal);
        const key = await keyOfId(id);
        const old = graceMinutes === 0 ? 'The one before has ended.' : `The one before is good for ${graceMinutes} more minutes.`;
        return { json: { ...toJson(key), api_key: secret }, text: [...secretText(key, secret), old].join('\n') };
      }),
    );

  program
    .command('api-keys:revoke')
    .description('deletes a key: it stops working at once')
    .argument('<key>', OF_KEY)
    .option('--account <account>', 'whose key it is, where several have one of the name')
    .action(
      action(async (given: string, { account }: { account?: string }) => {
        requireDatabase();
        const key = await requireKey(given, account);
        const { OPERATOR, revokeNamedKey } = await import('../services/credentials/key-changes.js');
        if (!(await revokeNamedKey(key.id, OPERATOR))) throw new Refusal(`there is no API key ${given} any more`);
        return { json: { id: key.id, name: key.name, revoked: true }, text: `API key ${key.name} of sip:${addressOf(key)} revoked.` };
      }),
    );
}
