// The parameters of a flexisip.conf that point at this server, for each version of Flexisip. Names and defaults are those of its source
// (BelledonneCommunications/flexisip: event-logs, global::flexiapi, module::Authentication, module::AuthOpenIDConnect, module::Authorization,
// module::Registrar). Flexisip does not start with a parameter that it does not know, so none is given to a version that has it not.
import type { RedisAddress } from '../../../config/redis-url';
import { type ApiAddress, STATISTICS_PREFIX, urlOf } from './address';
import { type ConfFile, type Parameter } from './conf-file';

/** Minor versions that report to this server. */
export const FLEXISIP_VERSIONS = ['2.3', '2.4', '2.5', '2.6', '2.7'] as const;
export type FlexisipVersion = (typeof FLEXISIP_VERSIONS)[number];

/** What it prints where nothing says which: `event-logs` alone, which works in all from 2.4 on (2.6 and later warn that it is deprecated). */
export const DEFAULT_VERSION: FlexisipVersion = '2.6';

const isFrom = (version: FlexisipVersion, first: FlexisipVersion): boolean =>
  FLEXISIP_VERSIONS.indexOf(version) >= FLEXISIP_VERSIONS.indexOf(first);

/** Which version a file was written for, as far as it shows. */
export function versionOf(conf: ConfFile): FlexisipVersion {
  if (conf.get('global::flexiapi', 'url') !== undefined && conf.get('event-logs', 'flexiapi-host') === undefined) return '2.7';
  return DEFAULT_VERSION;
}

/** DIGEST by the passwords of this server. */
export interface DigestAuthentication {
  kind: 'digest';
  connection: string;
  request: string;
  /** ACCOUNT_REALM; undefined: the domain. */
  realm?: string | undefined;
}

/** JSON Web Tokens by the public key of this server. */
export interface TokenAuthentication {
  kind: 'jwt';
  issuer: string;
  audience: string;
  realm: string;
  claim: string;
  /** Where Flexisip finds the public key. */
  keyFile: string;
}

/** All that a flexisip.conf is to say. */
export interface Wanted {
  version: FlexisipVersion;
  address: ApiAddress;
  key: string;
  /** Which Flexisip serves. */
  domains: readonly string[];
  authentication: DigestAuthentication | TokenAuthentication;
  /** The registrar's Redis; undefined: nothing is said of it. */
  registrar?: RedisAddress | undefined;
  /** Certificates of authorities, for a Redis that speaks TLS. */
  redisCaFile: string;
}

/** Credentials are asked for again after so many seconds; by default after half an hour, in which a blocked account would register on. */
const CACHE_SECONDS = 60;
/** Of each proxy process; its default of 100 is all that PostgreSQL has by default. */
const POOL_SIZE = 10;

type Of = (name: string, value: string | number, more?: Pick<Parameter, 'when' | 'aliases'>) => Parameter;
const of =
  (section: string): Of =>
  (name, value, more = {}) => ({ section, name, value: String(value), ...more });

function reporting({ version, address, key, authentication }: Wanted): Parameter[] {
  const log = of('event-logs');
  const isGlobal = isFrom(version, '2.7');
  // 2.6 asks [global::flexiapi] for the domains.
  const hasGlobal = isGlobal || (version === '2.6' && authentication.kind === 'jwt');
  const global: Parameter[] = [
    { section: 'global::flexiapi', name: 'url', value: urlOf(address), ...(hasGlobal ? {} : { when: 'if-set' as const }) },
    { section: 'global::flexiapi', name: 'api-key', value: key, ...(hasGlobal ? {} : { when: 'if-set' as const }) },
  ];
  const always = [log('enabled', 'true'), log('logger', 'flexiapi')];
  if (isGlobal) {
    // Older names of the same: where a file has them still they are not left to say something else.
    const older = [
      log('flexiapi-host', address.host),
      log('flexiapi-port', address.port),
      log('flexiapi-api-key', key, { aliases: ['flexiapi-token'] }),
    ];
    return [
      ...global,
      ...always,
      log('flexiapi-prefix', STATISTICS_PREFIX),
      ...older.map((each) => ({ ...each, when: 'if-set' as const })),
    ];
  }
  return [
    ...global,
    ...always,
    log('flexiapi-host', address.host),
    log('flexiapi-port', address.port),
    log('flexiapi-prefix', address.path + STATISTICS_PREFIX),
    log('flexiapi-api-key', key, { aliases: ['flexiapi-token'] }),
  ];
}

