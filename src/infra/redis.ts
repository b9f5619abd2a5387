// Redis: connections for whoever needs one, from REDIS_URL in all its forms.
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { settings } from '../../config';
import { log } from './log';

/** One server, or a cluster of them: the same commands. */
export type RedisConnection = Redis | Cluster;

/**
 * producer: adds jobs for a request, so it fails at once where Redis does not answer.
 * worker: waits for jobs, so it never gives up; BullMQ demands `maxRetriesPerRequest: null` of it.
 */
export type Role = 'producer' | 'worker';

const OPTIONS: Record<Role, RedisOptions> = {
  producer: { enableOfflineQueue: false, maxRetriesPerRequest: 1, connectTimeout: 2000, disconnectTimeout: 500 },
  worker: { maxRetriesPerRequest: null, connectTimeout: 5000, disconnectTimeout: 500 },
};

const MAX_RECONNECT_DELAY_MS = 1000;
const retryStrategy = (attempt: number): number => Math.min(attempt * 100, MAX_RECONNECT_DELAY_MS);

/**
 * Connects to `REDIS_URL`: `redis://` or `rediss://`; several of them separated by commas are a Redis Cluster's nodes;
 * `redis+sentinel://[:password@]host:port[,host:port]/master-name` asks Sentinels for the master. It connects by itself, again and again; an outage is logged once.
 *
 * @param name what the log calls it
 * @throws {Error} where there is no URL, or a `redis+sentinel://` one is malformed
 */
export function connectRedis(role: Role, url: string | undefined = settings.REDIS_URL, name = 'Redis'): RedisConnection {
  if (url === undefined) throw new Error('REDIS_URL is not set');
  const connection = open(url, { ...OPTIONS[role], retryStrategy });
  let reported = '';
  connection.on('error', (error: Error) => {
    // One line an outage: ioredis repeats the same error at each attempt.
    const text = (error as { code?: string }).code ?? error.message;
    if (text !== reported) log.warn({ reason: text }, `${name} does not answer`);
    reported = text;
  });
  connection.on('ready', () => {
    if (reported !== '') log.info(`${name} answers again`);
    reported = '';
  });
  return connection;
}

function open(url: string, options: RedisOptions): RedisConnection {
  if (url.startsWith('redis+sentinel://')) return new Redis({ ...options, ...parseSentinel(url) });
  const nodes = url.split(',');
  if (nodes.length === 1) return new Redis(url, options);
  const [first] = nodes.map((node) => new URL(node.includes('://') ? node : `redis://${node}`));
  return new Cluster(
    nodes.map((node) => {
      const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`);
      return { host: hostname, port: Number(port || 6379) };
    }),
    {
      enableOfflineQueue: options.enableOfflineQueue ?? true,
      redisOptions: {
        maxRetriesPerRequest: options.maxRetriesPerRequest ?? null,
        ...(first?.username ? { username: decodeURIComponent(first.username) } : {}),
        ...(first?.password ? { password: decodeURIComponent(first.password) } : {}),
        ...(first?.protocol === 'rediss:' ? { tls: {} } : {}),
      },
    },
  );
}

/**
 * Reads `redis+sentinel://[:password@]host:port[,host:port]/master-name[/db]`; the port is 26379 and the name `mymaster` where left out.
 *
 * @throws {Error} where the URL has another form
 */
export function parseSentinel(url: string): RedisOptions {
  const match = /^redis\+sentinel:\/\/(?:[^:@/]*:([^@/]*)@)?([^/]+)(?:\/([^/?]+))?(?:\/(\d+))?$/.exec(url);
  if (!match?.[2]) throw new Error('REDIS_URL: redis+sentinel://host:port,host:port/master-name is expected');
  const sentinels = match[2].split(',').map((node) => {
    const [host = '', port = '26379'] = node.split(':');
    return { host, port: Number(port) };
  });
  return {
    sentinels,
    name: match[3] ?? 'mymaster',
    ...(match[1] ? { password: decodeURIComponent(match[1]) } : {}),
    ...(match[4] ? { db: Number(match[4]) } : {}),
  };
}

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

/** Ends a connection, whatever state it is in. */
export async function closeRedis(connection: RedisConnection): Promise<void> {
  if (connection.status === 'ready') await connection.quit().catch(() => undefined);
  connection.disconnect();
}
