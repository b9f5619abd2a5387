// What is accepted as the address of a PostgreSQL. Pure. pg's own parser takes nearly anything, and finds out at the first query, or never
// (an unknown `sslmode` is TLS to it, and a second host a part of the first one's name).
import { isIP } from 'node:net';
import { hostAndPortOf, isHostName, portOf, requireEncoded } from './hosts';
import { percentDecoded, refuse } from './refused';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];
/** Of libpq's parameters and pg's own, those whose values pg knows; it ignores others, such as Prisma's `schema`. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  sslmode: SSL_MODES,
  // pg takes the text «false» for a yes.
  ssl: ['true', '1', '0', 'no-verify'],
  sslnegotiation: ['postgres', 'direct'],
  uselibpqcompat: ['true', 'false'],
};
/** Parameters that name files which pg reads when it connects. */
const FILES = ['sslcert', 'sslkey', 'sslrootcert'];

function checkHost(host: string): void {
  if (host.includes(',')) refuse('names several hosts: PostgreSQL is one here');
  if (host.startsWith('/')) return;
  if (isIP(host) === 0 && !isHostName(host)) refuse('has a host that is none');
}

function checkAuthority(authority: string): void {
  const at = authority.lastIndexOf('@');
  const [user = '', password = ''] = authority.slice(0, Math.max(at, 0)).split(/:(.*)/s);
  percentDecoded(user, 'user name');
  percentDecoded(password, 'password');
  const server = authority.slice(at + 1);
  // A directory of sockets: %2Fvar%2Frun%2Fpostgresql.
  if (/^%2f/i.test(server)) return void percentDecoded(server, 'host');
  if (server.includes(',')) refuse('names several hosts: PostgreSQL is one here');
  // The host is one of `?host=`, of PGHOST, or this machine.
  if (server === '') return;
  // What comes before an unwritten @ looks like a port.
  hostAndPortOf(percentDecoded(server, 'host'), '; in a password write : / ? # @ as %3A %2F %3F %23 %40');
}

function parametersOf(query: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    if (!/^\w{1,60}$/.test(name)) refuse('has a ? in it that begins no parameters: in a password write it as %3F');
    if (found.has(name)) refuse(`has the parameter «${name}» twice`);
    found.set(name, percentDecoded(value, `parameter «${name}»`));
  }
  return found;
}

/**
 * Checks the address of a PostgreSQL: `postgres://[user[:password]@][host[:port]]/[database][?parameters]`, the host a directory of sockets where
 * it is written `%2Fvar%2Frun%2Fpostgresql`, or `?host=/var/run/postgresql`.
 *
 * @returns the files that it names
 * @throws {Refused} which says what is not understood, and ends the sentence «DATABASE_URL …»
 */
export function checkDatabaseUrl(url: string): { parameter: string; file: string }[] {
  const [, rest = ''] = /^postgres(?:ql)?:\/\/(.*)$/s.exec(url) ?? [];
  if (!/^postgres(?:ql)?:\/\//.test(url)) refuse('must begin with postgres:// or postgresql://');
  if (/[\s#\\]/.test(rest)) refuse('has a blank, a # or a \\ in it: write them as %20, %23 and %5C');
  const [before = '', query = ''] = rest.split(/\?(.*)/s);
  const [authority = '', path = ''] = before.split(/\/(.*)/s);
  requireEncoded(authority, path, query);
  if (authority === '' && path === '' && query === '') refuse('names no server: must be postgres://user:password@host:port/database');
  checkAuthority(authority);
  if (path.includes('/')) refuse('has a / behind the name of its database');
  percentDecoded(path, 'database name');
  const parameters = parametersOf(query);
  for (const [name, allowed] of Object.entries(VALUES)) {
    const value = parameters.get(name);
    if (value !== undefined && !allowed.includes(value))
      refuse(`has a parameter «${name}» that is not known: ${allowed.join(', ')} can be given`);
  }
  const [host, port] = [parameters.get('host'), parameters.get('port')];
  if (host !== undefined && host !== '') checkHost(host);
  if (port !== undefined) portOf(port);
  if (parameters.get('uselibpqcompat') === 'true' && parameters.get('sslmode') === 'verify-ca' && !parameters.get('sslrootcert'))
    refuse('has the parameter «sslmode=verify-ca» without «sslrootcert»');
  return FILES.flatMap((parameter) => {
    const file = parameters.get(parameter);
    return file ? [{ parameter, file }] : [];
  });
}
