// What faults are done to: PostgreSQL, Redis, two `web` and two `worker`, all of them processes of this run, each behind a relay where it is
// a server. Nothing that was not started here is ever signalled.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { startPostgres, type EmbeddedServer } from '../src/start/postgres';
import { freePort } from '../src/start/ports';
import { Relay } from '../test/helpers/relay';

const run = promisify(execFile);
const CHECKOUT = path.join(__dirname, '..', '..');
const START_TIMEOUT_MS = 30_000;
const DATABASE_PORT_ATTEMPTS = 5;

/** A process with all its descendants: PostgreSQL is a family. */
function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      parents.set(Number(entry), Number(fields[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const family = [pid];
  for (const member of family) for (const [child, parent] of parents) if (parent === member) family.push(child);
  return family;
}

/** Sends a signal to a process and its descendants. */
function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  for (const member of familyOf(pid)) {
    try {
      process.kill(member, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function eventually(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${START_TIMEOUT_MS / 1000} s`);
    await sleep(50);
  }
}

/** A `redis-server` that keeps nothing on disk. */
export class RedisServer {
  #child: ChildProcess | undefined;

  constructor(
    readonly port: number,
    readonly directory: string,
    readonly lines: readonly string[] = [],
    readonly options: readonly string[] = [],
  ) {
    mkdirSync(directory, { recursive: true });
  }

  async start(): Promise<this> {
    const file = path.join(this.directory, 'redis.conf');
    writeFileSync(file, [`port ${this.port}`, 'bind 127.0.0.1', `dir ${this.directory}`, 'save ""', ...this.lines].join('\n'));
    this.#child = spawn('redis-server', [file, ...this.options], { stdio: 'ignore' });
    await eventually('a Redis', async () => (await this.ask((redis) => redis.ping()).catch(() => '')) === 'PONG');
    return this;
  }

  /** Asks it, past any relay. */
  async ask<T>(question: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({ port: this.port, host: '127.0.0.1', retryStrategy: () => null, lazyConnect: true, disconnectTimeout: 100 });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      return await question(redis);
    } finally {
      redis.disconnect();
    }
  }

  freeze = (): void => signal(this.#child?.pid, 'SIGSTOP');
  thaw = (): void => signal(this.#child?.pid, 'SIGCONT');

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }
}

/** PostgreSQL, which comes back on the same data. */
export class DatabaseServer {
  #server: EmbeddedServer | undefined;

  private constructor(readonly directory: string) {}

  static async start(directory: string): Promise<DatabaseServer> {
    const server = new DatabaseServer(directory);
    await server.start();
    return server;
  }

  async start(port = 0): Promise<void> {
    // The children of one that was killed take a moment to leave.
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#server = await startPostgres(this.directory, ['max_connections=200'], port);
        return;
      } catch (error) {
        if (attempt === DATABASE_PORT_ATTEMPTS) throw error;
        await sleep(500);
      }
    }
  }

  get url(): string {
    return this.#server?.url ?? '';
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get #pid(): number {
    return Number(readFileSync(path.join(this.directory, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  }

  freeze = (): void => signal(this.#pid, 'SIGSTOP');
  thaw = (): void => signal(this.#pid, 'SIGCONT');

  /** Pulls its plug. */
  kill(): void {
    signal(this.#pid, 'SIGKILL');
    rmSync(path.join(this.directory, 'postgres', 'postmaster.pid'), { force: true });
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.#server?.stop();
  }
}

/** A process of the program. */
export class Part {
  #child: ChildProcess | undefined;
  /** Since when it cannot answer, in milliseconds of performance.now(); and until when it could not. */
  awayFrom = Infinity;
  awayUntil = -Infinity;

  constructor(
    readonly name: string,
    readonly file: string,
    readonly environment: Record<string, string>,
    readonly directory: string,
    readonly port = 0,
  ) {}

  async start(): Promise<this> {
    const log = openSync(path.join(this.directory, `${this.name}.log`), 'a');
    this.#child = spawn(process.execPath, [path.join(CHECKOUT, 'dist', this.file)], {
      cwd: this.directory,
      env: { ...this.environment, ...(this.port === 0 ? {} : { PORT: String(this.port) }) },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const child = this.#child;
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`${this.name} ended with ${code}: see ${this.directory}`)));
    });
    this.awayUntil = performance.now();
    return this;
  }

  /** Whether it could answer from one moment to another. */
  couldAnswer(from: number, until: number): boolean {
    return until < this.awayFrom || from > this.awayUntil;
  }

  /** Whether a balancer that looks every second would send it anything now. */
  get inRotation(): boolean {
    const now = performance.now();
    return now < this.awayFrom + 1000 || now > this.awayUntil;
  }

  freeze(): void {
    this.#leave();
    signal(this.#child?.pid, 'SIGSTOP');
  }

  thaw(): void {
    signal(this.#child?.pid, 'SIGCONT');
    // What came while it was frozen is answered now, late.
    this.awayUntil = performance.now();
  }

  async kill(): Promise<void> {
    this.#leave();
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.#end('SIGTERM');
  }

  #leave(): void {
    this.awayFrom = performance.now();
    this.awayUntil = Infinity;
  }

  async #end(name: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(name);
    await exited;
  }
}

/** All of it. */
export class FaultSystem {
  readonly webs: Part[] = [];
  readonly workers: Part[] = [];

  private constructor(
    readonly directory: string,
    readonly database: DatabaseServer,
    readonly databaseRelay: Relay,
    /** The master, and what follows it. */
    readonly redis: [RedisServer, RedisServer],
    readonly redisRelay: Relay,
    readonly sentinel: RedisServer | undefined,
  ) {}

  /** @param withSentinel whether Redis is found by a Sentinel, and not behind the relay */
  static async start(directory: string, settings: Record<string, string>, withSentinel: boolean): Promise<FaultSystem> {
    const database = await DatabaseServer.start(directory);
    const master = await new RedisServer(await freePort(), path.join(directory, 'redis-1')).start();
    const replica = await new RedisServer(await freePort(), path.join(directory, 'redis-2'), [
      `replicaof 127.0.0.1 ${master.port}`,
      'repl-diskless-sync-delay 0',
    ]).start();
    await eventually('replication', () =>
      replica.ask(async (redis) => (await redis.info('replication')).includes('master_link_status:up')),
    );
    const sentinel = withSentinel
      ? await new RedisServer(
          await freePort(),
          path.join(directory, 'sentinel'),
          [
            `sentinel monitor accounts 127.0.0.1 ${master.port} 1`,
            'sentinel down-after-milliseconds accounts 2000',
            'sentinel failover-timeout accounts 5000',
          ],
          ['--sentinel'],
        ).start()
      : undefined;
    const [databaseRelay, redisRelay] = [await Relay.start(database.port), await Relay.start(master.port)];
    const system = new FaultSystem(directory, database, databaseRelay, [master, replica], redisRelay, sentinel);
    await system.#startParts(settings);
    return system;
  }

  async #startParts(settings: Record<string, string>): Promise<void> {
    const environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      HOST: '127.0.0.1',
      DATABASE_URL: this.databaseUrl,
      REDIS_URL: this.sentinel ? `redis+sentinel://127.0.0.1:${this.sentinel.port}/accounts` : `redis://127.0.0.1:${this.redisRelay.port}`,
      ...settings,
    };
    await run(process.execPath, [path.join(CHECKOUT, 'bin', 'flexiapi'), 'db:migrate'], { cwd: this.directory, env: environment });
    for (const number of [1, 2]) {
      this.webs.push(await new Part(`web-${number}`, 'src/web.js', environment, this.directory, await freePort()).start());
      this.workers.push(await new Part(`worker-${number}`, 'workers/main.js', environment, this.directory).start());
    }
  }

  /** Ends `web` and `worker` and starts them anew, so that what one fault has left does not count for the next. */
  async restartParts(): Promise<void> {
    const parts = [...this.webs, ...this.workers];
    await Promise.all(parts.map((part) => part.kill()));
    await Promise.all(parts.map((part) => part.start()));
  }

  /** The address of the database, behind its relay. */
  get databaseUrl(): string {
    const url = new URL(this.database.url);
    url.port = String(this.databaseRelay.port);
    return url.href;
  }

  /** The replica becomes the master; where the relay leads, new connections come to it, and those that are open stay with the other one. */
  async failOverRedis(): Promise<void> {
    const [old, next] = this.redis;
    await next.ask((redis) => redis.call('REPLICAOF', 'NO', 'ONE'));
    this.redisRelay.leadTo(next.port);
    await old.ask((redis) => redis.call('REPLICAOF', '127.0.0.1', String(next.port))).catch(() => undefined);
    this.redis.reverse();
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.webs, ...this.workers].map((part) => part.stop()));
    for (const server of [...this.redis, ...(this.sentinel ? [this.sentinel] : [])]) {
      server.thaw();
      await server.kill();
    }
    await this.database.stop();
    await Promise.allSettled([this.databaseRelay.stop(), this.redisRelay.stop()]);
  }
}
