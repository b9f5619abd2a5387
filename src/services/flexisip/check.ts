// Everything that Flexisip does with this server, looked at in turn.
import { settings } from '../../../config';
import { parseRedisUrl } from '../../../config/redis-url';
import { Space } from '../../models';
import type { AccountName } from '../../models/accounts/account';
import { reasonOf } from '../../infra/log';
import { type ApiAddress, configuredAddress, isTrue, STATISTICS_PREFIX } from './address';
import { checkApi } from './check-api';
import { checkKey } from './check-key';
import { checkRegistrar } from './check-registrar';
import { checkSql } from './check-sql';
import type { ConfFile } from './conf-file';
import { counted, quoted, type Step, stepsOf } from './step';

/** What is to be looked at. Without a file only what is given is. */
export interface CheckOptions {
  conf?: ConfFile | undefined;
  /** In the place of what the file says. */
  address?: ApiAddress | undefined;
  key?: string | undefined;
  connection?: string | undefined;
  request?: string | undefined;
  account?: AccountName | undefined;
}

const file = stepsOf('flexisip.conf');
const clock = stepsOf('clock');
const passwords = stepsOf('passwords');
const registrar = stepsOf('registrar');

const PRINT_AGAIN = 'bin/flexiapi flexisip:config --write changes it';
/** Between the clocks of machines that keep them by NTP there are milliseconds; the HTTP header has whole seconds. */
const CLOCK_WARNING_MS = 5000;
const CLOCK_WRONG_MS = 60_000;

function clockStep(whose: string, differenceMs: number | undefined): Step[] {
  if (differenceMs === undefined) return [];
  const seconds = Math.round(differenceMs / 100) / 10;
  const said = `${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} this machine's`;
  const todo =
    "statistics have Flexisip's times, and registrations and tokens end by them: have both machines keep time by NTP (chrony, systemd-timesyncd)";
  if (Math.abs(differenceMs) > CLOCK_WRONG_MS) return [clock.wrong(whose, said, todo)];
  return [Math.abs(differenceMs) > CLOCK_WARNING_MS ? clock.warning(whose, said, todo) : clock.ok(whose, said)];
}

const MAX_LISTED = 5;
const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Where reports go by the options, or by the file. */
function apiOf({ conf, address, key }: CheckOptions): { check?: Parameters<typeof checkApi>[0]; steps: Step[] } {
  const configured = conf ? configuredAddress(conf) : undefined;
  const steps = [
    ...(configured?.faults ?? []).map((fault) => file.wrong('statistics', fault, PRINT_AGAIN)),
    ...(configured?.doubts ?? []).map((doubt) => file.warning('statistics', doubt, '--flexisip-version 2.7 writes it for the later ones')),
  ];
  if (configured && steps.length === 0)
    steps.push(file.ok('statistics', `go to ${configured.prefix} of ${configured.address?.host ?? ''}`));
  const found = address ?? configured?.address;
  if (!found) return { steps };
  const prefix = address && !configured ? address.path + STATISTICS_PREFIX : (configured?.prefix ?? '');
  return { check: { address: found, prefix, key: key ?? configured?.key }, steps };
}

