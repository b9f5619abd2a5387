// The forms in which a Redis is named. Pure; what is not understood is refused with words that name it, and never with the value: it has a
// password in it.
import { hostAndPortOf, requireEncoded } from './hosts';
import { percentDecoded, refuse } from './refused';

/** Where one server, Sentinel or node of a Cluster listens. */
export interface RedisHost {
  host: string;
  port: number;
}

/** What an address says. */
export interface RedisAddress {
  /** `hosts` is one server, the Sentinels that know it, or some nodes of a Cluster. */
  kind: 'server' | 'sentinel' | 'cluster';
  hosts: RedisHost[];
  tls: boolean;
  username?: string;
  password?: string;
  db: number;
  /** 4 or 6; 0, either. */
  family: number;
  /** What Sentinels call the master. */
  master: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
}

const PORT = 6379;
const SENTINEL_PORT = 26379;
/** A server has 16 unless its `databases` says otherwise. */
const MAX_DATABASE = 9999;
/** In the order of the documentation. */
const PARAMETERS = { server: ['family'], cluster: ['family'], sentinel: ['family', 'sentinel_username', 'sentinel_password'] } as const;
const FORM =
  'must be redis://host:port, several of these separated by commas, or redis+sentinel://host:port,host:port/master-name (rediss for TLS)';

function serverOf(text: string, defaultPort: number): RedisHost {
  const { host, port = defaultPort } = hostAndPortOf(text, `; ${FORM}`);
  return { host, port };
}

interface Pieces {
  user: Pick<RedisAddress, 'username' | 'password'>;
  hosts: string;
  path: string[];
  query: string;
}

/** What stands behind the scheme, taken apart. */
function piecesOf(text: string): Pieces {
  const [before = '', query = ''] = text.split(/\?(.*)/s);
  const [authority = '', ...path] = before.split('/');
  requireEncoded(authority, path.join('/'), query);
  const at = authority.lastIndexOf('@');
  if (at < 0) return { user: {}, hosts: authority, path, query };
  const [username = '', password] = authority.slice(0, at).split(/:(.*)/s);
  if (!password) refuse('has a user without a password: write user:password@, or :password@ for the default user');
  return {
    user: {
      ...(username === '' ? {} : { username: percentDecoded(username, 'user name') }),
      password: percentDecoded(password, 'password'),
    },
    hosts: authority.slice(at + 1),
    path,
    query,
  };
}

function parametersOf(query: string, kind: RedisAddress['kind']): Pick<RedisAddress, 'family' | 'sentinelUsername' | 'sentinelPassword'> {
  const known: readonly string[] = PARAMETERS[kind];
  const values: Record<string, string> = {};
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    // What stands there may be the end of a password.
    if (!/^\w{1,30}$/.test(name)) refuse('has a ? in it that begins no parameters: in a password write it as %3F');
    if (!known.includes(name)) refuse(`has the parameter «${name}», which is not known here: ${known.join(', ')} can be given`);
    if (name in values) refuse(`has the parameter «${name}» twice`);
    values[name] = percentDecoded(value, `parameter «${name}»`);
  }
  const { family = '0', sentinel_username: sentinelUsername, sentinel_password: sentinelPassword } = values;
  if (!/^[046]$/.test(family)) refuse('has a parameter «family» that is neither 4 nor 6');
  if (sentinelPassword === '' || sentinelUsername === '') refuse('has an empty parameter «sentinel_username» or «sentinel_password»');
  if (sentinelUsername !== undefined && sentinelPassword === undefined)
    refuse('has the parameter «sentinel_username» without «sentinel_password»');
  return {
    family: Number(family),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
}

function databaseOf(text: string): number {
  if (!/^\d{0,4}$/.test(text)) refuse(`has a database that is none: 0 to ${MAX_DATABASE} can be given`);
  return Number(text);
}

function sentinelAddress(text: string, tls: boolean): RedisAddress {
  const { user, hosts, path, query } = piecesOf(text);
  const [master = '', db = '', ...rest] = path;
  if (rest.length > 0) refuse(`has too long a path; ${FORM}`);
  return {
    kind: 'sentinel',
    hosts: hosts.split(',').map((host) => serverOf(host, SENTINEL_PORT)),
    tls,
    ...user,
    master: percentDecoded(master, 'master name') || 'mymaster',
    db: databaseOf(db),
    ...parametersOf(query, 'sentinel'),
  };
}

/** One server, or a Cluster's nodes: what the first says of user and TLS is said of all, since a Cluster's nodes are alike. */
function serverAddress(nodes: readonly string[], scheme: string): RedisAddress {
  const kind = nodes.length > 1 ? 'cluster' : 'server';
  const all = nodes.map((node) => {
    const [, own = scheme, rest = ''] = /^(?:([a-z+]+):\/\/)?(.*)$/s.exec(node) ?? [];
    if (own !== scheme) refuse('has nodes of different schemes');
    return piecesOf(rest);
  });
  const user = all[0]?.user ?? {};
  const paths = all.map(({ path }) => path.join('/'));
  if (
    all.some((node) => node.user.password !== undefined && (node.user.password !== user.password || node.user.username !== user.username))
  )
    refuse('has nodes with different users or passwords');
  const queries = new Set(all.map(({ query }) => query).filter((query) => query !== ''));
  if (queries.size > 1) refuse('has nodes with different parameters');
  if (kind === 'cluster' && paths.some((path) => path !== '' && path !== '0')) refuse('has a database: a Cluster has none but 0');
  return {
    kind,
    hosts: all.map(({ hosts }) => serverOf(hosts, PORT)),
    tls: scheme === 'rediss',
    ...user,
    master: '',
    db: databaseOf(paths[0] ?? ''),
    ...parametersOf([...queries][0] ?? '', kind),
  };
}

/**
 * Reads the address of a Redis: `redis://[user:password@]host[:port][/db]`, several of these separated by commas (a Cluster's nodes), or
 * `redis+sentinel://[user:password@]host[:port][,host[:port]…][/master-name[/db]][?sentinel_username=…&sentinel_password=…]`; `rediss` and
 * `rediss+sentinel` speak TLS, the latter with Sentinels and servers.
 *
 * @throws {Refused} which says what is not understood, and ends the sentence «REDIS_URL …»
 */
export function parseRedisUrl(url: string): RedisAddress {
  const [, scheme = '', sentinel = '', rest = ''] = /^(rediss?)(\+sentinel)?:\/\/(.*)$/s.exec(url) ?? [];
  if (scheme === '') refuse('must begin with redis:// or rediss:// or redis+sentinel:// or rediss+sentinel://');
  if (/[\s#]/.test(rest)) refuse('has a blank or a # in it: write them as %20 and %23');
  return sentinel === '' ? serverAddress(rest.split(','), scheme) : sentinelAddress(rest, scheme === 'rediss');
}
