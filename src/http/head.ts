// The head of a request, before anybody looks at what it asks for: its target, its host, how much it has, and what is wrong with it.
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { ApiError, badRequest } from '../infra/errors';
import type { MessageKey } from '../i18n';
import { isHost } from './origin';

/** Headers that are taken apart are short: what reads them takes up to a tenth of a second for 16 kB, which is all that node:http admits. */
const MAX_CHARACTERS = 2048;
const LIMITED = [
  'from',
  'accept',
  'accept-language',
  'content-type',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
];
const MAX_HEADER_FIELDS = 128;
/** Of one request, over HTTP/1.1 and HTTP/2: names and values together. */
export const MAX_HEADER_BYTES = 16 * 1024;
/** The same, for messages. */
export const MAX_HEADER_KIB = MAX_HEADER_BYTES / 1024;

/** A URL as proxies, and clients of RFC 2616, send it for a target (RFC 9112, section 3.2.2). Which of the schemes does not matter: a front may end TLS. */
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/** Those that some path here has. */
export const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

const FAULT = Symbol('fault');
type Faulty = IncomingMessage & { [FAULT]?: ApiError };

/** What is wrong with a request as such; undefined where nothing is. */
export const faultOf = (request: IncomingMessage): ApiError | undefined => (request as Faulty)[FAULT];

/** Has a request refused, whatever it asks for. */
export function refuseRequest(request: IncomingMessage, fault: ApiError): void {
  (request as Faulty)[FAULT] = fault;
}

/** All lines of a header as they came: of some names node:http gives the first alone. @param name in lower case */
export function linesOf({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>, name: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at] ?? '';
    if (given.length === name.length && given.toLowerCase() === name) lines.push(rawHeaders[at + 1] ?? '');
  }
  return lines;
}

/** An error of the request itself. */
export const refuse = (status: number, key: MessageKey, values: Record<string, string | number> = {}): ApiError =>
  new ApiError(status, { key, values });

/** 431 (RFC 6585, section 5). What is too long is not read, not for the answer and the log either. */
function faultOfSize(request: IncomingMessage): ApiError | undefined {
  const { rawHeaders } = request;
  let [fields, bytes] = [0, 0];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at], rawHeaders[at + 1]];
    if (!name.startsWith(':')) fields += 1;
    bytes += name.length + value.length;
  }
  // Nearly every request is far from any limit.
  if (fields <= MAX_HEADER_FIELDS && bytes <= MAX_CHARACTERS) return undefined;
  const isTooMany = fields > MAX_HEADER_FIELDS;
  if (isTooMany || bytes > MAX_HEADER_BYTES) {
    // Among those behind the thousandth, which node:http leaves out, may be what says where a request comes from.
    const { host } = request.headers;
    Object.defineProperty(request, 'headers', { value: host === undefined ? {} : { host } });
    return isTooMany
      ? refuse(431, 'request.headers', { limit: MAX_HEADER_FIELDS })
      : refuse(431, 'request.header_bytes', { limit: MAX_HEADER_KIB });
  }
  const long = LIMITED.filter((name) => String(request.headers[name] ?? '').length > MAX_CHARACTERS);
  for (const name of long) delete request.headers[name];
  return long[0] === undefined ? undefined : refuse(431, 'request.header', { header: long[0], limit: MAX_CHARACTERS });
}

/** Has the target without scheme and host, and the host that it names in their place: that one counts (RFC 9112, section 3.2.2). */
function readTarget(request: IncomingMessage): ApiError | undefined {
  const { url = '', headers } = request;
  if (url.startsWith('/') || (url === '*' && request.method === 'OPTIONS')) return undefined;
  const [start = '', host = ''] = request.httpVersionMajor < 2 ? (ABSOLUTE.exec(url) ?? []) : [];
  const rest = url.slice(start.length);
  // A user before the host is an error, too (RFC 9110, section 4.2.4).
  if (!isHost(host)) return badRequest('request.target');
  headers.host = host;
  request.url = rest === '' && request.method === 'OPTIONS' ? '*' : rest.startsWith('/') ? rest : `/${rest}`;
  return undefined;
}

/** RFC 9112, section 3.2; of HTTP/2 RFC 9113, section 8.3.1. */
function readHost(request: IncomingMessage): ApiError | undefined {
  const { headers, httpVersionMajor, httpVersionMinor } = request;
  if (httpVersionMajor >= 2) {
    const { authority = '' } = request as unknown as Partial<Http2ServerRequest>;
    // It is the host's where there is no authority.
    if (headers.host !== undefined && headers.host.toLowerCase() !== authority.toLowerCase()) return badRequest('request.host');
    headers.host ??= authority;
  } else {
    const hosts = linesOf(request, 'host').length;
    if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) return badRequest('request.host');
  }
  return headers.host === undefined || headers.host === '' || isHost(headers.host) ? undefined : badRequest('request.host');
}

function faultOfDemands({ headers }: IncomingMessage): ApiError | undefined {
  const { expect = '100-continue', 'transfer-encoding': coding = 'chunked' } = headers;
  if (expect.toLowerCase() !== '100-continue') return refuse(417, 'request.expect');
  return coding.toLowerCase() === 'chunked' ? undefined : badRequest('request.transfer_encoding');
}

/** Reads the head of a request that has come, and keeps what is wrong with it for `faultOf()`. To be called once, before all else. */
export function readHead(request: IncomingMessage): void {
  const fault = faultOf(request) ?? faultOfSize(request) ?? readHost(request) ?? readTarget(request) ?? faultOfDemands(request);
  if (!fault) return;
  refuseRequest(request, fault);
  // Nobody need be able to read it.
  request.url = '/';
  if (!isHost(request.headers.host ?? '')) delete request.headers.host;
}