function authenticating({ version, address, key, domains, authentication }: Wanted): Parameter[] {
  const digest = of('module::Authentication');
  const [bearer, authorization] = [of('module::AuthOpenIDConnect'), of('module::Authorization')];
  if (authentication.kind === 'digest') {
    return [
      digest('enabled', 'true'),
      digest('auth-domains', domains.join(' ')),
      digest('available-algorithms', 'SHA-256 MD5'),
      digest('realm', authentication.realm ?? '', authentication.realm === undefined ? { when: 'if-set' } : {}),
      digest('cache-expire', CACHE_SECONDS, { when: 'if-absent' }),
      digest('db-implementation', 'soci'),
      digest('soci-backend', 'postgresql'),
      digest('soci-connection-string', authentication.connection),
      digest('soci-password-request', authentication.request),
      digest('soci-poolsize', POOL_SIZE, { when: 'if-absent' }),
    ];
  }
  return [
    digest('enabled', 'false'),
    bearer('enabled', 'true'),
    bearer('authorization-server', authentication.issuer),
    bearer('public-key-type', 'file'),
    bearer('public-key-location', authentication.keyFile),
    bearer('realm', authentication.realm),
    bearer('audience', authentication.audience),
    bearer('sip-id-claim', authentication.claim),
    authorization('enabled', 'true'),
    ...(isFrom(version, '2.6')
      ? [authorization('auth-domains-mode', 'flexiapi')]
      : [
          authorization('account-manager-host', address.host),
          authorization('account-manager-port', address.port),
          authorization('account-manager-api-key', key),
        ]),
  ];
}

function registering({ version, domains, registrar, redisCaFile }: Wanted): Parameter[] {
  const set = of('module::Registrar');
  const [node] = registrar?.hosts ?? [];
  const domainsOnly = [set('reg-domains', domains.join(' '))];
  if (!registrar || !node) return domainsOnly;
  const isNamed = registrar.username !== undefined && registrar.username !== 'default';
  return [
    ...domainsOnly,
    set('db-implementation', 'redis'),
    set('redis-server-domain', node.host),
    set('redis-server-port', node.port),
    set('redis-auth-user', isNamed ? (registrar.username ?? '') : '', isNamed ? {} : { when: 'if-set' }),
    set('redis-auth-password', registrar.password ?? '', registrar.password === undefined ? { when: 'if-set' } : {}),
    ...(registrar.tls && isFrom(version, REDIS_TLS_SINCE)
      ? [set('redis-connection', 'tls-server-auth'), set('redis-tls-cafile', redisCaFile)]
      : [set('redis-connection', 'tcp', { when: 'if-set' })]),
  ];
}

/** The parameters, in the order in which they are printed. */
export const parametersOf = (wanted: Wanted): Parameter[] => [...reporting(wanted), ...authenticating(wanted), ...registering(wanted)];

/** Older ones know no TLS towards Redis. */
const REDIS_TLS_SINCE: FlexisipVersion = '2.5';

/** Whether a Redis can be Flexisip's registrar as it is named here. @returns what is wrong with it, as sentences */
export function registrarFaults({ kind, db, tls }: RedisAddress, version: FlexisipVersion): string[] {
  return [
    ...(tls && !isFrom(version, REDIS_TLS_SINCE) ? [`FLEXISIP_REDIS_URL speaks TLS, and Flexisip ${version} does not towards Redis`] : []),
    ...(kind === 'sentinel'
      ? [
          'FLEXISIP_REDIS_URL names Sentinels, which Flexisip does not speak to: redis-server-domain has to be a server (it finds the master among its replicas by itself)',
        ]
      : []),
    ...(kind === 'cluster' ? ['FLEXISIP_REDIS_URL names a Cluster, which Flexisip does not speak: it needs a Redis of its own'] : []),
    ...(db !== 0 ? [`FLEXISIP_REDIS_URL names database ${db}, and Flexisip knows database 0 alone: devices would not be found`] : []),
  ];
}

/** The text of parameters by sections, with comments where there are any. Those that are for files that have them already are left out. */
export function confText(parameters: readonly Parameter[], comments: Readonly<Record<string, readonly string[]>>): string {
  const shown = parameters.filter(({ when }) => when !== 'if-set');
  const sections = [...new Set(shown.map(({ section }) => section))];
  return sections
    .map((section) =>
      [
        ...(comments[section] ?? []).map((line) => `# ${line}`),
        `[${section}]`,
        ...shown.filter((each) => each.section === section).map(({ name, value }) => `${name}=${value}`),
      ].join('\n'),
    )
    .join('\n\n');
}
