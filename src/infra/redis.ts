// Redis: connections for whoever needs one, from REDIS_URL in all its forms.
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { settings } from '../../config';
import { parseRedisUrl, type RedisAddress } from '../../config/redis-url';
import { inBackground } from './context';
import { outagesOf, type Outage } from './redis-outage';
import { connectorBySentinel, connectorTo, Sockets } from './redis-sockets';
import { withTimeout } from './timeout';

/** One server, or a cluster of them: the same commands. */
export type RedisConnection = Redis | Cluster;

/**
 * producer: adds jobs for a request, so it fails at once where Redis does not answer, and sends nothing twice: what was under way when a connection
 * ended is refused. worker: waits for jobs, so it never gives up; BullMQ demands `maxRetriesPerRequest: null` of it. guest: as a producer, in a
 * Redis of somebody else's, which may be a replica and where nothing is written to see whether it can be.
 */
export type Role = 'producer' | 'worker' | 'guest';

const MASTER_LOOKUP_MS = 1000;
const MAX_RECONNECT_DELAY_MS = 500;
const SHARED: RedisOptions = {
  connectTimeout: 2000,
  disconnectTimeout: 500,
  sentinelCommandTimeout: MASTER_LOOKUP_MS,
  retryStrategy: (attempt) => Math.min(attempt * 100, MAX_RECONNECT_DELAY_MS),
};
const FAILING: RedisOptions = { ...SHARED, enableOfflineQueue: false, maxRetriesPerRequest: 0, socketTimeout: 4000 };
const OPTIONS: Record<Role, RedisOptions> = {
  producer: FAILING,
  guest: FAILING,
  // BullMQ waits ten seconds for a job at most. A server that is silent is noticed long before, by Watch; this is for one socket of many.
  worker: { ...SHARED, maxRetriesPerRequest: null, socketTimeout: 12_000 },
};

/** Errors of a server that is no master any more, or not yet; of scripts too, in whose errors Redis 6 puts another before it. */
const NO_MASTER = /(?:^|-)(READONLY|MASTERDOWN|LOADING) |^(UNBLOCKED) force/;

/** How often a connection is tried, since one that only waits meets no error. */
const WATCH_INTERVAL_MS = 1000;
/** A connection that has not answered for so long is made anew. Nothing that is asked of it takes a tenth of that. */
const SILENT_MS = 2000;

/** Lives for a minute: nobody reads it. */
const write = (connection: RedisConnection, key: string): Promise<unknown> => connection.set(key, '1', 'EX', 60);

/**
 * Makes sure that what is written for these keys is stored: a replica answers PING, and a Cluster may have lost the node of one of them.
 *
 * @param keys whose hash tags say where, in a Cluster
 * @throws what Redis, or the lack of a connection, answers
 */
export async function requireWritable(connection: RedisConnection, keys: readonly string[]): Promise<void> {
  const asked = connection instanceof Cluster ? keys : keys.slice(0, 1);
  await Promise.all(asked.map((key) => write(connection, key.includes('{') ? `${key}:alive` : `{${key}}:alive`)));
}

/** Tries a connection every second, has it made anew with its duplicates where it is silent, and knows when an outage is over. */
class Watch {
  readonly #asked = new Map<Redis, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(
    readonly connection: RedisConnection,
    readonly role: Role,
    readonly sockets: Sockets,
    readonly outage: Outage,
  ) {
    this.#timer = setInterval(() => this.#look(), WATCH_INTERVAL_MS).unref();
    connection.once('end', () => this.stop());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { connection } = this;
    for (const node of connection instanceof Cluster ? connection.nodes('master') : [connection]) {
      const since = this.#asked.get(node);
      if (since === undefined) {
        if (node.status === 'ready') void this.#ask(node);
      } else if (node.status !== 'ready') {
        // A worker's question is asked again on its next socket.
        this.#asked.set(node, performance.now());
      } else if (performance.now() - since > SILENT_MS) {
        this.#asked.set(node, performance.now());
        this.outage.trouble('ETIMEDOUT');
        this.sockets.drop('ETIMEDOUT', connection instanceof Cluster ? `${node.options.host}:${node.options.port}` : undefined);
      }
    }
  }

  /** A node of a Cluster redirects what is not for it, so it is asked what it thinks of the whole. */
  async #question(node: Redis): Promise<boolean> {
    if (this.connection instanceof Cluster) return (await node.cluster('INFO')).includes('cluster_state:ok');
    if (this.role === 'guest') await node.ping();
    else await write(node, `${settings.QUEUE_PREFIX}:alive`);
    return true;
  }

  async #ask(node: Redis): Promise<void> {
    this.#asked.set(node, performance.now());
    try {
      if (await this.#question(node)) this.outage.calm();
    } catch (error) {
      // An error is an answer, too: of a user who may not write that key, say. What it means that there is no master NO_MASTER has seen.
      if (error instanceof Error && error.name === 'ReplyError' && !NO_MASTER.test(error.message)) this.outage.calm();
    } finally {
      this.#asked.delete(node);
    }
  }
}

