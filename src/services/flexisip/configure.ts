// What an operator needs to point Flexisip at this server: parameters, a key, a database role, and what else is to be done.
import { randomBytes } from 'node:crypto';
import { settings } from '../../../config';
import { parseRedisUrl } from '../../../config/redis-url';
import { Space } from '../../models';
import {
  findRoles,
  findViewsPlace,
  MAX_ROLE_CHARACTERS,
  passwordRequest,
  programAddress,
  roleStatements,
} from '../../models/accounts/sip-credentials';
import { type ApiAddress, apiAddressOf, urlOf } from './address';
import { ConfFile, type Parameter } from './conf-file';
import { type Draft, draft, writePrivately } from './conf-writing';
import { connectionString, parseConnectionString } from './connection-string';
import {
  findKeyHolder,
  findUnusedName,
  firstFree,
  type FlexisipKey,
  freshKey,
  isUsable,
  type KeyHolder,
  lookAtKey,
  requireUsableKey,
} from './key';
import {
  confText,
  DEFAULT_VERSION,
  type DigestAuthentication,
  FLEXISIP_VERSIONS,
  type FlexisipVersion,
  parametersOf,
  registrarFaults,
  type TokenAuthentication,
  versionOf,
  type Wanted,
} from './parameters';

/** As they stand on the command line. */
export interface ConfigureOptions {
  account?: string;
  /** Undefined: as the key of the file is called, or the first of `flexisip`, `flexisip-2`, … that nobody uses. */
  name?: string;
  key?: string;
  rotate?: boolean;
  graceMinutes: number;
  url?: string;
  domain?: string[];
  auth?: 'digest' | 'jwt';
  flexisipVersion?: FlexisipVersion;
  /** Undefined: the one that the file has from here, or the first of `flexisip`, `flexisip_2`, … that is not there. */
  role?: string;
  rolePassword?: string;
  newRolePassword?: boolean;
  sqlHost?: string;
  sqlPort?: number;
  redisCa: string;
  issuer?: string;
  audience?: string;
  jwtKeyFile: string;
  write?: string;
  yes?: boolean;
  sql?: string;
}

/** What there is to show. */
export interface Configured {
  flexisip_version: FlexisipVersion;
  key: FlexisipKey & { previous_good_for_minutes?: number };
  conf: string;
  sql: string[];
  /** What is left to be done, as sentences. */
  notes: string[];
  written?: { file: string; backup?: string; changed: number };
  sql_file?: string;
}

/** What key and role are called where nothing else is said. */
const DEFAULT_NAME = 'flexisip';
/** In the place of what is known to Flexisip alone; nothing that works. */
const KEY_UNCHANGED = '<the key that Flexisip has>';
const passwordUnchanged = (role: string): string => `<the password that ${role} has>`;

const PASSWORD = /^[A-Za-z0-9._~-]{12,128}$/;

/** Letters and digits alone: it stands in SQL and in a connection string. */
const newPassword = (): string => randomBytes(24).toString('hex');

async function domainsOf(given: readonly string[] | undefined): Promise<string[]> {
  const known = (await Space.findAll({ attributes: ['domain'], order: [['id', 'ASC']], raw: true })).map(({ domain }) => domain);
  if (known.length === 0) throw new Error('there is no space: bin/flexiapi spaces:create-update makes one');
  if (given === undefined) return known;
  const wanted = [...new Set(given.map((domain) => domain.toLowerCase()))];
  const unknown = wanted.filter((domain) => !known.includes(domain));
  if (unknown.length > 0) throw new Error(`--domain: there is no space ${unknown.join(', ')}`);
  return wanted;
}

function addressIn(notes: string[], { url: given, write }: ConfigureOptions): ApiAddress {
  const url = given ?? settings.APP_URL;
  const name = given === undefined ? 'APP_URL' : '--url';
  const address = apiAddressOf(url);
  if (!address) throw new Error(`${name}: ${url} is not https://host, with a port and a path if need be`);
  if (!address.https) {
    const why = `${name} is ${url}, and Flexisip speaks nothing but HTTP/2 over TLS`;
    const todo =
      'set TLS_CERT_FILE and TLS_KEY_FILE (web ends TLS itself), or put a proxy before web that offers h2, and give its address with --url https://…';
    if (write !== undefined) throw new Error(`${why}: ${todo}`);
    notes.push(`${why}. Before Flexisip can connect: ${todo}.`);
  }
  if (/^(?:localhost|127\.|::1$)/.test(address.host))
    notes.push(`${address.host} is this machine: where Flexisip runs on another one, give an address that it reaches with --url.`);
  return address;
}

