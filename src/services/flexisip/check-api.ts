// Does what Flexisip does at this server's API, with requests that store nothing.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { codeOf, reasonOf } from '../../infra/log';
import { isNamedKey, isWholeNamedKey } from '../credentials/secrets';
import { type ApiAddress, STATISTICS_PREFIX } from './address';
import { type ApiAnswer, ApiSession, openTcp, openTls } from './http2-client';
import { counted, quoted, type Step, stepsOf } from './step';

const address = stepsOf('address');
const keyed = stepsOf('key');

const SOON_DAYS = 14;
const DAY_MS = 86_400_000;

/** What there is to do at an address. */
export interface ApiCheck {
  address: ApiAddress;
  /** Before `messages` and `calls`. */
  prefix: string;
  key?: string | undefined;
}

/** What came of it. */
export interface ApiOutcome {
  steps: Step[];
  /** The server's clock less ours, in milliseconds; undefined where it was not seen. */
  clockMs?: number;
}

function tcpStep(error: unknown, { host, port }: ApiAddress): Step {
  const todo = /^E(AI_AGAIN|NOTFOUND)$/.test(codeOf(error))
    ? `the name ${host} is not known on this machine: mend DNS, or give an address that is`
    : `let ${host}:${port} be reached from here: is web (or the proxy before it) running there, and does a firewall let it through?`;
  return address.wrong('connection', `${host}:${port}: ${quoted(reasonOf(error))}`, todo);
}

/** OpenSSL puts where it is in its own source around it. */
const shortly = (reason: string): string => /\berror:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/i.exec(reason)?.[1] ?? reason;

function tlsStep(error: unknown): Step {
  if (/NO_APPLICATION_PROTOCOL/.test(codeOf(error)) || /no application protocol/i.test(reasonOf(error))) return alpnStep(false);
  const isPlain = /wrong version number|packet length|EPROTO|unknown protocol|http request/i.test(`${codeOf(error)} ${reasonOf(error)}`);
  return address.wrong(
    'TLS',
    quoted(shortly(reasonOf(error))),
    isPlain
      ? 'this port speaks no TLS, and Flexisip nothing else: set TLS_CERT_FILE and TLS_KEY_FILE of web, or give the address of the proxy that ends TLS'
      : 'something listens there that does not finish a TLS handshake: is it web, and does it answer others?',
  );
}

function alpnStep(found: string | false | null): Step {
  return found === 'h2'
    ? address.ok('ALPN', 'h2')
    : address.wrong(
        'ALPN',
        found ? `the server chose ${found}` : 'the server chose no protocol',
        'Flexisip speaks HTTP/2 alone: let web end TLS itself (TLS_CERT_FILE, TLS_KEY_FILE), or have the proxy before it offer h2 (nginx: http2 on; HAProxy: alpn h2,http/1.1)',
      );
}

/** Flexisip looks at no certificate; apps do. */
function certificateStep(socket: TLSSocket, { host }: ApiAddress): Step {
  const { valid_to: until, subject } = socket.getPeerCertificate();
  if (!until) return address.warning('certificate', 'none was shown');
  const days = Math.floor((Date.parse(until) - Date.now()) / DAY_MS);
  const said = `${quoted([subject?.CN].flat().join(', '))}, until ${new Date(until).toISOString().slice(0, 10)} (${counted(days, 'day')})`;
  if (days < 0) return address.warning('certificate', `${said}: expired`, 'Flexisip goes on with it, apps do not: renew it');
  if (days < SOON_DAYS) return address.warning('certificate', said, 'renew it: web takes a new one without a restart');
  if (!socket.authorized)
    return address.warning(
      'certificate',
      `${said}; not trusted here: ${quoted(String(socket.authorizationError))}`,
      `Flexisip does not look at it; apps want one that a known authority signed for ${host}`,
    );
  return address.ok('certificate', said);
}

const messageOf = ({ text }: ApiAnswer): string => {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? quoted(message) : '';
  } catch {
    return quoted(text.slice(0, 100));
  }
};

/** A request of Flexisip's and how this server answers it where all is well. */
interface Probe {
  name: string;
  method: string;
  path: string;
  body: string;
  /** Statuses that come after the key was let through; nothing is stored with any. */
  expected: readonly number[];
  scope: string;
}

function probesOf({ prefix, address: { path } }: ApiCheck): Probe[] {
  // Nobody has such an id, and an empty report is none.
  const id = randomBytes(32).toString('hex');
  const device = encodeURIComponent('"<urn:uuid:00000000-0000-0000-0000-000000000000>"');
  const report = (name: string, method: string, rest: string, expected: readonly number[]): Probe => ({
    name: `${name} (${method} ${rest.replace(id, '…').replace(/devices\/.*/, 'devices/…')})`,
    method,
    path: prefix + rest,
    body: '{}',
    expected,
    scope: 'statistics:write',
  });
  return [
    report('a message', 'POST', 'messages', [422]),
    report("a device's answer", 'PATCH', `messages/${id}/to/nobody@invalid/devices/${device}`, [400, 404, 422]),
    report('a call', 'POST', 'calls', [422]),
    report('a device of a call', 'PATCH', `calls/${id}/devices/${device}`, [400, 404, 422]),
    report('the end of a call', 'PATCH', `calls/${id}`, [400, 404, 422]),
    { name: 'the domains (GET /api/spaces)', method: 'GET', path: `${path}/api/spaces`, body: '', expected: [200], scope: 'spaces:read' },
  ];
}

const MAKE_ANOTHER = 'bin/flexiapi flexisip:config makes one, and gives the parameters to put it in';

