// What is asked: one `web` without TLS, one with it, a `worker`, and the world outside as fakes at the network's edge, all of it started here.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { generate } from 'selfsigned';
import { freePort } from '../src/start/ports';
import { Daemon } from '../test/helpers/daemon';
import { startOutsideWorld, type OutsideWorld } from '../test/helpers/outside';
import { prepareDatabase } from './checkout';
import { Part, RedisServer } from './fault-system';
import { DEVICE_UUID, GONE } from './fuzz-requests';
import { SUPER_DOMAIN, type Cast, type Member } from './fuzz-rows';
import type { Address } from './fuzz-transport';
import type { Servers } from './servers';

const CHECKOUT = path.join(__dirname, '..', '..');
const WITHOUT_LIMITS = {
  RATE_LIMIT_PER_MINUTE: '0',
  CODES_PER_RECIPIENT_PER_HOUR: '0',
  CODES_PER_RECIPIENT_PER_DAY: '0',
  CODES_PER_ADDRESS_PER_HOUR: '0',
  SMS_PER_PREFIX_PER_HOUR: '0',
  WRONG_CODES_PER_RECIPIENT_PER_HOUR: '0',
  WRONG_CODES_PER_ADDRESS_PER_HOUR: '0',
  APP_TOKENS_PER_ADDRESS: '0',
  APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES: '0',
  APP_ACCOUNT_CREATION_TOKENS_PER_DEVICE: '0',
  BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
};
const SETTINGS = {
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  APP_SIP_DOMAIN: SUPER_DOMAIN,
  APP_API_KEY_EXPIRATION_MINUTES: '0',
  APP_DANGEROUS_ENDPOINTS: 'true',
  APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API: 'true',
  TRUST_PROXY: 'loopback',
  ACCOUNT_BLACKLISTED_USERNAMES: 'root,.*forbidden.*',
  COTURN_SERVER_HOST: 'turn.fuzz.invalid',
  COTURN_STATIC_AUTH_SECRET: 'turn-secret',
  HCAPTCHA_SECRET: 'captcha-secret',
  HCAPTCHA_SITEKEY: 'site-key',
  MAIL_ALLOW_SELF_SIGNED: 'true',
  // How long these wait is the operator's word; by default it is longer than anybody else may wait.
  SMS_TIMEOUT_SECONDS: '4',
  EMAIL_TIMEOUT_SECONDS: '4',
};
const RC = '[sip]\nreg_proxy=<sip:fuzz.invalid;transport=tls>\n[misc]\nempty=\n# a comment\n';

/** What a run asks. */
export interface FuzzTarget {
  address: Address;
  db: pg.Pool;
  /** Writes what the registrar knows of an account's devices. */
  register: (members: readonly Member[]) => Promise<void>;
}

/** The world outside, with the settings by which it is reached. */
interface Surroundings {
  world: OutsideWorld;
  environment: Record<string, string>;
  ca: string;
  register: FuzzTarget['register'];
}

/** @param atEnd is told how each part is taken away again */
export async function startSurroundings(
  directory: string,
  cast: Cast,
  { limits = false }: { limits?: boolean },
  atEnd: (cleanup: () => Promise<unknown>) => void,
): Promise<Surroundings> {
  const world = await startOutsideWorld();
  atEnd(() => world.close());
  for (const log of [world.apns, world.apnsDev, world.fcm]) log.only.set(GONE, 'gone');
  // What was received is of no use here, and grows.
  const emptying = setInterval(() => {
    for (const log of [world.apns, world.apnsDev, world.fcm, world.twilio, world.hcaptcha]) log.received.length = 0;
    world.mails.length = 0;
  }, 1000);
  atEnd(() => Promise.resolve(clearInterval(emptying)));
  const daemon = new Daemon(directory);
  await daemon.start();
  atEnd(() => daemon.stop());
  const registrar = await new RedisServer(await freePort(), path.join(directory, 'registrar')).start();
  atEnd(() => registrar.kill());
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  });
  const [certFile, keyFile, rcFile] = ['cert.pem', 'key.pem', 'rc'].map((file) => path.join(directory, file)) as [string, string, string];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  writeFileSync(rcFile, RC);
  const environment = {
    ...SETTINGS,
    ...(limits ? {} : WITHOUT_LIMITS),
    ...world.environment,
    APP_KEY: randomBytes(32).toString('hex'),
    JWT_RSA_PUBLIC_KEY_PEM: cast.publicKey,
    ACCOUNT_PROVISIONING_RC_FILE: rcFile,
    APP_LINPHONE_DAEMON_UNIX_PATH: daemon.path,
    FLEXISIP_REDIS_URL: `redis://127.0.0.1:${registrar.port}`,
  };
  const contact = `<sip:a@192.0.2.7;updatedAt=1708358460?user-agent=Linphone>;+sip.instance="<${DEVICE_UUID}>"`;
  const register = (members: readonly Member[]): Promise<void> =>
    registrar.ask(async (redis) => {
      for (const { username, domain } of members) await redis.hset(`fs:${username}@${domain}`, `"<${DEVICE_UUID}>"`, contact);
    });
  return { world, environment: { ...environment, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }, ca: cert, register };
}

/** Of the settings of both `web`, those without TLS. */
export function withoutTls(environment: Record<string, string>): Record<string, string> {
  const { TLS_CERT_FILE: _cert, TLS_KEY_FILE: _key, ...rest } = environment;
  return rest;
}

/** All of it over servers of a bench. */
export async function startTarget(servers: Servers, cast: Cast, options: { limits: boolean }): Promise<FuzzTarget> {
  const own = await prepareDatabase(servers, CHECKOUT);
  const db = new pg.Pool({ connectionString: own['DATABASE_URL'], max: 4 });
  db.on('error', () => undefined);
  servers.atEnd(() => db.end());
  const { environment, ca, register } = await startSurroundings(servers.directory, cast, options, (cleanup) => servers.atEnd(cleanup));
  const all = { ...own, ...environment, ...(options.limits ? { RATE_LIMIT_PER_MINUTE: '60' } : {}) };
  const plain = withoutTls(all);
  const [port, securePort] = [await freePort(), await freePort()];
  for (const part of [
    new Part('web', 'src/web.js', plain, servers.directory, port),
    new Part('web-tls', 'src/web.js', all, servers.directory, securePort),
    new Part('worker', 'workers/main.js', plain, servers.directory),
  ]) {
    await part.start();
    servers.atEnd(() => part.stop());
  }
  return { address: { port, securePort, ca }, db, register };
}

/** Of what a part has logged: faults of the program. */
export const faultsLogged = (directory: string, name: string): string[] =>
  readFileSync(path.join(directory, `${name}.log`), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"level":50') || line.includes('"level":60') || /^\S*Error/.test(line));