/** What a file says of passwords. @returns steps; `ends`: Flexisip asks the database for none */
async function passwordSettings(conf: ConfFile): Promise<{ steps: Step[]; ends: boolean }> {
  const get = (name: string): string | undefined => conf.get('module::Authentication', name);
  const ended = (...steps: Step[]): { steps: Step[]; ends: boolean } => ({ steps, ends: true });
  const both = 'both [module::Authentication] and [module::AuthOpenIDConnect] are enabled';
  if (isTrue(conf.get('module::AuthOpenIDConnect', 'enabled'))) {
    if (isTrue(get('enabled'))) return ended(file.wrong('passwords', both, 'Flexisip takes one of them'));
    const skipped = passwords.skipped('all', 'Flexisip takes tokens');
    if (settings.DATABASE_URL === undefined || settings.JWT_RSA_PUBLIC_KEY_PEM !== undefined) return ended(skipped);
    const todo = 'set it to the public key that Flexisip has, or take passwords: bin/flexiapi flexisip:config --auth digest --write';
    return ended(file.wrong('tokens', 'Flexisip takes tokens, and this server does not: JWT_RSA_PUBLIC_KEY_PEM is not set', todo), skipped);
  }
  if (!isTrue(get('enabled')))
    return ended(file.wrong('passwords', '[module::Authentication] enabled is not true: whoever asks is registered', PRINT_AGAIN));
  const [implementation, backend] = [get('db-implementation'), get('soci-backend')];
  if (implementation !== 'soci' || backend !== 'postgresql') {
    const found = `db-implementation is ${implementation ?? 'not set'}, soci-backend ${backend ?? 'mysql, its default'}`;
    return ended(file.wrong('passwords', found, `soci and postgresql are expected: ${PRINT_AGAIN}`));
  }
  if (settings.DATABASE_URL === undefined) return { steps: [], ends: false };
  const realm = get('realm') ?? get('realm-regex');
  const said = (own: string | undefined): string => own ?? "each account's domain";
  const steps =
    realm === settings.ACCOUNT_REALM
      ? []
      : [
          file.wrong(
            'realm',
            `${said(realm)}, and passwords are hashed with ${said(settings.ACCOUNT_REALM)}`,
            `nobody could register: set both alike (ACCOUNT_REALM here; ${PRINT_AGAIN})`,
          ),
        ];
  return { steps: [...steps, ...(await domainsStep(conf))], ends: false };
}

/** The domains that Flexisip challenges, or registers; null: all. */
function servedBy(conf: ConfFile, section: string, name: string): string[] | null {
  const domains = words(conf.get(section, name) ?? 'localhost');
  return domains.includes('*') ? null : domains;
}

const some = (names: readonly string[]): string =>
  `${quoted(names.slice(0, MAX_LISTED).join(', '))}${names.length > MAX_LISTED ? ', …' : ''}`;

/** Spaces that Flexisip does not know of: some may be another's, all of them are nobody's wish. */
async function domainsStep(conf: ConfFile): Promise<Step[]> {
  const spaces = (await Space.findAll({ attributes: ['domain'], order: [['id', 'ASC']], raw: true })).map(({ domain }) => domain);
  const lists = [
    { name: 'auth-domains', served: servedBy(conf, 'module::Authentication', 'auth-domains') },
    { name: 'reg-domains', served: servedBy(conf, 'module::Registrar', 'reg-domains') },
  ].flatMap(({ name, served }) =>
    served === null ? [] : [{ name, served, missing: spaces.filter((domain) => !served.includes(domain)) }],
  );
  const useless = lists.filter(({ missing }) => spaces.length > 0 && missing.length === spaces.length);
  if (useless.length > 0)
    return useless.map(({ name, served }) =>
      file.wrong(
        'domains',
        `${name} has none of the spaces (${some(spaces)}), and of what it has no space is there: ${some(served)}`,
        `nobody can register: ${PRINT_AGAIN}`,
      ),
    );
  const unknown = [...new Set(lists.flatMap(({ missing }) => missing))];
  if (unknown.length === 0) return [file.ok('domains', `${counted(spaces.length, 'space')} served`)];
  return [file.warning('domains', `not served: ${some(unknown)}`, `where another Flexisip does not serve them, ${PRINT_AGAIN}`)];
}

async function sqlSteps({
  conf,
  connection: given,
  request: givenRequest,
  account,
}: CheckOptions): Promise<{ steps: Step[]; clockMs?: number }> {
  const get = (name: string): string | undefined => conf?.get('module::Authentication', name);
  const connection = given ?? get('soci-connection-string');
  const request = givenRequest ?? get('soci-password-request');
  const { steps, ends } = conf && given === undefined ? await passwordSettings(conf) : { steps: [], ends: false };
  if (ends) return { steps };
  if (connection === undefined || request === undefined) {
    const why = conf ? 'soci-connection-string or soci-password-request is not set' : 'give --config, or --sql-connection';
    return { steps: [...steps, passwords.skipped('all', why)] };
  }
  const outcome = await checkSql({
    connection,
    request,
    algorithms: words(get('available-algorithms') ?? (conf ? 'MD5' : 'SHA-256 MD5')),
    realm: get('realm') ?? (conf ? undefined : settings.ACCOUNT_REALM),
    account,
    domains: settings.DATABASE_URL === undefined ? undefined : conf ? servedBy(conf, 'module::Authentication', 'auth-domains') : null,
  });
  return { ...outcome, steps: [...steps, ...outcome.steps] };
}