function refusedKey(key: string): string {
  if (!isNamedKey(key))
    return `this is the key of a person, which ends when it is unused for an hour and with the next GET /accounts/me/api_key: ${MAKE_ANOTHER}`;
  if (!isWholeNamedKey(key)) return `the key is not whole (its last characters are a checksum): copy it again, or ${MAKE_ANOTHER}`;
  return `the key is not known, has ended, was replaced, or may not be used from this address (bin/flexiapi api-keys shows all of that): ${MAKE_ANOTHER}`;
}

/** The others would be answered so, too. */
const IN_TROUBLE: readonly number[] = [502, 503, 504];

/** What an answer means. `isFirst`: whether it is the first of its prefix. */
function probeStep({ name, expected, scope, path }: Probe, answer: ApiAnswer, key: string): Step {
  const { status } = answer;
  const said = `status ${status}${messageOf(answer) === '' ? '' : `: ${messageOf(answer)}`}`;
  if (status === 401) return keyed.wrong(name, said, refusedKey(key));
  if (status === 403)
    return keyed.wrong(
      name,
      said,
      `the key needs the scope ${scope}, and its account has to be ${scope === 'spaces:read' ? 'a super admin' : 'an admin'} that is not blocked, in a Space that has not expired`,
    );
  if (status === 404 && !expected.includes(404))
    return keyed.wrong(
      name,
      `${said} at ${path}`,
      `there is nothing at this path: event-logs/flexiapi-prefix has to be the path of APP_URL and ${STATISTICS_PREFIX} (Flexisip's own default, /api/stats/, is another)`,
    );
  if (status === 429) return keyed.wrong(name, said, 'wrong keys were shown from this address too often: wait some minutes');
  if (IN_TROUBLE.includes(status))
    return keyed.wrong(
      name,
      said,
      status === 503
        ? 'the server is there and cannot work: /health/ready says what it lacks (PostgreSQL, Redis), or it is starting'
        : 'the proxy before it reaches no web: is one running, and is its address right in the proxy?',
    );
  if (!expected.includes(status))
    return keyed.wrong(
      name,
      said,
      'this is no answer of this server: is another one at this address, or is it in trouble (/health/ready)?',
    );
  return keyed.ok(name, scope === 'spaces:read' ? domainsSaid(answer) : `let through (status ${status}, nothing stored)`);
}

/** As Flexisip reads the list. */
function domainsOf({ text }: ApiAnswer): string[] | null {
  try {
    const spaces = JSON.parse(text) as unknown;
    if (!Array.isArray(spaces)) return null;
    const domains = spaces.map((space: unknown) => (space as { domain?: unknown } | null)?.domain);
    return domains.every((domain) => typeof domain === 'string') ? domains : null;
  } catch {
    return null;
  }
}

const domainsSaid = (answer: ApiAnswer): string => counted(domainsOf(answer)?.length ?? 0, 'domain');

async function probe(session: ApiSession, check: ApiCheck, key: string): Promise<ApiOutcome> {
  const steps: Step[] = [];
  let clockMs: number | undefined;
  let ended: string | undefined;
  for (const each of probesOf(check)) {
    if (ended !== undefined) {
      steps.push(keyed.skipped(each.name, ended));
      continue;
    }
    try {
      const answer = await session.request(each.method, each.path, key, each.body);
      if (answer.date !== undefined) clockMs ??= answer.date - Date.now();
      const step =
        answer.status === 200 && each.scope === 'spaces:read' && domainsOf(answer) === null
          ? keyed.wrong(
              each.name,
              'status 200, and no list of domains',
              'this is no answer of this server: is another one at this address?',
            )
          : probeStep(each, answer, key);
      steps.push(step);
      // More wrong keys would be counted, and the others are of the same key.
      if (answer.status === 401 || answer.status === 429) ended = 'the key was refused already';
      if (IN_TROUBLE.includes(answer.status)) ended = 'the server could not work before';
    } catch (error) {
      steps.push(
        keyed.wrong(
          each.name,
          quoted(reasonOf(error)),
          'Flexisip would lose what it reports: see what holds web up (/health/ready, its log)',
        ),
      );
      ended = 'the server did not answer before';
    }
  }
  return { steps, ...(clockMs === undefined ? {} : { clockMs }) };
}

/** Connects as Flexisip does and makes each of its requests. */
export async function checkApi(check: ApiCheck): Promise<ApiOutcome> {
  const steps: Step[] = [];
  let tcp: Socket;
  try {
    tcp = await openTcp(check.address);
  } catch (error) {
    return { steps: [tcpStep(error, check.address)] };
  }
  steps.push(address.ok('connection', `${check.address.host}:${check.address.port} (${tcp.remoteAddress ?? ''})`));
  let tls: TLSSocket;
  try {
    tls = await openTls(tcp, check.address);
  } catch (error) {
    tcp.destroy();
    return { steps: [...steps, tlsStep(error)] };
  }
  steps.push(address.ok('TLS', tls.getProtocol() ?? ''), alpnStep(tls.alpnProtocol), certificateStep(tls, check.address));
  if (tls.alpnProtocol !== 'h2') {
    tls.destroy();
    return { steps };
  }
  if (check.key === undefined) {
    tls.destroy();
    return { steps: [...steps, keyed.skipped('requests', 'no key: give --key, or --config with a flexisip.conf that has one')] };
  }
  const session = new ApiSession(tls, check.address);
  try {
    const outcome = await probe(session, check, check.key);
    return { ...outcome, steps: [...steps, ...outcome.steps] };
  } finally {
    session.close();
  }
}