function registrarIn(notes: string[], version: FlexisipVersion): Wanted['registrar'] {
  if (settings.FLEXISIP_REDIS_URL === undefined) {
    notes.push(
      "FLEXISIP_REDIS_URL is not set, so nothing is said of the registrar's Redis: set it here (redis://host:6379), run this again, and both use the same. Without it this server sees no devices.",
    );
    return undefined;
  }
  const registrar = parseRedisUrl(settings.FLEXISIP_REDIS_URL);
  const faults = registrarFaults(registrar, version);
  notes.push(...faults.map((fault) => `${fault}.`));
  return registrar.kind === 'server' ? registrar : undefined;
}

/** The role as a file has it that was written here. */
function roleIn(conf: ConfFile | undefined): string | undefined {
  const get = (name: string): string | undefined => conf?.get('module::Authentication', name);
  const isOurs = get('soci-backend') === 'postgresql' && get('soci-password-request')?.includes('sip_credentials') === true;
  return isOurs ? parseConnectionString(get('soci-connection-string') ?? '')?.['user'] : undefined;
}

/** The password that a file has for the role, where it is PostgreSQL's and can be the role's. */
function passwordIn(conf: ConfFile | undefined, role: string, notes: string[]): string | undefined {
  const get = (name: string): string | undefined => conf?.get('module::Authentication', name);
  const { user, password } = parseConnectionString(get('soci-connection-string') ?? '') ?? {};
  if (password === undefined) return undefined;
  const backend = get('soci-backend') ?? 'mysql';
  const why =
    backend === 'postgresql'
      ? user === role
        ? PASSWORD.test(password)
          ? undefined
          : 'it is not 12 to 128 letters, digits and . _ ~ -'
        : `it is of another user, ${user ?? 'none'}`
      : `it is for ${backend}`;
  notes.push(
    why === undefined
      ? `${role} keeps the password that the file has.`
      : `The password of the file's soci-connection-string is not taken for ${role}: ${why}.`,
  );
  return why === undefined ? password : undefined;
}

/** The role's password; undefined: it has one, which is not known here and stays. */
async function passwordFor(
  role: string,
  options: ConfigureOptions,
  conf: ConfFile | undefined,
  notes: string[],
): Promise<string | undefined> {
  const { rolePassword, newRolePassword, write } = options;
  if (rolePassword !== undefined) return rolePassword;
  if (newRolePassword) return newPassword();
  const kept = passwordIn(conf, role, notes);
  if (kept !== undefined) return kept;
  if (!(await findRoles(role)).has(role)) return newPassword();
  const todo = `give it with --role-password, or set a fresh one with --new-role-password (whoever has the one before is cut off); a second Flexisip has a role of its own: --role ${role}_2`;
  if (write !== undefined) throw new Error(`--role: ${role} is there already, and its password is not known here: ${todo}`);
  notes.push(`The role ${role} is there already, and keeps its password, which is not known here: ${todo}.`);
  return undefined;
}

/** A role that is not there yet, so that nobody who has the password of another is cut off; where its password is said, the usual one. */
async function freeRole({ rolePassword, newRolePassword }: ConfigureOptions, notes: string[]): Promise<string> {
  if (rolePassword !== undefined || newRolePassword) return DEFAULT_NAME;
  const role = firstFree(DEFAULT_NAME, '_', await findRoles(DEFAULT_NAME));
  if (role !== DEFAULT_NAME)
    notes.push(
      `The role ${DEFAULT_NAME} is there already, and its password is not known here: this is another one, ${role}. --role-password says the one that ${DEFAULT_NAME} has.`,
    );
  return role;
}

