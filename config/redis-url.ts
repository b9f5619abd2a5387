// The forms in which a Redis is named. Pure; what is not understood is refused with words that name it, and never with the value: it has a
// password in it.

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
const MAX_PORT = 65535;
/** In the order of the documentation. */
const PARAMETERS = { server: ['family'], cluster: ['family'], sentinel: ['family', 'sentinel_username', 'sentinel_password'] } as const;
const FORM =
  'must be redis://host:port, several of these separated by commas, or redis+sentinel://host:port,host:port/master-name (rediss for TLS)';

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(`has a % in its ${what} that no two hexadecimal digits follow: write it as %25`);
  }
}

function hostOf(text: string, defaultPort: number): RedisHost {
  const match = /^(\[[\da-f:.]+\]|[^\s:[\]@#]+)(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(match?.[2] ?? defaultPort);
  if (!match?.[1] || port < 1 || port > MAX_PORT) throw new Error(`has a host that is none; ${FORM}`);
  return { host: match[1].replace(/^\[|\]$/g, ''), port };
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
  const at = authority.lastIndexOf('@');
  if (at < 0) return { user: {}, hosts: authority, path, query };
  const [username = '', password] = authority.slice(0, at).split(/:(.*)/s);
  if (!password) throw new Error('has a user without a password: write user:password@, or :password@ for the default user');
  return {
    user: {
      ...(username === '' ? {} : { username: decoded(username, 'user name') }),
      password: decoded(password, 'password'),
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
    if (!known.includes(name)) throw new Error(`has the parameter «${name}», which is not known here: ${known.join(', ')} can be given`);
    values[name] = decoded(value, `parameter «${name}»`);
  }
  const { family = '0', sentinel_username: sentinelUsername, sentinel_password: sentinelPassword } = values;
  if (!/^[046]$/.test(family)) throw new Error('has a parameter «family» that is neither 4 nor 6');
  if (sentinelUsername !== undefined && !sentinelPassword)
    throw new Error('has the parameter «sentinel_username» without «sentinel_password»');
  return {
    family: Number(family),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
}

function databaseOf(text: string): number {
  if (!/^\d{0,4}$/.test(text)) throw new Error('has a database that is no number');
  return Number(text);
}

function sentinelAddress(text: string, tls: boolean): RedisAddress {
  const { user, hosts, path, query } = piecesOf(text);
  const [master = '', db = '', ...rest] = path;
  if (rest.length > 0) throw new Error(`has too long a path; ${FORM}`);
  return {
    kind: 'sentinel',
    hosts: hosts.split(',').map((host) => hostOf(host, SENTINEL_PORT)),
    tls,
    ...user,
    master: decoded(master, 'master name') || 'mymaster',
    db: databaseOf(db),
    ...parametersOf(query, 'sentinel'),
  };
}

/** One server, or a Cluster's nodes: what the first says of user and TLS is said of all, since a Cluster's nodes are alike. */
function serverAddress(nodes: readonly string[], scheme: string): RedisAddress {
  const kind = nodes.length > 1 ? 'cluster' : 'server';
  const all = nodes.map((node) => {
    const [, own = scheme, rest = ''] = /^(?:([a-z+]+):\/\/)?(.*)$/s.exec(node) ?? [];
    if (own !== scheme) throw new Error('has nodes of different schemes');
    return piecesOf(rest);
  });
  const user = all[0]?.user ?? {};
  const paths = all.map(({ path }) => path.join('/'));
  if (
    all.some((node) => node.user.password !== undefined && (node.user.password !== user.password || node.user.username !== user.username))
  )
    throw new Error('has nodes with different users or passwords');
  if (kind === 'cluster' && paths.some((path) => path !== '' && path !== '0')) throw new Error('has a database: a Cluster has none but 0');
  return {
    kind,
    hosts: all.map(({ hosts }) => hostOf(hosts, PORT)),
    tls: scheme === 'rediss',
    ...user,
    master: '',
    db: databaseOf(paths[0] ?? ''),
    ...parametersOf(
      all
        .map(({ query }) => query)
        .filter((query) => query !== '')
        .join('&'),
      kind,
    ),
  };
}

/**
 * Reads the address of a Redis: `redis://[user:password@]host[:port][/db]`, several of these separated by commas (a Cluster's nodes), or
 * `redis+sentinel://[user:password@]host[:port][,host[:port]…][/master-name[/db]][?sentinel_username=…&sentinel_password=…]`; `rediss` and
 * `rediss+sentinel` speak TLS, the latter with Sentinels and servers.
 *
 * @throws {Error} which says what is not understood, and ends the sentence «REDIS_URL …»
 */
export function parseRedisUrl(url: string): RedisAddress {
  const [, scheme = '', sentinel = '', rest = ''] = /^(rediss?)(\+sentinel)?:\/\/(.*)$/s.exec(url) ?? [];
  if (scheme === '') throw new Error('must begin with redis:// or rediss:// or redis+sentinel:// or rediss+sentinel://');
  if (/[\s#]/.test(rest)) throw new Error('has a blank or a # in it: write them as %20 and %23');
  return sentinel === '' ? serverAddress(rest.split(','), scheme) : sentinelAddress(rest, scheme === 'rediss');
}