/** The registrar's Redis as the file names it, as a URL. */
function redisUrlOf(conf: ConfFile): string | undefined {
  const get = (name: string): string | undefined => conf.get('module::Registrar', name);
  if (!(get('db-implementation') ?? '').startsWith('redis')) return undefined;
  const [host, port, user, password] = [
    get('redis-server-domain') ?? 'localhost',
    get('redis-server-port') ?? '6379',
    get('redis-auth-user'),
    get('redis-auth-password'),
  ];
  const credentials = password === undefined ? '' : `${encodeURIComponent(user ?? '')}:${encodeURIComponent(password)}@`;
  const isPlain = (get('redis-connection') ?? 'tcp') === 'tcp';
  return `${isPlain ? 'redis' : 'rediss'}://${credentials}${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function registrarSteps({ conf }: CheckOptions): Promise<{ steps: Step[]; clockMs?: number }> {
  const own = settings.FLEXISIP_REDIS_URL;
  const url = conf ? redisUrlOf(conf) : own;
  if (url === undefined)
    return {
      steps: [
        conf
          ? registrar.warning(
              'Redis',
              '[module::Registrar] db-implementation is not redis',
              'registrations are in the memory of Flexisip alone: this server shows no devices, and a restart forgets them',
            )
          : registrar.skipped('Redis', 'FLEXISIP_REDIS_URL is not set'),
      ],
    };
  const steps: Step[] = [];
  if (conf && own !== undefined) {
    const [theirs, ours] = [parseRedisUrl(url), parseRedisUrl(own)];
    const [{ host, port } = { host: '', port: 0 }] = theirs.hosts;
    if (ours.db !== 0 || (ours.kind === 'server' && !ours.hosts.some((node) => node.host === host && node.port === port)))
      steps.push(
        registrar.warning(
          'which',
          `Flexisip registers at ${host}:${port}, database 0, and FLEXISIP_REDIS_URL is another address`,
          'where both are not the same Redis, this server shows no devices',
        ),
      );
  } else if (conf && settings.DATABASE_URL !== undefined)
    steps.push(registrar.warning('which', 'FLEXISIP_REDIS_URL is not set', 'set it to the same Redis, or this server shows no devices'));
  const outcome = await checkRegistrar(url);
  return { ...outcome, steps: [...steps, ...outcome.steps] };
}

/** Whatever nobody thought of: beside the addresses of the file there is this server's own database. */
const TO_DO_OTHERWISE: Readonly<Record<string, string>> = {
  passwords: "is this server's own database (DATABASE_URL) up, and reached from here? The file's is looked at once it answers",
};

/** Looks at all of it. What throws is a step that is wrong, and the others go on. */
export async function checkFlexisip(options: CheckOptions): Promise<Step[]> {
  const guarded = async <T extends { steps: Step[] }>(part: string, work: () => Promise<T>): Promise<T | { steps: Step[] }> => {
    try {
      return await work();
    } catch (error) {
      return { steps: [stepsOf(part).wrong('all', quoted(reasonOf(error)), TO_DO_OTHERWISE[part] ?? 'mend that, and run this again')] };
    }
  };
  const clockOf = (outcome: { clockMs?: number } | { steps: Step[] }): number | undefined =>
    'clockMs' in outcome ? outcome.clockMs : undefined;
  const repeated = options.conf?.repeated ?? [];
  const { check, steps } = apiOf(options);
  const api = await guarded('address', async () =>
    check ? checkApi(check) : { steps: [stepsOf('address').skipped('all', 'no address is known')] },
  );
  const key = check?.key === undefined ? [] : await checkKey(check.key);
  const sql = await guarded('passwords', () => sqlSteps(options));
  const redis = await guarded('registrar', () => registrarSteps(options));
  return [
    ...(repeated.length === 0
      ? []
      : [file.wrong('parameters', `twice: ${quoted(repeated.join(', '))}`, 'Flexisip 2.4 and later do not start: leave one of each')]),
    ...steps,
    ...api.steps,
    ...key,
    ...sql.steps,
    ...redis.steps,
    ...clockStep("the server's", clockOf(api)),
    ...clockStep("PostgreSQL's", clockOf(sql)),
    ...clockStep("Redis'", clockOf(redis)),
  ];
}
