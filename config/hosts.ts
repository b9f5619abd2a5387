// Names and addresses of hosts, as operators write them.
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { refuse } from './refused';

const MAX_PORT = 65535;
const MAX_NAME_CHARACTERS = 253;
/** RFC 1123, section 2.1, and underscores, which names of services in Docker have. */
const LABEL = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/i;

/** A name of a host: international ones in letters or in Punycode, with or without the dot of the root. What ends in a number is no name. */
export function isHostName(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- that is what ASCII is
  const name = (/^[\x00-\x7f]*$/.test(text) ? text : domainToASCII(text)).replace(/\.$/, '');
  const labels = name.split('.');
  return name.length <= MAX_NAME_CHARACTERS && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

/** A name, or an address of IPv4 or IPv6, the latter in brackets or without. @returns it without brackets @throws {Refused} */
export function hostOf(text: string): string {
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (host === text ? isIP(host) !== 0 || isHostName(host) : isIPv6(host)) return host;
  return refuse(
    /^[^:]*:\d*$/.test(text) ? 'must be a host name or an address without a port' : 'must be a host name or an address, and nothing else',
  );
}

/** Where a server listens. */
export interface HostAndPort {
  host: string;
  port: number | undefined;
}

/**
 * Reads `host` or `host:port`; IPv6 in brackets.
 *
 * @param form what ends the sentence about a host that is none
 * @returns the host without brackets
 * @throws {Refused} which says whether host or port is at fault
 */
export function hostAndPortOf(text: string, form = ''): HostAndPort {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::([^:]*))?$/.exec(text) ?? [];
  const bare = /^\[(.*)\]$/.exec(host)?.[1];
  if (port?.includes('/')) return refuse(`has a host that is none${form}`);
  if (bare === undefined ? isIP(host) === 0 && !isHostName(host) : !isIPv6(bare)) return refuse(`has a host that is none${form}`);
  return { host: bare ?? host, port: port === undefined ? undefined : portOf(port) };
}

/** @throws {Refused} */
export function portOf(text: string): number {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= MAX_PORT ? port : refuse(`has a port that is none: 1 to ${MAX_PORT} can be given`);
}

/** Where an @ comes too late, a password has the character before it. @throws {Refused} which says how it is written */
export function requireEncoded(authority: string, path: string, query: string): void {
  if (authority.includes('@')) return;
  if (path.includes('@')) refuse('has a / before its @: in a user name or password write it as %2F');
  if (query.includes('@')) refuse('has a ? before its @: in a user name or password write it as %3F');
}