async function digestIn(
  options: ConfigureOptions,
  domains: readonly string[],
  conf: ConfFile | undefined,
  notes: string[],
): Promise<{ authentication: DigestAuthentication; sql: string[] }> {
  const { rolePassword, newRolePassword, sqlHost, sqlPort } = options;
  const role = options.role ?? roleIn(conf) ?? (await freeRole(options, notes));
  if (role === '' || Buffer.byteLength(role) > MAX_ROLE_CHARACTERS || /[\p{Cc}']/u.test(role))
    throw new Error(`--role: 1 to ${MAX_ROLE_CHARACTERS} characters are expected`);
  if (rolePassword !== undefined && !PASSWORD.test(rolePassword))
    throw new Error('--role-password: 12 to 128 letters, digits and . _ ~ - are expected');
  if (rolePassword !== undefined && newRolePassword) throw new Error('--role-password and --new-role-password: one of the two is expected');
  const place = await findViewsPlace();
  if (!place.there) throw new Error('the view sip_credentials is not there: bin/flexiapi db:migrate makes it');
  const realm = settings.ACCOUNT_REALM;
  if (realm !== undefined && domains.length > 1)
    throw new Error(
      `ACCOUNT_REALM is one realm for all domains, and Flexisip asks for passwords by name and realm, so it would mix up people of the same name: give the one that it serves with --domain (${domains.join(', ')})`,
    );
  const password = await passwordFor(role, options, conf, notes);
  const own = programAddress(settings.DATABASE_URL ?? '');
  const host = sqlHost ?? own.host ?? 'localhost';
  const port = sqlPort ?? own.port;
  if (/^(?:localhost$|127\.|::1$|\/)/.test(host))
    notes.push(`PostgreSQL is asked at ${host}: where Flexisip runs on another machine, give an address that it reaches with --sql-host.`);
  else if (sqlHost === undefined && !/[.:]/.test(host))
    notes.push(
      `PostgreSQL is asked at ${host}, a name without dots, as containers have them: where Flexisip does not know it, give an address that it reaches with --sql-host and --sql-port.`,
    );
  notes.push(
    `Run the SQL once, as the owner of the database (psql "$DATABASE_URL" -f …); it may run again. pg_hba.conf has to let ${role} in from Flexisip's machine.`,
  );
  const connection = connectionString({
    dbname: place.database,
    user: role,
    password: password ?? passwordUnchanged(role),
    host,
    port: port === undefined ? undefined : String(port),
    sslmode: own.sslmode,
  });
  return {
    authentication: { kind: 'digest', connection, request: passwordRequest(place, realm === undefined ? undefined : domains[0]), realm },
    sql: roleStatements(place, role, password),
  };
}

function tokensIn(
  { issuer: given, audience: givenAudience, jwtKeyFile }: ConfigureOptions,
  version: FlexisipVersion,
  domains: readonly string[],
  notes: string[],
): TokenAuthentication {
  if (settings.JWT_RSA_PUBLIC_KEY_PEM === undefined)
    throw new Error('--auth jwt: JWT_RSA_PUBLIC_KEY_PEM is not set, so this server takes no JSON Web Tokens');
  if (FLEXISIP_VERSIONS.indexOf(version) < FLEXISIP_VERSIONS.indexOf('2.5'))
    throw new Error(`--auth jwt: Flexisip ${version} knows no JSON Web Tokens, 2.5 does`);
  const challenge = settings.ACCOUNT_AUTHENTICATION_BEARER ?? '';
  const [server, named] = [/\bauthz_server="([^"]+)"/.exec(challenge)?.[1], /\brealm="([^"]+)"/.exec(challenge)?.[1]];
  const issuer = given ?? server;
  if (issuer === undefined || !/^https:\/\/[^\s]+$/.test(issuer))
    throw new Error(
      '--issuer: the https:// address of who signs the tokens is expected (their claim iss), unless ACCOUNT_AUTHENTICATION_BEARER has it as authz_server',
    );
  if (givenAudience === undefined || /\s/.test(givenAudience))
    throw new Error('--audience: what the tokens have as their claim aud is expected');
  notes.push(`Put the public key into ${jwtKeyFile} on Flexisip's machine: the value of JWT_RSA_PUBLIC_KEY_PEM, readable for Flexisip.`);
  notes.push('Flexisip takes either tokens or passwords: [module::Authentication] is off here.');
  return {
    kind: 'jwt',
    issuer,
    audience: givenAudience,
    realm: settings.ACCOUNT_REALM ?? named ?? domains[0] ?? '',
    claim: settings.JWT_SIP_IDENTIFIER,
    keyFile: jwtKeyFile,
  };
}

const commentsOf = ({ version, address, authentication }: Wanted): Record<string, string[]> => ({
  'global::flexiapi': [`Flexisip 2.6 and later. This server: ${urlOf(address)}`],
  'event-logs':
    version === '2.7'
      ? ['Statistics.']
      : [
          version === '2.3'
            ? 'Statistics. Before Flexisip 2.3.4 the last parameter is flexiapi-token.'
            : 'Statistics. Flexisip 2.4 and later; from 2.6 on it warns that these are deprecated,',
          ...(version === '2.3' ? [] : ['and --flexisip-version 2.7 gives [global::flexiapi] instead.']),
        ],
  'module::Authentication':
    authentication.kind === 'digest'
      ? [
          'Passwords, without those of blocked accounts. A new space: run this again (with --write it keeps key and password), and restart Flexisip.',
        ]
      : ['Off: tokens are taken.'],
  'module::Authorization': ['Domains come from GET /api/spaces.'],
  'module::Registrar': ["The registrar's Redis is the one of FLEXISIP_REDIS_URL."],
});

/** What is to be done about the key: nothing, or a secret for the one of this name. */
type KeyPlan = { known: FlexisipKey } | { holder: KeyHolder; name: string; graceMinutes: number };

/** Nobody's key ends by a look: one that is used gets another secret where a file is written for it, or where that is asked for. */
async function keyPlanOf(options: ConfigureOptions, conf: ConfFile | undefined, notes: string[]): Promise<KeyPlan> {
  const { key, rotate, account, write, graceMinutes } = options;
  if (key !== undefined && rotate) throw new Error('--rotate and --key: one of the two is expected');
  if (key !== undefined) return { known: await requireUsableKey(key) };
  const inFile = conf?.get('event-logs', 'flexiapi-api-key', 'flexiapi-token') ?? conf?.get('global::flexiapi', 'api-key');
  const found = inFile === undefined ? undefined : await lookAtKey(inFile);
  const said = options.name ?? found?.key?.name;
  const name = said ?? (rotate ? DEFAULT_NAME : await findUnusedName(account, DEFAULT_NAME));
  if (said === undefined && name !== DEFAULT_NAME)
    notes.push(
      `The key ${DEFAULT_NAME} is in use, and goes on: this is another one, ${name}. For the same Flexisip, --rotate gives ${DEFAULT_NAME} a fresh secret instead; or api-keys:revoke ${DEFAULT_NAME} once it has the new one.`,
    );
  const own = found?.key?.name === name ? found.key : undefined;
  const holder = await findKeyHolder(account ?? (own && String(own.account.id)), name);
  const { existing } = holder;
  if (existing === undefined || rotate) return { holder, name, graceMinutes };
  if (found && own?.id === existing.id && isUsable(found)) return { known: { ...own, what: 'kept' } };
  const { last_used_at: used, last_used_ip: ip } = existing;
  const use = used ? `last used at ${used.toISOString().slice(0, 19)}Z from ${ip ?? 'an unknown address'}` : 'never used';
  const another = `a second Flexisip has a key of its own: --name ${name}-2`;
  if (write !== undefined) {
    if (used) notes.push(`The key ${name} was there already, ${use}: is that another Flexisip, give it the new one, too; ${another}.`);
    return { holder, name, graceMinutes };
  }
  // Whoever was shown it, nobody works with it.
  if (!used) {
    notes.push(`The key ${name} was there already, ${use}: it has a fresh secret, and one that was shown before is good no more.`);
    return { holder, name, graceMinutes: 0 };
  }
  notes.push(
    `The key ${name} is ${use}, and cannot be shown again: Flexisip goes on with it. --rotate gives it a fresh secret; ${another}.`,
  );
  return { known: { id: existing.id, api_key: null, name, account: holder.account, what: 'unchanged' } };
}

/** @throws {Error} for a file that Flexisip itself would refuse, so that it is not made worse */
function readConf(content: Buffer | undefined, notes: string[]): ConfFile | undefined {
  if (!content) return undefined;
  const conf = new ConfFile(content);
  const { repeated } = conf;
  if (repeated.length > 0) notes.push(`These come twice, and Flexisip 2.4 and later do not start with such: ${repeated.join(', ')}.`);
  return conf;
}

/** Domains that the file has and is not to have. */
const domainsLost = (conf: ConfFile, parameters: readonly Parameter[]): string[] =>
  parameters.flatMap(({ section, name, value }) => {
    if (name !== 'auth-domains' && name !== 'reg-domains') return [];
    const stay = value.split(' ');
    const lost = (conf.get(section, name) ?? '').split(/\s+/).filter((domain) => domain !== '' && !stay.includes(domain));
    return lost.length === 0 ? [] : [`Taken out of ${name}, since they are no spaces that are to be served: ${lost.join(', ')}.`];
  });

async function configureIn(options: ConfigureOptions, file: Draft | undefined): Promise<Configured> {
  const { write, yes, sql: sqlFile } = options;
  const notes: string[] = [];
  const conf = readConf(file?.content, notes);
  const version = options.flexisipVersion ?? (conf ? versionOf(conf) : DEFAULT_VERSION);
  const address = addressIn(notes, options);
  const domains = await domainsOf(options.domain);
  const auth = options.auth ?? (settings.ACCOUNT_AUTHENTICATION_BEARER === undefined ? 'digest' : 'jwt');
  const { authentication, sql } =
    auth === 'digest'
      ? await digestIn(options, domains, conf, notes)
      : { authentication: tokensIn(options, version, domains, notes), sql: [] };
  if (auth === 'digest' && settings.JWT_RSA_PUBLIC_KEY_PEM !== undefined)
    notes.push('JWT_RSA_PUBLIC_KEY_PEM is set: --auth jwt gives what Flexisip needs to take tokens instead of passwords.');
  const registrar = registrarIn(notes, version);
  const plan = await keyPlanOf(options, conf, notes);
  if (write !== undefined && file?.target.endsWith('.new'))
    notes.push(`Compare ${file.target} with ${write}, and put it in its place; --yes does both at once and keeps a copy.`);
  if (sqlFile !== undefined && sql.length > 0) await writePrivately(sqlFile, `${sql.join('\n')}\n`);
  // The last thing before the file: whatever is refused has changed no key.
  const key = 'known' in plan ? plan.known : await freshKey(plan.holder, plan.name, plan.graceMinutes);
  const graceMinutes = 'known' in plan ? 0 : plan.graceMinutes;
  const wanted: Wanted = {
    version,
    address,
    key: key.api_key ?? KEY_UNCHANGED,
    domains,
    authentication,
    registrar,
    redisCaFile: options.redisCa,
  };
  const parameters = parametersOf(wanted);
  if (conf) notes.push(...domainsLost(conf, parameters));
  let written: Configured['written'];
  if (file) {
    const edited = conf ?? new ConfFile(Buffer.alloc(0));
    const changed = parameters.filter((parameter) => edited.set(parameter)).length;
    // A second time nothing is to be done.
    const isSame = changed === 0 && file.content !== undefined && yes === true;
    const { backup } = isSame ? await file.abort().then((): { backup?: string } => ({})) : await file.commit(edited.content);
    written = { file: file.target, changed, ...(backup === undefined ? {} : { backup }) };
    if (backup !== undefined) notes.push(`Delete ${backup} once all works: its key and passwords may be good still.`);
    if (file.isOpen)
      notes.push(`${file.target} has a key and passwords in it, and others than its owner may read it, as before: see its mode.`);
  }
  if (key.what === 'rotated')
    notes.push(
      graceMinutes === 0
        ? 'The key before has ended: restart Flexisip now.'
        : `The key before stays good for ${graceMinutes} minutes: restart Flexisip with the new one within them, and nothing is lost.`,
    );
  notes.push('Then restart Flexisip, and run bin/flexiapi flexisip:check --config with its flexisip.conf.');
  return {
    flexisip_version: version,
    key: { ...key, ...(key.what === 'rotated' ? { previous_good_for_minutes: graceMinutes } : {}) },
    conf: confText(parameters, commentsOf(wanted)),
    sql,
    notes,
    ...(written ? { written } : {}),
    ...(sqlFile === undefined || sql.length === 0 ? {} : { sql_file: sqlFile }),
  };
}

/**
 * Puts together what Flexisip needs, makes or rotates its key, and writes files where it is told to. Everything is looked at before the key is touched.
 *
 * @throws {Error} which names the option or setting that is wrong; {ApiError} of the key
 */
export async function configureFlexisip(options: ConfigureOptions): Promise<Configured> {
  if (options.write === undefined && options.yes) throw new Error('--yes is for --write FILE');
  const file = options.write === undefined ? undefined : await draft(options.write, { inPlace: options.yes === true });
  try {
    return await configureIn(options, file);
  } catch (error) {
    await file?.abort();
    throw error;
  }
}