const watches = new WeakMap<RedisConnection, Watch>();

/**
 * Connects to a Redis, in one of the forms of `config/redis-url.ts`. It connects by itself, again and again, and only to a master; an outage is
 * logged once.
 *
 * @param name what the log calls it
 * @throws {Error} where there is no URL
 */
export const connectRedis = (role: Role, url: string | undefined = settings.REDIS_URL, name = 'Redis'): RedisConnection =>
  inBackground(() => open(role, url, name));

function open(role: Role, url: string | undefined, name: string): RedisConnection {
  if (url === undefined) throw new Error('REDIS_URL is not set');
  const address = parseRedisUrl(url);
  const outage = outagesOf(name);
  const sockets = new Sockets();
  const options: RedisOptions = {
    ...OPTIONS[role],
    ...optionsOf(address),
    Connector:
      address.kind === 'sentinel'
        ? connectorBySentinel(sockets, () => outage.trouble('READONLY'))
        : connectorTo(sockets, role === 'guest' || address.kind === 'cluster', () => outage.trouble('READONLY')),
    reconnectOnError: ({ message }) => {
      const [, code = '', other = ''] = NO_MASTER.exec(message) ?? [];
      if (code === '' && other === '') return false;
      outage.trouble(code || other);
      // Others of this address are with the same server, and one that only reads would never notice. A Cluster tells each by itself.
      if (address.kind !== 'cluster') sockets.drop(code || other);
      // Nothing was done, so what has time is asked again.
      return role === 'worker' ? 2 : 1;
    },
  };
  const connection = address.kind === 'cluster' ? new Cluster(address.hosts, clusterOptions(address, options)) : new Redis(options);
  const onError = (error: Error): void => outage.trouble((error as { code?: string }).code ?? error.message);
  connection.on('error', onError);
  connection.on('node error', onError);
  watches.set(connection, new Watch(connection, role, sockets, outage));
  return connection;
}

function optionsOf(address: RedisAddress): RedisOptions {
  const { kind, hosts, tls, username, password, db, family, master, sentinelUsername, sentinelPassword } = address;
  const secure = tls ? { tls: {} } : {};
  return {
    ...secure,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(family === 0 ? {} : { family }),
    ...(kind === 'cluster' ? {} : { db }),
    ...(kind === 'server' ? hosts[0] : {}),
    ...(kind === 'sentinel'
      ? {
          sentinels: hosts,
          name: master,
          ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
          ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
          ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
        }
      : {}),
  };
}

/** Every option is one of the nodes' connections; the Cluster's own are few. */
const clusterOptions = ({ tls }: RedisAddress, options: RedisOptions): ClusterOptions => ({
  enableOfflineQueue: options.enableOfflineQueue ?? true,
  // Where a node ends just then, connect() never settles, and BullMQ waits for it. Who asks a Cluster that is down is told so, and asks again.
  enableReadyCheck: false,
  redisOptions: options,
  // Certificates are for names.
  ...(tls ? { dnsLookup: (host: string, done: (error: null, address: string) => void) => done(null, host) } : {}),
});

const readiness = new WeakMap<RedisConnection, Promise<void>>();

/**
 * Resolves once a connection is up. BullMQ's `add()` waits without limit on a producer's connection that was never up, so wait for it first,
 * under a time limit of the caller's. All who wait share one listener.
 */
export async function whenReady(connection: RedisConnection): Promise<void> {
  if (connection.status === 'ready') return;
  let ready = readiness.get(connection);
  if (!ready) {
    ready = new Promise<void>((resolve) => connection.once('ready', () => resolve())).finally(() => readiness.delete(connection));
    readiness.set(connection, ready);
  }
  await ready;
}

const FAREWELL_MS = 500;

/** Ends a connection, whatever state it is in. */
export async function closeRedis(connection: RedisConnection): Promise<void> {
  watches.get(connection)?.stop();
  if (connection.status === 'ready') await withTimeout(connection.quit(), FAREWELL_MS, 'quitting').catch(() => undefined);
  connection.disconnect();
}
