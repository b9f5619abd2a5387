// Where Flexisip finds this server, in the forms that its versions know.
import type { ConfFile } from './conf-file';

/** An address of the API, taken apart. */
export interface ApiAddress {
  https: boolean;
  /** A name or an IP address, without brackets. */
  host: string;
  port: number;
  /** Before `/api`: empty, or with a slash at its beginning and none at its end. */
  path: string;
}

/** Behind the address's path; `/api/stats/` is Flexisip's own default. */
export const STATISTICS_PREFIX = '/api/statistics/';
const FLEXISIP_PREFIX = '/api/stats/';

/** The parts of a URL. @returns null for what is none, or has anything else than a scheme, host, port and path */
export function apiAddressOf(text: string): ApiAddress | null {
  if (!URL.canParse(text)) return null;
  const { protocol, hostname, port, pathname, search, hash, username, password } = new URL(text);
  const https = protocol === 'https:';
  if ((!https && protocol !== 'http:') || [search, hash, username, password].some((part) => part !== '')) return null;
  return {
    https,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (https ? 443 : 80) : Number(port),
    path: withoutSlash(pathname),
  };
}

function withoutSlash(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

/** What Flexisip writes into `:authority`. */
export const authorityOf = ({ host, port }: Pick<ApiAddress, 'host' | 'port'>): string =>
  `${host.includes(':') ? `[${host}]` : host}${port === 443 ? '' : `:${port}`}`;

/** The address as a URL; always `https`, since Flexisip speaks nothing else. */
export const urlOf = (address: ApiAddress): string => `https://${authorityOf(address)}${address.path}`;

/** What a flexisip.conf says of this server, as Flexisip understands it. */
export interface ConfiguredAddress {
  address?: ApiAddress;
  /** What stands before `messages` and `calls` in its requests. */
  prefix: string;
  key?: string;
  /** What is wrong with it, as sentences. */
  faults: string[];
  /** What is wrong with it for some versions. */
  doubts: string[];
}

/** Flexisip takes no other words. */
export const isTrue = (text: string | undefined): boolean => text === 'true' || text === '1';

/** As Flexisip joins them: one slash at the beginning and one at the end. */
const joined = (path: string, prefix: string): string => `${path}/${prefix.replace(/^\/+/, '')}${prefix.endsWith('/') ? '' : '/'}`;

/** The part of a prefix before `api/…`. */
const pathBefore = (prefix: string): string => withoutSlash(prefix.slice(0, Math.max(0, prefix.lastIndexOf('/api/'))));

/**
 * Reads where a flexisip.conf sends statistics. Up to 2.6 that is `event-logs/flexiapi-*`; from 2.7 on `global::flexiapi` comes first where it has both a URL
 * and a key.
 */
export function configuredAddress(conf: ConfFile): ConfiguredAddress {
  const log = (...names: string[]): string | undefined => conf.get('event-logs', ...names);
  const faults: string[] = [];
  const doubts: string[] = [];
  if (!isTrue(log('enabled'))) faults.push('[event-logs] enabled is not true: nothing is reported');
  if (log('logger') !== 'flexiapi')
    faults.push(`[event-logs] logger is ${log('logger') ?? 'filesystem, its default,'} and not flexiapi: nothing is reported`);
  const prefix = log('flexiapi-prefix') ?? FLEXISIP_PREFIX;
  const [host, port] = [log('flexiapi-host'), Number(log('flexiapi-port') ?? 443)];
  const [globalUrl, globalKey] = [conf.get('global::flexiapi', 'url'), conf.get('global::flexiapi', 'api-key')];
  const logKey = log('flexiapi-api-key', 'flexiapi-token');
  const global = globalUrl === undefined ? null : apiAddressOf(globalUrl);
  if (globalUrl !== undefined && global?.https !== true)
    faults.push(`[global::flexiapi] url is ${globalUrl}: Flexisip takes https:// alone and does not start`);
  if (host === undefined) {
    if (globalUrl !== undefined && globalKey === undefined) faults.push('[global::flexiapi] has a url and no api-key');
    if (globalUrl === undefined) faults.push('neither [event-logs] flexiapi-host nor [global::flexiapi] url is set');
    return {
      prefix: joined(global?.path ?? '', prefix),
      faults,
      doubts,
      ...(global ? { address: global } : {}),
      ...(globalKey === undefined ? {} : { key: globalKey }),
    };
  }
  if (logKey === undefined && globalKey === undefined) faults.push('[event-logs] flexiapi-api-key is not set');
  const address = { https: true, host, port, path: pathBefore(joined('', prefix)) };
  if (global && globalKey !== undefined) {
    const isOther = global.host !== host || global.port !== port || (logKey !== undefined && logKey !== globalKey);
    const twoWays =
      '[event-logs] flexiapi-* and [global::flexiapi] say different things: Flexisip up to 2.6 goes by the first, later ones by the second';
    if (isOther) faults.push(twoWays);
    else if (joined(global.path, prefix) !== joined('', prefix)) doubts.push(`${twoWays}, with the path of the url before the prefix`);
  }
  const key = logKey ?? globalKey;
  return { address, prefix: joined('', prefix), faults, doubts, ...(key === undefined ? {} : { key }) };
}
